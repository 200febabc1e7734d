"""`prepare.py degrade`: a degraded copy of any labelled set, resumable, originals untouched."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.convert.coco_rescale import CocoSet, ResizedImage
from data.degradations.recipes import Recipe, find_recipe, image_seed
from data.dialects import NAME_FILES
from data.io.images import Unreadable, read_rgb
from data.io.labels import label_path, read_label
from data.io.manifest import MANIFEST
from engine.options.prepare import DegradeOptions
from engine.preparation import copies
from utils.errors import UserError
from utils.files import atomic_write, cores, load_yaml
from utils.log import LOGGER

NOTE = "degrade.yaml"
VERSION = 1  # counts up when the same seed begins to give other bytes
LISTED = 10  # images of each kind that the last lines name; the manifest has all


@dataclass(frozen=True)
class _Job:
    """One image: where it is, its name below the source, the name of the copy, and where its labels come from."""

    path: Path
    name: str
    file: str
    coco: CocoSet | None

    def label(self, shape: tuple[int, int]) -> bytes | None:
        """The label file of an image of (height, width) px, None where it has none.

        Raises Unreadable where the COCO file is about an image of another shape.
        """
        if self.coco is None:
            return copies.label_of(self.path)
        if reason := self.coco.reason_against(self.name, shape):
            raise Unreadable(reason)
        return self.coco.label_text(self.name, shape).encode()


def degrade(options: DegradeOptions) -> copies.CopyResult:
    """Write a degraded copy of every image of --source to --out, with its labels; what is there is not done again.

    Label rows are fractions and copied as they are; a COCO json is scaled. An image whose file changed since is done
    again. Unreadable images are skipped and listed. Raises UserError for folders that are missing, nested, of another
    source or hold something else, an unknown recipe or severity, names that would collide, and a full disk, saying how
    far it came.
    """
    recipe = find_recipe(options.recipe)
    recipe.check(options.severity)
    source, out = copies.two_folders("degrade", options.source, options.out, f"-{options.recipe}".replace(":", "-"))
    jobs = {job.file: job for job in _jobs(source, options)}
    images = {file: job.path for file, job in jobs.items()}

    def work(todo: Mapping[str, Path]) -> copies.CopyOutcomes:
        return _in_threads([jobs[file] for file in todo], options, recipe)

    result = copies.copy_images(source, out, NOTE, _recipe(options), images, work, "degrading")
    try:
        note = _finish(source, list(jobs.values()), options, result)
    except (OSError, UserError) as problem:
        raise copies.interrupted(problem, len(result.rows), len(jobs)) from None
    _report(result, note)
    return result


def _jobs(source: Path, options: DegradeOptions) -> list[_Job]:
    """The images by name. Raises UserError where two would get one name, or one lies outside the source."""
    coco = CocoSet(options.annotations, copies.home_of(source)) if options.annotations else None
    named = {path: name for name, path in (coco.images if coco else copies.names_below(source)).items()}
    jobs = [
        _Job(path, name, Path(name).with_suffix(f".{options.format}").as_posix(), coco) for path, name in named.items()
    ]
    first: dict[str, _Job] = {}
    for job in jobs:
        other = first.setdefault(str(Path(job.file).with_suffix("")), job)
        if other is not job:
            raise UserError(
                f"{job.path}: its copy would have the same name as the copy of {other.path}. Rename one of them."
            )
    return sorted(jobs, key=lambda job: job.file)


def _recipe(options: DegradeOptions) -> dict[str, Any]:
    """The options that decide the bytes: an unfinished folder must share them to be resumed."""
    kept = {key: getattr(options, key) for key in ("recipe", "seed", "severity", "format")}
    kept["annotations"] = options.annotations.name if options.annotations else None
    kept["quality"] = options.quality if options.format == "jpg" else None
    return {"made by": "prepare.py degrade", "version": VERSION, **kept}


def _in_threads(todo: Sequence[_Job], options: DegradeOptions, recipe: Recipe) -> copies.CopyOutcomes:
    """Degrade and write, one image per thread."""
    work = partial(_degrade_one, options=options, recipe=recipe)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(options.workers or cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield from (copies.CopyOutcome(job.path, row) for job, row in zip(todo, pool.map(work, todo), strict=True))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)


def _degrade_one(job: _Job, options: DegradeOptions, recipe: Recipe) -> dict[str, Any] | str:
    """Write one image and its label; returns the manifest's row, or the reason why the image cannot be used."""
    seed = image_seed(job.name, options.seed)
    target = options.out / job.file if options.out else Path(job.file)
    try:
        image, kind = read_rgb(job.path)
        before = image.shape[:2]
        label = job.label((before[0], before[1]))
        degraded = recipe(image, seed, options.severity)
        copies.write_copy(degraded.pixels, target, options.quality, label)
    except Unreadable as problem:
        return str(problem)
    after = degraded.pixels.shape[:2]
    return {
        "file": job.file, "source": job.name, "seed": seed,
        "from_height": before[0], "from_width": before[1], "height": after[0], "width": after[1],
        "kind": kind, "boxes_under_1_px": 0 if label is None else _vanished(label_path(target), after),
        "remarks": "; ".join(degraded.remarks), **degraded.parameters,
    }  # fmt: skip


def _vanished(label: Path, shape: tuple[int, ...]) -> int | str:
    """Boxes narrower or lower than a pixel in an image of (height, width); words where the labels make no sense."""
    try:
        boxes = read_label(label, classes=10**6)[:, 3:5] * np.array([shape[1], shape[0]])
    except UserError:
        return "labels not understood"
    return int((boxes < 1).any(1).sum())


def _finish(source: Path, jobs: Sequence[_Job], options: DegradeOptions, result: copies.CopyResult) -> str:
    """The scaled json, or the set's data.yaml. Returns what there is to say of it, if anything."""
    coco = jobs[0].coco
    if coco is None or options.annotations is None:
        reason = _copy_data_yaml(source, jobs, result.out)
        return f"data.yaml was not copied: {reason}. Write one for the copy." if reason else ""
    made = {}
    for file, row in result.rows.items():
        height, width, *before = (int(row[key]) for key in ("height", "width", "from_height", "from_width"))
        made[row["source"]] = ResizedImage(file, (before[0], before[1]), (height, width))
    content, masks = coco.scaled(made, options.scale_area)
    atomic_write(result.out / options.annotations.name, json.dumps(content).encode())
    return f"{masks} masks (RLE) cannot be scaled and were left out of the json" if masks else ""


def _copy_data_yaml(source: Path, jobs: Sequence[_Job], out: Path) -> str:
    """A whole set's data.yaml fits its copy too, if it speaks of folders of the set alone; else returns the reason.

    Of a set without one, the files of class names are copied.
    """
    file = source / "data.yaml"
    if not file.is_file():
        _copy_name_files(copies.home_of(source), jobs, out)
        return ""
    content = load_yaml(file)
    if content.get("path", ".") not in (".", "./"):
        return f"its path is {content['path']}, not '.'"
    for key in ("train", "val", "test"):
        place = content.get(key, ".")
        if place is not None and not (isinstance(place, str) and _below(out, place) and (out / place).is_dir()):
            return f"its {key} is {place}, which is not a folder of the copy"
    federated = content.get("federated")
    if federated is not None and (reason := _copy_federated(source, str(federated), jobs, out)):
        return reason
    atomic_write(out / "data.yaml", file.read_bytes())
    return ""


def _copy_name_files(home: Path, jobs: Sequence[_Job], out: Path) -> None:
    """The files of class names in the source's folder and in those of its images."""
    folders = dict.fromkeys(folder for job in jobs for folder in Path(job.name).parents)
    for place in (folder / name for folder in folders for name in NAME_FILES):
        if (home / place).is_file():
            atomic_write(out / place, (home / place).read_bytes())


def _copy_federated(source: Path, name: str, jobs: Sequence[_Job], out: Path) -> str:
    """What is known of the images, under the names of their copies. Returns the reason where it cannot be copied."""
    if not _below(source, name):
        return f"its federated is {name}, which lies elsewhere"
    try:
        known = json.loads((source / name).read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        return f"its federated is {name}, which cannot be read as JSON ({problem})"
    if not isinstance(known, dict):
        return f"its federated is {name}, which does not list images by name"
    files = {job.name: job.file for job in jobs}
    renamed = {files.get(image, image): entry for image, entry in known.items()}
    atomic_write(out / name, json.dumps(renamed).encode())
    return ""


def _below(folder: Path, name: str) -> bool:
    """Whether a path relative to a folder stays in it."""
    return not Path(name).is_absolute() and Path(os.path.abspath(folder / name)).is_relative_to(os.path.abspath(folder))


def _report(result: copies.CopyResult, note: str) -> None:
    """What was done, what was not RGB of 8 bits, and what is odd about single images."""
    LOGGER.info("\n".join(result.headlines("degraded")))
    if note:
        LOGGER.info(f"  {note}")
    _list("skipped", [f"{path}: {reason}" for path, reason in result.skipped], len(result.skipped))
    _list("kept, though small", [f"{file}: {row['remarks']}" for file, row in result.rows.items() if row["remarks"]])
    odd = {file: row["boxes_under_1_px"] for file, row in result.rows.items() if row["boxes_under_1_px"] != "0"}
    _list("kept, though boxes are under 1 px", [f"{file}: {count}" for file, count in odd.items()])


def _list(what: str, lines: Sequence[str], most: int = LISTED) -> None:
    """A headline with the number of lines, and the first of them."""
    if lines:
        LOGGER.info(f"  {what}: {len(lines)}")
    for line in lines[:most]:
        LOGGER.info(f"    {line}")
    if len(lines) > most:
        LOGGER.info(f"    and {len(lines) - most} more in {MANIFEST}")
