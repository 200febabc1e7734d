"""Options that several scripts share, declared once. Free of torch."""

from __future__ import annotations

from typing import Any

from utils.options import Group

DETECT = ("detect",)
IMAGES = ("detect", "classify")
PROJECT = "parent folder of the runs"
NAME = "folder of this run; numbered if it exists"
EXIST_OK = "write into the folder even if it exists"
ENHANCERS = ("none", "zero-dce", "clahe", "gamma")
SCALES = (1, 2, 4, 8)
SHIPPED = "zero-dce-demo.safetensors"  # in weights/
LIGHT, SLICING = Group("Low light"), Group("Slicing", DETECT)


def protocol_option(group: Group, verb: str) -> Any:
    """`--protocol`: another way to compute the AP, beside Ultralytics'."""
    text = (
        f"also {verb} by this protocol: coco (AP, AP50, AP75, APs, APm, APl), aitod (AP, AP50, AP75, APvt, APt, APs, APm) "
        "or lvis (AP, AP50, AP75, APr, APc, APf)"
    )
    return group.option(None, text, choices=("coco", "aitod", "lvis"), tasks=DETECT)


def enhance_option(group: Group, default: str = "none", choices: tuple[str, ...] = ENHANCERS) -> Any:
    """Which enhancer."""
    text = "brighten dark images: zero-dce (learned curves), clahe (local contrast) or gamma (one curve per image)"
    return group.option(default, text, choices=choices)


def weights_option(group: Group) -> Any:
    """The network's file."""
    return group.option(None, "weights of zero-dce", shown=f"weights/{SHIPPED}")


def scale_option(group: Group) -> Any:
    """The resolution at which the network estimates the curves."""
    text = "of zero-dce: estimate the curves at 1/scale resolution (faster); published 1, shipped weights 4"
    return group.option(None, text, choices=SCALES, shown="as trained")


def slice_option() -> Any:
    """`--slice` of detect.py and val.py."""
    text = "detect in overlapping tiles of this size, px, and merge the detections"
    return SLICING.option(None, text, low=32, shown="off")


def overlap_option() -> Any:
    """`--overlap`."""
    text = "with --slice: overlap of neighbouring tiles, as a fraction of the tile; smaller objects are seen whole"
    return SLICING.option(0.2, text, low=0.0, high=0.9)


def merge_option() -> Any:
    """`--merge`."""
    text = "with --slice: merge boxes of one object from several tiles by their union (nmm) or keep the best (nms)"
    return SLICING.option("nmm", text, choices=("nmm", "nms"))


def trust_option(group: Group, note: str = "") -> Any:
    """`--trust`: the way around the safe reader of checkpoints."""
    return group.option(False, f"unpickle the checkpoint (executes code in the file){note}")


def device_option(group: Group, default: str = "") -> Any:
    """`--device` of whatever runs on one device."""
    text = "cpu, or the number of a GPU"
    return group.option(default, text, shown=None if default else "first GPU, else cpu")


def imgsz_option(group: Group) -> Any:
    """`--imgsz` of an evaluation."""
    text = "input size (longer side), px; rounded up to a multiple of the stride"
    return group.option(640, text, low=32, aliases=("img", "img-size"), tasks=IMAGES)


def confidence_option(group: Group, default: float, condition: str = "") -> Any:
    """`--conf-thres`."""
    text = f"{condition}confidence threshold"
    return group.fraction(default, text, aliases=("conf",), tasks=DETECT)


def iou_option(group: Group, default: float, condition: str = "") -> Any:
    """`--iou-thres`."""
    text = f"{condition}NMS IoU threshold"
    return group.fraction(default, text, aliases=("iou",), tasks=DETECT)
