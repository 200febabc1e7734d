"""Findings about paired images: missing or ambiguous ones, other sizes, other scenes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.checks.duplicates import detail_of
from data.checks.findings import Finding, Place, counted
from data.checks.image_facts import ImageFacts
from data.checks.survey import Split, Survey
from data.io.pairs import match_pairs
from utils.errors import UserError

MARGIN = 0.2  # of correlation, by which another image fits better than the image's own
WORDS = {
    "pair-missing": ("image has no paired image of its own", "images have no paired image of their own"),
    "pair-size": ("pair differs in size", "pairs differ in size"),
    "pair-content": ("pair shows different scenes", "pairs show different scenes"),
}


def pair_findings(survey: Survey) -> Iterator[Finding]:
    """What is wrong with the pairs of train and each view of paired images."""
    train = survey.labelled.get("train")
    for view in survey.splits.values():
        if train is not None and view.paired:
            yield from _of_view(train, view)


def _of_view(train: Split, view: Split) -> Iterator[Finding]:
    others = {image.path: image for image in view.images}
    found: dict[str, list[Place]] = {kind: [] for kind in WORDS}
    pairs: list[tuple[ImageFacts, ImageFacts]] = []
    owners: dict[Path, Path] = {}
    by_stem: dict[str, list[Path]] = {}
    for path in others:
        by_stem.setdefault(path.stem, []).append(path)
    for image in train.images:
        other = _paired(image.path, by_stem.get(image.path.stem, []))
        if other is None or owners.setdefault(other, image.path) != image.path:
            found["pair-missing"].append(Place(image.path))
        elif image.usable and others[other].usable:
            pairs.append((image, others[other]))
    for image, paired in pairs:
        if image.shape != paired.shape:
            sizes = f"{paired.shape[1]} x {paired.shape[0]} px, {image.path} is {image.shape[1]} x {image.shape[0]}"
            found["pair-size"].append(Place(paired.path, None, sizes))
    found["pair-content"] = [
        Place(paired.path, None, f"looks unlike {image.path}") for image, paired in _strangers(pairs)
    ]
    for kind, places in found.items():
        if places:
            what = f"{view.name}: {counted(len(places), *WORDS[kind])}"
            yield Finding(kind, view.name, what, places, {}, {"view": view.name})


def _paired(image: Path, candidates: list[Path]) -> Path | None:
    """The paired image as training would choose it; None where there is none or two fit."""
    try:
        return match_pairs([image], candidates)[0]
    except UserError:
        return None


def _strangers(pairs: list[tuple[ImageFacts, ImageFacts]]) -> list[tuple[ImageFacts, ImageFacts]]:
    """Pairs whose paired image resembles the image of another pair more than its own, by more than MARGIN.

    Dark or foggy copies may hold little detail, so an absolute likeness would say little.
    """
    if len(pairs) < 2:
        return []
    ours, _ = detail_of(np.stack([np.asarray(image.thumb) for image, _ in pairs]))  # (n, d)
    theirs, _ = detail_of(np.stack([np.asarray(paired.thumb) for _, paired in pairs]))
    own = np.einsum("nd,nd->n", ours, theirs)
    best = np.array([float((ours @ row).max()) for row in theirs])
    return [pair for pair, mine, other in zip(pairs, own, best, strict=True) if other - mine > MARGIN]
