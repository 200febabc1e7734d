"""Task action behind val.py and compare.py: as task classify, but for clips."""

from __future__ import annotations

from data.config import DataConfig
from data.video.dataset import ClipSet
from data.video.index import load_split
from engine.checkpoint.classifier import CLIPS, LoadedClassifier
from engine.classification.api import ClassifierTask
from engine.options.action import ActionOptions


def _dataset(config: DataConfig, split: str, classifier: LoadedClassifier) -> ClipSet:
    return ClipSet(load_split(config, split), classifier.shape, tests=ActionOptions().test_clips, cache="none")


def _described(classifier: LoadedClassifier) -> str:
    shape = classifier.shape
    return f"{classifier.name}, clips of {shape.frames} frames at an interval of {shape.interval}, {shape.size} px"


ACTION = ClassifierTask(CLIPS, _dataset, _described)
validate, evaluate = ACTION.validate, ACTION.evaluate
