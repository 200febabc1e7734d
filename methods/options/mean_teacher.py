"""Options of the method `mean-teacher`. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data.config import DataKey
from methods.spec import Command
from utils.options import Group, option

GROUP = Group("Mean teacher (--method mean-teacher)", tasks=("detect",))
FRAMES = Group("Input and output")


@dataclass(frozen=True)
class MeanTeacherOptions:
    """Unlabelled target images, labelled by the averaged detector. See docs/methods/mean-teacher.md."""

    target_weight: float = GROUP.option(1.0, "weight of the loss on target images", low=0.0)
    target_burn_in: float = GROUP.fraction(
        0.25, "fraction of the epochs on labelled images alone, before the teacher labels"
    )
    target_ramp: float = GROUP.fraction(
        0.25, "fraction of the epochs after these in which the weight grows to its full value"
    )
    target_threshold: str = GROUP.option(
        "0.4-0.7", "range in which each class's confidence threshold adapts, or one number for all classes"
    )
    target_reliable: float = GROUP.fraction(
        0.6, "thresholds aim at this fraction of the objects per image that the labelled images have of a class"
    )
    target_scale: float = GROUP.option(
        0.5,
        "scale of the student's target images at first; it grows to 1 in six steps (published 0.5)",
        low=0.25,
        high=1.0,
    )
    target_weather: str = GROUP.option(
        "read_noise=0.25 low_light=0.15 defocus_blur=0.1 motion_blur=0.1 jpeg=0.1",
        "degradations of the student's target images, as in --weather; none: colours and erased parts alone",
    )
    night_light: float = GROUP.fraction(
        0.5,
        "fraction of the labelled images with the night-like light of 2PCNet: gamma, brightness, contrast, blur, glare, noise",
    )


@dataclass(frozen=True)
class FramesOptions:
    """From which films frames are taken, how often, and where they go."""

    source: Path | None = option(None, "a film, a folder of films, or a .txt list", group=FRAMES, shown="required")
    out: Path | None = option(None, "output folder of the frames", group=FRAMES, shown="required")
    every: str = option("2s", "time between two frames, such as 2s, 500ms or 1min, or a number of frames", group=FRAMES)
    dedupe: bool = option(False, "skip frames that look like one that was kept", group=FRAMES)
    difference: int = option(
        6, "with --dedupe: bits of 64 by which the hashes of two frames must differ", group=FRAMES, low=1, high=64
    )
    most: int = option(0, "most frames in all; 0: no limit", group=FRAMES, low=0)
    quality: int = option(95, "quality of the JPEG files", group=FRAMES, low=1, high=100)


MEAN_TEACHER_COMMANDS = {
    "frames": Command(
        "Take frames from films, for instance as unlabelled target images of --method mean-teacher.",
        "methods.options.mean_teacher:FramesOptions",
        "methods.mean_teacher.frames:frames",
        first="source",
    )
}
MEAN_TEACHER_KEYS = (DataKey("target", tasks=("detect",)),)
