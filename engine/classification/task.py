"""Task classify, as training sees it; and what it shares with task action."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data.classification.dataset import Augmentation, ImageFolderDataset, build_image_folders
from data.classification.transforms import jittered
from data.config import DataConfig
from engine.checkpoint.classifier import (
    CLIPS,
    IMAGES,
    KINDS,
    described,
    load_classifier,
    network_of,
    save_classifier,
    start_from,
)  # fmt: skip
from engine.checkpoint.weights import load_weights
from engine.classification.evaluation import evaluate_classifier
from engine.options.classify import DEFAULTS, ClassifyOptions
from engine.options.train import TrainOptions
from engine.results import Report
from engine.training.distributed import WORLD
from engine.training.optim import HALF
from engine.training.plan import Evaluate, Notes, TrainPlan, TrainTask, splits_to_select
from utils.files import find_weights

DEFAULT_NETWORKS = {IMAGES: "resnet18", CLIPS: "r3d_18"}
COLOURED = ("img", "pair", "unlabeled")  # views whose colours are drawn, each by its place here
AS_PUBLISHED = "the best epoch is chosen on test, as published: its test results are optimistically biased"


def resolve(
    chosen: Mapping[type, Any], data: DataConfig, given: Mapping[str, Any], task: str = IMAGES
) -> dict[str, Any]:
    """The network and the nominal batch. Raises UserError for an unknown network, or without a split to choose by."""
    train = chosen[TrainOptions]
    splits_to_select(data, chosen[ClassifyOptions].select)
    network = train.cfg or named(train, task) or DEFAULT_NETWORKS[task]
    KINDS[task].build(network, len(data.names))  # a wrong name must not wait for the run folder
    return {"cfg": network, "nbs": given.get("nbs", train.batch_size)}


def named(train: TrainOptions, task: str) -> str:
    """The network that the header of `--weights` names, or of clips the tensors tell; empty where there is none."""
    if not train.weights:
        return ""
    path = find_weights(train.weights)
    weights = load_weights(path, trust=train.trust)
    found = described(path, weights, task).meta.get("network", "")
    return network_of(weights, path, task) if task == CLIPS and not found else str(found)


def splits_of(plan: TrainPlan) -> list[str]:
    """What is evaluated after each epoch; the first chooses the best one."""
    return splits_to_select(plan.data, plan.classify.select)


def build_model(plan: TrainPlan) -> tuple[nn.Module, Notes]:
    """The classifier of a run with the weights it starts from: those of `--weights`, else as it was made."""
    kind, name = KINDS[plan.task.name], plan.train.cfg
    network, notes = kind.build(name, len(plan.data.names)), []
    if plan.train.weights and plan.network is None:
        path = find_weights(plan.train.weights)
        notes = [start_from(network, load_weights(path, trust=plan.train.trust), name, path)]
    return kind.model(network, name), notes


def build_datasets(plan: TrainPlan) -> dict[str, ImageFolderDataset]:
    """The training set with its views, and on the main rank the sets that are evaluated."""
    own, size, seed = plan.classify, plan.train.imgsz, plan.train.seed
    train = build_image_folders(
        plan.data, "train", size, augmentation=Augmentation(own.least_crop, own.crops == "independent", own.erasing),
        views=[view.name for view in plan.views], unlabeled=own.mmd_share, seed=seed,
    )  # fmt: skip
    splits = splits_of(plan) if WORLD.main else ()
    return {"train": train} | {split: build_image_folders(plan.data, split, size) for split in splits}


def recolour(plan: TrainPlan, batch: dict[str, Any], iteration: int) -> None:
    """Give each view of a batch colours of its own, drawn from the seed and the iteration."""
    own = plan.classify
    for number, view in enumerate(COLOURED):
        if view in batch:
            draw = (plan.train.seed, iteration, number)
            batch[view] = jittered(batch[view], draw, own.colour_jitter, own.hue_jitter)


def describe(plan: TrainPlan, model: nn.Module) -> str:
    """Name and size."""
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return f"{plan.train.cfg} with {millions:.2f} M parameters"


def notes_on(plan: TrainPlan, model: nn.Module, datasets: Mapping[str, Any]) -> Notes:
    """What a reader of the results must know."""
    return [AS_PUBLISHED] if plan.classify.select == "test" else []


def evaluator(plan: TrainPlan, datasets: Mapping[str, Any], device: torch.device) -> Evaluate:
    """Evaluate a classifier on one of the data sets."""

    def evaluate(model: nn.Module, split: str, plots: bool) -> Report:
        return evaluate_classifier(
            model, datasets[split], plan.data.names, batch_size=plan.train.batch_size, device=device, split=split,
            condition=plan.data.conditions[split], half=plan.train.amp in HALF,
            half_type=HALF.get(plan.train.amp, torch.float16), workers=plan.workers(device),
            confusion_to=plan.save_dir if plots else None,
        )  # fmt: skip

    return evaluate


def save(plan: TrainPlan, model: Any, facts: dict[str, Any], **views: Any) -> list[Path]:
    """Write last.pt and last.safetensors. views: entries of the header about the views; by default the image size."""
    header = {
        "names": plan.data.names, **(views or {"imgsz": plan.train.imgsz}), "method": plan.composition,
        "options": plan.options, "metrics": facts["metrics"], "epoch": facts["epoch"] + 1,
    }  # fmt: skip
    path = save_classifier(plan.weights, "last", model.network, task=plan.task.name, name=plan.train.cfg, facts=header)
    return [path.with_suffix(".pt"), path]


CLASSIFICATION = TrainTask(
    name=IMAGES,
    noun="Classifier",
    best="best.safetensors",
    resolve=resolve,
    build_model=build_model,
    build_datasets=build_datasets,
    prepare=recolour,
    describe=describe,
    notes=notes_on,
    evaluator=evaluator,
    splits=splits_of,
    fitness={"top1": 1.0},
    save=save,
    load=lambda plan, device: load_classifier(plan.best, plan.task.name, device).model,
    least_batch=2,
    views=frozenset(COLOURED[1:]),
    defaults=DEFAULTS,
)
