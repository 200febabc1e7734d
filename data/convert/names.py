"""Names of written images: one each, also where folders of the original repeat them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from itertools import count
from pathlib import Path

LONGEST = 150  # letters of a name that folders are part of


def distinct_stems(images: Sequence[Path], stems: Sequence[str]) -> list[str]:
    """The stems under which images are written into one folder.

    A stem that images of several folders share has these folders before it, counted from the folder that holds all of
    the images: cam1/0.jpg and cam2/0.jpg become cam1_0 and cam2_0. Images of one folder share a stem as before.
    """
    homes: dict[str, set[Path]] = {}
    for image, stem in zip(images, stems, strict=True):
        homes.setdefault(stem, set()).add(image.parent)
    taken = {stem for stem, folders in homes.items() if len(folders) == 1}
    if len(taken) == len(homes):
        return list(stems)
    base = os.path.commonpath([os.path.abspath(image.parent) for image in images])
    chosen: dict[tuple[Path, str], str] = {}
    for image, stem in zip(images, stems, strict=True):
        if len(homes[stem]) > 1 and (image.parent, stem) not in chosen:
            folders = Path(os.path.abspath(image.parent)).relative_to(base).parts
            chosen[image.parent, stem] = _free("_".join((*folders, stem))[-LONGEST:], taken)
            taken.add(chosen[image.parent, stem])
    return [chosen.get((image.parent, stem), stem) for image, stem in zip(images, stems, strict=True)]


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it where it is taken."""
    names = (f"{name}_{number}" if number > 1 else name for number in count(1))
    return next(each for each in names if each not in taken)
