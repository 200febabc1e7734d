"""Options of `prepare.py degrade`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import option


@dataclass(frozen=True)
class DegradeOptions:
    """Which labelled images are spoilt, by which recipe, and where the copies go."""

    recipe: str = option(
        "",
        "coco-d, down2, down4, noise, blur, night, fog, rain, snow, underwater, motion, defocus, jpeg, contrast, any "
        "other name of docs/degradations.md, or coco-c:NAME (needed); may stand first, without --recipe",
        group="What",
    )
    source: Path | None = option(None, "folder of images, of any depth, or a .txt list of them (needed)", group="What")
    out: Path | None = option(None, "folder for the degraded copies, same names inside (needed)", group="What")
    annotations: Path | None = option(
        None,
        "COCO json of the images in --source: a scaled copy goes to --out, and label files from it",
        group="What",
    )
    scale_area: bool = option(False, "scale `area` in that json too", group="What")

    severity: float | None = option(
        None, "0 to 1, of COCO-C's corruptions 1 to 5; left out, each image draws its own", group="How",
        low=0.0, high=5.0,
    )  # fmt: skip
    seed: int = option(0, "another seed, other draws; an image's own seed also comes from its name", group="How", low=0)
    format: str = option("jpg", "of the copies; png keeps every value", group="How", choices=("jpg", "png"))
    quality: int = option(95, "of jpg", group="How", low=1, high=100)

    workers: int | None = option(None, "threads; left out, one a core", group="Run", low=1)
