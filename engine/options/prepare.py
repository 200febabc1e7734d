"""Options of prepare.py's commands. Free of torch: `prepare.py darken --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import option

_WHAT, _LIGHT, _RUN = "What", "Light", "Run"
DARKENERS = ("physical", "cut")


@dataclass(frozen=True)
class DarkenOptions:
    """Which images are darkened, how much, and where the results go."""

    source: Path | None = option(None, "folder of images, of any depth, or a .txt list of them (needed)", group=_WHAT)
    out: Path | None = option(None, "folder for the dark partners, same names inside (needed)", group=_WHAT)
    labels: bool = option(True, "copy label files along where there are any", group=_WHAT)
    quality: int = option(95, "of JPEG and WebP files", group=_WHAT, low=1, high=100)

    model: str = option("physical", "a camera model, or CUT, which learned it", group=_LIGHT, choices=DARKENERS)
    severity: float | None = option(
        None,
        "of physical: 0 dusk to 1 deepest night; left out, each image draws its own",
        group=_LIGHT,
        low=0.0,
        high=1.0,
    )
    seed: int = option(
        0, "of physical: another seed, other nights; an image's own seed also comes from its name", group=_LIGHT, low=0
    )
    weights: Path | None = option(
        None, "of cut (needed): what train-darkener wrote, or a published resnet generator of CUT", group=_LIGHT
    )

    batch_size: int = option(
        16, "of physical: images of one size that are computed together", group=_RUN, low=1, aliases=("batch",)
    )
    most_megapixels: float = option(
        4.0, "of cut: larger images are left out; a million px takes 1.9 GB at width 64", group=_RUN, low=0.01
    )
    device: str = option("cpu", "cpu, or a GPU's number", group=_RUN)


@dataclass(frozen=True)
class SyntheticOptions:
    """Which synthetic data set is drawn, and how much of it."""

    name: str = option("demo-night", "the synthetic data set; may stand first, without --name", group=_WHAT)
    out: Path | None = option(None, "folder for it; left out, datasets/NAME", group=_WHAT)
    seed: int = option(0, "another seed, another town", group=_WHAT, low=0, high=9999)
    size: tuple[int, ...] = option(
        (), "width and height in px, multiples of 4; left out, the data set's own", group=_WHAT, low=64
    )
    counts: tuple[str, ...] = option(
        (), "scenes per split, such as train=40 val=10; left out, the data set's own", group=_WHAT
    )
    workers: int | None = option(None, "processes; left out, one a core", group=_RUN, low=1)


@dataclass(frozen=True)
class ClipOptions:
    """A synthetic street filmed at night."""

    out: Path = option(Path("datasets/night.mp4"), "file to write", group=_WHAT)
    seconds: float = option(10.0, "length", group=_WHAT, low=0.1, high=3600.0)
    fps: int = option(15, "frames a second", group=_WHAT, low=1, high=120)
    size: tuple[int, ...] = option((400, 300), "width and height in px, multiples of 4", group=_WHAT, low=64)
    seed: int = option(0, "another seed, another street", group=_WHAT, low=0)
    workers: int | None = option(None, "processes; left out, one a core", group=_RUN, low=1)


@dataclass(frozen=True)
class ConvertOptions:
    """A published data set in its original form, and where its YOLO form goes."""

    name: str | None = option(
        None,
        "the data set (needed): aitod, aitodv2, arid, cityscapes, coco, codan, dawn, dota, duo, exdark, exdark-cls, "
        "foggy-cityscapes, imagenet-lvis, kitti, lvis, "
        "rainy-cityscapes, rtts, ruod, tinyperson, urpc2020, visdrone or voc; may stand first, without --name",
        group=_WHAT,
    )
    source: Path | None = option(None, "folder of the unpacked original (needed)", group=_WHAT)
    out: Path | None = option(None, "folder for images/, labels/ and data.yaml (needed)", group=_WHAT)
    classes: str | None = option(
        None,
        "class list: by default the set's own, for coco and voc exdark's; imagenet-lvis: an LVIS json (needed); docs/data/ "
        "says what else",
        group=_WHAT,
    )
    images: Path | None = option(
        None, "aitod, arid, coco, lvis, voc: where the images are, if not in the usual place", group=_WHAT
    )
    link: str | None = option(
        None, "copy the images (default), or link to them", group=_WHAT, choices=("copy", "hard", "symbolic")
    )
    difficult: bool | None = option(
        None, "coco, dawn, dota, duo, rtts, ruod, urpc2020, voc: keep objects marked difficult or crowd", group=_WHAT
    )
    backgrounds: bool | None = option(
        None, "all but exdark and lvis, which do so anyway: keep images without a wanted object", group=_WHAT
    )
    trainval: bool | None = option(None, "aitod, voc: train on trainval and validate on test, as is usual", group=_WHAT)
    version: str | None = option(
        None,
        "aitod: 1.0 (default) or 2.0; dota: 1.0, 1.5 or 2.0, needed where labels of several are there; lvis: 1 or 0.5",
        group=_WHAT,
    )
    corners: bool | None = option(
        None, "tinyperson: cut the training images into the parts of the set's corner file", group=_WHAT
    )
    favoured: Path | None = option(
        None,
        "coco, duo, ruod, urpc2020: folder of unlabelled images on which detectors do well, for images/favoured",
        group=_WHAT,
    )
    beta: str | None = option(
        None, "foggy-cityscapes: density of the fog (default 0.02)", group=_WHAT, choices=("0.005", "0.01", "0.02")
    )
    synsets: Path | None = option(
        None,
        "imagenet-lvis: table of lines 'n02682922 aerosol_can.n.01', or WordNet 3.0's index.sense (needed)",
        group=_WHAT,
    )
