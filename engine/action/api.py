"""Task action behind val.py and compare.py: what is particular to clips, and what engine/tasks.py names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.config import DataConfig
from data.video.dataset import ClipSet
from data.video.index import load_split
from engine.action.evaluation import evaluate_clips
from engine.checkpoint.action import TASK, ClipClassifier, load_clip_classifier
from engine.classification.shared import Recognition
from engine.options.action import ActionOptions
from engine.results import Report


def _dataset(config: DataConfig, split: str, classifier: ClipClassifier) -> ClipSet:
    return ClipSet(load_split(config, split), classifier.shape, tests=ActionOptions().test_clips, cache="none")


def _evaluate(classifier: ClipClassifier, dataset: ClipSet, names: Mapping[int, str], **how: Any) -> Report:
    return evaluate_clips(classifier.network, classifier.name, dataset, names, **how)


def _described(classifier: ClipClassifier) -> str:
    shape = classifier.shape
    return f"{classifier.name}, clips of {shape.frames} frames, every {shape.interval}., at {shape.size} px"


CLIPS = Recognition(
    task=TASK,
    load=load_clip_classifier,
    dataset=_dataset,
    evaluate=_evaluate,
    described=_described,
)
validate, examine = CLIPS.validate, CLIPS.examine
