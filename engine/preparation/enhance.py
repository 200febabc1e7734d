"""`prepare.py enhance`: a brightened copy of any image set, resumable, originals untouched."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from data.io.images import Unreadable
from data.io.manifest import Manifest
from engine.checkpoint.weights import load_weights
from engine.enhancement.enhancer import Enhancer, open_enhancer, trained_scale
from engine.options.common import SHIPPED
from engine.options.prepare import EnhanceOptions
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
from utils.files import atomic_write, find_weights
from utils.progress import progress

NOTE = "enhance.yaml"


def enhance(options: EnhanceOptions) -> Copied:
    """Write a brightened copy of every image of --source to --out: same relative name, format and size.

    What manifest.csv lists and is there is not done again, unless its source changed. Unreadable images are left out
    and listed at the end. Raises UserError for folders that are missing, nested, or hold the result of other options or
    of another source, and for unfit weights.
    """
    source, out = two_folders("enhance", options.source, options.out, "_bright")
    names = names_below(source)
    enhancer = open_enhancer(options.method, options.weights, options.scale, pick_device(options.device))
    if enhancer is None:
        raise UserError("--method none: there is nothing to do. Choose zero-dce, clahe or gamma.")
    images = {name: path for path, name in names.items()}
    manifest = begin(source, out, NOTE, _deciding(options), images, options.labels)
    todo = {path: name for path, name in names.items() if name not in manifest.rows}
    result = Copied(out, before=len(names) - len(todo))
    try:
        for path, name in progress(todo.items(), len(todo), "enhancing"):
            _enhance_one(path, name, enhancer, options, manifest, result)
    except (OSError, UserError) as problem:
        raise interrupted(problem, len(manifest.rows), len(names)) from None
    _report(result, manifest, enhancer)
    return result


def _deciding(options: EnhanceOptions) -> dict[str, Any]:
    """The options that decide the bytes: a half-done folder must share them to be gone on with."""
    digest = scale = None
    if options.method == "zero-dce":
        file = find_weights(options.weights or SHIPPED)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        scale = options.scale or trained_scale(load_weights(file).meta)
    kept = {"method": options.method, "scale": scale, "quality": options.quality}
    return {"made by": "prepare.py enhance", **kept, "sha256 of the weights": digest}


def _enhance_one(
    path: Path, name: str, enhancer: Enhancer, options: EnhanceOptions, manifest: Manifest, result: Copied
) -> None:
    """The image, its label, and last its line in the manifest: only what is listed is surely done."""
    target = result.out / name
    try:
        image, kind = read_image(path)
        bright = enhancer.image(image[..., ::-1])[..., ::-1]
        coded = encode_as(target, bright, options.quality)
    except Unreadable as problem:
        result.skipped.append((path, str(problem)))
        return
    if options.labels:
        copy_label(path, target)
    atomic_write(target, coded)
    means = {"mean_before": round(float(image.mean()), 2), "mean": round(float(bright.mean()), 2)}
    manifest.add({"file": name, "kind": kind, **means})
    result.written += 1


def _report(result: Copied, manifest: Manifest, enhancer: Enhancer) -> None:
    """What was done, how much brighter it became, and a line for each image left out."""
    rows = list(manifest.rows.values())
    result.kinds = Counter(row["kind"] for row in rows if row["kind"])
    print("\n".join(result.headlines(f"brightened by {enhancer.name}")))
    if rows:
        dark, bright = (sum(float(row[key]) for row in rows) / len(rows) for key in ("mean_before", "mean"))
        print(f"  mean grey of 255: {dark:.0f} before, {bright:.0f} after")
    result.print_skipped()
