"""Task detect, as training sees it: the network, its data sets, its evaluation, its files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from data.detection.coarse import check_coarse, coarse_augmentation
from data.detection.dataset import ViewDataset, build_dataset
from data.detection.views import IMAGES, of_kind
from data.io.labels import Label, fraction_below, unlabelled
from engine.checkpoint import load_detector, load_weights, save_checkpoint, save_safetensors, transfer
from engine.evaluation.class_frequency import lvis_labels
from engine.evaluation.evaluator import evaluate_detector
from engine.evaluation.settings import EvalSettings
from engine.evaluation.writers import SampleSheet
from engine.options.train import TrainOptions
from engine.results import Report
from engine.training.distributed import WORLD
from engine.training.optim import HALF
from engine.training.plan import MAY_CHANGE, Evaluate, Notes, TrainPlan, TrainTask, splits_to_select
from engine.visual.heatmap import save_mosaic
from methods import registry
from methods.base import Detector
from models.detector import build, flops, parameters
from utils.errors import UserError
from utils.files import find_weights
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.utils import DEFAULT_CFG  # noqa: E402
from ultralytics.utils.autobatch import check_train_batch_size  # noqa: E402

DEFAULT_MODEL = "models/yolov5s.yaml"
TINY_SIDE = 12  # px: under this, few or no cells of stride 8 lie inside an object
MANY_TINY = 0.2  # fraction of the objects


def build_detector(plan: TrainPlan) -> tuple[Any, Notes]:
    """The detector of a run: from `--cfg`, else the checkpoint's own YAML, else the default; then its weights."""
    train, names = plan.train, plan.data.names
    if plan.network is not None:
        return build(plan.network, names), []
    if not train.weights:
        return build(train.cfg or DEFAULT_MODEL, names), [from_scratch(train.cfg or DEFAULT_MODEL)]
    path = find_weights(train.weights)
    weights = load_weights(path, trust=train.trust)
    cfg = train.cfg or weights.yaml
    if cfg is None:
        raise UserError(
            f"--weights {path}: this file does not say which network it belongs to. Add --cfg models/NAME.yaml."
        )
    detector = build(cfg, names)
    copied, total = transfer(detector, weights)
    if not copied:
        raise UserError(
            f"--weights {path}: none of its tensors fits {train.cfg or 'its network'}. Choose the --cfg it was made with."
        )
    return detector, [f"{path.name}: {copied} of {total} tensors transferred"]


def from_scratch(cfg: str) -> str:
    """The note of a run that starts from random weights: which official checkpoint fits the model file."""
    name = Path(cfg).stem.partition("-")[0]
    official = name if name.startswith("yolo") else "yolov5m"
    return f"training from random weights; published recipes start from COCO weights: --weights weights/{official}.pt"


def fit_stride(plan: TrainPlan, detector: Any) -> tuple[TrainPlan, Notes]:
    """The run at the next image size that is a multiple of the largest stride."""
    wanted, fitted = plan.train.imgsz, plan.fitted(int(max(detector.stride)))
    line = f"--imgsz {wanted} is no multiple of the stride {fitted.stride}: {fitted.train.imgsz} is used"
    return fitted, [line] if fitted.train.imgsz != wanted else []


def build_datasets(plan: TrainPlan) -> dict[str, ViewDataset]:
    """Training set with its views, and the validation sets; the main rank alone validates."""
    train = plan.train
    common: dict[str, Any] = {key: getattr(train, key) for key in ("imgsz", "cache", "seed", "single_cls")}
    common |= {"stride": plan.stride, "cache_folder": train.project / ".cache"}
    training = {**common, "augment": True, "views": plan.views, "batch_size": train.batch_size}
    sets = {"train": build_dataset(plan.data, "train", options=plan.augment, epochs=train.epochs, **training)}
    if plan.sampling.extra:
        sets["extra"] = build_extra(plan, training, sets["train"].scanned)
    common |= {"batch_size": min(2 * train.batch_size, 64), "native": train.native}
    for split in splits_to_select(plan.data, "val") if WORLD.main else ():
        sets[split] = build_dataset(plan.data, split, **common)
    return sets


def build_extra(plan: TrainPlan, training: Mapping[str, Any], scanned: Sequence[Label]) -> ViewDataset:
    """The extra images of the data YAML. scanned: the labels of the training split, whose objects come first.

    Raises UserError where the YAML names none, or a method wants paired images, which they do not have.
    """
    paired = of_kind(plan.views, "paired")
    if paired:
        raise UserError(
            f"--extra-ratio: extra images have no '{paired[0]}', which --method {plan.composition} trains with. "
            "Leave out one of the two."
        )
    options, first_index = coarse_augmentation(plan.augment), sum(len(label.classes) for label in scanned)
    extra = build_dataset(plan.data, "extra", options=options, first_index=first_index, **training)
    check_coarse(extra, f"{plan.data.file}: 'extra'")
    return extra


def batch_size_px(plan: TrainPlan, iteration: int) -> tuple[int, int] | None:
    """With --multi-scale, the size of the images of this iteration."""
    if not plan.train.multi_scale:
        return None
    return (multi_scale_size(plan.train.imgsz, plan.stride, plan.train.seed, iteration),) * 2


def resize_batch(plan: TrainPlan, batch: dict[str, Any], iteration: int) -> None:
    """With --multi-scale, every view at the size of this iteration."""
    size = batch_size_px(plan, iteration)
    for name in ("img", *of_kind(plan.views, *IMAGES)):
        if size and name in batch:
            batch[name] = nn.functional.interpolate(batch[name], size, mode="bilinear")


def multi_scale_size(imgsz: int, stride: int, seed: int, iteration: int) -> int:
    """A size between half and one and a half of imgsz, a multiple of the stride; the same on every rank."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + iteration)
    low, high = int(imgsz * 0.5), int(imgsz * 1.5) + stride
    return max(int(torch.randint(low, high, (), generator=generator)) // stride * stride, stride)


def auto_batch(plan: TrainPlan, detector: Any, device: torch.device) -> int:
    """The batch that fills 60 % of the GPU's free memory, as Ultralytics finds it; 16 on other devices."""
    if device.type != "cuda":
        return 16
    fitting = replace(plan, train=replace(plan.train, batch_size=16))
    labels = build_datasets(fitting)["train"].source
    objects = 4 * max(len(label.classes) for label in labels)  # of a mosaic
    detector.args = DEFAULT_CFG
    size = check_train_batch_size(
        detector.to(device),
        plan.train.imgsz,
        plan.train.amp != "off",
        -1,
        max_num_obj=objects,
        dataset_size=len(labels),
    )
    return int(size)


def class_weights(plan: TrainPlan, datasets: Mapping[str, ViewDataset]) -> torch.Tensor | None:
    """With --cls-pw, factors (classes,) of mean 1: frequent classes count less. Ultralytics' rule (DetectionTrainer)."""
    if not plan.hyper.cls_pw or plan.train.single_cls:
        return None
    classes = np.concatenate([label.classes.ravel() for label in datasets["train"].source])
    counts = np.bincount(classes.astype(int), minlength=len(plan.data.names))
    present = counts > 0
    if not present.any():
        return None
    weights = np.where(present, counts, 1).astype(np.float64) ** -plan.hyper.cls_pw
    weights[~present] = weights[present].mean()
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def describe(plan: TrainPlan, detector: Any) -> str:
    """Size and cost."""
    imgsz = plan.train.imgsz
    return f"{parameters(detector) / 1e6:.2f} M parameters, {flops(detector, imgsz):.1f} GFLOPs at {imgsz} px"


def notes_on(plan: TrainPlan, detector: Any, datasets: Mapping[str, ViewDataset]) -> Notes:
    """Advice about the network, the labels and the size of the objects."""
    lines = [
        f"note: this network contains {name} layers but --method {name} is off: they train as ordinary layers"
        for name in registry.unused_layers(plan.composition, {layer.type for layer in detector.model})
    ]
    lines += [line for split, dataset in datasets.items() for line in unlabelled(dataset.source, split)]
    return lines + size_hints(datasets["train"].source, detector, plan.train, plan.composition)


def size_hints(labels: Sequence[Label], detector: Detector, train: TrainOptions, composition: str) -> Notes:
    """A line of advice where many objects are smaller than the detector's finest level can tell apart."""
    fraction, finest = fraction_below(labels, TINY_SIDE, train.imgsz), int(min(detector.stride))
    if fraction <= MANY_TINY or finest <= 4:
        return []
    helps = ["a model with a stride-4 level (--cfg models/yolov8n-p2.yaml and others)"]
    helps += [f"--method {name}" for name in registry.suitable_methods("tiny-objects", composition)]
    return [
        f"hint: {fraction:.0%} of the objects are under {TINY_SIDE} px at --imgsz {train.imgsz}, and the finest level of this "
        f"model has stride {finest}. What helps: {', '.join(helps)}, or slicing (docs/slicing.md)"
    ]


def evaluator(plan: TrainPlan, datasets: Mapping[str, ViewDataset], device: torch.device) -> Evaluate:
    """Evaluate a detector on one of the validation sets."""
    train = plan.train
    lvis = lvis_labels(plan.data, datasets["train"].scanned, train.single_cls) if train.protocol == "lvis" else None
    common = EvalSettings(
        iou=plan.hyper.iou_thres,
        half=train.amp in HALF,
        half_type=HALF.get(train.amp, torch.float16),
        timed=False,
        single_cls=train.single_cls,
        protocol=train.protocol,
        lvis=lvis,
        progress=False,
    )

    def evaluate(detector: Any, split: str, plots: bool, criterion: Any = None) -> Report:
        dataset = datasets[split]
        workers = 0 if dataset.keep_in_memory else plan.workers(device)  # no other process keeps images for long
        sheets = [SampleSheet(plan.save_dir / "predictions.jpg", plan.data.names)] if plots else []
        report = evaluate_detector(
            detector, dataset, replace(common, batch_size=dataset.batch_size, workers=workers), device=device,
            split=split, condition=plan.data.conditions[split], plots_to=plan.save_dir if plots else None, criterion=criterion,
            listeners=sheets,
        )  # fmt: skip
        for sheet in sheets:
            sheet.close()
        return report

    return evaluate


def save(plan: TrainPlan, detector: Any, facts: dict[str, Any]) -> list[Path]:
    """Write last.pt."""
    path = plan.weights / "last.pt"
    save_checkpoint(path, detector, options=plan.options, **facts)
    return [path]


def finish(plan: TrainPlan, detector: Any, metrics: dict[str, float], datasets: Mapping[str, ViewDataset]) -> None:
    """Write best.safetensors, and what the best detector looks at where it has a map."""
    if plan.train.plots:
        images = [Path(file) for file in datasets["val"].im_files]
        save_mosaic(detector, images, plan.save_dir / "map.png", plan.train.imgsz)
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}  # JSON has no NaN
    save_safetensors(
        plan.best.with_suffix(".safetensors"), detector.cpu(), options=plan.options, metrics=finite,
        method=plan.composition,
    )  # fmt: skip


DETECTION = TrainTask(
    name="detect",
    noun="Detector",
    best="best.pt",
    build_model=build_detector,
    fit=fit_stride,
    network=lambda plan, detector: detector.yaml,
    build_datasets=build_datasets,
    prepare=resize_batch,
    size=batch_size_px,
    describe=describe,
    notes=notes_on,
    class_weights=class_weights,
    evaluator=evaluator,
    splits=lambda plan: splits_to_select(plan.data, "val"),
    per_epoch=1,
    column=lambda report: "val",
    fitness={"mAP50": 0.1, "mAP50-95": 0.9},  # YOLOv5's
    save=save,
    load=lambda plan, device: load_detector(plan.best, device)[0],
    finish=finish,
    measures_loss=True,
    auto_batch=auto_batch,
    digits=6,
    may_change=(*MAY_CHANGE, "cache"),
)
