"""Options of `prepare.py favour`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import option


@dataclass(frozen=True)
class FavourOptions:
    """Which images are judged by which detector, how well it must do on one, and where the good ones go."""

    weights: Path | None = option(None, "detector that judges (needed), trained on these classes", group="What")
    data: str = option("", "data YAML of the labelled set (needed), or the name of one in data/", group="What")
    split: str = option("train", "split to choose from: train, extra, val or val2, never a test split", group="What")
    out: Path | None = option(None, "new folder for the images and favour.csv (needed)", group="What")
    min_ap: float = option(
        0.6, "lowest AP (COCO, IoU 0.50:0.95) of an image that is kept", group="What", low=0.0, high=1.0
    )
    trust: bool = option(False, "load the checkpoint the ordinary way, which runs the code inside it", group="What")

    imgsz: int = option(
        640, "longer side in pixels; rounded up to the detector's stride", group="Run", low=32, aliases=("img",)
    )
    batch_size: int = option(16, "images in a batch", group="Run", low=1, aliases=("batch",))
    conf_thres: float = option(
        0.001, "lowest confidence that counts", group="Run", low=0.0, high=1.0, aliases=("conf",)
    )
    device: str = option("", "cpu, or a GPU's number; empty takes the first GPU if there is one", group="Run")
