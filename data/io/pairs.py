"""Pairs of images: same scene and geometry, other light. They match by file stem, and any doubt is an error."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.io.images import in_threads, try_probe
from utils.errors import UserError

LOGGER = logging.getLogger("hardsight")


def match_pairs(images: Sequence[Path], partners: Iterable[Path]) -> list[Path]:
    """Return the partner of each image, in order: of the same stem; among several, the one whose folders agree most.

    `a/1.jpg` finds `night/a/1.png` rather than `night/b/1.png`. Partners that belong to none are noted, not used.
    Raises UserError, naming the file, for a missing partner, two equally good ones, or one that two would share.
    """
    by_stem: dict[str, list[Path]] = {}
    for partner in partners:
        by_stem.setdefault(partner.stem, []).append(partner)
    matched = {image: _match(image, by_stem.get(image.stem, [])) for image in images}
    owners: dict[Path, Path] = {}
    for image, partner in matched.items():
        if owners.setdefault(partner, image) != image:
            raise UserError(
                f"{partner} would be the partner of both {owners[partner]} and {image}. "
                "Give each image its own, with the same folders and stem."
            )
    extra = sum(map(len, by_stem.values())) - len(owners)
    if extra > 0:
        LOGGER.info("%d partner images belong to no image and are not used", extra)
    return [matched[image] for image in images]


def _match(image: Path, candidates: Sequence[Path]) -> Path:
    """The candidate with the most equal folder names, counted from the file upwards."""
    if not candidates:
        raise UserError(
            f"{image}: no partner is named {image.stem!r}. Make it ('python prepare.py darken'), "
            "or take the image out of the split."
        )
    ranked = sorted(candidates, key=lambda path: -_agreement(image, path))
    if len(ranked) > 1 and _agreement(image, ranked[0]) == _agreement(image, ranked[1]):
        raise UserError(
            f"{image}: both {ranked[0]} and {ranked[1]} could be its partner. Remove or rename one of them."
        )
    return ranked[0]


def _agreement(image: Path, partner: Path) -> int:
    """How many folder names agree, from the file upwards."""
    count = 0
    for ours, theirs in zip(reversed(image.parts[:-1]), reversed(partner.parts[:-1]), strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def check_pair_sizes(images: Sequence[Path], partners: Sequence[Path]) -> None:
    """Raise UserError, naming both files, where an image and its partner differ in size.

    Pairs with an unreadable member are passed over: they are left out of the training elsewhere.
    """
    sizes = list(in_threads(try_probe, [*images, *partners], "comparing pairs"))
    for image, partner, ours, theirs in zip(images, partners, sizes, sizes[len(images) :], strict=False):
        if isinstance(ours, tuple) and isinstance(theirs, tuple) and ours != theirs:
            raise UserError(
                f"{partner} is {theirs[1]} x {theirs[0]} px but its partner {image} is {ours[1]} x {ours[0]}. "
                "A pair must have the same size: make the partner again from the image as it is now."
            )
