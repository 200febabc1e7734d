"""`prepare.py darken`: the dark partner of a picture set, resumable, originals untouched."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from data.degrade import LOW_LIGHT_RANGES, low_light_bytes
from data.labels import label_path
from data.probe import Unreadable, probe
from engine.copies import home_of, relative, two_folders
from engine.distributed import pick_device
from engine.options.prepare import DarkenOptions
from utils.files import UserError, atomic_write, list_images, load_yaml, save_yaml
from utils.options import as_dict
from utils.progress import progress

MANIFEST, RECIPE = "manifest.csv", "darken.yaml"
COLUMNS = ("file", "seed", "severity", *LOW_LIGHT_RANGES)
_DECIDING = ("seed", "severity", "quality")  # options that a half-done folder must share to be gone on with
_MOST_PIXELS = 16_000_000  # in one batch; floats of this many take about 2 GB on the way


@dataclass
class Darkened:
    """What was done: pictures written now, done before, and left out with the reason."""

    out: Path
    written: int = 0
    before: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Picture:
    """One picture read: where from, its name below the source, its seed, and its pixels (H, W, 3) in RGB."""

    path: Path
    name: str
    seed: int
    pixels: NDArray[np.uint8]


def darken(options: DarkenOptions) -> Darkened:
    """Write the dark partner of every picture of --source to --out: same relative name, format and size.

    What manifest.csv lists and is there is not done again. Unreadable pictures are left out and listed at the end.
    Raises UserError for folders that are missing, nested, or hold the result of another recipe.
    """
    source, out = two_folders("darken", options.source, options.out, "_night")
    names = {path: relative(path, home_of(source)) for path in list_images(source)}
    _same_recipe(out, options)
    done = _done(out)
    result = Darkened(out)
    todo = [path for path, name in names.items() if name not in done]
    result.before = len(names) - len(todo)
    device = pick_device(options.device)
    batches = _batches(_read(todo, names, options.seed, result), options.batch_size)
    for picture, dark, drawn in progress(_darkened(batches, options, device), len(todo), "darkening"):
        _write(out, picture, dark, drawn, options)
        result.written += 1
    _report(result)
    return result


def _same_recipe(out: Path, options: DarkenOptions) -> None:
    """Note the options in the folder, or compare them with those of the run that is gone on with."""
    recipe = {key: value for key, value in as_dict(options).items() if key in _DECIDING}
    file = out / RECIPE
    if not file.is_file():
        if (out / MANIFEST).is_file():
            raise UserError(f"--out {out}: holds the manifest of something else. Choose another folder.")
        save_yaml(file, recipe)
        return
    stands = load_yaml(file)
    for key, value in recipe.items():
        if stands.get(key) != value:
            raise UserError(
                f"--out {out}: was begun with {key} {stands.get(key)}, now it is {value}. Go on with the first, or "
                "choose another folder."
            )


def _done(out: Path) -> set[str]:
    """Names that the manifest lists and that are there. Lines without a file, or cut short, are taken off."""
    manifest = out / MANIFEST
    if not manifest.is_file():
        return set()
    header, *lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    kept = {
        row[0]: line
        for line, row in zip(lines, csv.reader(lines), strict=True)
        if line.endswith("\n") and (out / row[0]).is_file()
    }
    if len(kept) < len(lines):
        atomic_write(manifest, "".join([header, *kept.values()]).encode())
    return set(kept)


def _read(todo: Sequence[Path], names: dict[Path, str], seed: int, result: Darkened) -> Iterator[_Picture]:
    """The pictures one after the other; what cannot be read is noted in `result`."""
    for path in todo:
        try:
            probe(path)  # OpenCV fills what a truncated file lacks with grey and says nothing
            pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        except (Unreadable, OSError, cv2.error) as problem:
            result.skipped.append((path, str(problem)))
            continue
        if pixels is None:
            result.skipped.append((path, "cannot be decoded"))
            continue
        yield _Picture(path, names[path], _seed_of(names[path], seed), pixels[..., ::-1].astype(np.uint8))


def _seed_of(name: str, seed: int) -> int:
    """A picture's own seed, from its name below the source and --seed: the same on every machine, in every order.

    >>> _seed_of("a/1.jpg", 0) == _seed_of("a/1.jpg", 0) != _seed_of("a/1.jpg", 1)
    True
    """
    return int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "big") >> 1


def _batches(pictures: Iterator[_Picture], batch_size: int) -> Iterator[list[_Picture]]:
    """Group pictures of one size; no batch is larger than asked for or than memory likes, and few wait for company."""
    waiting: dict[tuple[int, ...], list[_Picture]] = defaultdict(list)
    for picture in pictures:
        shape = picture.pixels.shape
        waiting[shape].append(picture)
        if len(waiting[shape]) >= min(batch_size, max(1, _MOST_PIXELS // (shape[0] * shape[1]))):
            yield waiting.pop(shape)
        elif sum(p.pixels.size for group in waiting.values() for p in group) > 6 * _MOST_PIXELS:
            yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
    yield from waiting.values()


def _darkened(
    batches: Iterator[list[_Picture]], options: DarkenOptions, device: torch.device
) -> Iterator[tuple[_Picture, NDArray[np.uint8], dict[str, Any]]]:
    """Each picture with its dark pixels and the parameters that it drew."""
    for batch in batches:
        stacked = torch.from_numpy(np.stack([picture.pixels for picture in batch])).to(device)  # (B, H, W, 3)
        dark, drawn = low_light_bytes(stacked, [picture.seed for picture in batch], options.severity)
        yield from zip(batch, dark.cpu().numpy(), drawn, strict=True)


def _write(
    out: Path, picture: _Picture, dark: NDArray[np.uint8], drawn: dict[str, Any], options: DarkenOptions
) -> None:
    """The dark picture, its label, and last its line in the manifest: only what is listed is surely done."""
    target = out / picture.name
    suffix = {".mpo": ".jpg"}.get(target.suffix.lower(), target.suffix.lower())
    settings = [cv2.IMWRITE_JPEG_QUALITY, options.quality] if suffix in {".jpg", ".jpeg"} else []
    settings = [cv2.IMWRITE_WEBP_QUALITY, options.quality] if suffix == ".webp" else settings
    fine, coded = cv2.imencode(suffix, np.ascontiguousarray(dark[..., ::-1]), settings)
    if not fine:
        raise UserError(f"{target}: OpenCV cannot write {suffix} files here. Convert the source to .png or .jpg first.")
    atomic_write(target, coded.tobytes())
    label = label_path(picture.path)
    if options.labels and label.is_file():
        atomic_write(label_path(target), label.read_bytes())
    row = {"file": picture.name, "seed": picture.seed, **{key: f"{value:.6g}" for key, value in drawn.items()}}
    _append(out / MANIFEST, row)


def _append(manifest: Path, row: dict[str, Any]) -> None:
    new = not manifest.is_file()
    with manifest.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def _report(result: Darkened) -> None:
    """One line of what was done, and a line for each picture left out."""
    before = f", {result.before} were done before" if result.before else ""
    print(f"{result.out}: {result.written} pictures darkened{before}, {len(result.skipped)} left out; see {MANIFEST}.")
    for path, reason in result.skipped:
        print(f"  left out {path}: {reason}")
