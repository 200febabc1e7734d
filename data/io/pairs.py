"""Pairs of images: same scene and geometry, other light. They match by file stem; an ambiguous match is an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from data.io.images import in_threads, try_probe
from utils.errors import UserError
from utils.log import LOGGER


def match_pairs(images: Sequence[Path], others: Iterable[Path]) -> list[Path]:
    """Return the paired image of each image, in order: of the same stem; among several, the one whose folders agree most.

    `a/1.jpg` finds `night/a/1.png` rather than `night/b/1.png`. Others that belong to none are logged, not used.
    Raises UserError, naming the file, for a missing one, two equally good ones, one that matches two images, and where every
    image would be paired with itself.
    """
    by_stem: dict[str, list[Path]] = {}
    for other in others:
        by_stem.setdefault(other.stem, []).append(other)
    matched = {image: _match(image, by_stem.get(image.stem, [])) for image in images}
    owners: dict[Path, Path] = {}
    for image, paired in matched.items():
        if owners.setdefault(paired, image) != image:
            raise UserError(
                f"{paired}: would be paired with both {owners[paired]} and {image}. "
                "Give each image its own, with the same folders and stem."
            )
    if matched and all(_is_same(image, paired) for image, paired in matched.items()):
        raise UserError(
            f"{images[0]}: is the same file as its paired image {matched[images[0]]}, and so is every other. Name a folder of "
            "other images as paired ones, such as those of 'python prepare.py darken'."
        )
    extra = sum(map(len, by_stem.values())) - len(owners)
    if extra > 0:
        LOGGER.debug("%d paired images match no image and are not used", extra)
    return [matched[image] for image in images]


def _match(image: Path, candidates: Sequence[Path]) -> Path:
    """The candidate with the most equal folder names, counted from the file upwards."""
    if not candidates:
        raise UserError(
            f"{image}: no paired image is named {image.stem!r}. Make it ('python prepare.py darken'), "
            "or remove the image from the split."
        )
    ranked = sorted(candidates, key=lambda path: -_agreement(image, path))
    if len(ranked) > 1 and _agreement(image, ranked[0]) == _agreement(image, ranked[1]):
        raise UserError(
            f"{image}: both {ranked[0]} and {ranked[1]} could be paired with it. Remove or rename one of them."
        )
    return ranked[0]


def _is_same(image: Path, other: Path) -> bool:
    """Whether both names lead to one file; what is missing or damaged is found when it is read."""
    try:
        return image == other or image.samefile(other)
    except OSError:
        return False


def _agreement(image: Path, other: Path) -> int:
    """How many folder names agree, from the file upwards."""
    names = zip(reversed(image.parts[:-1]), reversed(other.parts[:-1]), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], names))


def check_pair_sizes(images: Sequence[Path], paired: Sequence[Path]) -> None:
    """Raise UserError, naming both files, where an image and its paired image differ in size.

    Pairs with an unreadable image are ignored here: training skips them.
    """
    sizes = list(in_threads(try_probe, [*images, *paired], "comparing pairs"))
    for image, other, ours, theirs in zip(images, paired, sizes, sizes[len(images) :], strict=False):
        if isinstance(ours, tuple) and isinstance(theirs, tuple) and ours != theirs:
            raise UserError(
                f"{other}: is {theirs[1]} x {theirs[0]} px, but the image it is paired with, {image}, is {ours[1]} x {ours[0]}. "
                "Images of a pair must have the same size: make this one again from the image as it is now."
            )
