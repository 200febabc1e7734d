"""Task action, as training sees it: as task classify, but for clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from data.config import TESTS, VALS, DataConfig
from data.detection.unpaired import refuse_leaks
from data.video.dataset import ClipSet, ClipShape
from data.video.index import list_videos, load_split
from engine.checkpoint.classifier import CLIPS
from engine.classification import task as classification
from engine.options.action import DEFAULTS, ActionOptions
from engine.options.train import TrainOptions
from engine.training.distributed import WORLD
from engine.training.plan import Notes, TrainPlan
from models.action import INPUTS, check_clip

PAIR, MOTION = "pair", "motion"
HELD_OUT = (*VALS, *TESTS)


def resolve(chosen: Mapping[type, Any], data: DataConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """The network, its usual image size and the nominal batch. Raises UserError for what does not fit together."""
    found = classification.resolve(chosen, data, given, CLIPS)
    imgsz = chosen[TrainOptions].imgsz if "imgsz" in given else INPUTS[found["cfg"]].size
    check_clip(found["cfg"], chosen[ActionOptions].frames, imgsz)
    return {**found, "imgsz": imgsz}


def shape_of(plan: TrainPlan) -> ClipShape:
    """What a clip is."""
    return ClipShape(plan.action.frames, plan.action.interval, plan.train.imgsz)


def build_datasets(plan: TrainPlan) -> dict[str, ClipSet]:
    """The training set with its views, and on the main rank the sets that are evaluated.

    Raises UserError where training has a held-out video.
    """
    shape, keep = shape_of(plan), plan.action.keep_videos
    views = {view.name: view for view in plan.views}
    paired = PAIR in views
    train = ClipSet(
        load_split(plan.data, "train", paired=paired and PAIR in plan.data.splits), shape, augment=plan.augment,
        paired=paired, motion=MOTION in views, seed=plan.train.seed, cache=keep,
        same_colour=not paired or views[PAIR].same_colour,
    )  # fmt: skip
    held_out = [v.path for name in HELD_OUT if name in plan.data.splits for v in list_videos(plan.data, name)]
    files = [path for video in train.videos for path in (video.path, video.paired) if path is not None]
    refuse_leaks(files, held_out, f"{plan.data.file}: 'train'")
    tests = plan.action.test_clips
    splits = classification.splits_of(plan) if WORLD.main else ()
    return {"train": train} | {
        name: ClipSet(load_split(plan.data, name), shape, tests=tests, cache=keep) for name in splits
    }


def notes_on(plan: TrainPlan, model: nn.Module, datasets: Mapping[str, Any]) -> Notes:
    """What a reader of the results must know."""
    notes = classification.notes_on(plan, model, datasets)
    if datasets["train"].paired and PAIR not in plan.data.splits:
        notes.append(f"{plan.data.file.name} has no '{PAIR}' line: day clips are darkened as they are loaded")
    return notes


ACTION = replace(
    classification.CLASSIFICATION,
    name=CLIPS,
    noun="Clip classifier",
    resolve=resolve,
    build_datasets=build_datasets,
    prepare=lambda plan, batch, iteration: None,  # clips are recoloured as they are loaded
    notes=notes_on,
    save=lambda plan, model, facts: classification.save(plan, model, facts, clip=vars(shape_of(plan))),
    makes=frozenset({PAIR, MOTION}),
    views=frozenset(),
    cpu_workers=0,  # decoded videos are kept
    defaults=DEFAULTS,
    may_change=(*classification.CLASSIFICATION.may_change, "keep_videos"),
)
