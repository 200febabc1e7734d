"""Options of augmentation and sampling. Kept apart from the loader so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group

GROUP = Group("Augmentation", tasks=("detect",))
LONG_TAIL = Group("Long tail", tasks=("detect",))
CLIPS_TOO = ("detect", "action")


@dataclass(frozen=True)
class AugmentOptions:
    """How a training image is augmented. Paired images share the geometry."""

    mosaic: float = GROUP.fraction(1.0, "mosaic probability")
    close_mosaic: int = GROUP.option(10, "disable mosaic, mixup and cutmix for the last N epochs", low=0)
    mixup: float = GROUP.fraction(0.0, "mixup probability")
    cutmix: float = GROUP.fraction(0.0, "cutmix probability: a rectangle of another image, with its boxes")
    degrees: float = GROUP.option(0.0, "rotation, +/- degrees", low=0.0, high=180.0)
    translate: float = GROUP.fraction(0.1, "translation, +/- fraction of the image size")
    scale: float = GROUP.fraction(0.5, "scale, +/- fraction")
    shear: float = GROUP.option(0.0, "shear, +/- degrees", low=0.0, high=89.0)
    perspective: float = GROUP.option(0.0, "perspective, fraction", low=0.0, high=0.001)
    flipud: float = GROUP.fraction(0.0, "vertical flip probability")
    fliplr: float = GROUP.fraction(0.5, "horizontal flip probability", tasks=CLIPS_TOO)
    hsv_h: float = GROUP.fraction(0.015, "hue jitter, fraction", tasks=CLIPS_TOO)
    hsv_s: float = GROUP.fraction(0.7, "saturation jitter, fraction", tasks=CLIPS_TOO)
    hsv_v: float = GROUP.fraction(0.4, "brightness jitter, fraction", tasks=CLIPS_TOO)
    albumentations: str = GROUP.option(
        "", "YAML or JSON list of albumentations' pixel transforms (optional package)", metavar="FILE", shown="none"
    )

    @property
    def mixes(self) -> bool:
        """Whether images are ever joined with others."""
        return self.mosaic + self.mixup + self.cutmix > 0


@dataclass(frozen=True)
class SamplingOptions:
    """Oversampling of rare classes, and images of the data YAML's `extra` folder. See docs/longtail.md."""

    repeat_threshold: float = LONG_TAIL.fraction(
        0.0,
        "oversample images of classes that appear in less than this fraction of the images (published 0.001); 0: off",
    )
    extra_ratio: float = LONG_TAIL.option(
        0.0,
        "fraction of each batch from the data YAML's 'extra': images with one class label and no boxes; 0: none",
        low=0.0,
        high=0.9,
    )
    extra_alternate: bool = LONG_TAIL.option(
        False, "instead of --extra-ratio: one extra batch after each ordinary batch (as published)"
    )

    @property
    def extra(self) -> bool:
        """Whether extra images are asked for."""
        return self.extra_alternate or self.extra_ratio > 0
