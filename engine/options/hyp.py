"""Hyper-parameter files: our own, and YOLOv5's, whose keys are used where they mean the same here."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from utils.errors import UserError, suggestion
from utils.files import load_yaml

KNOWN = frozenset(
    """lr0 lrf momentum weight_decay warmup_epochs warmup_momentum warmup_bias_lr nbs box cls dfl
    hsv_h hsv_s hsv_v degrees translate scale shear perspective flipud fliplr mosaic close_mosaic mixup""".split()
)
REASONS = {  # why keys are ignored
    "obj obj_pw": "the anchor-free head has no objectness output",
    "fl_gamma": "focal loss is not part of the loss here",
    "iou_t anchor_t anchors": "the detectors here have no anchors; objects are assigned by task alignment",
    "mode": "it chose a preset of random photographic changes; hsv_h, hsv_s and hsv_v say it in numbers",
    "label_smoothing": "the loss here takes soft targets from the assigner",
    "copy_paste copy_paste_mode": "it moves polygons, and boxes alone have none",
    "pose kobj angle auto_augment erasing": "it belongs to another task than detection",
}
IGNORED = {key: reason for keys, reason in REASONS.items() for key in keys.split()}
_ANCHOR_BASED = frozenset({"obj", "obj_pw", "anchor_t", "iou_t"})
_OTHER_LOSS = "a gain of YOLOv5's anchor-based loss; the loss here is another one and keeps its own gain"
_OTHER_WEIGHT = (
    "YOLOv5's weight of positive targets; --cls-pw here weighs classes by their frequency, as in Ultralytics"
)


def load_hyp(path: Path, options: Collection[str] = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a hyper-parameter file. Returns (used: key -> value, ignored: key -> the reason why).

    options: names of other options that a recipe may hold, whose values are handed on as they are.

    The gains `box` and `cls` of a YOLOv5 file, known by its objectness or anchor keys and the lack of `dfl`, are
    ignored: 0.05 there and 7.5 here are gains of different losses. Raises UserError for an unreadable file or a value
    that is no number.
    """
    content = load_yaml(path)
    foreign = bool(_ANCHOR_BASED & content.keys()) and "dfl" not in content
    used: dict[str, Any] = {}
    ignored: dict[str, str] = {}
    for key, value in content.items():
        if foreign and key in {"box", "cls"}:
            ignored[key] = _OTHER_LOSS
        elif foreign and key == "cls_pw":
            ignored[key] = _OTHER_WEIGHT
        elif key in KNOWN:
            used[key] = _number(path, key, value)
        elif key in options:
            used[key] = value
        else:
            ignored[str(key)] = IGNORED.get(key) or f"it has no meaning here.{suggestion(str(key), KNOWN)}"
    return used, ignored


def _number(path: Path, key: str, value: Any) -> float:
    """A finite number; YAML hands 1e-3 (without a point) over as text."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise UserError(f"{path}: '{key}' must be a number, not {value!r}.")
    return number
