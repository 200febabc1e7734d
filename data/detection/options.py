"""Options of the training augmentation. Kept apart from the loader so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group, option

GROUP = Group("Augmentation", tasks=("detect",))
CLIPS_TOO = ("detect", "action")


@dataclass(frozen=True)
class AugmentOptions:
    """How a training image is varied. The geometry is shared by all members of a pair."""

    mosaic: float = option(1.0, "probability of a mosaic of four images", group=GROUP, low=0.0, high=1.0)
    close_mosaic: int = option(10, "last epochs without mosaic and mixup", group=GROUP, low=0)
    mixup: float = option(0.0, "probability of blending with a second image", group=GROUP, low=0.0, high=1.0)
    degrees: float = option(0.0, "rotation, plus or minus degrees", group=GROUP, low=0.0, high=180.0)
    translate: float = option(0.1, "shift, plus or minus a fraction of the size", group=GROUP, low=0.0, high=1.0)
    scale: float = option(0.5, "scale, plus or minus a fraction", group=GROUP, low=0.0, high=1.0)
    shear: float = option(0.0, "shear, plus or minus degrees", group=GROUP, low=0.0, high=89.0)
    perspective: float = option(0.0, "perspective fraction", group=GROUP, low=0.0, high=0.001)
    flipud: float = option(0.0, "probability of turning upside down", group=GROUP, low=0.0, high=1.0)
    fliplr: float = option(0.5, "probability of mirroring", group=GROUP, tasks=CLIPS_TOO, low=0.0, high=1.0)
    hsv_h: float = option(0.015, "change of hue, fraction", group=GROUP, tasks=CLIPS_TOO, low=0.0, high=1.0)
    hsv_s: float = option(0.7, "change of saturation, fraction", group=GROUP, tasks=CLIPS_TOO, low=0.0, high=1.0)
    hsv_v: float = option(0.4, "change of brightness, fraction", group=GROUP, tasks=CLIPS_TOO, low=0.0, high=1.0)
    pair_colour: str = option(
        "shared", "colour change of the two members of a pair: one draw for both, or one each", group=GROUP, tasks=CLIPS_TOO,
        choices=("shared", "independent"),
    )  # fmt: skip
