"""From options to the parts of a training run of task classify."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from data.classification.dataset import NIGHTS, PAIR, Augmentation, ClassFolders, build_class_folders
from data.config import DataConfig, load_data
from data.synthetic.generate import make_synthetic
from engine.checkpoint.classifier import TASK, described, start_from
from engine.checkpoint.weights import Weights, load_weights
from engine.classification.learners import DayLearner, PairLearner
from engine.options.classify import DEFAULTS, ClassifyOptions
from engine.options.train import TRAIN_SCHEMAS, HyperOptions, TrainOptions
from engine.tasks import check_meaning
from methods.options.wiid import WiiDOptions
from models.classifier import build as build_network
from utils.errors import UserError
from utils.files import find_weights, new_run_folder
from utils.options import as_dict, build, canonical, options_for

DEFAULT_NETWORK = "resnet18"
METHODS = ("none", "wiid")
Chosen = dict[type, Any]
"""The options of a run: an instance of each of TRAIN_SCHEMAS."""


@dataclass
class Plan:
    """A run, decided: typed options, checked data, the method, the network's name, and the folder that receives it all."""

    train: TrainOptions
    hyper: HyperOptions
    wiid: WiiDOptions
    own: ClassifyOptions
    data: DataConfig
    method: str
    network: str
    save_dir: Path
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    task: ClassVar[str] = TASK
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS

    @classmethod
    def choose(cls, options: Mapping[str, Any]) -> tuple[dict[str, Any], Chosen]:
        """The options under their own names, and typed, with the task's defaults. Raises UserError for a wrong one."""
        given = canonical(options, TRAIN_SCHEMAS)
        check_meaning(given, TRAIN_SCHEMAS, cls.task)
        return given, dict(zip(TRAIN_SCHEMAS, build(TRAIN_SCHEMAS, {**cls.defaults, **given}), strict=True))

    @classmethod
    def settle(cls, chosen: Chosen, data: DataConfig, method: str, network: str, **more: Any) -> Self:
        """The plan of options that are checked; makes the run folder. more: fields of its own."""
        train = chosen[TrainOptions]
        save_dir = new_run_folder(train.project, train.name, train.exist_ok)
        understood = options_for(TRAIN_SCHEMAS, cls.task)
        used = {key: value for key, value in as_dict(*chosen.values()).items() if key in understood}
        used |= {"method": method, "data": str(data.file), "save_dir": str(save_dir), "task": cls.task, "cfg": network}
        hyper = replace(chosen[HyperOptions], nbs=train.batch_size)
        wiid, own = chosen[WiiDOptions], chosen[ClassifyOptions]
        return cls(train, hyper, wiid, own, data, method, network, save_dir, used, **more)

    @property
    def splits(self) -> list[str]:
        """What is measured after each epoch; the first chooses the best one."""
        first = self.own.select
        return [split for split in (first, f"{first}2") if split in self.data.splits]

    @property
    def views(self) -> list[str]:
        """What comes along with each training image."""
        if self.method == "none":
            return []
        return [PAIR, *([NIGHTS] if self.wiid.use_mmd and self.wiid.mmd_weight > 0 else [])]

    def workers(self, device: torch.device) -> int:
        """Loader processes. On the CPU the step uses every core, so one is enough to hide the loading."""
        if self.train.workers >= 0:
            return self.train.workers
        cores = os.cpu_count() or 1
        return min(1, cores - 1) if device.type == "cpu" else min(8, max(cores - 1, 0))


def make_plan(options: Mapping[str, Any]) -> Plan:
    """Check the options and decide the run. Makes the run folder, and a synthetic demo data set when the data YAML names one."""
    given, chosen = Plan.choose(options)
    train, own = chosen[TrainOptions], chosen[ClassifyOptions]
    if own.mask_squares + own.mask_saliency > 1:
        raise UserError(
            f"--mask-squares {own.mask_squares} and --mask-saliency {own.mask_saliency}: are shares of the batches, of which no "
            "two may overlap. Lower one, so that they sum to 1 at most."
        )
    if train.batch_size < 2:
        raise UserError("--batch-size 1: batch norm needs at least 2 images. Give more.")
    data = load_data(train.data, make_demo=make_synthetic)
    method = method_of(train, data, TASK)
    chosen[WiiDOptions], notes = _nights(data, chosen[WiiDOptions], method, asked=bool(given.get("use_mmd")))
    check_select(data, own)
    network = train.cfg or (_named(train) if train.weights else "") or DEFAULT_NETWORK
    build_network(network, len(data.names))  # a wrong name must not wait for the run folder
    return Plan.settle(chosen, data, method, network, notes=notes)


def method_of(train: TrainOptions, data: DataConfig, task: str) -> str:
    """`none` or `wiid`, of the options or else of the data. Raises UserError for a method that is for detectors."""
    name = train.method or data.method
    wanted = name.strip().lower()
    if wanted not in METHODS:
        raise UserError(f"--method {name}: task {task} trains with {' or '.join(METHODS)}. Choose one of them.")
    return wanted


def _nights(data: DataConfig, wiid: WiiDOptions, method: str, asked: bool) -> tuple[WiiDOptions, list[str]]:
    """MMD rests where there are no unlabelled nights, unless it was asked for. Raises UserError then."""
    if method == "none" or not wiid.use_mmd or NIGHTS in data.splits:
        return wiid, []
    if asked:
        raise UserError(
            f"--use-mmd: {data.file} names no unlabelled training nights. Add a line '{NIGHTS}: FOLDER' (never one of the test "
            "split), or leave the option out."
        )
    return replace(wiid, use_mmd=False), [f"{data.file.name} has no '{NIGHTS}' line: WiiD trains without MMD"]


def check_select(data: DataConfig, own: ClassifyOptions) -> None:
    """UserError where there is nothing to choose the best epoch with."""
    if own.select not in data.splits:
        raise UserError(
            f"{data.file}: there is no '{own.select}' split to choose the best epoch with. Add a line '{own.select}: FOLDER'."
        )


def weights_file(train: TrainOptions) -> Path:
    """The file of `--weights`."""
    return find_weights(train.weights)


def _named(train: TrainOptions) -> str:
    """The network that the checkpoint names, if it names one."""
    path = weights_file(train)
    return str(described(path, load_weights(path, trust=train.trust), TASK).meta.get("network", ""))


def network_for(
    plan: Plan,
    fresh: bool,
    make: Callable[[str, int], nn.Module],
    start: Callable[[nn.Module, Weights, str, Path], str],
) -> nn.Module:
    """The network of a run, with its first weights: of `--weights`, else drawn from the seed. `fresh`: not resumed.

    make: a name and a number of classes to a network; start: as `start_from`.
    """
    torch.manual_seed(plan.train.seed)
    network = make(plan.network, len(plan.data.names))
    if plan.train.weights and fresh:
        path = weights_file(plan.train)
        plan.notes.append(start(network, load_weights(path, trust=plan.train.trust), plan.network, path))
    return network


def learner_for(plan: Plan, fresh: bool = True) -> DayLearner:
    """What the run's method learns with. `fresh`: not resumed."""
    network = network_for(plan, fresh, build_network, start_from)
    if plan.method == "none":
        return DayLearner(network, plan.own, plan.train.seed)
    return PairLearner(network, plan.own, plan.wiid, plan.train.seed)


def datasets_for(plan: Plan) -> dict[str, ClassFolders]:
    """The training set with what comes along, and the sets that are measured after each epoch."""
    augmentation = Augmentation(plan.own.least_crop, plan.own.crops == "independent")
    size, seed = plan.train.imgsz, plan.train.seed
    train = build_class_folders(plan.data, "train", size, augmentation=augmentation, views=plan.views, seed=seed)
    return {"train": train} | {split: build_class_folders(plan.data, split, size) for split in plan.splits}
