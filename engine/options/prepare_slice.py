"""Options of `prepare.py slice`. Free of torch: `prepare.py slice --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import option

_WHAT, _TILES = "What", "Tiles"


@dataclass(frozen=True)
class SliceOptions:
    """Which labelled images are cut, into what, and where the tiles go."""

    data: str = option("", "data YAML whose splits are cut (needed, or --source)", group=_WHAT)
    source: Path | None = option(
        None, "instead of --data: folder of images or .txt list of them, with labels where there are any", group=_WHAT
    )
    out: Path | None = option(None, "folder for images/, labels/ and data.yaml (needed)", group=_WHAT)
    quality: int = option(95, "of JPEG and WebP files; other formats stay as they are", group=_WHAT, low=1, high=100)

    slice: int = option(640, "side of a tile in pixels", group=_TILES, low=32)
    overlap: float = option(0.2, "share of a tile that its neighbour has too", group=_TILES, low=0.0, high=0.9)
    min_visible: float = option(
        0.3,
        "share of an object's area that a tile must show to count it; the tile that shows most of it always does",
        group=_TILES,
        low=0.0,
        high=1.0,
    )
    empty: float | None = option(
        None,
        "share of the tiles without an object that are kept, from 0 none to 1 all; left out, 0.1 of the train and extra "
        "splits and 1 elsewhere",
        group=_TILES,
        low=0.0,
        high=1.0,
    )
    seed: int = option(0, "another seed, other tiles without an object", group=_TILES, low=0)
