"""`prepare.py darken`: the dark partner of an image set, resumable, originals untouched."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.degrade import LOW_LIGHT_RANGES
from data.io.images import Unreadable
from engine.darkening.translator import DayToNight, cut_model, physical_model
from engine.options.prepare import DarkenOptions
from engine.preparation.copies import (
    Copied,
    begin,
    copy_label,
    encode_as,
    interrupted,
    names_below,
    read_image,
    two_folders,
)
from engine.training.distributed import pick_device
from utils.errors import UserError
from utils.files import atomic_write, load_yaml
from utils.progress import progress

RECIPE = "darken.yaml"
COLUMNS = ("file", "seed", "severity", *LOW_LIGHT_RANGES)  # of the manifest, by the physical model
_MOST_PIXELS = 16_000_000  # in one batch; floats of this many take about 2 GB on the way


@dataclass(frozen=True)
class _Image:
    """One image read: where from, its name below the source, its seed, its pixels (H, W, 3) in RGB, and what it was if
    not that: "grey", "16 bit" ..."""

    path: Path
    name: str
    seed: int
    pixels: NDArray[np.uint8]
    kind: str = ""


def darken(options: DarkenOptions) -> Copied:
    """Write the dark partner of every image of --source to --out: same relative name, format and size.

    What manifest.csv lists and is there is not done again, unless its source changed. Unreadable images are left out
    and listed at the end. Raises UserError for folders that are missing, nested, or hold the result of another recipe or
    of another source, and for unfit weights.
    """
    source, out = two_folders("darken", options.source, options.out, "_night")
    names = names_below(source)
    darkener = _darkener(options)
    images = {name: path for path, name in names.items()}
    manifest = begin(source, out, RECIPE, _recipe(out, darkener, options), images, options.labels)
    todo = [path for path, name in names.items() if name not in manifest.rows]
    result = Copied(out, before=len(names) - len(todo))
    batches = _batches(_read(todo, names, options.seed, darkener, result), options.batch_size)
    try:
        for image, dark, row in progress(_darkened(batches, darkener), len(todo), "darkening"):
            try:
                _write(image, dark, options, result)
            except Unreadable as problem:  # too large for its format
                result.skipped.append((image.path, str(problem)))
            else:
                manifest.add({"file": image.name, **row})
    except (OSError, UserError) as problem:
        raise interrupted(problem, len(manifest.rows), len(names)) from None
    print("\n".join(result.headlines(f"darkened by {darkener.name}")))
    result.print_skipped()
    return result


def _darkener(options: DarkenOptions) -> DayToNight:
    """The model that --model names. Raises UserError where options of the other one are given."""
    device = pick_device(options.device)
    if options.model == "physical":
        if options.weights is not None:
            raise UserError("--weights: only CUT has any. Add --model cut, or leave the option out.")
        return physical_model(options.severity, device)
    if options.weights is None:
        raise UserError(
            "--model cut: expected its weights, --weights FILE. prepare.py train-darkener makes them from days and nights."
        )
    if options.severity is not None or options.seed:
        raise UserError(
            "--model cut: nothing is drawn, so it has no --severity and no --seed. Leave these options out."
        )
    return cut_model(options.weights, options.most_megapixels * 1e6, device)


def _recipe(out: Path, darkener: DayToNight, options: DarkenOptions) -> dict[str, Any]:
    """What a half-done folder must share to be gone on with. Folders older than --model do not name the model."""
    physical = options.model == "physical"
    drawn = {"seed": options.seed, "severity": options.severity} if physical else {}
    recipe = {**darkener.recipe, **drawn, "quality": options.quality}
    if (out / RECIPE).is_file() and "model" not in load_yaml(out / RECIPE):
        if not physical:
            raise UserError(f"--out {out}: was begun with the physical model, now it is cut. Choose another folder.")
        del recipe["model"]
    return recipe


def _read(
    todo: Sequence[Path], names: dict[Path, str], seed: int, darkener: DayToNight, result: Copied
) -> Iterator[_Image]:
    """The images one after the other; what cannot be read, or is too large, is noted in `result`."""
    for path in todo:
        try:
            pixels, kind = read_image(path)
        except Unreadable as problem:
            result.skipped.append((path, str(problem)))
            continue
        size = pixels.shape[0] * pixels.shape[1]
        if size > darkener.most:
            reason = f"{size / 1e6:.2f} million px, more than --most-megapixels {darkener.most / 1e6:g}"
            result.skipped.append((path, reason))
            continue
        yield _Image(path, names[path], _seed_of(names[path], seed), pixels, kind)


def _seed_of(name: str, seed: int) -> int:
    """An image's own seed, from its name below the source and --seed: the same on every machine, in every order.

    >>> _seed_of("a/1.jpg", 0) == _seed_of("a/1.jpg", 0) != _seed_of("a/1.jpg", 1)
    True
    """
    return int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "big") >> 1


def _batches(images: Iterator[_Image], batch_size: int) -> Iterator[list[_Image]]:
    """Group images of one size; no batch is larger than asked for or than memory likes, and few wait for company."""
    waiting: dict[tuple[int, ...], list[_Image]] = defaultdict(list)
    for image in images:
        shape = image.pixels.shape
        waiting[shape].append(image)
        if len(waiting[shape]) >= min(batch_size, max(1, _MOST_PIXELS // (shape[0] * shape[1]))):
            yield waiting.pop(shape)
        elif sum(p.pixels.size for group in waiting.values() for p in group) > 6 * _MOST_PIXELS:
            yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
    yield from waiting.values()


def _darkened(
    batches: Iterator[list[_Image]], darkener: DayToNight
) -> Iterator[tuple[_Image, NDArray[np.uint8], dict[str, Any]]]:
    """Each image with its dark pixels and its facts for the manifest."""
    for batch in batches:
        stacked = np.stack([image.pixels for image in batch])  # (B, H, W, 3)
        yield from zip(batch, *darkener.work(stacked, [image.seed for image in batch]), strict=True)


def _write(image: _Image, dark: NDArray[np.uint8], options: DarkenOptions, result: Copied) -> None:
    """The dark image and its label; the caller's line in the manifest comes last: what is listed is surely done."""
    target = result.out / image.name
    coded = encode_as(target, dark, options.quality)
    if options.labels:
        copy_label(image.path, target)
    atomic_write(target, coded)
    result.written += 1
    if image.kind:
        result.kinds[image.kind] += 1
