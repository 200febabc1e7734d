"""Options of train.py, in YOLOv5's dialect. Free of torch: `train.py --help` reads this file only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from data.detection.options import AugmentOptions, SamplingOptions
from engine.loggers import LOGGERS
from engine.options.action import ActionOptions
from engine.options.classify import ClassifyOptions
from engine.options.common import DETECT, EXIST_OK, MOST_EPOCHS, MOST_IMAGES, NAME, PROJECT, iou_option, protocol_option
from methods.registry import METHODS, OURS, option_schemas, split_names
from utils.errors import UserError
from utils.options import Group, schema_fields

MODEL, RECIPE, VALIDATION = Group("Data and model"), Group("Training"), Group("Validation")
RUNTIME, OUTPUT = Group("Runtime"), Group("Run folder and checkpoints")
AMP = ("fp16", "bf16", "off")
OPTIMISERS = ("SGD", "Adam", "AdamW", "MuSGD", "auto")
OPTIMISER, LOSS = Group("Optimiser and schedule"), Group("Detection loss", DETECT)


YOLOV5 = {  # options of YOLOv5's train.py that have another name or no meaning here
    "rect": "Validation is rectangular already. Training images are square: in batches by shape they are not shuffled.",
    "nosave": "last.pt and best.pt are always kept; --save-period adds others.",
    "noplots": "Use --no-plots.",
    "noautoanchor": "The detectors here have no anchors, so that none is fitted.",
    "evolve": "Hyper-parameters are not searched for; compare.py compares a few by hand, over seeds.",
    "image_weights": "--repeat-threshold repeats the images of rare classes.",
    "quad": "Images are square, so that a loader of fours has no meaning.",
    "label_smoothing": "The detection loss takes soft targets from the assigner; Ultralytics 8 removed it too.",
    "copy_paste": "It moves polygons, and labels here are boxes; --cutmix moves rectangles.",
    "local_rank": "torchrun sets it; --device 0,1 starts one process a GPU.",
    "bucket": "Nothing is fetched or sent.",
    "upload_dataset": "Nothing is fetched or sent.",
    "entity": "Nothing is sent to a service.",
    "bbox_interval": "--plots saves the first batches; nothing is sent to a service.",
    "artifact_alias": "Nothing is sent to a service.",
    "multi_val": "Name a second split in the data YAML, 'val2: FOLDER'; both are then evaluated.",
    "mask": "--back-ratio and --front-ratio say how much is masked; 0 is off.",
    "adam": "It is --optimizer Adam.",
}
PUBLISHED = {  # options of the code that LCP, AERIS, RFLA (MMDetection) and RichSem (DINO) were published with
    "work_dir": "It is --project FOLDER --name RUN.",
    "output_dir": "It is --project FOLDER --name RUN.",
    "resume_from": "It is --resume, with the run's folder or nothing.",
    "auto_resume": "--resume without a value resumes the newest run.",
    "load_from": "It is --weights.",
    "pretrain_model_path": "It is --weights.",
    "no_validate": "It is --noval.",
    "gpus": "It is --device, such as --device 0,1.",
    "gpu_id": "It is --device, such as --device 0.",
    "gpu_ids": "It is --device, such as --device 0,1.",
    "launcher": "--device 0,1 starts one process a GPU; torchrun works too.",
    "deterministic": "Every draw follows from --seed; on a CPU a run repeats to the bit.",
    "auto_scale_lr": "Gradients are accumulated up to --nbs images, so that --lr0 holds for any smaller --batch-size.",
    "cfg_options": "Every option has its own name here; --help all lists them.",
    "options": "Every option has its own name here; --help all lists them.",
    "config_file": "The network is --cfg, the data --data, hyper-parameters --hyp.",
    "coco_path": "Name a data YAML, --data; 'prepare.py convert coco' makes its folders from COCO's files.",
    "dataset_file": "It is --data, a data YAML.",
    "num_classes": "It follows from 'names' in the data YAML.",
    "lr": "It is --lr0.",
    "lr_drop": "It is --lr-steps, such as --lr-steps 11.",
    "lr_drop_list": "It is --lr-steps, such as --lr-steps 16,22.",
    "samples_per_gpu": "It is --batch-size, over all devices together.",
}


@dataclass(frozen=True)
class TrainOptions:
    """What to train, on what, and where the results go."""

    data: str = MODEL.option("data/demo-night.yaml", "data YAML, or the name of one in data/", aliases=("--dataset",))
    weights: str = MODEL.option("", "start from this checkpoint (.pt or .safetensors)", shown="random weights")
    cfg: str = MODEL.option("", "model YAML or network name", aliases=("--model",), shown="by --weights, else yolov5s")
    method: str = MODEL.option("", f"none, or methods joined by '+': {', '.join(METHODS)}", shown="by the data YAML")
    hyp: str = MODEL.option("", "hyper-parameter YAML; options take precedence", tasks=DETECT)
    trust: bool = MODEL.option(False, "unpickle --weights (executes code in the file)")

    epochs: int = RECIPE.option(100, "training epochs", low=1, high=MOST_EPOCHS)
    batch_size: int = RECIPE.option(
        16, "total batch size over all devices; -1: by the GPU's memory, on the CPU 16", low=-1, high=MOST_IMAGES,
        aliases=("--batch",),
    )  # fmt: skip
    imgsz: int = RECIPE.option(640, "image size, px", low=32, aliases=("--img", "--img-size"))
    time: float = RECIPE.option(
        0.0, "end the run after the epoch in which so many hours are over; --epochs still sets the schedule; 0: no limit",
        low=0.0, metavar="HOURS",
    )  # fmt: skip
    seed: int = RECIPE.option(0, "random seed", low=0)
    patience: int = RECIPE.option(100, "early-stopping patience, epochs", low=0)
    freeze: tuple[int, ...] = RECIPE.option(
        (), "indices of the layers to freeze; a single N freezes the first N layers", tasks=DETECT
    )
    single_cls: bool = RECIPE.option(False, "treat all classes as one", tasks=DETECT)
    multi_scale: bool = RECIPE.option(False, "vary the image size of each batch by up to 50 %", tasks=DETECT)
    native: bool = VALIDATION.option(False, "validate images at their own size, padded to the stride", tasks=DETECT)
    noval: bool = VALIDATION.option(False, "validate after the last epoch only")
    protocol: str | None = protocol_option(VALIDATION, "validate")

    device: str = RUNTIME.option("", "cpu, a GPU such as 0, or several such as 0,1,2", shown="first GPU, else cpu")
    workers: int = RUNTIME.option(-1, "dataloader workers per rank; -1: auto", low=-1)
    cache: str = RUNTIME.option(
        "auto",
        "cache decoded images; disk: in --project/.cache",
        choices=("auto", "ram", "disk", "none"),
        bare="ram",
        tasks=DETECT,
    )
    amp: str = RUNTIME.option(
        "fp16", "mixed precision on GPUs: float16 with a scaled loss, or bfloat16 without", choices=AMP, bare="fp16",
        switch=("fp16", "off"),
    )  # fmt: skip
    compile: bool = RUNTIME.option(
        False, "compile the network with torch.compile; slow at first, and for every image size anew"
    )
    sync_bn: bool = RUNTIME.option(True, "synchronise batch norm across ranks")
    project: Path = OUTPUT.option(Path("runs/train"), PROJECT)
    name: str = OUTPUT.option("exp", NAME)
    exist_ok: bool = OUTPUT.option(False, EXIST_OK)
    resume: str = OUTPUT.option("", "run folder or resume.pt to resume; without a value the newest run", bare="newest")
    save_period: int = OUTPUT.option(-1, "also keep a checkpoint every N epochs; -1: off", low=-1)
    save_steps: int = OUTPUT.option(0, "save resume.pt every N batches; 0: once per epoch", low=0)
    plots: bool = OUTPUT.option(True, "save sample batches and curves")
    report: bool = OUTPUT.option(False, "write report.html at the end: accuracy, curves and terms in one file")
    foreign: ClassVar = YOLOV5 | PUBLISHED
    logger: tuple[str, ...] = OUTPUT.option(
        (), "also log rows, images and tables to these (optional packages)", choices=tuple(LOGGERS)
    )
    show_shares: bool = OUTPUT.option(
        False, "print how strongly each term of a method acts, as a fraction of the gradient"
    )


@dataclass(frozen=True)
class HyperOptions:
    """Optimiser, schedule and gains of the detection loss."""

    optimizer: str = OPTIMISER.option(
        "SGD", "optimiser; auto: MuSGD or AdamW with its own --lr0, as `yolo train`", choices=OPTIMISERS
    )
    lr0: float = OPTIMISER.option(0.01, "initial learning rate", low=0.0)
    lrf: float = OPTIMISER.fraction(0.1, "final learning rate, as a fraction of --lr0")
    lr_schedule: str = OPTIMISER.option(
        "linear",
        "linear: from --lr0 to --lrf; step: divided by 10 after each third of the run",
        choices=("linear", "step"),
        shown="linear; classifiers: step",
    )
    lr_steps: tuple[int, ...] = OPTIMISER.option(
        (), "divide the learning rate by 10 after these epochs instead, such as 16,22", low=1, shown="no steps"
    )
    cos_lr: bool = OPTIMISER.option(False, "cosine learning rate schedule instead of linear")
    momentum: float = OPTIMISER.option(0.937, "SGD momentum, or beta1 of Adam", low=0.0, high=0.9999)
    weight_decay: float = OPTIMISER.option(0.0005, "weight decay, at the nominal batch size", low=0.0)
    warmup_epochs: float = OPTIMISER.option(3.0, "warm-up epochs", low=0.0)
    warmup_steps: int = OPTIMISER.option(
        100, "warm up for at least so many steps, but at most half of the run; 0: --warmup-epochs alone", low=0
    )
    warmup_momentum: float = OPTIMISER.option(0.8, "initial momentum of the warm-up", low=0.0, high=0.9999)
    warmup_bias_lr: float = OPTIMISER.option(0.1, "initial learning rate of biases in the warm-up", low=0.0)
    nbs: int = OPTIMISER.option(
        64, "nominal batch size, up to which gradients are accumulated", low=1, shown="64; classifiers: --batch-size"
    )
    ema: bool = OPTIMISER.option(
        True, "validate and save the moving average of the weights", shown="on; classifiers: off"
    )
    box: float = LOSS.option(7.5, "gain of the box loss", low=0.0)
    cls: float = LOSS.option(0.5, "gain of the class loss", low=0.0)
    dfl: float = LOSS.option(1.5, "gain of the distribution focal loss", low=0.0)
    cls_pw: float = LOSS.fraction(0.0, "weigh classes by 1 / (number of objects) ** X in the class loss; 0: off")
    iou_thres: float = iou_option(VALIDATION, 0.6, "validation: ")


COMMON_SCHEMAS: tuple[type, ...] = (TrainOptions, HyperOptions, AugmentOptions, SamplingOptions)
TASK_SCHEMAS: tuple[type, ...] = (ClassifyOptions, ActionOptions)
TRAIN_SCHEMAS: tuple[type, ...] = (*COMMON_SCHEMAS, *option_schemas(), *TASK_SCHEMAS)
"""Of the project's own methods; `train_schemas` has those of others too."""
ABOUT = (
    "Train a detector, image classifier or action recogniser (as the data YAML says) with any of Hardsight's methods. "
    "--help shows the options of a plain detector, or those that the given --data and --method use: --help --method NAME."
)
EXAMPLES = (
    "python train.py --data demo-night --cfg yolov8n --epochs 30",
    "python train.py --data visdrone.yaml --cfg models/yolov8n-p2.yaml --method none --device 0,1",
    "python train.py --resume runs/train/exp",
)


def train_schemas(composition: Any = "") -> tuple[type, ...]:
    """The options of train.py, with those of every method that is loaded; one that `composition` names as a class is loaded.

    Raises UserError where it cannot be, or where one of its options has the name of another.
    """
    split_names(str(composition or ""))
    known = schema_fields(TRAIN_SCHEMAS)
    for spec in (METHODS[name] for name in METHODS if name not in OURS):
        twice = next((field.name for field in fields(spec.options) if field.name in known), None)
        if twice is not None:
            raise UserError(f"--method {spec.target}: the option '{twice}' exists already. Rename the method's.")
    return (*COMMON_SCHEMAS, *option_schemas(), *TASK_SCHEMAS)


def schemas_of(words: Sequence[str]) -> tuple[type, ...]:
    """`train_schemas` of the method that a command line names."""
    return train_schemas(method_in(words))


def method_in(words: Sequence[str]) -> str:
    """What a command line says of --method, before anything else of it is understood.

    >>> method_in(["--epochs", "3", "--method=wiid"]), method_in(["method=a.b:C"]), method_in(["--method", "x"])
    ('wiid', 'a.b:C', 'x')
    """
    chosen = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        key, equals, value = word.partition("=")
        if key == "--method" or (key == "method" and equals):
            chosen = value if equals else following
    return chosen
