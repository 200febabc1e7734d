"""Task action behind train.py, val.py and compare.py: what is particular to clips, and what engine/tasks.py names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.clip_lists import load_split
from data.clips import ClipSet
from data.config import DataConfig
from engine.action_evaluation import evaluate_clips
from engine.action_run import ActionTrainer
from engine.action_setup import make_plan
from engine.action_weights import TASK, ClipClassifier, load_clip_classifier
from engine.evaluation import Report
from engine.options.action import VAL_OPTIONS, ActionOptions
from engine.recognition import STAYS_WITH_RESUME, Recognition


def _dataset(config: DataConfig, split: str, classifier: ClipClassifier) -> ClipSet:
    return ClipSet(load_split(config, split), classifier.shape, tests=ActionOptions().test_clips, cache="none")


def _evaluate(classifier: ClipClassifier, dataset: ClipSet, names: Mapping[int, str], **how: Any) -> Report:
    return evaluate_clips(classifier.network, classifier.name, dataset, names, **how)


def _described(classifier: ClipClassifier) -> str:
    shape = classifier.shape
    return f"{classifier.name}, clips of {shape.frames} frames, every {shape.interval}., at {shape.size} px"


CLIPS = Recognition(
    task=TASK,
    val_options=VAL_OPTIONS,
    trainer=ActionTrainer,
    make_plan=make_plan,
    load=load_clip_classifier,
    dataset=_dataset,
    evaluate=_evaluate,
    described=_described,
    stays_with_resume=(*STAYS_WITH_RESUME, "keep_videos"),
)
train, validate, examine = CLIPS.train, CLIPS.validate, CLIPS.examine
