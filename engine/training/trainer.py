"""Training: one loop for every composition of methods. It knows the method protocol and no method."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.detection.views import IMAGES, of_kind
from data.io.labels import Label, unlabelled
from engine.evaluation.class_frequency import long_tail_of
from engine.evaluation.evaluator import evaluate_detector
from engine.results import Report
from engine.training import distributed
from engine.training.dataloader import leave_signals_to_the_run, workers_that_fit
from engine.training.distributed import WORLD
from engine.training.module import TrainingModel, set_modes
from engine.training.optim import Schedule, build_optimiser, check_numbers, learning_rates
from engine.training.plan import Plan, build_datasets, build_detector, row_hints, size_hints, training_images
from engine.training.resume import methods_state, random_state, restore_random_state, save_resume
from engine.training.run_log import Records
from engine.visual.heatmap import save_mosaic
from methods.base import Method, Run
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.utils.torch_utils import ModelEMA  # noqa: E402

CLIP_NORM = 10.0


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


class Trainer:
    """One training run on one rank."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.plan, self.device = plan, device
        self.options, self.hyper = plan.train, plan.hyper
        torch.manual_seed(self.options.seed)
        self.detector: Any = build_detector(plan)
        self.datasets = build_datasets(plan, int(max(self.detector.stride)))
        for method in plan.methods:
            method.check(self.datasets["train"].scanned, plan.data.names, self._extra_labels())
        self.model = (
            TrainingModel(self.detector, plan.methods, plan.gains()).to(device).to(memory_format=torch.channels_last)
        )
        for method in plan.methods:
            plan.notes += method.notes(self.detector)
        plan.notes += row_hints(self.detector, plan.composition)
        plan.notes += [line for split, dataset in self.datasets.items() for line in unlabelled(dataset.source, split)]
        plan.notes += size_hints(self.datasets["train"].source, self.detector, self.options, plan.composition)
        self.ema = ModelEMA(self.detector)
        self._freeze()
        self._join_ranks()
        self.model.build_criterion()
        self.images, self.sampler = training_images(plan, self.datasets)
        self.long_tail = None
        if self.options.protocol == "lvis":
            self.long_tail = long_tail_of(plan.data, self.datasets["train"].scanned, self.options.single_cls)
        rates = {part: rate for method in plan.methods for part, rate in method.rates(self.detector).items()}
        self.optimiser = build_optimiser(self.model, self.hyper, self.options.batch_size, rates)
        self.schedule = Schedule(self.hyper, self.options.epochs, len(self.sampler), self.options.batch_size)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.amp)
        self.records = Records(plan)
        self.start_epoch, self.start_batch, self.last_step = 0, 0, -1
        self.stop_requested = False
        self.over = multiprocessing.RawValue("b", 0)

    def _extra_labels(self) -> list[Label]:
        """Labels of the extra images, as scanned; none without them."""
        return self.datasets["extra"].scanned if "extra" in self.datasets else []

    @property
    def amp(self) -> bool:
        """Mixed precision is for CUDA only."""
        return self.options.amp and self.device.type == "cuda"

    def _freeze(self) -> None:
        """Take the frozen layers out of the optimiser's sight. Their batch norms stay as they are, see `set_modes`."""
        wanted = self.options.freeze
        rows = range(wanted[0]) if len(wanted) == 1 else wanted
        self.frozen = [self.detector.model[row] for row in rows]
        for layer in self.frozen:
            layer.requires_grad_(False)
        self.training = [parameter for parameter in self.detector.parameters() if parameter.requires_grad]

    def _join_ranks(self) -> None:
        """Share statistics and gradients among ranks."""
        self.parallel: nn.Module = self.model
        if WORLD.size == 1:
            return
        if self.options.sync_bn:
            distributed.synchronise_batch_norms(self.model)
        alternating = any(type(method).on_epoch is not Method.on_epoch for method in self.plan.methods)
        self.parallel = nn.parallel.DistributedDataParallel(self.model, find_unused_parameters=alternating)

    def run(self) -> TrainResult:
        """Train to the end, or raise Interrupted after writing `resume.pt`."""
        run = Run(self.detector, epochs=self.options.epochs)
        self.records.start(self.ema.ema, self.datasets)
        with self._signals():
            for epoch in range(self.start_epoch, self.options.epochs):
                if distributed.any_rank(self.records.out_of_patience(), self.device):
                    self.records.say(
                        f"no better validation for {self.options.patience} epochs: stopped after epoch {epoch}"
                    )
                    break
                run.begin(epoch)
                self._epoch(run)
        reports = self.records.finish(self._final_reports) if WORLD.main else []
        for method in self.plan.methods:
            method.detach(self.detector)
        return TrainResult(self.plan.save_dir, self.plan.save_dir / "weights" / "best.pt", reports, self.records.rows)

    def _epoch(self, run: Run) -> None:
        for method in self.plan.methods:
            method.on_epoch(run)
        set_modes(self.model, self.training, [*self.frozen, *run.bn_eval], run.frozen)
        started = time.perf_counter()
        losses = distributed.average(self._batches(run), self.device)
        seconds = time.perf_counter() - started
        check_numbers(self.detector, run.epoch)
        if hasattr(self.model.criterion, "update"):  # YOLO26 shifts weight between its two branches
            self.model.criterion.update()
        self.start_batch = 0
        if WORLD.main:
            last = run.epoch + 1 == self.options.epochs
            due = not (run.skip_validation or self.options.noval)
            report = self._validate("val") if last or due else None
            rates = learning_rates(self.optimiser)
            self.records.epoch(run.epoch, {**losses, **run.log}, rates, seconds, report, self.ema.ema)
            self._save_resume(run.epoch + 1, 0)

    def _batches(self, run: Run) -> dict[str, float]:
        """Train on the batches of an epoch. Returns the mean of each loss item."""
        self.sampler.set_epoch(run.epoch, self.start_batch)
        sums: dict[str, Tensor] = {}
        seen = 0
        with self.records.progress(run.epoch, len(self.sampler), self.start_batch) as bar:
            for number, batch in enumerate(self.loader, self.start_batch):
                run.iteration = run.epoch * len(self.sampler) + number
                prepared = self._prepare(batch, run)
                items = self._step(run, prepared)
                if number == 0 and run.epoch in (0, self.start_epoch):
                    self.records.sample(prepared)  # after the step: as the methods changed it
                for name, value in items.items():
                    sums[name] = sums.get(name, 0) + value.float()
                seen += 1
                bar(number, batch, sums, seen)
                self._maybe_stop(run, number)
        return {f"train/{name}": float(value) / seen for name, value in sums.items()}

    @functools.cached_property
    def loader(self) -> DataLoader:
        """The loader, made once; its workers live as long as the run."""
        size = self.options.batch_size // WORLD.size
        workers = workers_that_fit(self.plan.workers(self.device), self.datasets["train"], size)
        return DataLoader(
            self.images,
            batch_sampler=self.sampler,
            num_workers=workers,
            collate_fn=self.images.collate_fn,
            pin_memory=self.device.type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=functools.partial(leave_signals_to_the_run, self.over),
        )

    def _prepare(self, batch: dict[str, Any], run: Run) -> dict[str, Any]:
        """Batch to the device, images to [0, 1]."""
        on_device = {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in batch.items()
        }
        views = [name for name in ("img", *of_kind(self.plan.views, *IMAGES)) if name in on_device]
        for view in views:
            on_device[view] = on_device[view].float() / 255  # (B, 3, H, W)
        if self.options.multi_scale:
            size = multi_scale_size(
                self.options.imgsz, int(max(self.detector.stride)), self.options.seed, run.iteration
            )
            for view in views:
                on_device[view] = nn.functional.interpolate(on_device[view], (size, size), mode="bilinear")
        return on_device

    def _step(self, run: Run, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Forward, backward and, when enough batches are gathered, one step of the optimiser."""
        accumulate = self.schedule.apply(self.optimiser, run.epoch, run.iteration)
        with torch.autocast(self.device.type, enabled=self.amp):
            loss, items = self.parallel(batch, run.with_task_loss)
        self.scaler.scale(loss).backward()
        if run.iteration - self.last_step >= accumulate:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.optimiser.zero_grad(set_to_none=True)
            self.ema.update(self.detector)
            self.last_step = run.iteration
        for method in self.plan.methods:
            method.on_step(run)
        return items

    def _maybe_stop(self, run: Run, number: int) -> None:
        """Between two steps of the optimiser: write `resume.pt` when it is due, and stop when asked to."""
        if self.last_step != run.iteration:
            return
        stop = distributed.any_rank(self.stop_requested, self.device)
        due = self.options.save_steps and (number + 1) % self.options.save_steps == 0
        if WORLD.main and (stop or due):
            self._save_resume(run.epoch, number + 1)
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
            self.records.say("stopping after this step; once more to stop at once")

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

    def _validate(self, split: str, detector: nn.Module | None = None, plots: bool = False) -> Report:
        """Images that stay in memory are read by this process, for no other's memory outlives an epoch."""
        kept = self.datasets[split].keep_in_memory
        return evaluate_detector(
            detector or self.ema.ema,
            self.datasets[split],
            workers=0 if kept else self.plan.workers(self.device),
            batch_size=self.datasets[split].batch_size,
            device=self.device,
            split=split,
            condition=self.plan.data.conditions[split],
            half=self.amp,
            progress=False,
            plots=plots,
            save_dir=self.plan.save_dir if plots else None,
            single_cls=self.options.single_cls,
            protocol=self.options.protocol,
            long_tail=self.long_tail,
        )

    def _final_reports(self, detector: nn.Module) -> list[Report]:
        """Reports of the best checkpoint on every validation split, and its crux maps where it has them."""
        detector = detector.to(self.device).float()
        splits = [split for split in ("val", "val2") if split in self.datasets]
        if self.options.plots:
            images = [Path(file) for file in self.datasets["val"].im_files]
            save_mosaic(detector, images, self.plan.save_dir / "crux.png", self.options.imgsz)
        return [self._validate(split, detector, plots=self.options.plots and split == "val") for split in splits]

    def _save_resume(self, epoch: int, batch: int) -> None:
        """Note everything that going on from this epoch and batch needs."""
        state = {
            "epoch": epoch,
            "batch": batch,
            "model": self.detector.state_dict(),
            "ema": self.ema.ema.state_dict(),
            "ema_updates": self.ema.updates,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "methods": self.model.methods.state_dict(),
            "last_step": self.last_step,
            "random": random_state(),
            "records": self.records.state(),
            "options": self.plan.given_text(),
            "network": self.detector.yaml,
        }
        save_resume(self.plan.save_dir / "weights", state)

    def load_resume(self, state: dict[str, Any]) -> None:
        """Take over what `_save_resume` noted."""
        self.start_epoch, self.start_batch, self.last_step = state["epoch"], state["batch"], state["last_step"]
        self.detector.load_state_dict(state["model"])
        self.model.methods.load_state_dict(methods_state(state, self.model.methods.state_dict()))
        self.ema.ema.load_state_dict(state["ema"])
        self.ema.updates = state["ema_updates"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if hasattr(self.model.criterion, "update"):
            for _ in range(self.start_epoch):
                self.model.criterion.update()
        self.records.load_state(state["records"])
        restore_random_state(state["random"])


def multi_scale_size(imgsz: int, stride: int, seed: int, iteration: int) -> int:
    """A size between half and one and a half of imgsz, a multiple of the stride; the same on every rank."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + iteration)
    low, high = int(imgsz * 0.5), int(imgsz * 1.5) + stride
    return max(int(torch.randint(low, high, (), generator=generator)) // stride * stride, stride)
