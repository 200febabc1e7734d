"""Task classify behind val.py and compare.py: what is particular to images, and what engine/tasks.py names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from data.classification.dataset import ClassFolders, build_class_folders
from engine.checkpoint.classifier import TASK, Classifier, load_classifier
from engine.classification.evaluation import evaluate_classifier
from engine.classification.shared import Recognition
from engine.results import Report


def _evaluate(classifier: Classifier, dataset: ClassFolders, names: Mapping[int, str], **how: Any) -> Report:
    return evaluate_classifier(classifier.network, dataset, names, **how)


IMAGES = Recognition(
    task=TASK,
    load=load_classifier,
    dataset=lambda config, split, classifier: build_class_folders(config, split, classifier.imgsz),
    evaluate=_evaluate,
    described=lambda classifier: f"{classifier.name} at {classifier.imgsz} px",
    resized=lambda classifier, imgsz: replace(classifier, imgsz=imgsz),
)
validate, examine = IMAGES.validate, IMAGES.examine
