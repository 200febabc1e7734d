"""What detect.py, val.py and prepare.py enhance say alike about brightening dark images. Free of torch."""

from __future__ import annotations

from typing import Any

from utils.options import option

ENHANCERS = ("none", "zero-dce", "clahe", "gamma")
SCALES = (1, 2, 4, 8)
SHIPPED = "zero-dce-demo.safetensors"  # in weights/


def enhance_option(group: str, default: str = "none", choices: tuple[str, ...] = ENHANCERS) -> Any:
    """Which enhancer."""
    return option(
        default,
        "brighten dark images: zero-dce (curves by a small network), clahe (contrast by parts of the image) or gamma "
        "(one curve per image)",
        group=group,
        choices=choices,
    )


def weights_option(group: str) -> Any:
    """The network's file."""
    return option(None, f"of zero-dce: another file than weights/{SHIPPED}", group=group)


def scale_option(group: str) -> Any:
    """How much smaller the network's look at the image is."""
    return option(
        None,
        "of zero-dce: curves are estimated on an image so many times smaller, which is faster; left out, as the weights "
        "were trained (shipped: 4, published: 1)",
        group=group,
        choices=SCALES,
    )
