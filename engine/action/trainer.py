"""Training a clip classifier: the loop is that of task classify; clips, networks and files are its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from engine.action.evaluation import evaluate_clips
from engine.action.task import ActionPlan, datasets_for, learner_for
from engine.checkpoint.action import load_clip_classifier, save_clip_classifier
from engine.classification.learners import DayLearner
from engine.classification.trainer import ClassTrainer
from engine.results import Report


class ActionTrainer(ClassTrainer):
    """One training run, in this process, on one device."""

    plan: ActionPlan
    noun = "Clip classifier"

    def _learner(self, fresh: bool) -> DayLearner:
        return learner_for(self.plan, fresh).to(self.device)

    def _datasets(self) -> dict[str, Any]:
        return datasets_for(self.plan)

    def _evaluate(self, dataset: Any, **how: Any) -> Report:
        plan = self.plan
        return evaluate_clips(
            self.network, plan.network, dataset, plan.data.names, workers=plan.workers(self.device), **how
        )

    def _write(self, stem: str, about: Mapping[str, Any]) -> None:
        save_clip_classifier(
            self.weights, stem, self.network, name=self.plan.network, names=self.plan.data.names,
            shape=self.plan.shape, about=about,
        )  # fmt: skip

    def _read(self, file: Path) -> nn.Module:
        return load_clip_classifier(file, self.device).network
