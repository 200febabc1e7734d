"""`prepare.py enhance`: a brightened copy of any picture set, resumable, originals untouched."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.labels import label_path
from data.manifest import MANIFEST, Manifest
from data.probe import Unreadable
from engine.copies import encode_as, home_of, refuse_taken_labels, relative, two_folders
from engine.distributed import pick_device
from engine.enhance import REPOSITORY, Enhancer, open_enhancer, trained_scale
from engine.options.enhance import SHIPPED
from engine.options.prepare_enhance import EnhanceOptions
from engine.prepare_degrade import read_picture
from engine.weights import load_weights
from utils.files import UserError, atomic_write, find_file, list_images
from utils.progress import progress

NOTE = "enhance.yaml"


@dataclass
class Enhanced:
    """What was done: pictures written now, done before, and left out with the reason."""

    out: Path
    written: int = 0
    before: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def enhance(options: EnhanceOptions) -> Enhanced:
    """Write a brightened copy of every picture of --source to --out: same relative name, format and size.

    What manifest.csv lists and is there is not done again. Unreadable pictures are left out and listed at the end.
    Raises UserError for folders that are missing, nested, or hold the result of other options, and for unfit weights.
    """
    source, out = two_folders("enhance", options.source, options.out, "_bright")
    home = home_of(source)
    names = {path: relative(path, home) for path in list_images(source)}
    enhancer = open_enhancer(options.method, options.weights, options.scale, pick_device(options.device))
    if enhancer is None:
        raise UserError("--method none: there is nothing to do. Choose zero-dce, clahe or gamma.")
    if options.labels and not (out / NOTE).is_file():
        refuse_taken_labels(out, names.values())
    manifest = Manifest(out, NOTE, _deciding(options))
    todo = {path: name for path, name in names.items() if name not in manifest.rows}
    result = Enhanced(out, before=len(names) - len(todo))
    try:
        for path, name in progress(todo.items(), len(todo), "enhancing"):
            _enhance_one(path, name, enhancer, options, manifest, result)
    except (OSError, UserError) as problem:
        raise UserError(_interrupted(problem, len(manifest.rows), len(names))) from None
    _report(result, manifest, enhancer)
    return result


def _deciding(options: EnhanceOptions) -> dict[str, Any]:
    """The options that decide the bytes: a half-done folder must share them to be gone on with."""
    digest = scale = None
    if options.method == "zero-dce":
        file = find_file(options.weights or SHIPPED, REPOSITORY / "weights")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        scale = options.scale or trained_scale(load_weights(file).meta)
    kept = {"method": options.method, "scale": scale, "quality": options.quality}
    return {"made by": "prepare.py enhance", **kept, "sha256 of the weights": digest}


def _enhance_one(
    path: Path, name: str, enhancer: Enhancer, options: EnhanceOptions, manifest: Manifest, result: Enhanced
) -> None:
    """The picture, its label, and last its line in the manifest: only what is listed is surely done."""
    try:
        picture, kind = read_picture(path)
    except Unreadable as problem:
        result.skipped.append((path, str(problem)))
        return
    target = result.out / name
    bright = enhancer.picture(picture[..., ::-1])[..., ::-1]
    coded = encode_as(target, bright, options.quality)
    label = label_path(path)
    if options.labels and label.is_file():
        atomic_write(label_path(target), label.read_bytes())
    atomic_write(target, coded)
    means = {"mean_before": round(float(picture.mean()), 2), "mean": round(float(bright.mean()), 2)}
    manifest.add({"file": name, "kind": kind, **means})
    result.written += 1


def _interrupted(problem: Exception, done: int, total: int) -> str:
    """How far it came, and how to go on."""
    reason = str(problem) if isinstance(problem, UserError) else f"{problem.args[-1]}."
    return f"{reason} {done} of {total} pictures are done; once that is put right, the same command goes on from there."


def _report(result: Enhanced, manifest: Manifest, enhancer: Enhancer) -> None:
    """What was done, how much brighter it became, and a line for each picture left out."""
    before = f", {result.before} were done before" if result.before else ""
    print(
        f"{result.out}: {result.written} pictures brightened by {enhancer.name}{before}, {len(result.skipped)} left out; "
        f"see {MANIFEST}."
    )
    rows = list(manifest.rows.values())
    if rows:
        dark, bright = (sum(float(row[key]) for row in rows) / len(rows) for key in ("mean_before", "mean"))
        print(f"  mean grey of 255: {dark:.0f} before, {bright:.0f} after")
    kinds = Counter(row["kind"] for row in rows if row["kind"])
    if kinds:
        print(f"  read as RGB of 8 bits: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
    for path, reason in result.skipped:
        print(f"  left out {path}: {reason}")
