"""The images that set the ranges of an 8-bit network: equally many of every condition, so that none is cut off.

Ranges set by day alone fit the activations of day images. What a night image needs at the dark end is then rounded away,
and nothing but a table by condition would tell.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.config import TESTS, VALS, load_data
from data.synthetic.generate import make_synthetic
from engine.options.export import ExportOptions
from utils.errors import UserError
from utils.files import list_images, save_yaml
from utils.log import LOGGER

SPLITS = {"train": ("train",), "val": VALS, "test": TESTS}


def calibration_set(options: ExportOptions, folder: Path, names: Mapping[int, str]) -> Path:
    """Copy the images that --calibrate names into the folder; returns a data YAML for Ultralytics' exporter.

    Copies, because that writes caches beside the images it reads. Raises UserError for an unknown split or other classes.
    """
    data, _, split = options.calibrate.rpartition(":") if ":" in options.calibrate else (options.calibrate, "", "val")
    if split not in SPLITS:
        raise UserError(f"--calibrate {options.calibrate}: expected DATA:train, DATA:val or DATA:test.")
    config = load_data(data, make_demo=make_synthetic, need=(split,))
    parts = {
        config.conditions.get(part, part): [
            image for source in config.sources(part) for image in list_images(source, config.root)
        ]
        for part in SPLITS[split]
        if part in config.splits
    }
    chosen = equal_parts(parts, options.calibrate_images)
    images = folder / "images"
    images.mkdir()
    for number, image in enumerate(chosen):
        shutil.copy(image, images / f"{number:05d}{image.suffix.lower()}")
    counts = ", ".join(f"{sum(image in set(part) for image in chosen)} {name}" for name, part in parts.items())
    LOGGER.info(f"calibrating with {len(chosen)} images of {config.file.name}: {counts}")
    file = folder / "calibration.yaml"
    save_yaml(file, {"path": str(folder), "train": "images", "val": "images", "names": dict(names)})
    return file


def equal_parts(parts: Mapping[str, list[Path]], count: int) -> list[Path]:
    """Up to `count` images, equally many of each part and evenly spaced in it; a small part gives what it has.

    >>> equal_parts({"day": [Path("a"), Path("b"), Path("c")], "night": [Path("n")]}, 4)
    [PosixPath('a'), PosixPath('c'), PosixPath('n')]
    """
    each = max(1, count // max(1, len(parts)))
    spaced = [
        np.unique(np.linspace(0, len(part) - 1, min(each, len(part))).round().astype(int)) for part in parts.values()
    ]
    return [part[place] for part, places in zip(parts.values(), spaced, strict=True) for place in places]
