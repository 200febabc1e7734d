"""Options of train.py, in YOLOv5's dialect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data.detection.options import AugmentOptions
from data.detection.sampling_options import SamplingOptions
from engine.options.action import ActionOptions
from engine.options.classify import ClassifyOptions
from methods.registry import option_schemas
from utils.options import option

RUN, RECIPE, OPTIMISER = "Run", "Training", "Optimiser and loss"
DETECT = ("detect",)


@dataclass(frozen=True)
class TrainOptions:
    """What to train, on what, and where the results go."""

    data: str = option("data/demo-night.yaml", "data YAML", aliases=("--dataset",))
    weights: str = option("", "start from this checkpoint (.pt, .safetensors); empty: from scratch")
    cfg: str = option("", "model YAML; empty: the checkpoint's own, else models/yolov5s.yaml", aliases=("--model",))
    method: str = option("", "methods joined by '+' (wiid), or none; empty: what the data YAML names")
    hyp: str = option("", "YAML of hyper-parameters; flags given beside it win", tasks=DETECT)
    trust: bool = option(False, "load --weights the ordinary, code-running way")

    epochs: int = option(100, "passes over the training images", group=RECIPE, low=1)
    batch_size: int = option(
        16, "images per batch, over all devices together", group=RECIPE, low=1, aliases=("--batch",)
    )
    imgsz: int = option(640, "training size, px", group=RECIPE, low=32, aliases=("--img", "--img-size"))
    seed: int = option(0, "seed of everything that is drawn", group=RECIPE, low=0)
    patience: int = option(100, "stop after this many epochs without a better validation", group=RECIPE, low=0)
    freeze: tuple[int, ...] = option(
        (), "freeze these layers; one number N freezes the first N", group=RECIPE, tasks=DETECT
    )
    single_cls: bool = option(False, "treat all classes as one", group=RECIPE, tasks=DETECT)
    multi_scale: bool = option(False, "vary the size of each batch by up to a half", group=RECIPE, tasks=DETECT)
    native: bool = option(
        False,
        "validate with every image at its own size, padded to the stride; training stays at --imgsz",
        group=RECIPE,
        tasks=DETECT,
    )
    noval: bool = option(False, "validate after the last epoch only", group=RECIPE)
    protocol: str | None = option(
        None,
        "also validate as COCO (AP, AP50, AP75, APs, APm, APl), AI-TOD (AP, AP50, AP75, APvt, APt, APs, APm) or LVIS does "
        "(AP, AP50, AP75, APr, APc, APf)",
        group=RECIPE,
        choices=("coco", "aitod", "lvis"),
        tasks=DETECT,
    )

    device: str = option("", "cpu, 0, or 0,1,2 for several GPUs; empty: the best there is", group=RUN)
    workers: int = option(-1, "loader processes a rank; -1: what is fastest here", group=RUN, low=-1)
    cache: str = option(
        "auto", "keep decoded images in memory", group=RUN, choices=("auto", "ram", "none"), bare="ram", tasks=DETECT
    )
    amp: bool = option(True, "mixed precision on GPUs", group=RUN)
    sync_bn: bool = option(True, "batch norm over all ranks, when there are several", group=RUN, tasks=DETECT)
    project: Path = option(Path("runs/train"), "folder of the runs", group=RUN)
    name: str = option("exp", "name of the run", group=RUN)
    exist_ok: bool = option(False, "write into an existing run folder", group=RUN)
    resume: str = option(
        "", "resume a run: its folder or resume.pt; without a value the newest", group=RUN, bare="newest"
    )
    save_period: int = option(-1, "also keep a checkpoint every N epochs; -1: none", group=RUN, low=-1)
    save_steps: int = option(
        0, "also save resume.pt every N batches; 0: at the end of each epoch", group=RUN, low=0, tasks=DETECT
    )
    plots: bool = option(True, "save sample batches and curves", group=RUN)


@dataclass(frozen=True)
class HyperOptions:
    """Optimiser, schedule and gains of the detection loss."""

    optimizer: str = option("SGD", "optimiser", group=OPTIMISER, choices=("SGD", "Adam", "AdamW"))
    lr0: float = option(0.01, "first learning rate", group=OPTIMISER, low=0.0)
    lrf: float = option(0.1, "last learning rate, as a share of the first", group=OPTIMISER, low=0.0, high=1.0)
    cos_lr: bool = option(False, "cosine schedule instead of linear", group=OPTIMISER)
    momentum: float = option(0.937, "momentum, or Adam's first beta", group=OPTIMISER, low=0.0, high=0.9999)
    weight_decay: float = option(0.0005, "weight decay at the nominal batch", group=OPTIMISER, low=0.0)
    warmup_epochs: float = option(3.0, "epochs of warm-up", group=OPTIMISER, low=0.0)
    warmup_momentum: float = option(0.8, "momentum at the start of warm-up", group=OPTIMISER, low=0.0, high=0.9999)
    warmup_bias_lr: float = option(0.1, "learning rate of biases at the start of warm-up", group=OPTIMISER, low=0.0)
    nbs: int = option(
        64, "nominal batch: gradients of smaller batches accumulate to it", group=OPTIMISER, low=1, tasks=DETECT
    )
    box: float = option(7.5, "gain of the box loss", group=OPTIMISER, low=0.0, tasks=DETECT)
    cls: float = option(0.5, "gain of the class loss", group=OPTIMISER, low=0.0, tasks=DETECT)
    dfl: float = option(1.5, "gain of the box distribution loss", group=OPTIMISER, low=0.0, tasks=DETECT)


DETECT_SCHEMAS: tuple[type, ...] = (TrainOptions, HyperOptions, AugmentOptions, SamplingOptions, *option_schemas())
TRAIN_SCHEMAS: tuple[type, ...] = (*DETECT_SCHEMAS, ClassifyOptions, ActionOptions)
ABOUT = "Train a detector, with any of Hardsight's methods, or a classifier where the data YAML says so."
