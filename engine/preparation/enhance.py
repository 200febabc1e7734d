"""`prepare.py enhance`: a brightened copy of any image set, resumable, originals untouched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.io.images import Unreadable, read_rgb
from engine.checkpoint.weights import load_weights
from engine.enhancement.enhancer import Enhancer, open_enhancer, trained_scale
from engine.options.common import SHIPPED
from engine.options.prepare import EnhanceOptions
from engine.preparation import copies
from utils.devices import pick_device
from utils.errors import UserError
from utils.files import file_digest, find_weights
from utils.log import LOGGER

NOTE = "enhance.yaml"


def enhance(options: EnhanceOptions) -> copies.CopyResult:
    """Write a brightened copy of every image of --source to --out: same relative name, format and size.

    What manifest.csv lists and is there is not done again, unless its source changed. Unreadable images are skipped
    and listed at the end. Raises UserError for folders that are missing, nested, or hold the result of other options or
    of another source, and for unfit weights.
    """
    source, out = copies.two_folders("enhance", options.source, options.out, "_bright")
    images = copies.names_below(source)
    enhancer = open_enhancer(options.method, options.weights, options.scale, pick_device(options.device), "--method")
    if enhancer is None:
        raise UserError("--method none: there is nothing to do. Choose zero-dce, clahe or gamma.")

    def work(todo: Mapping[str, Path]) -> copies.CopyOutcomes:
        for name, path in todo.items():
            yield copies.CopyOutcome(path, _enhance_one(path, name, enhancer, options, out))

    result = copies.copy_images(source, out, NOTE, _recipe(options), images, work, "enhancing", options.labels)
    LOGGER.info("\n".join(result.headlines(f"brightened by {enhancer.name}")))
    if rows := list(result.rows.values()):
        dark, bright = (sum(float(row[key]) for row in rows) / len(rows) for key in ("mean_before", "mean"))
        LOGGER.info(f"  mean grey value (0-255): {dark:.0f} before, {bright:.0f} after")
    result.print_skipped()
    return result


def _recipe(options: EnhanceOptions) -> dict[str, Any]:
    """The options that decide the bytes: an unfinished folder must share them to be resumed."""
    digest = scale = None
    if options.method == "zero-dce":
        file = find_weights(options.weights or SHIPPED)
        digest = file_digest(file)
        scale = options.scale or trained_scale(load_weights(file).meta)
    kept = {"method": options.method, "scale": scale, "quality": options.quality}
    return {"made by": "prepare.py enhance", **kept, "sha256 of the weights": digest}


def _enhance_one(path: Path, name: str, enhancer: Enhancer, options: EnhanceOptions, out: Path) -> dict[str, Any] | str:
    """Write the image and its label. Returns the row of the manifest, or the reason why the image is skipped."""
    try:
        image, kind = read_rgb(path)
        bright = enhancer.image(image[..., ::-1])[..., ::-1]
        copies.write_copy(bright, out / name, options.quality, copies.label_of(path, options.labels))
    except Unreadable as problem:
        return str(problem)
    means = {"mean_before": round(float(image.mean()), 2), "mean": round(float(bright.mean()), 2)}
    return {"file": name, "kind": kind, **means}
