"""Options of `prepare.py select`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import Group, option
from utils.options.shared import confidence_option, device_option, imgsz_option, trust_option

INPUT, RUNTIME = Group("Input and output"), Group("Runtime")


@dataclass(frozen=True)
class FavourOptions:
    """Which images are selected, by which detector, and where they go."""

    weights: Path | None = option(None, "detector trained on the classes of --data", group=INPUT, shown="required")
    data: str = option("", "data YAML, or the name of one in data/", group=INPUT, shown="required")
    split: str = option("train", "split to select from: train, extra, val or val2, never a test split", group=INPUT)
    out: Path | None = option(None, "output folder for the images and favour.csv", group=INPUT, shown="required")
    min_ap: float = option(
        0.6, "select images with at least this AP (COCO, IoU 0.50:0.95)", group=INPUT, low=0.0, high=1.0
    )
    trust: bool = trust_option(INPUT)

    imgsz: int = imgsz_option(RUNTIME)
    batch_size: int = option(16, "images per batch", group=RUNTIME, low=1, aliases=("batch",))
    conf_thres: float = confidence_option(RUNTIME, 0.001)
    device: str = device_option(RUNTIME)
