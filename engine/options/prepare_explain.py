"""Options of `prepare.py explain-assignment`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import option


@dataclass(frozen=True)
class ExplainOptions:
    """Which image is explained, for which detector, and where the drawing goes."""

    data: str = option("demo-tiny", "data YAML, or the name of one in data/", group="What")
    split: str = option("train", "split of the image", group="What")
    image: str = option("", "name of the image; left out, the first with the most objects", group="What")
    cfg: str = option("yolov8n", "model YAML, freshly initialised, as at the start of training", group="What")
    weights: Path | None = option(None, "checkpoint in place of --cfg: how it is later", group="What")
    trust: bool = option(False, "load the checkpoint the ordinary way, which runs the code inside it", group="What")
    imgsz: int = option(160, "longer side of the image in training, px", group="What", low=32, aliases=("img",))
    rf: str = option("", "sides of the effective receptive fields by stride, as in train.py", group="What")
    window: int = option(
        64, "side of the part that is drawn, px, where the objects are densest; 0: all", group="Drawing", low=0
    )
    zoom: int = option(10, "dots per pixel", group="Drawing", low=1, high=40)
    out: Path = option(Path("assignment.png"), "image to write", group="Drawing")
