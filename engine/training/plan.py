"""From options to a run: what to train, on what, with which methods, and where the results go."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data.config import TESTS, VALS, DataConfig, load_data, task_of
from data.detection.options import AugmentOptions, SamplingOptions
from data.detection.views import View, check_views
from data.synthetic.generate import make_synthetic
from engine.options.action import ActionOptions
from engine.options.classify import ClassifyOptions
from engine.options.hyp import load_hyp
from engine.options.train import HyperOptions, TrainOptions, train_schemas
from engine.results import Report
from engine.tasks import check_meaning, train_task
from engine.training.distributed import WORLD, shared_value
from methods.base import Method
from methods.registry import create, joined_views, option_schemas, with_implied
from utils.errors import UserError
from utils.files import REPOSITORY, find_file, list_images, new_run_folder
from utils.options import as_dict, canonical, options_for, schema_fields
from utils.options import build as build_options

Notes = list[str]
Evaluate = Callable[..., Report]
"""(model, split, whether to draw plots) -> its report; a task that `measures_loss` takes the criterion besides."""


def _nothing(*args: Any) -> Any:
    """For a task that has nothing to add."""
    return {}


MAY_CHANGE = (
    "device", "workers", "time", "patience", "save_steps", "save_period", "noval", "plots", "report", "logger",
)  # fmt: skip


@dataclass(frozen=True)
class TrainTask:
    """A task, as training sees it.

    A model is an nn.Module that takes views in [0, 1], and its `init_criterion()` returns a callable (predictions, batch) ->
    (loss, detached items), as in Ultralytics. A data set has `collate_fn` and `left_out()`; its batches hold `img`, `im_file`
    and `seed`.
    """

    name: str
    noun: str  # what the last line calls the model
    best: str  # file name of the best checkpoint
    build_model: Callable[[TrainPlan], tuple[Any, Notes]]
    build_datasets: Callable[[TrainPlan], dict[str, Any]]  # "train", and on the main rank every split of `splits`
    describe: Callable[[TrainPlan, nn.Module], str]  # the model, in the first line of a run
    evaluator: Callable[[TrainPlan, Mapping[str, Any], torch.device], Evaluate]
    save: Callable[[TrainPlan, nn.Module, dict[str, Any]], list[Path]]  # writes last.*; facts: epoch, metrics, results
    load: Callable[[TrainPlan, torch.device], nn.Module]  # the best checkpoint, as saved
    splits: Callable[[TrainPlan], list[str]]  # evaluated at the end; the first chooses the best epoch
    fitness: Mapping[str, float]  # metric -> its weight
    prepare: Callable[[TrainPlan, dict[str, Any], int], None] = _nothing  # colours or sizes of a batch, on the device
    size: Callable[[TrainPlan, int], tuple[int, int] | None] = lambda plan, iteration: None
    """Height and width that `prepare` brings the images of an iteration to; None: they stay as they are."""
    resolve: Callable[[Mapping[type, Any], Any, Mapping[str, Any]], dict[str, Any]] = _nothing
    """(options by schema, data, what was given) -> options that follow from these. Raises UserError."""
    network: Callable[[TrainPlan, nn.Module], Any] = lambda plan, model: plan.train.cfg
    """What a resumed run builds its model from, as plain values."""
    fit: Callable[[TrainPlan, nn.Module], tuple[TrainPlan, Notes]] = lambda plan, model: (plan, [])
    notes: Callable[[TrainPlan, nn.Module, Mapping[str, Any]], Notes] = lambda plan, model, datasets: []
    class_weights: Callable[[TrainPlan, Mapping[str, Any]], torch.Tensor | None] = lambda plan, datasets: None
    """(classes,) factors of the task loss."""
    finish: Callable[[TrainPlan, nn.Module, dict[str, float], Mapping[str, Any]], None] = _nothing
    """(plan, best model, final metrics, data sets): further files."""
    column: Callable[[Report], str] = lambda report: report.condition  # of results.csv, before /metric
    per_epoch: int | None = None  # how many of the splits are evaluated after each epoch; None: all
    measures_loss: bool = False  # whether its evaluator measures the task loss
    auto_batch: Callable[[TrainPlan, nn.Module, torch.device], int] = lambda plan, model, device: (
        plan.task.defaults.get("batch_size", 16)
    )
    """What --batch-size -1 stands for."""
    digits: int | None = None  # of results.csv; None: all
    cpu_workers: int = 1  # loader processes where the step uses every core
    least_batch: int = 1
    makes: frozenset[str] = frozenset()  # views that its loader makes itself
    views: frozenset[str] | None = None  # the other views that its loader knows; None: every kind, under any name
    defaults: Mapping[str, Any] = field(default_factory=dict)  # option -> what it is where nothing else is said
    may_change: tuple[str, ...] = MAY_CHANGE
    """Options that may accompany --resume."""


@dataclass(frozen=True)
class TrainPlan:
    """A run, decided: typed options, checked data, methods, and the folder that receives it all.

    options: all that mean something for the task, as plain values, for `args.yaml` and `resume.pt`. network: of a resumed
    run, what its model is built from. stride: px of which the sides of an image must be multiples.
    """

    task: TrainTask
    train: TrainOptions
    hyper: HyperOptions
    augment: AugmentOptions
    sampling: SamplingOptions
    classify: ClassifyOptions
    action: ActionOptions
    data: DataConfig
    methods: list[Method]
    save_dir: Path
    options: dict[str, Any]
    notes: tuple[str, ...] = ()
    network: Any = None
    stride: int = 1

    @property
    def composition(self) -> str:
        """The methods as `--method` names them."""
        return "+".join(method.name for method in self.methods) or "none"

    @property
    def views(self) -> tuple[View, ...]:
        """What some method wants in a batch beside the labelled images."""
        return tuple(view for method in self.methods for view in method.views)

    @property
    def weights(self) -> Path:
        """Folder of the checkpoints."""
        return self.save_dir / "weights"

    @property
    def best(self) -> Path:
        """The best checkpoint."""
        return self.weights / self.task.best

    def workers(self, device: torch.device) -> int:
        """Loader processes of a rank. On the CPU the step uses every core, so that more processes would only slow it.

        Else the power of two nearest to the cores, at most eight: these find most in memory (`data.sampling.EarlierBatches`).
        """
        if self.train.workers >= 0:
            return self.train.workers
        cores = (os.cpu_count() or 1) // WORLD.size
        if cores < 2:
            return 0
        return self.task.cpu_workers if device.type == "cpu" else min(8, 2 ** round(math.log2(cores)))

    def fitted(self, stride: int) -> TrainPlan:
        """The same run, at the next image size that is a multiple of the stride."""
        imgsz = -(-self.train.imgsz // stride) * stride
        options = {**self.options, "imgsz": imgsz}
        return replace(self, train=replace(self.train, imgsz=imgsz), options=options, stride=stride)


def splits_to_select(data: DataConfig, first: str) -> list[str]:
    """A split that chooses the best epoch, and its other parts if there are some. Raises UserError where there is none."""
    if first in data.missing:
        raise data.lacks(first, "")
    if first not in data.splits:
        raise UserError(
            f"{data.file}: there is no '{first}' split to choose the best epoch with. Add a line '{first}: FOLDER', or hold some "
            f"images out: python prepare.py convert yolo --source {data.file} --out FOLDER --val-share 0.1"
        )
    return [split for split in (VALS if first == "val" else TESTS) if split in data.splits]


def make_plan(given: Mapping[str, Any], network: Any = None) -> TrainPlan:
    """Check the options and decide the run. Makes the run folder, and a synthetic demo data set when the data YAML names one.

    network: what the model of a resumed run is built from.
    """
    schemas = train_schemas(given.get("method"))
    given = canonical(given, schemas)
    (first, *_) = build_options(schemas, given)  # mistakes first, before any file is read
    task: TrainTask = train_task(task_of(first.data))
    check_meaning(given, schemas, task.name)
    merged, notes = with_hyp(given)
    defaults = _defaults(task, merged)
    known_so_far = _by_schema({**defaults, **merged})
    asked = with_implied(first.method, as_dict(*known_so_far.values()))
    named = create(asked, known_so_far)
    _check_methods(named, task.name)  # and their options, before a synthetic data set is rendered
    _check_batch(task, named, known_so_far[TrainOptions].batch_size)
    _check_steps(known_so_far[HyperOptions], known_so_far[TrainOptions].epochs)
    data = shared_value(lambda: load_data(first.data, make_demo=make_synthetic))
    _check_splits(data)
    chosen = {**defaults, **data.options, **merged}
    chosen |= task.resolve(_by_schema(chosen), data, merged)
    options = _by_schema(chosen)
    train, values = options[TrainOptions], as_dict(*options.values())
    if ":" in data.method and not train.method:
        raise UserError(
            f"{data.file}: 'method: {data.method}' names code, which is imported only for --method {data.method}."
        )
    composition = with_implied(train.method or data.method, values)
    methods = create(composition, options)
    _check_methods(methods, task.name)
    _check_batch(task, methods, train.batch_size)
    for method in methods:
        values |= method.resolve_options(train.epochs, data)
    _check_views(joined_views(methods), data, task)
    save_dir = shared_value(lambda: new_run_folder(train.project, train.name, train.exist_ok))
    known = options_for(schemas, task.name)
    texts = {key: value for key, value in values.items() if key in known}
    texts |= {"method": composition, "data": str(data.file), "save_dir": str(save_dir), "task": task.name}
    return TrainPlan(
        task, train, options[HyperOptions], options[AugmentOptions], options[SamplingOptions], options[ClassifyOptions],
        options[ActionOptions], data, methods, save_dir, texts, tuple(notes), network,
    )  # fmt: skip


def _by_schema(values: Mapping[str, Any]) -> dict[type, Any]:
    return dict(zip(train_schemas(), build_options(train_schemas(), values), strict=True))


def _defaults(task: TrainTask, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the task takes where nothing else is said: its own schedule of the learning rate gives way to --cos-lr."""
    cosine = _by_schema(given)[HyperOptions].cos_lr
    return {**task.defaults, **({"lr_schedule": "linear"} if cosine else {})}


def _check_steps(hyper: HyperOptions, epochs: int) -> None:
    """UserError for a step of the learning rate that the run does not reach, or that a cosine contradicts."""
    late = [step for step in hyper.lr_steps if step >= epochs]
    if late:
        raise UserError(
            f"--lr-steps {','.join(map(str, hyper.lr_steps))}: the run ends after {epochs} epochs (--epochs), so that step "
            f"{late[0]} does nothing. Name epochs before the last."
        )
    asked = {"--lr-steps": hyper.lr_steps, "--lr-schedule step": hyper.lr_schedule == "step"}
    for name in (name for name, on in asked.items() if on and hyper.cos_lr):
        raise UserError(f"{name} and --cos-lr: are two schedules of the learning rate. Leave out one of them.")


def _check_batch(task: TrainTask, methods: Sequence[Method], size: int) -> None:
    """UserError for a batch that cannot be shared out, or is too small for the task or a method."""
    if size == 0 or (size < 0 and WORLD.size > 1):
        raise UserError(f"--batch-size {size}: expected a positive number, or -1 (by memory) with one device.")
    if size < 0:
        return
    if size % WORLD.size:
        raise UserError(f"--batch-size {size} does not divide among {WORLD.size} processes; use a multiple.")
    least = {"": task.least_batch} | {f" with --method {method.name}": method.least_batch for method in methods}
    for where, images in least.items():
        if size // WORLD.size < images:
            raise UserError(
                f"--batch-size {size}: batch norm needs at least {images} images per process{where}. Raise it."
            )


def _check_splits(data: DataConfig) -> None:
    """UserError where training would be measured on its own images, or an image would be its own pair."""
    for split in (*VALS, *TESTS, "pair"):
        same = _place_in_train(data, split)
        if same is not None:
            what = (
                "every image would be its own pair"
                if split == "pair"
                else "scores would be those of images that were learned"
            )
            raise UserError(f"{data.file}: 'train' and '{split}' are both {same}, so {what}. Name another folder.")


def _place_in_train(data: DataConfig, split: str) -> Path | None:
    """A folder or list of a split that is one of train's, by its path or by a link, or lists images of train alone."""
    ours, theirs = data.splits.get("train", ()), data.splits.get(split, ())
    known = {os.path.realpath(place) for place in ours}
    same = next((place for place in theirs if os.path.realpath(place) in known), None)
    if same or not theirs or data.task == "action" or not any(place.is_file() for place in (*ours, *theirs)):
        return same
    train, images = ([path for place in places for path in list_images(place, data.root)] for places in (ours, theirs))
    if {path.name for path in images} <= {path.name for path in train}:  # far cheaper than to follow links
        return theirs[0] if set(map(os.path.realpath, images)) <= set(map(os.path.realpath, train)) else None
    return None


def _check_methods(methods: list[Method], task: str) -> None:
    """UserError for a method that does not serve the task."""
    wrong = next((method.name for method in methods if task not in method.tasks), None)
    if wrong is not None:
        raise UserError(f"--method {wrong}: does not serve task '{task}'. docs/tasks/{task}.md lists what does.")


def _check_views(views: Sequence[View], data: DataConfig, task: TrainTask) -> None:
    """UserError for a view that nothing provides."""
    asked = [view for view in views if view.name not in task.makes]
    unknown = [view.name for view in asked if task.views is not None and view.name not in task.views]
    if unknown:
        raise UserError(
            f"view '{unknown[0]}': nothing provides it for task '{task.name}', whose views are "
            f"{', '.join(sorted(task.makes | (task.views or set())))}. Leave out the method that declares it."
        )
    check_views(data, asked)


def with_hyp(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Options with those of `--hyp` underneath, and a note for each key of that file that is not used."""
    if not given.get("hyp"):
        return dict(given), []
    path = find_file(str(given["hyp"]), Path(), REPOSITORY, REPOSITORY / "data" / "hyps")
    used, ignored = load_hyp(path, schema_fields((HyperOptions, AugmentOptions, *option_schemas())))
    notes = [f"{path.name}: '{key}' is ignored: {reason}" for key, reason in ignored.items()]
    return {**used, **given}, notes
