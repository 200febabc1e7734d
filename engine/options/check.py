"""Options of `prepare.py check`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data.checks.findings import SEVERITIES
from engine.options import common
from utils.options import Group

INPUT, OUTPUT, DETECTOR = Group("Input"), Group("Output"), Group("With a detector")


@dataclass(frozen=True)
class CheckOptions:
    """Which data set is checked, for what size of network, and what is printed."""

    data: str = INPUT.option("", "data YAML, its folder, or the name of one in data/", shown="required")
    imgsz: int | None = INPUT.option(
        None,
        "size that the network will see, px, for the size of objects",
        low=32,
        aliases=("img", "img-size"),
        shown="640, or the images' own size if they are smaller",
    )

    least: str = OUTPUT.option(
        SEVERITIES[-1], "report findings of at least this severity; others do not count", choices=SEVERITIES
    )
    most: int = OUTPUT.option(5, "files printed for a finding; --json lists all", low=0)
    json: bool = OUTPUT.option(False, "print one JSON object instead of text")

    weights: Path | None = DETECTOR.option(
        None, "a good detector of these classes: also list the labels that it contradicts most"
    )
    trust: bool = common.trust_option(DETECTOR)
    conf_thres: float = common.confidence_option(DETECTOR, 0.5)
    device: str = common.device_option(DETECTOR)
