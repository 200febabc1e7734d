"""Options of prepare.py's commands. Free of torch: `prepare.py darken --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.options.common import ENHANCERS, LIGHT, SCALES, enhance_option, scale_option, weights_option
from utils.options import Group, option
from utils.options.shared import device_option

INPUT, SETTINGS, RUNTIME = Group("Input and output"), Group("Settings"), Group("Runtime")
TRAINING, NETWORK = Group("Training"), Group("Network")
IMAGES = "folder of images (searched recursively), or a .txt list"


def required(help: str) -> Any:
    """A path that must be given."""
    return option(None, help, group=INPUT, shown="required")


def labels_option() -> Any:
    """`--labels`."""
    return option(True, "copy the label files too, if there are any", group=INPUT)


def quality_option() -> Any:
    """`--quality`."""
    return option(95, "quality of JPEG and WebP files", group=INPUT, low=1, high=100)


def processes_option(what: str = "processes") -> Any:
    """`--workers`."""
    return option(None, f"worker {what}", group=RUNTIME, low=1, shown="one per core")


@dataclass(frozen=True)
class DarkenOptions:
    """Which images are darkened, how much, and where the results go."""

    source: Path | None = required(IMAGES)
    out: Path | None = required("output folder for the dark images, with the same relative names")
    labels: bool = labels_option()
    quality: int = quality_option()

    model: str = option(
        "physical",
        "camera noise model, or learned day-to-night translation (CUT)",
        group=SETTINGS,
        choices=("physical", "cut"),
    )
    severity: float | None = option(
        None, "of physical: 0 (dusk) to 1 (darkest night)", group=SETTINGS, low=0.0, high=1.0, shown="random per image"
    )
    seed: int = option(0, "of physical: random seed, combined with each image's name", group=SETTINGS, low=0)
    weights: Path | None = option(
        None,
        "of cut: made by train-translator, or a published resnet generator",
        group=SETTINGS,
        shown="required by cut",
    )

    batch_size: int = option(
        16, "of physical: images of the same size per batch", group=RUNTIME, low=1, aliases=("batch",)
    )
    most_megapixels: float = option(
        4.0, "of cut: skip larger images (1.9 GB of memory per megapixel at width 64)", group=RUNTIME, low=0.01
    )
    device: str = device_option(RUNTIME, "cpu")


@dataclass(frozen=True)
class TrainTranslatorOptions:
    """Which day and night images the day-to-night translator learns from, its size, and its schedule."""

    day: Path | None = required(f"day images: {IMAGES}")
    night: Path | None = required("night images, likewise; unpaired, of any scene")
    out: Path = option(Path("runs/darkener/cut.safetensors"), "output file for the weights", group=INPUT)
    resume: Path | None = option(
        None, "resume an interrupted training: its folder beside the weights, or resume.pt in it", group=INPUT
    )

    width: int = option(64, "channels at full resolution (published 64)", group=NETWORK, low=2, high=256)
    blocks: int = option(9, "residual blocks at 1/4 resolution (published 9)", group=NETWORK, low=1, high=32)

    epochs: int = option(
        200, "epochs at the initial learning rate; one epoch is a pass over the larger folder", group=TRAINING, low=1
    )
    decay_epochs: int = option(
        200, "further epochs, in which the learning rate decays linearly to 0", group=TRAINING, low=0
    )
    imgsz: int = option(256, "crop size, px; a multiple of 4", group=TRAINING, low=32, aliases=("img",))
    load: int = option(286, "resize to this square before cropping, px; at least --imgsz", group=TRAINING, low=32)
    batch_size: int = option(1, "day images, and night images, per step", group=TRAINING, low=1, aliases=("batch",))
    lr: float = option(2e-4, "learning rate of Adam", group=TRAINING, low=1e-7, high=1.0)
    lambda_nce: float = option(1.0, "PatchNCE loss weight", group=TRAINING, low=0.0, high=100.0)
    identity: bool = option(True, "identity loss: night images should stay as they are", group=TRAINING)
    seed: int = option(0, "random seed", group=TRAINING, low=0)

    sheet_period: int = option(
        1, "save a sheet of samples (day | darkened) every N epochs; 0: none", group=RUNTIME, low=0
    )
    device: str = device_option(RUNTIME)


@dataclass(frozen=True)
class DegradeOptions:
    """Which labelled images are degraded, by which recipe, and where the copies go."""

    recipe: str = option(
        "",
        "coco-d, down2, down4, noise, blur, night, fog, rain, snow, underwater, motion, defocus, jpeg, contrast, any other "
        "name in docs/degradations.md, or coco-c:NAME; may be the first argument",
        group=INPUT,
        shown="required",
    )
    source: Path | None = required(IMAGES)
    out: Path | None = required("output folder for the degraded copies, with the same relative names")
    annotations: Path | None = option(
        None, "COCO JSON of --source; writes a rescaled copy and YOLO label files to --out", group=INPUT
    )
    scale_area: bool = option(False, "with --annotations: rescale `area` too", group=INPUT)

    severity: float | None = option(
        None, "0 to 1; of COCO-C's corruptions 1 to 5", group=SETTINGS, low=0.0, high=5.0, shown="random per image"
    )
    seed: int = option(0, "random seed, combined with each image's name", group=SETTINGS, low=0)
    format: str = option("jpg", "file format; png is lossless", group=SETTINGS, choices=("jpg", "png"))
    quality: int = option(95, "quality of jpg", group=SETTINGS, low=1, high=100)

    workers: int | None = processes_option("threads")


@dataclass(frozen=True)
class EnhanceOptions:
    """Which images are brightened, how, and where the results go."""

    source: Path | None = required(IMAGES)
    out: Path | None = required("output folder for the brightened copies, with the same relative names")
    labels: bool = labels_option()
    quality: int = quality_option()

    method: str = enhance_option(LIGHT, "zero-dce", ENHANCERS[1:])
    weights: Path | None = weights_option(LIGHT)
    scale: int | None = scale_option(LIGHT)

    device: str = device_option(RUNTIME, "cpu")


@dataclass(frozen=True)
class TrainEnhancerOptions:
    """Which dark images Zero-DCE learns from, its schedule, and where its weights go."""

    source: Path | None = required(f"dark images: {IMAGES}; no labels or pairs needed")
    out: Path = option(Path("runs/enhancer/zero-dce.safetensors"), "output file for the weights", group=INPUT)
    weights: Path | None = option(None, "start from these weights", group=INPUT, shown="random weights")

    epochs: int = option(200, "training epochs (published 200; small sets need more)", group=TRAINING, low=1)
    batch_size: int = option(8, "images per batch", group=TRAINING, low=1, aliases=("batch",))
    imgsz: int = option(256, "resize images to this square, px", group=TRAINING, low=32, aliases=("img",))
    lr: float = option(1e-4, "learning rate of Adam", group=TRAINING, low=1e-7, high=1.0)
    scale: int = option(
        1, "estimate the curves at 1/scale resolution: faster and less noisy", group=TRAINING, choices=SCALES
    )
    level: float = option(
        0.6, "target of the exposure loss: mean intensity of a patch (published 0.6)", group=TRAINING, low=0.1, high=0.9
    )
    seed: int = option(0, "random seed", group=TRAINING, low=0)

    device: str = device_option(RUNTIME)


@dataclass(frozen=True)
class SyntheticOptions:
    """Which synthetic data set is rendered, and how much of it."""

    name: str = option("demo-night", "the synthetic data set; may be the first argument", group=INPUT)
    out: Path | None = option(None, "output folder", group=INPUT, shown="datasets/NAME")
    seed: int = option(0, "random seed", group=INPUT, low=0, high=9999)
    size: tuple[int, ...] = option(
        (), "image width and height, px, multiples of 4", group=INPUT, low=64, shown="by the data set"
    )
    counts: tuple[str, ...] = option(
        (), "number of scenes per split, such as train=40 val=10", group=INPUT, shown="by the data set"
    )
    workers: int | None = processes_option()


@dataclass(frozen=True)
class ClipOptions:
    """A synthetic night video of a street."""

    out: Path = option(Path("datasets/night.mp4"), "output file", group=INPUT)
    seconds: float = option(10.0, "duration", group=INPUT, low=0.1, high=3600.0)
    fps: int = option(15, "frames per second", group=INPUT, low=1, high=120)
    size: tuple[int, ...] = option((400, 300), "frame width and height, px, multiples of 4", group=INPUT, low=64)
    seed: int = option(0, "random seed", group=INPUT, low=0)
    workers: int | None = processes_option()


@dataclass(frozen=True)
class ConvertOptions:
    """A published data set in its original form, and where its YOLO form goes."""

    name: str | None = option(
        None,
        "aitod, aitodv2, arid, cityscapes, coco, codan, dawn, dota, duo, exdark, exdark-cls, foggy-cityscapes, "
        "imagenet-lvis, kitti, lvis, rainy-cityscapes, rtts, ruod, tinyperson, urpc2020, visdrone or voc; may be the first "
        "argument",
        group=INPUT,
        shown="required",
    )
    source: Path | None = required("folder of the unpacked original")
    out: Path | None = required("output folder for images/, labels/ and data.yaml")
    classes: str | None = option(
        None,
        "class list; imagenet-lvis: an LVIS JSON (required); docs/data/ lists the others",
        group=INPUT,
        shown="the data set's own; exdark's for coco and voc",
    )
    images: Path | None = option(
        None, "aitod, arid, coco, lvis, voc: image folder", group=INPUT, shown="the usual place"
    )
    link: str | None = option(
        None, "copy the images, or link to them", group=INPUT, choices=("copy", "hard", "symbolic"), shown="copy"
    )
    difficult: bool | None = option(
        None, "coco, dawn, dota, duo, rtts, ruod, urpc2020, voc: keep objects marked difficult or crowd", group=INPUT
    )
    backgrounds: bool | None = option(
        None, "keep images without objects of the class list; exdark and lvis always do", group=INPUT
    )
    trainval: bool | None = option(None, "aitod, voc: train on trainval and validate on test, as is usual", group=INPUT)
    version: str | None = option(
        None,
        "aitod: 1.0 or 2.0; dota: 1.0, 1.5 or 2.0; lvis: 1 or 0.5; required if annotations of several are present",
        group=INPUT,
        shown="aitod 1.0, else the one present",
    )
    corners: bool | None = option(
        None, "tinyperson: crop the training images as the data set's corner file says", group=INPUT
    )
    reference: Path | None = option(
        None,
        "coco, duo, ruod, urpc2020: unlabelled easy images, for images/favoured",
        group=INPUT,
        formerly=("favoured",),
    )
    beta: str | None = option(
        None, "foggy-cityscapes: density of the fog", group=INPUT, choices=("0.005", "0.01", "0.02"), shown="0.02"
    )
    synsets: Path | None = option(
        None,
        "imagenet-lvis: table of lines such as 'n02682922 aerosol_can.n.01', or WordNet 3.0's index.sense",
        group=INPUT,
        shown="required by imagenet-lvis",
    )


@dataclass(frozen=True)
class SliceOptions:
    """Which labelled images are sliced, how, and where the tiles go."""

    data: str = option("", "data YAML whose splits are sliced", group=INPUT, shown="required, or --source")
    source: Path | None = option(None, f"instead of --data: {IMAGES}; labels are used if present", group=INPUT)
    out: Path | None = required("output folder for images/, labels/ and data.yaml")
    quality: int = quality_option()

    slice: int = option(640, "tile size, px", group=SETTINGS, low=32)
    overlap: float = option(
        0.2, "overlap of neighbouring tiles, as a fraction of the tile", group=SETTINGS, low=0.0, high=0.9
    )
    min_visible: float = option(
        0.3,
        "minimum visible fraction of an object's area to keep it in a tile; the tile that shows most always keeps it",
        group=SETTINGS,
        low=0.0,
        high=1.0,
    )
    empty: float | None = option(
        None,
        "empty tiles to keep, fraction",
        group=SETTINGS,
        low=0.0,
        high=1.0,
        shown="0.1 for train and extra, else 1",
    )
    seed: int = option(0, "random seed of the choice of empty tiles", group=SETTINGS, low=0)
