"""Options of `task: action`, and which options of the scripts that task understands. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from utils.options import option

GROUP = "Action recognition (task: action)"


@dataclass(frozen=True)
class ActionOptions:
    """What a clip is; see docs/tasks/action.md."""

    frames: int = option(16, "frames of a clip", group=GROUP, low=2, high=256)
    interval: int = option(
        2, "from one frame of a clip to the next, in frames of the video", group=GROUP, low=1, high=64
    )
    test_clips: int = option(3, "clips of each video whose results are averaged at test", group=GROUP, low=1, high=100)
    keep_videos: str = option(
        "auto",
        "keep decoded videos in memory: always, never, or where all of them take less than 2 GiB",
        group=GROUP,
        choices=("auto", "ram", "none"),
    )


# What the task takes where neither flag nor YAML says otherwise: the recipe of the publication's action branch.
DEFAULTS: dict[str, Any] = {
    "batch_size": 16,
    "optimizer": "SGD",
    "lr0": 0.01,
    "weight_decay": 1e-4,
    "momentum": 0.9,
    "warmup_epochs": 1.0,
    "epochs": 10,
    "pair_colour": "independent",
}
_SCRIPT = (
    "data weights cfg method trust epochs batch_size imgsz seed patience noval device workers amp project name exist_ok "
    "resume save_period plots"
)
_RECIPE = (
    "optimizer lr0 lrf cos_lr momentum weight_decay warmup_epochs warmup_momentum warmup_bias_lr lr_schedule select"
)
_VIEWS = "fliplr hsv_h hsv_s hsv_v pair_colour"
_WIID = "byol_weight byol_momentum front_ratio back_ratio num_blocks"
TRAIN_OPTIONS = frozenset(f"{_SCRIPT} {_RECIPE} {_VIEWS} {_WIID}".split()) | {*ActionOptions.__dataclass_fields__}
VAL_OPTIONS = frozenset(
    "data weights task trust batch_size device workers half enhance enhance_weights enhance_scale verbose plots "
    "project name exist_ok".split()
)
DETECT_OPTIONS = frozenset(
    "weights source data vid_stride retries nosave save_csv project name exist_ok view_img line_thickness hide_labels "
    "hide_conf device half trust enhance enhance_weights enhance_scale".split()
)
EXPORT_OPTIONS = frozenset("weights include trust batch_size dynamic opset device".split())
