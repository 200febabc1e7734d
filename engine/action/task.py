"""From options to the parts of a training run of task action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from data.config import load_data
from data.detection.options import AugmentOptions
from data.detection.unpaired import refuse_leaks
from data.synthetic.generate import make_synthetic
from data.video.dataset import ClipSet, ClipShape
from data.video.index import list_videos, load_split
from engine.action.learners import DayClips, PairedClips
from engine.checkpoint.action import TASK, load_weights, network_of, start_from
from engine.checkpoint.classifier import described
from engine.classification.learners import DayLearner
from engine.classification.task import Plan, check_select, method_of, network_for, weights_file
from engine.options.action import DEFAULTS, ActionOptions
from engine.options.classify import ClassifyOptions
from engine.options.train import TrainOptions
from models.action import INPUTS, build, check_clip
from utils.errors import UserError

DEFAULT_NETWORK = "r3d_18"
PAIR = "pair"
HELD_OUT = ("val", "val2", "test", "test2")


@dataclass
class ActionPlan(Plan):
    """A run, decided, and what its clips are."""

    action: ActionOptions = field(default_factory=ActionOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)

    task: ClassVar[str] = TASK
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS

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
    """Check the options and decide the run. Makes the run folder, and a synthetic demo data set when the data YAML names one."""
    given, chosen = ActionPlan.choose(options)
    train, action = chosen[TrainOptions], chosen[ActionOptions]
    if train.batch_size < 2:
        raise UserError("--batch-size 1: batch norm needs at least 2 clips. Give more.")
    network = train.cfg or (_named(train) if train.weights else "") or DEFAULT_NETWORK
    if network in INPUTS and "imgsz" not in given:
        chosen[TrainOptions] = train = replace(train, imgsz=INPUTS[network].size)
    data = load_data(train.data, make_demo=make_synthetic)
    build(network, len(data.names))  # a wrong name must not wait for the run folder
    check_clip(network, action.frames, train.imgsz)
    method = method_of(train, data, TASK)
    check_select(data, chosen[ClassifyOptions])
    return ActionPlan.settle(chosen, data, method, network, action=action, augment=chosen[AugmentOptions])


def _named(train: TrainOptions) -> str:
    """The network that the checkpoint is of."""
    path = weights_file(train)
    weights = load_weights(path, trust=train.trust)
    return str(described(path, weights, TASK).meta.get("network") or network_of(weights, path))


def learner_for(plan: ActionPlan, fresh: bool = True) -> DayLearner:
    """What the run's method learns with. `fresh`: not resumed."""
    network = network_for(plan, fresh, build, start_from)
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
        cache=plan.action.keep_videos, same_colour=plan.wiid.pair_colour == "shared",
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
