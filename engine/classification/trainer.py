"""Training a classifier: one loop for both methods, and the files that it leaves."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.sampling import EpochSampler
from engine.checkpoint.classifier import load_classifier, save_classifier
from engine.classification.evaluation import METRICS, evaluate_classifier
from engine.classification.learners import DayLearner
from engine.classification.task import Plan, datasets_for, learner_for
from engine.results import Report
from engine.training.dataloader import leave_signals_to_the_run, workers_that_fit
from engine.training.optim import Schedule, build_optimiser, check_numbers, learning_rates
from engine.training.resume import save_resume
from engine.training.trainer import CLIP_NORM, TrainResult
from utils.files import save_yaml
from utils.plots import plot_results
from utils.progress import progress
from utils.signals import stopped_by_sigterm
from utils.tables import cell, save_csv

DROPS = (1 / 3, 2 / 3)  # of the run: where the published schedule divides the learning rate by ten
AS_PUBLISHED = "the best epoch is chosen on test, as published: its test numbers flatter"


class Steps(Schedule):
    """A tenth of the learning rate after each third of the run, as published (60 and 120 of 180 epochs)."""

    def factor(self, epoch: int) -> float:
        """Share of lr0 in an epoch: 1, 0.1 or 0.01."""
        return 0.1 ** sum(epoch >= share * self.epochs for share in DROPS)


class ClassTrainer:
    """One training run, in this process, on one device. What is particular to images is in the methods at the end."""

    noun = "Classifier"

    def __init__(self, plan: Plan, device: torch.device, state: Mapping[str, Any] | None = None) -> None:
        self.plan, self.device = plan, device
        self.learner = self._learner(fresh=state is None)
        self.network = self.learner.network
        self.datasets = self._datasets()
        train = plan.train
        self.sampler = EpochSampler(len(self.datasets["train"]), train.batch_size, train.seed)
        self.optimiser = build_optimiser(self.learner, plan.hyper, train.batch_size)
        schedule = Steps if plan.own.lr_schedule == "step" else Schedule
        self.schedule = schedule(plan.hyper, train.epochs, len(self.sampler), train.batch_size)
        self.amp = train.amp and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.amp)
        self.rows: list[dict[str, Any]] = []
        self.over = multiprocessing.RawValue("b", 0)
        self.best, self.best_epoch, self.first_epoch = -1.0, -1, 0
        if state is not None:
            self._load(state)

    @property
    def weights(self) -> Path:
        """Folder of the checkpoints."""
        return self.plan.save_dir / "weights"

    def run(self) -> TrainResult:
        """Train to the end; an interruption is no error, and loses the running epoch only."""
        self._start()
        try:
            with stopped_by_sigterm():
                self._epochs()
        except KeyboardInterrupt:
            print(f"stopped; resume: python train.py --resume {self.plan.save_dir}", flush=True)
            return TrainResult(self.plan.save_dir, self._best_file, rows=self.rows, interrupted=True)
        finally:
            self.over.value = 1
        return TrainResult(self.plan.save_dir, self._best_file, self._finish(), self.rows)

    def _epochs(self) -> None:
        """Every epoch that is left, until patience is lost."""
        patience = self.plan.train.patience
        for epoch in range(self.first_epoch, self.plan.train.epochs):
            if patience and 0 <= self.best_epoch < epoch - patience:
                print(f"no better validation for {patience} epochs: stopped after epoch {epoch}")
                return
            self._epoch(epoch)

    @property
    def _best_file(self) -> Path:
        return self.weights / "best.safetensors"

    def _start(self) -> None:
        """Write args.yaml and say what will be trained."""
        plan = self.plan
        self.weights.mkdir(parents=True, exist_ok=True)
        save_yaml(plan.save_dir / "args.yaml", plan.options)
        notes = plan.notes + ([AS_PUBLISHED] if plan.own.select == "test" else [])
        notes += [f"left out: {path} ({why})" for dataset in self.datasets.values() for path, why in dataset.skipped]
        millions = sum(parameter.numel() for parameter in self.network.parameters()) / 1e6
        sizes = ", ".join(f"{len(dataset)} {split}" for split, dataset in self.datasets.items())
        head = (
            f"{plan.data.file.name}: {plan.network}, method {plan.method}, {millions:.2f} M parameters, {sizes} images"
        )
        print("\n".join([*notes, head, f"results in {plan.save_dir}"]), flush=True)

    def _epoch(self, epoch: int) -> None:
        """Train on every image once, measure, and write what is left of it."""
        start = time.perf_counter()
        losses = self._batches(epoch)
        seconds = round(time.perf_counter() - start, 2)
        check_numbers(self.network, epoch)
        last = epoch + 1 == self.plan.train.epochs
        reports = [] if self.plan.train.noval and not last else self._measure()
        scores = {f"{report.condition}/{name}": report.metrics[name] for report in reports for name in METRICS}
        row = {"epoch": epoch + 1, "seconds": seconds, **losses, **scores, **learning_rates(self.optimiser)}
        self.rows.append(row)
        save_csv(self.plan.save_dir / "results.csv", self.rows)
        score = reports[0].metrics["top1"] if reports else -1.0
        better = score > self.best
        if better:
            self.best, self.best_epoch = score, epoch
        self._save(epoch, better, scores)
        print(self._line(row, scores, better), flush=True)

    def _batches(self, epoch: int) -> dict[str, float]:
        """Take the steps of an epoch. Returns the mean of each term of the loss."""
        self.learner.train()
        self.sampler.set_epoch(epoch)
        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(progress(self._loader(), len(self.sampler), f"epoch {epoch + 1}", delay=20)):
            for name, value in self._step(batch, epoch, epoch * len(self.sampler) + number).items():
                sums[name] = sums.get(name, 0) + value.detach().float()
        return {f"train/{name}": float(total) / len(self.sampler) for name, total in sums.items()}

    def _loader(self) -> DataLoader:
        """The loader, made once; its workers live as long as the run."""
        if not hasattr(self, "_made"):
            dataset, wanted = self.datasets["train"], self.plan.workers(self.device)
            workers = workers_that_fit(wanted, dataset, self.plan.train.batch_size)
            self._made: DataLoader = DataLoader(
                dataset, batch_sampler=self.sampler, num_workers=workers, collate_fn=dataset.collate_fn,
                persistent_workers=workers > 0, pin_memory=self.device.type == "cuda",
                worker_init_fn=partial(leave_signals_to_the_run, self.over),
            )  # fmt: skip
        return self._made

    def _step(self, batch: Mapping[str, Any], epoch: int, iteration: int) -> dict[str, Tensor]:
        """One step of the optimiser; returns the terms of the loss."""
        self.schedule.apply(self.optimiser, epoch, iteration)
        on_device = {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in batch.items()
        }
        with torch.autocast(self.device.type, enabled=self.amp):
            terms = self.learner(self.learner.prepare(on_device, iteration))
        loss = torch.stack(list(terms.values())).sum()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), CLIP_NORM)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        self.learner.after_step()
        return terms

    def _measure(self, plots: bool = False) -> list[Report]:
        """One report per split; with plots, the confusion matrices of the first go into the run folder."""
        return [
            self._evaluate(
                self.datasets[split], batch_size=self.plan.train.batch_size, device=self.device, split=split,
                condition=self.plan.data.conditions[split], half=self.amp,
                confusion_to=self.plan.save_dir if plots and split == self.plan.splits[0] else None,
            )
            for split in self.plan.splits
        ]  # fmt: skip

    def _line(self, row: Mapping[str, Any], scores: Mapping[str, float], better: bool) -> str:
        losses = "  ".join(f"{key.removeprefix('train/')} {row[key]:.3f}" for key in row if key.startswith("train/"))
        found = "  ".join(f"{key} {value:.3f}" for key, value in scores.items())
        head = f"epoch {row['epoch']:>3}/{self.plan.train.epochs}  {losses}"
        return f"{head}  | {found}{' *' if better else ''}  ({row['seconds']:.0f} s)"

    def _save(self, epoch: int, better: bool, metrics: Mapping[str, float]) -> None:
        """Write last, best and epochN weights, and what a resumed run needs."""
        period = self.plan.train.save_period
        stems = ["last", *(["best"] if better or self.best_epoch < 0 else [])]
        stems += [f"epoch{epoch + 1}"] * (period > 0 and (epoch + 1) % period == 0)
        about = {"method": self.plan.method, "options": self.plan.options, "metrics": dict(metrics), "epoch": epoch + 1}
        for stem in stems:
            self._write(stem, about)
        state = {
            "task": self.plan.options["task"],
            "epoch": epoch + 1,
            "learner": self.learner.state_dict(),
            "target": self.learner.target_state(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rows": self.rows,
            "best": [self.best, self.best_epoch],
            "options": self.plan.options,
        }
        save_resume(self.weights, state)

    def _load(self, state: Mapping[str, Any]) -> None:
        """Go on where `_save` left off."""
        self.learner.load_state_dict(state["learner"])
        self.learner.load_target(state["target"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.rows, (self.best, self.best_epoch) = state["rows"], state["best"]
        self.first_epoch = state["epoch"]

    def _finish(self) -> list[Report]:
        """Measure the best weights as saved, draw the curves, and say where everything is."""
        self.network.load_state_dict(self._read(self._best_file).state_dict())
        reports = self._measure(self.plan.train.plots)
        if self.plan.train.plots:
            plot_results(self.plan.save_dir / "results.csv", self.plan.save_dir / "results.png")
        for report in reports:
            found = "  ".join(f"{name} {cell(value)}" for name, value in report.metrics.items())
            print(f"best epoch {self.best_epoch + 1}, {report.condition:>8}: {found}")
        minutes = sum(row["seconds"] for row in self.rows) / 60
        print(f"{len(self.rows)} epochs in {minutes:.1f} min. {self.noun}: {self._best_file}")
        return reports

    def _learner(self, fresh: bool) -> DayLearner:
        """What learns, on the device. `fresh`: not resumed."""
        learner = learner_for(self.plan, fresh).to(self.device)
        return learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _datasets(self) -> dict[str, Any]:
        """The training set, as 'train', and each split that is measured."""
        return datasets_for(self.plan)

    def _evaluate(self, dataset: Any, **how: Any) -> Report:
        return evaluate_classifier(self.network, dataset, self.plan.data.names, **how)

    def _write(self, stem: str, about: Mapping[str, Any]) -> None:
        """Weights as they are now; about: what else their header says."""
        save_classifier(
            self.weights, stem, self.network, name=self.plan.network, names=self.plan.data.names,
            imgsz=self.plan.train.imgsz, about=about,
        )  # fmt: skip

    def _read(self, file: Path) -> nn.Module:
        """The network of weights that `_write` wrote."""
        return load_classifier(file, self.device).network
