"""Options of prepare.py's commands. Free of torch: `prepare.py darken --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.options import common
from engine.options.common import ENHANCERS, MOST_EPOCHS, MOST_IMAGES, SCALES
from utils.options import Group

INPUT, SETTINGS, RUNTIME = Group("Input and output"), Group("Settings"), Group("Runtime")
TRAINING, NETWORK, EMBEDDING = Group("Training"), Group("Network"), Group("Embedding")
IMAGES = "folder of images (searched recursively), or a .txt list"

required = partial(INPUT.option, None, shown="required")
labels_option = partial(INPUT.option, True, "copy the label files too, if there are any")
quality_option = partial(INPUT.option, 95, "quality of JPEG and WebP files", low=1, high=100)
processes_option = partial(RUNTIME.option, None, low=1, shown="one per core")


@dataclass(frozen=True)
class DarkenOptions:
    """Which images are darkened, how much, and where the results go."""

    source: Path | None = required(IMAGES)
    out: Path | None = required("output folder for the dark images, with the same relative names")
    labels: bool = labels_option()
    quality: int = quality_option()

    model: str = SETTINGS.option(
        "physical", "camera noise model, or learned day-to-night translation (CUT)", choices=("physical", "cut")
    )
    severity: float | None = SETTINGS.fraction(
        None, "physical: 0 (dusk) to 1 (darkest night)", shown="random per image"
    )
    seed: int = SETTINGS.option(0, "physical: random seed, combined with each image's name", low=0)
    weights: Path | None = SETTINGS.option(
        None, "cut: weights made by train-translator, or a published resnet generator", shown="required by cut"
    )

    batch_size: int = RUNTIME.option(16, "physical: images of the same size per batch", low=1, aliases=("batch",))
    most_megapixels: float = RUNTIME.option(
        4.0, "cut: skip larger images (1.9 GB of memory per megapixel at width 64)", low=0.01
    )
    device: str = common.device_option(RUNTIME, "cpu")


@dataclass(frozen=True)
class TrainTranslatorOptions:
    """Which day and night images the day-to-night translator learns from, its size, and its schedule."""

    day: Path | None = required(f"day images: {IMAGES}")
    night: Path | None = required("night images, likewise; unpaired, of any scene")
    out: Path = INPUT.option(Path("runs/translator/cut.safetensors"), "output file for the weights")
    resume: Path | None = INPUT.option(
        None, "resume an interrupted training: its folder beside the weights, or resume.pt in it"
    )

    width: int = NETWORK.option(64, "channels at full resolution (published 64)", low=2, high=256)
    blocks: int = NETWORK.option(9, "residual blocks at 1/4 resolution (published 9)", low=1, high=32)

    epochs: int = TRAINING.option(
        200, "epochs at the initial learning rate; one epoch is a pass over the larger folder", low=1, high=MOST_EPOCHS
    )
    decay_epochs: int = TRAINING.option(
        200, "further epochs, in which the learning rate decays linearly to 0", low=0, high=MOST_EPOCHS
    )
    imgsz: int = TRAINING.option(256, "crop size, px; a multiple of 4", low=32, aliases=("img",))
    load: int = TRAINING.option(286, "resize to this square before cropping, px; at least --imgsz", low=32)
    batch_size: int = TRAINING.option(
        1, "day images, and night images, per step", low=1, high=MOST_IMAGES, aliases=("batch",)
    )
    lr: float = TRAINING.option(2e-4, "learning rate of Adam", low=1e-7, high=1.0)
    lambda_nce: float = TRAINING.option(1.0, "PatchNCE loss weight", low=0.0, high=100.0)
    identity: bool = TRAINING.option(True, "identity loss: night images should stay as they are")
    seed: int = TRAINING.option(0, "random seed", low=0)

    sheet_period: int = RUNTIME.option(1, "save a sheet of samples (day | darkened) every N epochs; 0: none", low=0)
    device: str = common.device_option(RUNTIME)


@dataclass(frozen=True)
class DegradeOptions:
    """Which labelled images are degraded, by which recipe, and where the copies go."""

    recipe: str = INPUT.option(
        "",
        "coco-d, down2, down4, noise, blur, night, fog, rain, snow, underwater, motion, defocus, jpeg, contrast, any other "
        "name in docs/degradations.md, or coco-c:NAME; may be the first argument",
        shown="required",
    )
    source: Path | None = required(IMAGES)
    out: Path | None = required("output folder for the degraded copies, with the same relative names")
    annotations: Path | None = INPUT.option(
        None, "COCO JSON of --source; writes a rescaled copy and YOLO label files to --out"
    )
    scale_area: bool = INPUT.option(False, "with --annotations: rescale `area` too")

    severity: float | None = SETTINGS.option(
        None, "0 to 1; of COCO-C's corruptions 1 to 5", low=0.0, high=5.0, shown="random per image"
    )
    seed: int = SETTINGS.option(0, "random seed, combined with each image's name", low=0)
    format: str = SETTINGS.option("jpg", "file format; png is lossless", choices=("jpg", "png"))
    quality: int = SETTINGS.option(95, "quality of jpg", low=1, high=100)

    workers: int | None = processes_option("worker threads")


@dataclass(frozen=True)
class EnhanceOptions:
    """Which images are brightened, how, and where the results go."""

    source: Path | None = required(IMAGES)
    out: Path | None = required("output folder for the brightened copies, with the same relative names")
    labels: bool = labels_option()
    quality: int = quality_option()

    method: str = common.enhance_option("zero-dce", choices=ENHANCERS[1:])
    weights: Path | None = common.weights_option()
    scale: int | None = common.scale_option()

    device: str = common.device_option(RUNTIME, "cpu")


@dataclass(frozen=True)
class TrainEnhancerOptions:
    """Which dark images Zero-DCE learns from, its schedule, and where its weights go."""

    source: Path | None = required(f"dark images: {IMAGES}; no labels or pairs needed")
    out: Path = INPUT.option(Path("runs/enhancer/zero-dce.safetensors"), "output file for the weights")
    weights: Path | None = INPUT.option(None, "start from these weights", shown="random weights")

    epochs: int = TRAINING.option(200, "training epochs (published 200; small sets need more)", low=1)
    batch_size: int = TRAINING.option(8, "images per batch", low=1, aliases=("batch",))
    imgsz: int = TRAINING.option(256, "resize images to this square, px", low=32, aliases=("img",))
    lr: float = TRAINING.option(1e-4, "learning rate of Adam", low=1e-7, high=1.0)
    scale: int | None = TRAINING.option(
        None, "estimate the curves at 1/scale resolution: faster and less noisy", choices=SCALES,
        shown="that of --weights, else 1",
    )  # fmt: skip
    level: float = TRAINING.option(
        0.6, "target of the exposure loss: mean intensity of a patch (published 0.6)", low=0.1, high=0.9
    )
    seed: int = TRAINING.option(0, "random seed", low=0)

    device: str = common.device_option(RUNTIME)


@dataclass(frozen=True)
class SyntheticOptions:
    """Which synthetic data set is rendered, and how much of it."""

    name: str = INPUT.option("demo-night", "the synthetic data set; may be the first argument")
    out: Path | None = INPUT.option(None, "output folder", shown="datasets/NAME")
    seed: int = INPUT.option(0, "random seed", low=0, high=9999)
    size: tuple[int, ...] = INPUT.option(
        (), "image width and height, px, multiples of 4", low=64, shown="by the data set"
    )
    counts: tuple[str, ...] = INPUT.option(
        (), "number of scenes per split, such as train=40 val=10", shown="by the data set"
    )
    workers: int | None = processes_option("worker processes")


@dataclass(frozen=True)
class ClipOptions:
    """A synthetic video of a street."""

    out: Path = INPUT.option(Path("datasets/night.mp4"), "output file")
    look: str = INPUT.option(
        "night",
        "night, day, or infrared: a night camera with a lamp beside its lens",
        choices=("night", "day", "infrared"),
    )
    labels: Path | None = INPUT.option(
        None, "file for the identities and boxes of the objects, in MOTChallenge's format", shown="none"
    )
    seconds: float = INPUT.option(10.0, "duration", low=0.1, high=3600.0)
    fps: int = INPUT.option(15, "frames per second", low=1, high=120)
    size: tuple[int, ...] = INPUT.option((400, 300), "frame width and height, px, multiples of 4", low=64)
    seed: int = INPUT.option(0, "random seed", low=0)
    workers: int | None = processes_option("worker processes")


@dataclass(frozen=True)
class ConvertOptions:
    """A published data set in its original form, and where its YOLO form goes."""

    name: str | None = INPUT.option(
        None,
        "aitod, aitodv2, arid, cityscapes, coco, codan, dawn, dota, duo, exdark, exdark-cls, foggy-cityscapes, "
        "imagenet-lvis, kitti, lvis, rainy-cityscapes, rtts, ruod, tinyperson, urpc2020, visdrone, voc or yolo; may be the "
        "first argument",
        shown="required",
    )
    source: Path | None = required("folder of the unpacked original")
    out: Path | None = required("output folder for images/, labels/ and data.yaml")
    classes: str | None = INPUT.option(
        None,
        "class list; imagenet-lvis: an LVIS JSON (required); docs/data/ lists the others",
        shown="the data set's own",
    )
    images: Path | None = INPUT.option(None, "aitod, arid, coco, lvis, voc: image folder", shown="the usual place")
    link: str | None = INPUT.option(
        None, "copy the images, or link to them", choices=("copy", "hard", "symbolic"), shown="copy"
    )
    difficult: bool | None = INPUT.option(
        None, "coco, dawn, dota, duo, rtts, ruod, urpc2020, voc: keep objects marked difficult or crowd"
    )
    backgrounds: bool | None = INPUT.option(
        None, "keep images without objects of the class list; exdark and lvis always do"
    )
    val_share: float | None = INPUT.fraction(
        None, "fraction of the training images that become val, where the data set has no val", shown="0"
    )
    trainval: bool | None = INPUT.option(None, "aitod, voc: train on trainval and validate on test, as is usual")
    version: str | None = INPUT.option(
        None,
        "aitod: 1.0 or 2.0; dota: 1.0, 1.5 or 2.0; lvis: 1 or 0.5; required if annotations of several are present",
        shown="aitod 1.0, else the one present",
    )
    corners: bool | None = INPUT.option(None, "tinyperson: crop the training images as the data set's corner file says")
    reference: Path | None = INPUT.option(
        None, "coco, duo, ruod, urpc2020: unlabelled easy images, for images/reference", formerly=("favoured",)
    )
    beta: str | None = INPUT.option(
        None, "foggy-cityscapes: density of the fog", choices=("0.005", "0.01", "0.02"), shown="0.02"
    )
    synsets: Path | None = INPUT.option(
        None,
        "imagenet-lvis: table of lines such as 'n02682922 aerosol_can.n.01', or WordNet 3.0's index.sense",
        shown="required by imagenet-lvis, unless --classes lists images",
    )


@dataclass(frozen=True)
class WeightsOptions:
    """Which official checkpoints are fetched, and where they go."""

    names: tuple[str, ...] = INPUT.option(
        (),
        "official checkpoints, such as yolov5m or yolo11n yolo11s; may be the first arguments",
        shown="required",
    )
    out: Path | None = INPUT.option(None, "folder for the files", shown="weights/ of the project")
    url: str | None = INPUT.option(
        None,
        "fetch the one file from this address instead, such as a mirror's; http:// too",
        shown="the official release's",
    )
    sha256: str | None = INPUT.option(
        None, "expected checksum of the one file, hexadecimal", shown="the one in weights/README.md, if it is known"
    )


@dataclass(frozen=True)
class SliceOptions:
    """Which labelled images are sliced, how, and where the tiles go."""

    data: str = INPUT.option("", "data YAML whose splits are sliced", shown="required, or --source")
    source: Path | None = INPUT.option(None, f"instead of --data: {IMAGES}; labels are used if present")
    out: Path | None = required("output folder for images/, labels/ and data.yaml")
    quality: int = quality_option()

    slice: int = SETTINGS.option(640, "tile size, px", low=32)
    overlap: float = SETTINGS.option(0.2, "overlap of neighbouring tiles, as a fraction of the tile", low=0.0, high=0.9)
    min_visible: float = SETTINGS.fraction(
        0.3,
        "minimum visible fraction of an object's area to keep it in a tile; the tile that shows most always keeps it",
    )
    empty: float | None = SETTINGS.fraction(
        None, "empty tiles to keep, fraction", shown="0.1 for train and extra, else 1"
    )
    seed: int = SETTINGS.option(0, "random seed of the choice of empty tiles", low=0)


@dataclass(frozen=True)
class SelectOptions:
    """Which images are selected, by which detector, and where they go."""

    weights: Path | None = INPUT.option(None, "detector trained on the classes of --data", shown="required")
    data: str = INPUT.option("", "data YAML, or the name of one in data/", shown="required")
    split: str = INPUT.option("train", "split to select from: train, extra, val or val2, never a test split")
    out: Path | None = INPUT.option(None, "output folder for the images and select.csv", shown="required")
    min_ap: float = INPUT.fraction(0.6, "select images with at least this AP (COCO, IoU 0.50:0.95)")
    trust: bool = common.trust_option(INPUT)

    imgsz: int = common.imgsz_option(RUNTIME)
    batch_size: int = RUNTIME.option(16, "images per batch", low=1, aliases=("batch",))
    conf_thres: float = common.confidence_option(RUNTIME, 0.001)
    device: str = common.device_option(RUNTIME)


@dataclass(frozen=True)
class TeacherOptions:
    """Which CLIP embeds the objects of which data set, how, and where the embeddings go."""

    data: str = INPUT.option("", "data YAML of the labelled data set, or the name of one in data/", shown="required")
    split: str = INPUT.option("train", "split whose objects are embedded: the training split")
    extra: bool = INPUT.option(
        False, "also embed the images of the data YAML's 'extra', for training with --extra-ratio"
    )
    model: str = INPUT.option("RN50-quickgelu", "open_clip model (published: RN50-quickgelu)")
    checkpoint: Path | None = INPUT.option(
        None, "file of the model's weights; nothing is downloaded", shown="required without --train-demo"
    )
    out: Path | None = INPUT.option(None, "output folder of the cache", shown="runs/teacher/DATA-MODEL-MODE")
    trust: bool = common.trust_option(INPUT, "; OpenAI's own files need it")

    train_demo: bool = INPUT.option(
        False, "without --checkpoint: train a very small CLIP on synthetic objects, for demo-longtail"
    )
    seed: int = INPUT.option(0, "random seed of --train-demo", low=0)

    mode: str = EMBEDDING.option(
        "auto",
        "roi: the whole image, then RoIAlign (CLIPs with a ResNet, as published); crop: each box by itself (any CLIP); "
        "auto: roi if possible",
        choices=("auto", "roi", "crop"),
    )
    short: int = EMBEDDING.option(
        800, "with roi: shorter side of the image, px; the longer is at most 1.67 times that", low=32
    )
    spaces: bool = EMBEDDING.option(False, "replace underscores of class names with spaces (published: no)")

    workers: int = RUNTIME.option(4, "dataloader workers", low=0)
    device: str = common.device_option(RUNTIME)
