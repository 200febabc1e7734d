"""Images that a data set holds twice, byte for byte or nearly: within a split, and across splits that must be independent.

Nearly equal are images whose gradient signs differ in at most 10 of 64 places (dHash) and whose grey thumbnails, less
their slow changes of brightness, correlate by 0.9 or more; also if one is mirrored. Encoding anew, resizing and a change
of brightness pass this; a crop of more than a few per cent does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.checks.findings import Finding, Place, counted
from data.checks.image_facts import ImageFacts
from data.checks.survey import UNLABELLED, Split, Survey
from utils.progress import progress

DIFFERENT_BITS, CORRELATION = 10, 0.9
BLUR = 3.0  # px of a thumbnail: slower changes are lighting
FLAT = 2.0  # levels: thumbnails with less detail cannot be told apart
REPEATED = {
    "duplicate": ("a copy of another", "copies of others"),
    "near-duplicate": ("almost equal to another", "almost equal to others"),
}
_BLOCK = 256  # images compared with all others at a time
Pair = tuple[ImageFacts, ImageFacts]


def duplicate_findings(survey: Survey) -> Iterator[Finding]:
    """Leaks first, then what stands twice in one split."""
    homes: dict[Path, list[Split]] = defaultdict(list)
    for split in survey.splits.values():
        for image in split.usable:
            homes[image.path].append(split)
    images = list({image.path: image for split in survey.splits.values() for image in split.usable}.values())
    equal = _equal_pairs(images)
    near = list(near_pairs(images))
    shared = [(image, image) for image in images if len(homes[image.path]) > 1]
    leaks = list(_leaks("leak", [*shared, *equal], homes))
    sizes = {name: len(split.usable) for name, split in survey.splits.items()}
    whole = {(leak.fields["other"], leak.split) for leak in leaks if leak.numbers["images"] == sizes[leak.split]}
    yield from leaks
    yield from (leak for leak in _leaks("near-leak", near, homes) if (leak.fields["other"], leak.split) not in whole)
    repeated = {split for _, split in whole}  # what stands twice in one stands twice in the other
    for kind, pairs in (("duplicate", equal), ("near-duplicate", near)):
        yield from (repeat for repeat in _repeats(kind, pairs, homes) if repeat.split not in repeated)
    yield from _conflicts(survey, equal)


def _equal_pairs(images: Sequence[ImageFacts]) -> list[Pair]:
    """Pairs of different files with the same bytes, all of a group."""
    groups: dict[bytes, list[ImageFacts]] = defaultdict(list)
    for image in images:
        groups[image.digest].append(image)
    return [pair for group in groups.values() for pair in _some_pairs(group)]


def _some_pairs(group: Sequence[ImageFacts]) -> Iterator[Pair]:
    """All pairs of a group; of a large one each with the first and with its neighbour."""
    if len(group) <= 20:
        return combinations(group, 2)
    return iter([*((group[0], other) for other in group[1:]), *pairwise(group[1:])])


def independent(a: Split, b: Split) -> bool:
    """Whether two splits must not share images: one trains and the other evaluates, or one chooses and the other tests."""
    roles = {"train" if split.role == UNLABELLED else split.role for split in (a, b)}
    return len(roles) == 2


def _leaks(kind: str, pairs: Sequence[Pair], homes: Mapping[Path, Sequence[Split]]) -> Iterator[Finding]:
    """One finding for each pair of independent splits."""
    found: dict[tuple[str, str], dict[Path, Place]] = defaultdict(dict)
    for a, b in pairs:
        for one, other in ((one, other) for one in homes[a.path] for other in homes[b.path]):
            if independent(one, other):
                (first, x), (second, y) = sorted(((one, a), (other, b)), key=lambda each: _order(each[0]))
                found[first.name, second.name].setdefault(y.path, Place(y.path, None, f"like {x.path}"))
    for (first_name, second_name), places in found.items():
        likeness = "also in" if kind == "leak" else "almost equal to images of"
        what = f"{second_name}: {counted(len(places), 'image')} {likeness} {first_name}"
        yield Finding(kind, second_name, what, list(places.values()), {"images": len(places)}, {"other": first_name})


def _order(split: Split) -> int:
    """Training first, then val, then test."""
    return ("train", UNLABELLED, "val", "test").index(split.role)


def _repeats(kind: str, pairs: Sequence[Pair], homes: Mapping[Path, Sequence[Split]]) -> Iterator[Finding]:
    """One finding for each split that holds images twice."""
    found: dict[str, dict[Path, Place]] = defaultdict(dict)
    for a, b in pairs:
        for split in {each.name for each in homes[a.path]} & {each.name for each in homes[b.path]}:
            found[split].setdefault(b.path, Place(b.path, None, f"like {a.path}"))
    for split, places in sorted(found.items()):
        one, many = REPEATED[kind]
        what = f"{split}: {counted(len(places), f'image is {one}', f'images are {many}')}"
        yield Finding(kind, split, what, list(places.values()), {"images": len(places)})


def _conflicts(survey: Survey, pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Equal images whose labels differ."""
    rows = {
        image.path: sorted(map(tuple, label.rows.round(4).tolist()))
        for split in survey.labelled.values()
        for image, label in split.labelled
    }
    places = [
        Place(b.path, None, f"labelled otherwise than {a.path}")
        for a, b in pairs
        if a.path in rows and b.path in rows and rows[a.path] != rows[b.path]
    ]
    if places:
        what = f"{counted(len(places), 'copy', 'copies')} of images with other labels"
        yield Finding("duplicate-conflict", "", what, places)


def near_pairs(images: Sequence[ImageFacts]) -> Iterator[Pair]:
    """Pairs of images of different bytes that are nearly equal, or mirrored so."""
    known = [image for image in images if image.thumb is not None]
    if len(known) < 2:
        return
    thumbs = np.stack([np.asarray(image.thumb) for image in known])  # (n, side, side)
    detail, flat = detail_of(thumbs)
    mirrored, _ = detail_of(thumbs[:, :, ::-1])
    signs, turned = _signs(thumbs), _signs(thumbs[:, :, ::-1])
    starts = range(0, len(known), _BLOCK)
    for start in progress(starts, len(starts), "comparing images"):
        here = np.arange(start, min(start + _BLOCK, len(known)))
        for other_signs, other_detail in ((signs, detail), (turned, mirrored)):
            bits = np.bitwise_count(signs[here, None] ^ other_signs[None, start:])  # (block, n - start)
            rows, columns = np.nonzero(bits <= DIFFERENT_BITS)
            first, second = here[rows], columns + start
            keep = (first < second) & ~flat[first] & ~flat[second]
            first, second = first[keep], second[keep]
            alike = _alike(detail, other_detail, first, second)
            for i, j in zip(first[alike].tolist(), second[alike].tolist(), strict=True):
                if known[i].digest != known[j].digest:
                    yield known[i], known[j]


def _alike(
    a: NDArray[np.float32], b: NDArray[np.float32], i: NDArray[np.intp], j: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Whether rows i of a and j of b correlate, some at a time."""
    parts = [np.einsum("nd,nd->n", a[i[at : at + 4096]], b[j[at : at + 4096]]) for at in range(0, len(i), 4096)]
    return np.concatenate(parts) >= CORRELATION if parts else np.zeros(0, bool)


def detail_of(thumbs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Unit vectors (n, side * side) of the thumbnails less their slow changes; and which of them hold hardly any detail."""
    rows = [thumb.astype(np.float32) - cv2.GaussianBlur(thumb.astype(np.float32), (0, 0), BLUR) for thumb in thumbs]
    detail = np.stack(rows).reshape(len(thumbs), -1)  # (n, side * side)
    detail -= detail.mean(1, keepdims=True)
    length = np.linalg.norm(detail, axis=1, keepdims=True)
    return detail / np.maximum(length, 1e-6), length[:, 0] < FLAT * np.sqrt(detail.shape[1])


def _signs(thumbs: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """dHash, (n,): where the grey of a 9 x 8 reduction rises from left to right."""
    small = np.stack([cv2.resize(thumb, (9, 8), interpolation=cv2.INTER_AREA) for thumb in thumbs])  # (n, 8, 9)
    bits = np.packbits((small[:, :, 1:] > small[:, :, :-1]).reshape(len(thumbs), 64), axis=1)  # (n, 8)
    return np.ascontiguousarray(bits).view(np.uint64)[:, 0]
