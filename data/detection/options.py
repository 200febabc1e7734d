"""Options of augmentation and sampling. Kept apart from the loader so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group, option

GROUP = Group("Augmentation", tasks=("detect",))
LONG_TAIL = Group("Long tail", tasks=("detect",))
CLIPS_TOO = ("detect", "action")


@dataclass(frozen=True)
class AugmentOptions:
    """How a training image is augmented. Paired images share the geometry."""

    mosaic: float = option(1.0, "mosaic probability", group=GROUP, low=0.0, high=1.0)
    close_mosaic: int = option(10, "disable mosaic and mixup for the last N epochs", group=GROUP, low=0)
    mixup: float = option(0.0, "mixup probability", group=GROUP, low=0.0, high=1.0)
    degrees: float = option(0.0, "rotation, +/- degrees", group=GROUP, low=0.0, high=180.0)
    translate: float = option(0.1, "translation, +/- fraction of the image size", group=GROUP, low=0.0, high=1.0)
    scale: float = option(0.5, "scale, +/- fraction", group=GROUP, low=0.0, high=1.0)
    shear: float = option(0.0, "shear, +/- degrees", group=GROUP, low=0.0, high=89.0)
    perspective: float = option(0.0, "perspective, fraction", group=GROUP, low=0.0, high=0.001)
    flipud: float = option(0.0, "vertical flip probability", group=GROUP, low=0.0, high=1.0)
    fliplr: float = option(0.5, "horizontal flip probability", group=GROUP, tasks=CLIPS_TOO, low=0.0, high=1.0)
    hsv_h: float = option(0.015, "hue jitter, fraction", group=GROUP, tasks=CLIPS_TOO, low=0.0, high=1.0)
    hsv_s: float = option(0.7, "saturation jitter, fraction", group=GROUP, tasks=CLIPS_TOO, low=0.0, high=1.0)
    hsv_v: float = option(0.4, "brightness jitter, fraction", group=GROUP, tasks=CLIPS_TOO, low=0.0, high=1.0)


@dataclass(frozen=True)
class SamplingOptions:
    """Oversampling of rare classes, and images of the data YAML's `extra` folder. See docs/longtail.md."""

    repeat_threshold: float = option(
        0.0,
        "oversample images of classes that appear in less than this fraction of the images (published 0.001); 0: off",
        group=LONG_TAIL,
        low=0.0,
        high=1.0,
    )
    extra_ratio: float = option(
        0.0,
        "fraction of each batch from the data YAML's 'extra': images with one class label and no boxes; 0: none",
        group=LONG_TAIL,
        low=0.0,
        high=0.9,
    )
    extra_alternate: bool = option(
        False, "instead of --extra-ratio: one extra batch after each ordinary batch (as published)", group=LONG_TAIL
    )

    @property
    def extra(self) -> bool:
        """Whether extra images are asked for."""
        return self.extra_alternate or self.extra_ratio > 0
