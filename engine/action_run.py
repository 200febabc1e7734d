"""Training a clip classifier: the loop is that of task classify; clips, networks and files are its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from data.clips import ClipSet
from data.sampling import EpochSampler
from engine.action_evaluation import evaluate_clips
from engine.action_setup import ActionPlan, datasets_for, learner_for, network_for
from engine.action_weights import load_clip_classifier, save_clip_classifier
from engine.classification_run import ClassTrainer, Steps
from engine.evaluation import Report
from engine.optimiser import Schedule, build_optimiser
from utils.plots import plot_results
from utils.report import cell


class ActionTrainer(ClassTrainer):
    """One training run, in this process, on one device."""

    plan: ActionPlan
    datasets: dict[str, ClipSet]  # type: ignore[assignment]

    def __init__(self, plan: ActionPlan, device: torch.device, state: Mapping[str, Any] | None = None) -> None:
        self.plan, self.device = plan, device
        self.learner = learner_for(plan, network_for(plan, fresh=state is None)).to(device)
        self.network = self.learner.network
        self.datasets = datasets_for(plan)
        train = plan.train
        self.sampler = EpochSampler(len(self.datasets["train"]), train.batch_size, train.seed)
        self.optimiser = build_optimiser(self.learner, plan.hyper, train.batch_size)
        schedule = Steps if plan.own.lr_schedule == "step" else Schedule
        self.schedule = schedule(plan.hyper, train.epochs, len(self.sampler), train.batch_size)
        self.amp = train.amp and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.amp)
        self.rows: list[dict[str, Any]] = []
        self.best, self.best_epoch, self.first_epoch = -1.0, -1, 0
        if state is not None:
            self._load(state)

    def _measure(self, plots: bool = False) -> list[Report]:
        """One report a split; with plots, the confusion matrices of the first go into the run folder."""
        return [
            evaluate_clips(
                self.network, self.plan.network, self.datasets[split], self.plan.data.names,
                batch_size=self.plan.train.batch_size, device=self.device, split=split,
                condition=self.plan.data.conditions[split], half=self.amp, workers=self.plan.workers(self.device),
                confusion_to=self.plan.save_dir if plots and split == self.plan.splits[0] else None,
            )
            for split in self.plan.splits
        ]  # fmt: skip

    def _write(self, stem: str, metrics: Mapping[str, float], epoch: int) -> None:
        about = {"method": self.plan.method, "options": self.plan.options, "metrics": dict(metrics), "epoch": epoch + 1}
        save_clip_classifier(
            self.weights, stem, self.network, name=self.plan.network, names=self.plan.data.names,
            shape=self.plan.shape, about=about,
        )  # fmt: skip

    def _finish(self) -> list[Report]:
        """Measure the best weights as saved, draw the curves, and say where everything is."""
        self.network.load_state_dict(load_clip_classifier(self._best_file, self.device).network.state_dict())
        reports = self._measure(self.plan.train.plots)
        if self.plan.train.plots:
            plot_results(self.plan.save_dir / "results.csv", self.plan.save_dir / "results.png")
        for report in reports:
            found = "  ".join(f"{name} {cell(value)}" for name, value in report.metrics.items())
            print(f"best epoch {self.best_epoch + 1}, {report.condition:>8}: {found}")
        minutes = sum(row["seconds"] for row in self.rows) / 60
        print(f"{len(self.rows)} epochs in {minutes:.1f} min. Clip classifier: {self._best_file}")
        return reports
