"""Training: one loop for every task and every composition of methods. It knows their protocols, and none of them."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from engine.callbacks import Callback, Callbacks, RunInfo
from engine.results import Report
from engine.training import distributed
from engine.training.batch import as_views, draw, moved, read
from engine.training.distributed import WORLD
from engine.training.optim import Schedule, check_numbers, learning_rates, resolve_auto
from engine.training.plan import TrainPlan
from engine.training.resume import random_state, restore_random_state, save_resume
from engine.training.run_log import RunLog
from engine.training.sampling import build_loader, training_images
from engine.training.step import TrainStep
from methods.base import Run
from utils.files import plain


@dataclass(frozen=True)
class TrainResult:
    """What a run left: its folder, its best checkpoint, the final reports and one row per epoch."""

    save_dir: Path
    best: Path
    reports: list[Report] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False


class Interrupted(Exception):
    """The user asked the run to stop; `resume.pt` is written."""


def with_batch_size(plan: TrainPlan, model: Any, device: torch.device) -> TrainPlan:
    """The run with `--batch-size -1` replaced by a number."""
    if plan.train.batch_size > 0:
        return plan
    size = plan.task.auto_batch(plan, model, device)
    train, options = replace(plan.train, batch_size=size), {**plan.options, "batch_size": size}
    return replace(plan, train=train, options=options, notes=(*plan.notes, f"batch size: {size}"))


def with_optimiser(plan: TrainPlan, images: int) -> TrainPlan:
    """The run with `--optimizer auto` replaced by what it stands for, which args.yaml and `resume.pt` then hold."""
    train = plan.train
    hyper = resolve_auto(plan.hyper, images, train.epochs, train.batch_size, len(plan.data.names))
    if hyper == plan.hyper:
        return plan
    note = f"optimizer auto: {hyper.optimizer}, lr0 {hyper.lr0:g}"
    changed = {key: value for key, value in vars(hyper).items() if value != getattr(plan.hyper, key)}
    return replace(plan, hyper=hyper, options={**plan.options, **changed}, notes=(*plan.notes, note))


class Trainer:
    """One training run on one rank.

    Its parts are made in this order, since each needs those before it: the network, from the seed; the plan, fitted to the
    network's stride; the data sets; the methods' check of the labels; the order of the images; and what a step needs, in
    the order of `TrainStep`.
    """

    def __init__(self, plan: TrainPlan, device: torch.device, callbacks: Sequence[Callback] = ()) -> None:
        self.callbacks = Callbacks(callbacks if WORLD.main else ())
        self.device, self.task = device, plan.task
        torch.manual_seed(plan.train.seed)
        self.detector, notes = self.task.build_model(plan)
        plan, more = self.task.fit(plan, self.detector)
        plan = with_batch_size(plan, self.detector, device)
        self.datasets = self.task.build_datasets(plan)
        labels, extra = (getattr(self.datasets.get(name), "scanned", []) for name in ("train", "extra"))
        for method in plan.methods:
            method.check(labels, plan.data.names, extra)
        self.images, self.sampler, order = training_images(plan, self.datasets)
        plan = with_optimiser(plan, len(self.datasets["train"]))
        weights = self.task.class_weights(plan, self.datasets)
        schedule = Schedule(plan.hyper, plan.train.epochs, len(self.sampler), plan.train.batch_size)
        self.step = TrainStep(self.detector, plan.methods, plan.train, plan.hyper, schedule, device, weights)
        found = [line for method in plan.methods for line in method.notes(self.detector)]
        found += self.task.notes(plan, self.detector, self.datasets)
        self.plan = replace(plan, notes=(*plan.notes, *notes, *more, *found, *order))
        self.options = plan.train
        self.evaluate = self.task.evaluator(self.plan, self.datasets, device) if WORLD.main else None
        self.log = RunLog(self.plan)
        self.start_epoch, self.start_batch = 0, 0
        self.sums: dict[str, Tensor] = {}  # of each loss item over the batches of the running epoch, on this rank
        self.seen = 0  # number of these batches
        self.logged: dict[str, Any] = {}  # what methods logged for the row of the running epoch
        self.stop_requested = False
        self.over = multiprocessing.RawValue("b", 0)

    def run(self) -> TrainResult:
        """Train to the end, or raise Interrupted after writing `resume.pt`."""
        plan = self.plan
        run = Run(self.detector, epochs=self.options.epochs, log=self.logged, single_cls=plan.train.single_cls)
        self.log.start(self.step.averaged, self.datasets)
        info = RunInfo(plan.save_dir, plan.options, self.options.epochs, len(self.sampler), self.log.key)
        reports: list[Report] = []
        try:
            self.callbacks.tell("on_start", info)
            reports = self._all_epochs(run)
        finally:
            self.callbacks.tell("on_end", reports)
        for method in self.plan.methods:
            method.detach(self.detector)
        return TrainResult(self.plan.save_dir, self.plan.best, reports, self.log.rows)

    def _all_epochs(self, run: Run) -> list[Report]:
        """Train to the end, and evaluate the best checkpoint."""
        with self._signals():
            for epoch in range(self.start_epoch, self.options.epochs):
                if distributed.any_rank(self.log.out_of_patience()):
                    self.log.log(f"no improvement for {self.options.patience} epochs: stopped after epoch {epoch}")
                    break
                begins = epoch > 0 and not self.start_batch  # an epoch that has begun is trained to its end
                if begins and distributed.any_rank(self.log.out_of_time()):
                    self.log.log(f"--time {self.options.time:g} h is over: stopped after epoch {epoch}")
                    break
                self._epoch(run, epoch)
        return self._finish() if WORLD.main else []

    def _epoch(self, run: Run, epoch: int) -> None:
        """Train on every image once, evaluate, and write what is left of it."""
        self.step.begin_epoch(run, epoch, resumed=self.start_batch > 0)
        started = time.perf_counter()
        losses = distributed.average(self._batches(run), self.device)
        seconds = time.perf_counter() - started
        gauge = self.step.model.gauge
        check_numbers(self.detector, epoch, gauge.broken(losses))
        self.step.model.criterion.end_epoch()
        self.start_batch = 0
        if WORLD.main:
            due = not (run.skip_validation or self.options.noval)
            splits = self.task.splits(self.plan)[: self.task.per_epoch]
            reports = (
                self._reports(self.step.averaged, splits, losses=True)
                if due or epoch + 1 == self.options.epochs
                else []
            )
            rates = learning_rates(self.step.optimiser)
            values = {**losses, **({} if run.only else gauge.row()), **run.log}
            if reports:
                self.callbacks.tell("on_validation", epoch, reports)
            self.log.epoch(epoch, values, rates, seconds, reports, self.step.averaged)
            self.callbacks.tell("on_epoch", self.log.rows[-1])
            for note in gauge.notes():
                self.log.log(note)
            self._save_resume(run, epoch + 1, 0)

    def _batches(self, run: Run) -> dict[str, float]:
        """Train on the batches of an epoch. Returns the mean of each loss item."""
        self.sampler.set_epoch(run.epoch, self.start_batch)
        with self.log.progress(run.epoch, len(self.sampler)) as bar:
            for number, batch in enumerate(self.loader, self.start_batch):
                run.iteration = run.epoch * len(self.sampler) + number
                prepared = self._prepare(batch, run.iteration)
                items = self._step(run, prepared)
                if number == 0 and run.epoch in (0, self.start_epoch):
                    self.log.sample(prepared)  # after the step: as the methods changed it
                    for note in self.step.model.compiled.notes() if self.step.model.compiled else ():
                        self.log.log(note)
                for name, value in items.items():
                    self.sums[name] = self.sums.get(name, 0) + value.float()
                self.seen += 1
                self.callbacks.tell("on_batch", run.epoch, number, items)
                bar(number, batch, self.sums, self.seen)
                self._maybe_stop(run, number)
        means = {f"train/{name}": value / self.seen for name, value in read(self.sums).items()}
        self.sums, self.seen = {}, 0
        return means

    @functools.cached_property
    def loader(self) -> DataLoader:
        """The loader, made once."""
        return build_loader(self.plan, self.images, self.sampler, self.device, self.over)

    def _prepare(self, batch: dict[str, Any], iteration: int) -> dict[str, Any]:
        """Batch to the device, views (uint8) to [0, 1], and what the task does with them; `draw` seeds draws per batch.

        `size` is the height and width that its images will have.
        """
        size = self.task.size(self.plan, iteration) or tuple(batch["img"].shape[-2:])
        batch = {**batch, "draw": (self.options.seed, iteration), "size": size}
        draw(batch, self.plan.methods)
        ready: dict[str, Any] = moved(batch, self.device)
        for name, value in ready.items():
            if isinstance(value, Tensor) and value.dtype == torch.uint8 and value.ndim > 3:
                ready[name] = as_views(value)
        self.task.prepare(self.plan, ready, iteration)
        return ready

    def _step(self, run: Run, batch: dict[str, Any]) -> dict[str, Tensor]:
        return self.step(run, batch)

    def _maybe_stop(self, run: Run, number: int) -> None:
        """Between two steps of the optimiser: write `resume.pt` when it is due, and stop when asked to."""
        if self.step.last_step != run.iteration:
            return
        stop = distributed.any_rank(self.stop_requested)
        due = self.options.save_steps and (number + 1) % self.options.save_steps == 0
        if WORLD.main and (stop or due):
            self._save_resume(run, run.epoch, number + 1)
        if stop:
            raise Interrupted

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask for a stop after the running step; a second one stops at once.

        They reach the loader's processes again when the run is over.
        """

        def request(number: int, frame: Any) -> None:
            if self.stop_requested:
                raise KeyboardInterrupt
            self.stop_requested = True
            self.log.log("stopping after this step; press Ctrl-C again to abort")

        try:
            before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: the caller's signals are the caller's
            before = {}
        try:
            yield
        finally:
            self.over.value = 1
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reports(self, model: Any, splits: list[str], plots: bool = False, losses: bool = False) -> list[Report]:
        """One report per split; with plots, curves of the first; with losses, the task loss where the task measures it."""
        assert self.evaluate is not None
        if losses and self.task.measures_loss:
            return [self.evaluate(model, split, False, self.step.model.plain_criterion) for split in splits]
        return [self.evaluate(model, split, plots and split == splits[0]) for split in splits]

    def _finish(self) -> list[Report]:
        """Evaluate the best checkpoint as saved, and write what belongs to the end of a run."""
        best = self.task.load(self.plan, self.device)
        reports = self._reports(best, self.task.splits(self.plan), self.options.plots)
        metrics = {f"{report.condition}/{name}": value for report in reports for name, value in report.metrics.items()}
        self.task.finish(self.plan, best, metrics, self.datasets)
        self.log.finish(reports)
        return reports

    def _save_resume(self, run: Run, epoch: int, batch: int) -> None:
        """Write everything that resuming at this epoch and batch needs."""
        state = {
            **self.step.state(),
            "task": self.task.name,
            "epoch": epoch,
            "batch": batch,
            "sums": self.sums,
            "seen": self.seen,
            "log": plain(run.log),
            "random": random_state(),
            "records": self.log.state(),
            "options": self.plan.options,
            "network": self.task.network(self.plan, self.detector),
        }
        save_resume(self.plan.weights, state)

    def load_resume(self, state: dict[str, Any]) -> None:
        """Take back what `_save_resume` wrote. Sums of losses are the main rank's; versions before kept none, and no log."""
        self.start_epoch, self.start_batch = state["epoch"], state["batch"]
        self.step.load_state(state, self.start_epoch)
        self.sums = {name: value.to(self.device) for name, value in state.get("sums", {}).items()}
        self.seen = state.get("seen", 0)
        self.logged = dict(state.get("log", {}))
        self.log.load_state(state["records"])
        if state["random"] is not None:
            restore_random_state(state["random"])
