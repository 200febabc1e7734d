"""From options to the parts of a training run of task action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data.augment_options import AugmentOptions
from data.clip_lists import list_videos, load_split
from data.clips import ClipSet, ClipShape
from data.config import load_data
from data.loose import refuse_leaks
from data.scenes import make_world
from engine.action_learners import DayClips, PairedClips
from engine.action_weights import TASK, companion, load_weights, network_of, start_from
from engine.classification_learners import DayLearner
from engine.classification_setup import Plan, weights_file
from engine.options.action import DEFAULTS, TRAIN_OPTIONS, ActionOptions
from engine.options.classify import ClassifyOptions
from engine.options.train import TRAIN_SCHEMAS, HyperOptions, TrainOptions
from engine.tasks import check_meaning, own_names
from methods.wiid_options import WiiDOptions
from models.action import INPUTS, build, check_clip
from utils.files import UserError, new_run_folder
from utils.options import as_dict
from utils.options import build as build_options

DEFAULT_NETWORK = "r3d_18"
METHODS = ("none", "wiid")
PAIR = "pair"
HELD_OUT = ("val", "val2", "test", "test2")


@dataclass
class ActionPlan(Plan):
    """A run, decided, and what its clips are."""

    action: ActionOptions = field(default_factory=ActionOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)

    @property
    def shape(self) -> ClipShape:
        """What a clip is."""
        return ClipShape(self.action.frames, self.action.interval, self.train.imgsz)

    @property
    def masks(self) -> bool:
        """Whether the motion foreground is wanted."""
        return self.method == "wiid" and bool(self.wiid.front_ratio or self.wiid.back_ratio)

    def workers(self, device: torch.device) -> int:
        """Loader processes: none on the CPU, where decoded videos are kept and the step uses every core."""
        return 0 if device.type == "cpu" and self.train.workers < 0 else super().workers(device)


def make_plan(options: Mapping[str, Any]) -> ActionPlan:
    """Check the options and decide the run. Makes the run folder, and a demo world when the data YAML names one."""
    given = own_names(options, TRAIN_SCHEMAS)
    check_meaning(given, TRAIN_OPTIONS, TASK)
    instances = build_options(TRAIN_SCHEMAS, {**DEFAULTS, **given})
    by_schema = dict(zip(TRAIN_SCHEMAS, instances, strict=True))
    train, action = by_schema[TrainOptions], by_schema[ActionOptions]
    if train.batch_size < 2:
        raise UserError("--batch-size 1: batch norm needs at least 2 clips. Give more.")
    network = train.cfg or (_named(train) if train.weights else "") or DEFAULT_NETWORK
    if network in INPUTS and "imgsz" not in given:
        train = replace(train, imgsz=INPUTS[network].size)
    data = load_data(train.data, make_demo=make_world)
    build(network, len(data.names))  # a wrong name must not wait for the run folder
    check_clip(network, action.frames, train.imgsz)
    method, own = _method(train.method or data.method), by_schema[ClassifyOptions]
    if own.select not in data.splits:
        raise UserError(
            f"{data.file}: there is no '{own.select}' split to choose the best epoch with. Add a line '{own.select}: FOLDER'."
        )
    hyper = replace(by_schema[HyperOptions], nbs=train.batch_size)
    save_dir = new_run_folder(train.project, train.name, train.exist_ok)
    plain = as_dict(train, hyper, by_schema[WiiDOptions], own, action, by_schema[AugmentOptions])
    used = {key: plain[key] for key in plain if key in TRAIN_OPTIONS}
    used |= {"method": method, "data": str(data.file), "save_dir": str(save_dir), "task": TASK, "cfg": network}
    return ActionPlan(
        train, hyper, by_schema[WiiDOptions], own, data, method, network, save_dir, used,
        action=action, augment=by_schema[AugmentOptions],
    )  # fmt: skip


def _method(name: str) -> str:
    """`none` or `wiid`. Raises UserError for a method that is for detectors."""
    wanted = name.strip().lower()
    if wanted not in METHODS:
        raise UserError(f"--method {name}: task action trains with {' or '.join(METHODS)}. Choose one of them.")
    return wanted


def _named(train: TrainOptions) -> str:
    """The network that the checkpoint is of."""
    path = weights_file(train)
    said = load_weights(companion(path) or path, trust=train.trust)
    return str(said.meta.get("network") or network_of(said, path))


def network_for(plan: ActionPlan, fresh: bool = True) -> nn.Module:
    """The network of a run, with its first weights: of `--weights`, else drawn from the seed. `fresh`: not resumed."""
    torch.manual_seed(plan.train.seed)
    network = build(plan.network, len(plan.data.names))
    if plan.train.weights and fresh:
        path = weights_file(plan.train)
        plan.notes.append(start_from(network, load_weights(path, trust=plan.train.trust), plan.network, path))
    return network


def learner_for(plan: ActionPlan, network: nn.Module) -> DayLearner:
    """What the run's method learns with."""
    if plan.method == "none":
        return DayClips(network, plan.network, plan.train.seed)
    return PairedClips(network, plan.network, plan.wiid, plan.train.seed)


def datasets_for(plan: ActionPlan) -> dict[str, ClipSet]:
    """The training set, and the sets that are measured after each epoch. Raises UserError where training has a held-out video."""
    paired = plan.method == "wiid"
    if paired and PAIR not in plan.data.splits:
        plan.notes.append(f"{plan.data.file.name} has no '{PAIR}' line: day clips are darkened as they are loaded")
    split = load_split(plan.data, "train", paired=paired and PAIR in plan.data.splits)
    train = ClipSet(
        split, plan.shape, augment=plan.augment, paired=paired, motion=plan.masks, seed=plan.train.seed,
        cache=plan.action.keep_videos,
    )  # fmt: skip
    sets = {"train": train}
    for name in plan.splits:
        sets[name] = test_set(plan, name)
    held_out = [v.path for name in HELD_OUT if name in plan.data.splits for v in list_videos(plan.data, name)]
    refuse_leaks(_files(train), held_out, f"{plan.data.file}: 'train'")
    return sets


def test_set(plan: ActionPlan, split: str) -> ClipSet:
    """A split as it is measured."""
    return ClipSet(
        load_split(plan.data, split), plan.shape, tests=plan.action.test_clips, cache=plan.action.keep_videos
    )


def _files(dataset: ClipSet) -> list[Path]:
    """Every file that a set reads."""
    return [path for video in dataset.videos for path in (video.path, video.partner) if path is not None]
