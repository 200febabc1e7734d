"""From options to the parts of a run: what to train, on what, with which methods."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from data.config import DataConfig, load_data
from data.detection.coarse import MixedImages, check_coarse, coarse_augmentation
from data.detection.dataset import ViewDataset, build_dataset
from data.detection.options import AugmentOptions, SamplingOptions
from data.detection.views import View, check_views, of_kind
from data.io.labels import Label, share_below
from data.sampling import EpochSampler, MixedSampler, repeat_factors
from data.synthetic.generate import make_synthetic
from engine.checkpoint import load_weights, transfer
from engine.options.hyp import load_hyp
from engine.options.train import DETECT_SCHEMAS, HyperOptions, TrainOptions
from engine.training.distributed import WORLD, shared_value
from methods.base import Detector, Method
from methods.registry import create, joined_views, split_names, with_implied
from models.detector import build
from models.parse import BLOCKS
from utils.errors import UserError
from utils.files import REPOSITORY, find_file, find_weights, new_run_folder
from utils.options import as_dict
from utils.options import build as build_options

DEFAULT_MODEL = "models/yolov5s.yaml"
TINY_SIDE = 12  # px: under this, few or no cells of stride 8 lie inside an object
MANY_TINY = 0.2  # share of the objects


@dataclass
class Plan:
    """A run, decided: typed options, checked data, methods, and the folder that receives it all."""

    train: TrainOptions
    hyper: HyperOptions
    augment: AugmentOptions
    sampling: SamplingOptions
    data: DataConfig
    methods: list[Method]
    save_dir: Path
    options: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    network: dict[str, Any] | None = None  # the YAML of a resumed run's detector

    @property
    def composition(self) -> str:
        """The methods as `--method` names them."""
        return "+".join(method.name for method in self.methods) or "none"

    @property
    def views(self) -> tuple[View, ...]:
        """What some method wants in a batch beside the labelled images."""
        return tuple(view for method in self.methods for view in method.views)

    def gains(self) -> SimpleNamespace:
        """What Ultralytics' criterion reads."""
        return SimpleNamespace(box=self.hyper.box, cls=self.hyper.cls, dfl=self.hyper.dfl, epochs=self.train.epochs)

    def workers(self, device: torch.device) -> int:
        """Loader processes of a rank. On the CPU the step uses every core, so one process is enough to hide the loading."""
        if self.train.workers >= 0:
            return self.train.workers
        cores = (os.cpu_count() or 1) // WORLD.size
        return 1 if device.type == "cpu" and cores > 1 else min(8, max(cores - 1, 0))

    def given_text(self) -> dict[str, Any]:
        """All options as plain values, for `args.yaml` and `resume.pt`."""
        return dict(self.options)


def make_plan(given: Mapping[str, Any]) -> Plan:
    """Check the options and decide the run. Makes the run folder, and a synthetic demo data set when the data YAML names one."""
    (first, *_) = build_options(DETECT_SCHEMAS, given)  # mistakes first, before any file is read
    split_names(first.method)  # a misspelt method must not wait for a synthetic data set to be drawn
    merged, notes = with_hyp(given)
    build_options(DETECT_SCHEMAS, merged)
    data = shared_value(lambda: load_data(first.data, make_demo=make_synthetic))
    named = {"teacher": data.teacher} if data.teacher else {}
    instances = build_options(DETECT_SCHEMAS, {**named, **merged})
    train, hyper, augment, sampling, *_ = instances
    composition = with_implied(train.method or data.method, as_dict(*instances))
    if data.task != "detect":
        raise UserError(f"{data.file}: task '{data.task}' cannot be trained yet; this version trains 'detect'.")
    if train.batch_size % WORLD.size:
        raise UserError(
            f"--batch-size {train.batch_size} does not divide among {WORLD.size} processes; use a multiple."
        )
    methods = create(composition, dict(zip(DETECT_SCHEMAS, instances, strict=True)))
    resolved = {name: value for method in methods for name, value in method.resolve_options(train.epochs).items()}
    check_views(data, joined_views(methods))
    save_dir = shared_value(lambda: new_run_folder(train.project, train.name, train.exist_ok))
    options = (
        as_dict(*instances) | {"method": composition, "data": str(data.file), "save_dir": str(save_dir)} | resolved
    )
    return Plan(train, hyper, augment, sampling, data, methods, save_dir, options, notes)


def with_hyp(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Options with those of `--hyp` underneath, and a note for each key of that file that is not used."""
    if not given.get("hyp"):
        return dict(given), []
    path = find_file(str(given["hyp"]), Path(), REPOSITORY, REPOSITORY / "data" / "hyps")
    used, ignored = load_hyp(path)
    known = {f.name for schema in (HyperOptions, AugmentOptions) for f in fields(schema)}
    notes = [f"{path.name}: '{key}' is ignored: {reason}" for key, reason in ignored.items()]
    notes += [f"{path.name}: '{key}' is ignored: it has no meaning here" for key in used if key not in known]
    return {**{key: value for key, value in used.items() if key in known}, **given}, notes


def build_detector(plan: Plan) -> Detector:
    """The detector of a run: from `--cfg`, else the checkpoint's own YAML, else the default; then its weights."""
    train, names = plan.train, plan.data.names
    if plan.network is not None:
        return build(plan.network, names)
    if not train.weights:
        return build(train.cfg or DEFAULT_MODEL, names)
    path = find_weights(train.weights)
    weights = load_weights(path, trust=train.trust)
    cfg = train.cfg or weights.yaml
    if cfg is None:
        raise UserError(
            f"--weights {path}: this file does not say which network it belongs to. Add --cfg models/NAME.yaml."
        )
    detector = build(cfg, names)
    copied, total = transfer(detector, weights)
    plan.notes.append(f"{path.name}: {copied} of {total} tensors transferred")
    if not copied:
        raise UserError(
            f"--weights {path}: no tensor of it fits {train.cfg or 'its network'}. Choose the --cfg it was made with."
        )
    return detector


def build_datasets(plan: Plan, stride: int) -> dict[str, ViewDataset]:
    """Training set with its views, and the validation sets; the main rank alone validates."""
    train = plan.train
    if train.imgsz % stride:
        plan.notes.append(
            f"--imgsz {train.imgsz} is no multiple of the stride {stride}: {-(-train.imgsz // stride) * stride} is used"
        )
        plan.train = train = replace(train, imgsz=-(-train.imgsz // stride) * stride)
    common: dict[str, Any] = {
        "imgsz": train.imgsz,
        "stride": stride,
        "cache": train.cache,
        "seed": train.seed,
        "single_cls": train.single_cls,
    }
    sets = {
        "train": build_dataset(
            plan.data, "train", augment=True, options=plan.augment, views=plan.views, batch_size=train.batch_size,
            epochs=train.epochs, **common,
        )
    }  # fmt: skip
    if plan.sampling.extra:
        sets["extra"] = build_extra(plan, common, sets["train"].scanned)
    for split in ("val", "val2") if WORLD.main else ():
        if split in plan.data.splits:
            sets[split] = build_dataset(
                plan.data, split, batch_size=min(2 * train.batch_size, 64), native=train.native, **common
            )
    if WORLD.main and "val" not in sets:
        raise UserError(
            f"{plan.data.file}: there is no 'val' split to choose the best epoch with. Add a line 'val: FOLDER'."
        )
    return sets


def build_extra(plan: Plan, common: Mapping[str, Any], scanned: Sequence[Label]) -> ViewDataset:
    """The extra images of the data YAML. scanned: the labels of the training split, whose objects come first.

    Raises UserError where the YAML names none, or a method wants partners, which they do not have.
    """
    paired = of_kind(plan.views, "paired")
    if paired:
        raise UserError(
            f"--extra-ratio: extra images have no '{paired[0]}', which --method {plan.composition} trains with. "
            "Leave out one of the two."
        )
    options, first_index = coarse_augmentation(plan.augment), sum(len(label.classes) for label in scanned)
    extra = build_dataset(
        plan.data, "extra", augment=True, options=options, views=plan.views, batch_size=plan.train.batch_size,
        first_index=first_index, **common,
    )  # fmt: skip
    check_coarse(extra, f"{plan.data.file}: 'extra'")
    return extra


def training_images(
    plan: Plan, datasets: Mapping[str, ViewDataset]
) -> tuple[ViewDataset | MixedImages, EpochSampler | MixedSampler]:
    """What an epoch trains on, and in which order, by the sampling options."""
    train, sampling, wanted = datasets["train"], plan.sampling, plan.train.batch_size
    factors = None
    if sampling.repeat_threshold:
        classes = [set(label.classes.ravel().astype(int).tolist()) for label in train.source]
        factors = repeat_factors(classes, sampling.repeat_threshold)
        plan.notes.append(f"repeat factors: {len(factors)} images are seen {float(factors.sum()):.0f} times per epoch")
    extra = extra_share(plan) if "extra" in datasets else 0
    size = wanted if sampling.extra_alternate else wanted - extra
    sampler = EpochSampler(len(train), size, plan.train.seed, WORLD.rank, WORLD.size, factors)
    if not extra:
        return train, sampler
    mixed = MixedImages(train, datasets["extra"])
    return mixed, MixedSampler(sampler, len(mixed.extra), extra, sampling.extra_alternate)


def extra_share(plan: Plan) -> int:
    """Extra images of a batch: at least one per rank, and so that both shares divide among ranks. Raises UserError."""
    wanted, ratio = plan.train.batch_size, plan.sampling.extra_ratio
    if plan.sampling.extra_alternate:
        return wanted
    share = max(WORLD.size, round(ratio * wanted / WORLD.size) * WORLD.size)
    if share >= wanted:
        raise UserError(
            f"--extra-ratio {ratio}: a batch of {wanted} has no room for ordinary images beside {share} extra ones. "
            "Raise --batch-size, or give --extra-alternate."
        )
    return share


def row_hints(detector: Detector, composition: str) -> list[str]:
    """A line where the network has rows of a method that is not in use: they train as layers like any other."""
    methods = {BLOCKS[layer.type].method for layer in detector.model if layer.type in BLOCKS}
    return [
        f"note: this network has the rows of {method}, and trains plainly; --method {method} trains them as they are meant"
        for method in sorted(methods - {"", *composition.split("+")})
    ]


def size_hints(labels: Sequence[Label], detector: Detector, train: TrainOptions, composition: str) -> list[str]:
    """A line of advice where many objects are smaller than the detector's finest level can tell apart."""
    share, finest = share_below(labels, TINY_SIDE, train.imgsz), int(min(detector.stride))
    if share <= MANY_TINY or finest <= 4:
        return []
    first = "a model with a stride-4 level (--cfg models/yolov8n-p2.yaml and others)"
    second = "" if "rfla" in composition else ", --method rfla"
    return [
        f"hint: {share:.0%} of the objects are under {TINY_SIDE} px at --imgsz {train.imgsz}, and the finest level of this "
        f"model has stride {finest}. What helps: {first}{second}, or slicing (docs/methods/rfla.md)"
    ]
