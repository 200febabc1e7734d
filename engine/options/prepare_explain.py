"""Options of `prepare.py explain-assignment`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import Group, option
from utils.options.shared import trust_option

INPUT, DRAWING = Group("Image and model"), Group("Drawing")


@dataclass(frozen=True)
class ExplainOptions:
    """Which image is explained, for which detector, and where the drawing goes."""

    data: str = option("demo-tiny", "data YAML, or the name of one in data/", group=INPUT)
    split: str = option("train", "split of the image", group=INPUT)
    image: str = option("", "file name of the image", group=INPUT, default_text="the one with the most objects")
    cfg: str = option("yolov8n", "model YAML, freshly initialised as at the start of training", group=INPUT)
    weights: Path | None = option(None, "trained checkpoint, instead of --cfg", group=INPUT)
    trust: bool = trust_option(INPUT)
    imgsz: int = option(160, "training image size (longer side), px", group=INPUT, low=32, aliases=("img",))
    rf: str = option(
        "", "effective receptive fields by stride, px, such as 8:45.5,16:133.5", group=INPUT, default_text="traced"
    )
    window: int = option(
        64, "size of the crop that is drawn, px, around the densest objects; 0: whole image", group=DRAWING, low=0
    )
    zoom: int = option(10, "output pixels per image pixel", group=DRAWING, low=1, high=40)
    out: Path = option(Path("assignment.png"), "output image", group=DRAWING)
