"""`prepare.py darken`: a dark copy of an image set, resumable, originals untouched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.degradations.recipes import image_seed
from data.degrade import LOW_LIGHT_RANGES
from data.io.images import Pixels, Unreadable, read_rgb
from engine.darkening.translator import DayToNight, cut_model, physical_model
from engine.options.prepare import DarkenOptions
from engine.preparation import copies
from utils.devices import pick_device
from utils.errors import UserError
from utils.files import find_weights, load_yaml
from utils.log import LOGGER

RECIPE = "darken.yaml"
COLUMNS = ("file", "seed", "severity", *LOW_LIGHT_RANGES)  # of the manifest, by the physical model
_MOST_PIXELS = 16_000_000  # in one batch; floats of this many take about 2 GB on the way


class _Image(NamedTuple):
    """One image read: its path, its name below the source, its pixels in RGB, and what it was if not 8-bit RGB."""

    path: Path
    name: str
    pixels: Pixels
    kind: str


def darken(options: DarkenOptions) -> copies.CopyResult:
    """Write a dark copy of every image of --source to --out: same relative name, format and size.

    What manifest.csv lists and is there is not done again, unless its source changed. Unreadable images are skipped
    and listed at the end. Raises UserError for folders that are missing, nested, or hold the result of another recipe or
    of another source, and for unfit weights.
    """
    source, out = copies.two_folders("darken", options.source, options.out, "_night")
    images, model = copies.names_below(source), _model(options)

    def work(todo: Mapping[str, Path]) -> copies.CopyOutcomes:
        skipped: list[copies.CopyOutcome] = []
        for batch in _batches(_read(todo, model, skipped), options.batch_size):
            seeds = [image_seed(image.name, options.seed) for image in batch]
            dark = model.work(np.stack([image.pixels for image in batch]), seeds)
            for image, pixels, row in zip(batch, *dark, strict=True):
                try:
                    copies.write_copy(
                        pixels, out / image.name, options.quality, copies.label_of(image.path, options.labels)
                    )
                except Unreadable as problem:  # too large for its format
                    yield copies.CopyOutcome(image.path, str(problem))
                else:
                    yield copies.CopyOutcome(image.path, {"file": image.name, **row}, image.kind)
        yield from skipped

    result = copies.copy_images(
        source, out, RECIPE, _recipe(out, model, options), images, work, "darkening", options.labels
    )
    LOGGER.info("\n".join(result.headlines(f"darkened by {model.name}")))
    result.print_skipped()
    return result


def _model(options: DarkenOptions) -> DayToNight:
    """The model that --model names. Raises UserError where options of the other one are given."""
    device = pick_device(options.device)
    if options.model == "physical":
        if options.weights is not None:
            raise UserError("--weights: it is for CUT only. Add --model cut, or leave the option out.")
        return physical_model(options.severity, device)
    if options.weights is None:
        raise UserError(
            "--model cut: expected its weights, --weights FILE. prepare.py train-translator makes them from day and night images."
        )
    if options.severity is not None or options.seed:
        raise UserError(
            "--model cut: it is deterministic and has no --severity and no --seed. Leave these options out."
        )
    return cut_model(find_weights(options.weights), options.most_megapixels * 1e6, device)


def _recipe(out: Path, model: DayToNight, options: DarkenOptions) -> dict[str, Any]:
    """What an unfinished folder must share to be resumed. Folders older than --model do not name the model."""
    physical = options.model == "physical"
    drawn = {"seed": options.seed, "severity": options.severity} if physical else {}
    recipe = {**model.recipe, **drawn, "quality": options.quality}
    if (out / RECIPE).is_file() and "model" not in load_yaml(out / RECIPE):
        if not physical:
            raise UserError(f"--out {out}: began with the physical model, now it is cut. Choose another folder.")
        del recipe["model"]
    return recipe


def _read(todo: Mapping[str, Path], model: DayToNight, skipped: list[copies.CopyOutcome]) -> Iterator[_Image]:
    """The images one after the other; what cannot be read, or is too large, is added to `skipped`."""
    for name, path in todo.items():
        try:
            pixels, kind = read_rgb(path)
        except Unreadable as problem:
            skipped.append(copies.CopyOutcome(path, str(problem)))
            continue
        size = pixels.shape[0] * pixels.shape[1]
        if size > model.most:
            reason = f"{size / 1e6:.2f} million px, more than --most-megapixels {model.most / 1e6:g}"
            skipped.append(copies.CopyOutcome(path, reason))
            continue
        yield _Image(path, name, pixels, kind)


def _batches(images: Iterator[_Image], batch_size: int) -> Iterator[list[_Image]]:
    """Group images of one size; no batch exceeds --batch-size or the memory limit, and few images wait for others."""
    waiting: dict[tuple[int, ...], list[_Image]] = defaultdict(list)
    for image in images:
        shape = image.pixels.shape
        waiting[shape].append(image)
        if len(waiting[shape]) >= min(batch_size, max(1, _MOST_PIXELS // (shape[0] * shape[1]))):
            yield waiting.pop(shape)
        elif sum(p.pixels.size for group in waiting.values() for p in group) > 6 * _MOST_PIXELS:
            yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
    yield from waiting.values()
