"""Options that several scripts share, declared once. Free of torch."""

from __future__ import annotations

from functools import partial
from typing import Any

from utils.options import Group

DETECT = ("detect",)
IMAGES = ("detect", "classify")
PROJECT = "parent folder of the runs"
NAME = "folder of this run; numbered if it exists"
EXIST_OK = "write into the folder even if it exists"
ENHANCERS = ("none", "zero-dce", "clahe", "gamma")
SCALES = (1, 2, 4, 8)
MOST_EPOCHS, MOST_IMAGES = 1_000_000, 65_536  # of a training, of a batch: beyond any use, and a file may ask for them
SHIPPED = "zero-dce-demo.safetensors"  # in weights/
LIGHT, SLICING = Group("Low light"), Group("Slicing", DETECT)
_ENHANCE = "brighten dark images: zero-dce (learned curves), clahe (local contrast) or gamma (one curve per image)"
_SCALE = "zero-dce: estimate the curves at 1/scale resolution (faster); published 1, shipped weights 4"
_SLICE = "detect in overlapping tiles of this size, px, and merge the detections"
_OVERLAP = "with --slice: overlap of neighbouring tiles, as a fraction of the tile; smaller objects are seen whole"
_MERGE = "with --slice: merge boxes of one object from several tiles by their union (nmm) or keep the best (nms)"

enhance_option = partial(LIGHT.option, help=_ENHANCE)
weights_option = partial(LIGHT.option, None, "zero-dce: weights file", shown=f"weights/{SHIPPED}")
scale_option = partial(LIGHT.option, None, _SCALE, choices=SCALES, shown="as trained")
slice_option = partial(SLICING.option, None, _SLICE, low=32, shown="off")
overlap_option = partial(SLICING.option, 0.2, _OVERLAP, low=0.0, high=0.9)
merge_option = partial(SLICING.option, "nmm", _MERGE, choices=("nmm", "nms"))


def by_option(group: Group) -> Any:
    """`--by`: the accuracy of parts of a split."""
    text = (
        "accuracy by parts of each split: light (brightness), contrast, blur, haze, noise, cast, size, crowding, frequency, "
        "position, or a column of attributes.csv; several joined by commas, two crossed as 'light x size'; all: no parts, only "
        "error types and calibration; see docs/evaluation.md"
    )
    return group.option(None, text, bare="all", metavar="NAMES", tasks=DETECT)


def protocol_option(group: Group, verb: str) -> Any:
    """`--protocol`: another way to compute the AP, beside Ultralytics'."""
    text = (
        f"also {verb} by this protocol: coco (AP, AP50, AP75, APs, APm, APl), aitod (AP, AP50, AP75, APvt, APt, APs, APm) "
        "or lvis (AP, AP50, AP75, APr, APc, APf)"
    )
    return group.option(None, text, choices=("coco", "aitod", "lvis"), tasks=DETECT)


def trust_option(group: Group, note: str = "") -> Any:
    """`--trust`: the way around the safe reader of checkpoints."""
    return group.option(False, f"unpickle the checkpoint (executes code in the file){note}")


def device_option(group: Group, default: str = "") -> Any:
    """`--device` of whatever runs on one device."""
    return group.option(default, "cpu, or the number of a GPU", shown=None if default else "first GPU, else cpu")


def imgsz_option(group: Group) -> Any:
    """`--imgsz` of an evaluation."""
    text = "input size (longer side), px; rounded up to a multiple of the stride"
    return group.option(640, text, low=32, aliases=("img", "img-size"), tasks=IMAGES)


def confidence_option(group: Group, default: float, condition: str = "") -> Any:
    """`--conf-thres`."""
    return group.fraction(default, f"{condition}confidence threshold", aliases=("conf",), tasks=DETECT)


def iou_option(group: Group, default: float, condition: str = "") -> Any:
    """`--iou-thres`."""
    return group.fraction(default, f"{condition}NMS IoU threshold", aliases=("iou",), tasks=DETECT)
