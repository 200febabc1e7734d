"""Task classify behind train.py, val.py and compare.py: what the doors do is handed over by engine/tasks.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from data.class_folders import build_class_folders
from data.config import DataConfig, load_data
from data.scenes import make_world
from engine import distributed
from engine.classification_evaluation import evaluate_classifier, table
from engine.classification_run import ClassTrainer
from engine.classification_setup import HERE, make_plan
from engine.classification_weights import Classifier, load_classifier
from engine.enhance import Enhancer, enhancer_of
from engine.evaluation import Report
from engine.options.classify import VAL_OPTIONS
from engine.options.train import TRAIN_SCHEMAS, TrainOptions
from engine.options.val import ValOptions
from engine.resume import find_resume, load_resume
from engine.tasks import check_meaning, own_names
from engine.trainer import TrainResult
from engine.validator import ValResult, present_splits
from utils.files import UserError, find_file, new_run_folder
from utils.options import build
from utils.report import save_csv, text_table

STAYS_WITH_RESUME = ("device", "workers", "patience", "save_period", "noval", "plots")
TASKS = ("train", "val", "test")  # of val.py


def train(**options: Any) -> TrainResult:
    """Train a classifier with the options of train.py. Raises UserError for what the user can mend."""
    given = own_names(options, TRAIN_SCHEMAS)
    (chosen,) = build([TrainOptions], {k: v for k, v in given.items() if k in ("device", "resume", "project")})
    if len(distributed.listed_devices(chosen.device)) > 1 or distributed.launched():
        raise UserError(f"--device {chosen.device or 'of torchrun'}: task classify trains on one device. Name one.")
    device = distributed.pick_device(chosen.device)
    if not chosen.resume:
        return ClassTrainer(make_plan(given), device).run()
    state = load_resume(find_resume(chosen.resume, chosen.project))
    trainer = ClassTrainer(make_plan(_resumed(state, given)), device, state)
    print(f"resumed at epoch {trainer.first_epoch + 1}", flush=True)
    return trainer.run()


def _resumed(state: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an interrupted run, with those that may change between its two halves."""
    wrong = next((key for key in given if key not in {"resume", "project", *STAYS_WITH_RESUME}), None)
    if wrong is not None:
        allowed = ", ".join(f"--{name.replace('_', '-')}" for name in STAYS_WITH_RESUME)
        raise UserError(
            f"--resume: the run goes on with its own options, so --{wrong.replace('_', '-')} cannot change. Beside "
            f"--resume, only these may: {allowed}."
        )
    saved = {key: value for key, value in state["options"].items() if key not in {"save_dir", "task"}}
    saved |= {key: value for key, value in given.items() if key in STAYS_WITH_RESUME}
    folder = Path(state["options"]["save_dir"])
    return {**saved, "project": folder.parent, "name": folder.name, "exist_ok": True, "resume": ""}


def validate(**options: Any) -> ValResult:
    """Measure a classifier with the options of val.py: prints tables, writes metrics.csv and confusion matrices.

    Pictures are seen at the size that the weights were trained with, unless --imgsz is given. Raises UserError.
    """
    given = own_names(options, [ValOptions])
    check_meaning(given, VAL_OPTIONS, "classify")
    (chosen,) = build([ValOptions], given)
    if chosen.task not in TASKS:
        raise UserError(f"--task {chosen.task}: means nothing for task classify. Choose one of {', '.join(TASKS)}.")
    if chosen.weights is None:
        raise UserError("--weights: name the classifier to measure, such as runs/train/exp/weights/best.safetensors.")
    config = load_data(chosen.data, make_demo=make_world)
    splits = present_splits(config, chosen.task)
    device = distributed.pick_device(chosen.device)
    file = find_file(chosen.weights, Path(), HERE, HERE / "weights")
    classifier = load_classifier(file, device, chosen.trust)
    if "imgsz" in given:
        classifier = replace(classifier, imgsz=chosen.imgsz)
    check_names(classifier, config, file)
    enhancer = enhancer_of(chosen, device)
    save_dir = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
    reports = measure(
        classifier, config, splits, device, batch_size=chosen.batch_size, half=chosen.half, workers=chosen.workers or 0,
        plots_to=save_dir if chosen.plots else None, enhance=enhancer,
    )  # fmt: skip
    rows = table(reports)
    save_csv(save_dir / "metrics.csv", rows)
    print(text_table([row for row in rows if chosen.verbose or row["class"] == "all"]))
    seen = f"{classifier.name} at {classifier.imgsz} px" + (f", enhanced by {enhancer.name}" if enhancer else "")
    print(f"{seen}; every class is in metrics.csv; results in {save_dir}")
    return ValResult(reports, save_dir, rows)


def examine(weights: Path, data: str, task: str, device: str = "") -> list[Report]:
    """One report a split, for compare.py. task: `test` takes test and test2, `val` takes val and val2."""
    config, place = load_data(data, make_demo=make_world), distributed.pick_device(device)
    classifier = load_classifier(weights, place)
    check_names(classifier, config, weights)
    return measure(classifier, config, present_splits(config, task), place)


def measure(
    classifier: Classifier,
    config: DataConfig,
    splits: Sequence[str],
    device: torch.device,
    *,
    batch_size: int = 32,
    half: bool = False,
    workers: int = 0,
    plots_to: Path | None = None,
    enhance: Enhancer | None = None,
) -> list[Report]:
    """One report a split of the data; with `plots_to`, confusion matrices go into a folder a split in it."""
    reports = []
    for split in splits:
        condition = config.conditions.get(split, split)
        dataset = build_class_folders(config, split, classifier.imgsz)
        for path, reason in dataset.skipped:
            print(f"note: left out {path}: {reason}")
        folder = plots_to / (condition if condition == split else f"{split}-{condition}") if plots_to else None
        reports.append(
            evaluate_classifier(
                classifier.network, dataset, config.names, batch_size=batch_size, device=device, split=split,
                condition=condition, half=half, workers=workers, confusion_to=folder, enhance=enhance,
                shown=True,
            )
        )  # fmt: skip
    return reports


def check_names(classifier: Classifier, config: DataConfig, weights: Path) -> None:
    """UserError where data and classifier differ in the number of classes; a note where only names differ."""
    classes = next(reversed(classifier.network.state_dict().values())).shape[0]
    if classes != len(config.names):
        raise UserError(
            f"{weights}: tells {classes} classes apart, but {config.file} has {len(config.names)}. Use the data YAML that the "
            "classifier was trained with."
        )
    names = classifier.names or config.names
    other = [f"{number}: {names[number]} / {name}" for number, name in config.names.items() if names[number] != name]
    if other:
        print(f"note: classes are matched by number, but names differ (weights / data): {', '.join(other[:5])}")
