"""Options of enhancement, slicing and evaluation protocols, which several scripts share. Free of torch."""

from __future__ import annotations

from typing import Any

from utils.options import Group, option
from utils.options.shared import DETECT

ENHANCERS = ("none", "zero-dce", "clahe", "gamma")
SCALES = (1, 2, 4, 8)
SHIPPED = "zero-dce-demo.safetensors"  # in weights/
LIGHT, SLICING = Group("Low light"), Group("Slicing", DETECT)


def protocol_option(group: Group | str, verb: str) -> Any:
    """`--protocol`: another way to compute the AP, beside Ultralytics'."""
    text = (
        f"also {verb} by this protocol: coco (AP, AP50, AP75, APs, APm, APl), aitod (AP, AP50, AP75, APvt, APt, APs, APm) "
        "or lvis (AP, AP50, AP75, APr, APc, APf)"
    )
    return option(None, text, group=group, choices=("coco", "aitod", "lvis"), tasks=DETECT)


def enhance_option(group: Group | str, default: str = "none", choices: tuple[str, ...] = ENHANCERS) -> Any:
    """Which enhancer."""
    text = "brighten dark images: zero-dce (learned curves), clahe (local contrast) or gamma (one curve per image)"
    return option(default, text, group=group, choices=choices)


def weights_option(group: Group | str) -> Any:
    """The network's file."""
    return option(None, "weights of zero-dce", group=group, shown=f"weights/{SHIPPED}")


def scale_option(group: Group | str) -> Any:
    """The resolution at which the network estimates the curves."""
    text = "of zero-dce: estimate the curves at 1/scale resolution (faster); published 1, shipped weights 4"
    return option(None, text, group=group, choices=SCALES, shown="as trained")


def slice_option() -> Any:
    """`--slice` of detect.py and val.py."""
    text = "detect in overlapping tiles of this size, px, and merge the detections"
    return option(None, text, group=SLICING, low=32, shown="off")


def overlap_option() -> Any:
    """`--overlap`."""
    text = "with --slice: overlap of neighbouring tiles, as a fraction of the tile; smaller objects are seen whole"
    return option(0.2, text, group=SLICING, low=0.0, high=0.9)


def merge_option() -> Any:
    """`--merge`."""
    text = "with --slice: merge boxes of one object from several tiles by their union (nmm) or keep the best (nms)"
    return option("nmm", text, group=SLICING, choices=("nmm", "nms"))
