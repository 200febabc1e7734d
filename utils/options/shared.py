"""Options that several scripts and methods share, declared once."""

from __future__ import annotations

from typing import Any

from utils.options import Group, option

DETECT = ("detect",)
IMAGES = ("detect", "classify")
PROJECT = "parent folder of the runs"
NAME = "folder of this run; numbered if it exists"
EXIST_OK = "write into the folder even if it exists"


def trust_option(group: Group | str, note: str = "") -> Any:
    """`--trust`: the way around the safe reader of checkpoints."""
    return option(False, f"unpickle the checkpoint (executes code in the file){note}", group=group)


def device_option(group: Group | str, default: str = "") -> Any:
    """`--device` of whatever runs on one device."""
    text = "cpu, or the number of a GPU"
    return option(default, text, group=group, shown=None if default else "first GPU, else cpu")


def imgsz_option(group: Group | str) -> Any:
    """`--imgsz` of an evaluation."""
    text = "input size (longer side), px; rounded up to a multiple of the stride"
    return option(640, text, group=group, low=32, aliases=("img", "img-size"), tasks=IMAGES)


def confidence_option(group: Group | str, default: float, condition: str = "") -> Any:
    """`--conf-thres`."""
    text = f"{condition}confidence threshold"
    return option(default, text, group=group, low=0.0, high=1.0, aliases=("conf",), tasks=DETECT)


def iou_option(group: Group | str, default: float, condition: str = "") -> Any:
    """`--iou-thres`."""
    text = f"{condition}NMS IoU threshold"
    return option(default, text, group=group, low=0.0, high=1.0, aliases=("iou",), tasks=DETECT)
