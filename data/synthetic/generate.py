"""Generate a synthetic data set: its images, labels and films, drawn from a seed in several processes.

Scenes of different splits have different seeds; the same seed gives the same bytes on one version of numpy and OpenCV.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from data.io.images import read_rgb, write_image
from data.io.video import finalize_video
from data.synthetic.actions.scene import save_film
from data.synthetic.registry import DARK, LOWRES, SYNTHETIC, Image, SyntheticSet, find_synthetic
from data.synthetic.render.lighting import night, night_exposure, night_light
from data.synthetic.street.scene import draw, make_street
from utils.errors import UserError
from utils.files import cores, hidden_folder
from utils.progress import progress as shown

VERSION = 1  # counts up when the same seed begins to give other bytes
MARKER = "world.json"  # written last: a folder that holds it is whole
_MANY = 200_000  # scenes per split can have at most: the seeds of splits lie this far apart


class _Job(NamedTuple):
    """One scene to draw: its synthetic data set and split, seed, size, file stem, and folder -> look."""

    synthetic: str
    split: str
    seed: int
    size: tuple[int, int]
    stem: str
    folders: Mapping[str, str]


def make_synthetic(
    name: str,
    root: Path,
    *,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    counts: Mapping[str, int] | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Draw the synthetic data set `name` into the folder `root`: images/SPLIT/*.jpg and labels/SPLIT/*.txt in YOLO's layout.

    size: (width, height) in pixels, multiples of 4, at least 64; counts: scenes per split (default: the data set's own);
    workers: processes (default: one a core). The folder appears whole or not at all. A whole synthetic data set that stands there
    already is left alone. Raises UserError for an unknown name, counts or size, and where `root` holds something else.
    """
    synthetic = find_synthetic(name)
    plan = _plan(synthetic, seed, size, counts)
    root = Path(root)
    if is_complete(root):
        _same_or_error(root, plan, given=size is not None or counts is not None or seed != 0)
        return
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root}: exists and is no synthetic data set. Choose another folder, or move it away.")
    _sweep(root)
    with hidden_folder(root) as partial:
        _build(partial, synthetic, plan, workers, progress)
        _commit(partial, root)


def _sweep(root: Path) -> None:
    """Remove what runs that were killed left beside `root`: hidden folders in which nothing was written for an hour."""
    for left in root.parent.glob(f".{root.name}.*.partial"):
        newest = max(place.stat().st_mtime for place in (left, *left.glob("*/*")))
        if time.time() - newest > 3600:
            shutil.rmtree(left, ignore_errors=True)


def is_complete(root: Path) -> bool:
    """Whether a whole synthetic data set stands in `root`."""
    return (Path(root) / MARKER).is_file()


def _plan(
    synthetic: SyntheticSet, seed: int, size: tuple[int, int] | None, counts: Mapping[str, int] | None
) -> dict[str, Any]:
    """What the marker file will say: all that decides a world's bytes."""
    size = size or synthetic.size
    if min(size) < 64 or any(side % 4 for side in size):
        raise UserError(f"size {size[0]}x{size[1]}: expected width and height of at least 64 pixels, multiples of 4.")
    chosen = {name: split.scenes for name, split in synthetic.splits.items()}
    for split, count in (counts or {}).items():
        if split not in chosen or not 0 <= count <= _MANY:
            raise UserError(f"counts {split}={count}: expected {', '.join(chosen)} with 0 to {_MANY} scenes each.")
        chosen[split] = count
    if not 0 <= seed < 10_000:
        raise UserError(f"seed {seed}: expected 0 to 9999.")
    return {"world": synthetic.name, "version": VERSION, "seed": seed, "size": list(size), "counts": chosen}


def _same_or_error(root: Path, plan: Mapping[str, Any], given: bool) -> None:
    """A standing synthetic data set serves unless the caller asked for another one in so many words."""
    stands = json.loads((root / MARKER).read_text())
    if stands.get("world") == plan["world"] and stands.get("version") != plan["version"]:
        raise UserError(f"{root}: was drawn by another version of this program. Delete it to have it drawn again.")
    if stands.get("world") != plan["world"] or (given and stands != plan):
        shown = ", ".join(f"{key} {value}" for key, value in stands.items()).removeprefix("world ")
        raise UserError(
            f"{root}: holds another synthetic data set ({shown}). Choose another folder, or delete that one."
        )


def _jobs(synthetic: SyntheticSet, plan: Mapping[str, Any]) -> list[_Job]:
    """All scenes; split number k of seed s draws from s * 1,000,000 + k * 200,000 on."""
    jobs = []
    for k, (split, parts) in enumerate(synthetic.splits.items()):
        first, (width, height) = plan["seed"] * 1_000_000 + k * _MANY, parts.size or plan["size"]
        for i in range(plan["counts"][split]):
            jobs.append(_Job(synthetic.name, split, first + i, (width, height), f"{split}{i:05d}", parts.folders))
    return jobs


def _build(folder: Path, synthetic: SyntheticSet, plan: Mapping[str, Any], workers: int | None, progress: bool) -> None:
    """Draw everything into `folder`, the marker last."""
    jobs = _jobs(synthetic, plan)
    for name in {name for split in synthetic.splits.values() for name in split.folders}:
        for kind in (folder,) if synthetic.by_class else (folder / "images", folder / "labels"):
            (kind / name).mkdir(parents=True)
    chunks = [jobs[i : i + 6] for i in range(0, len(jobs), 6)]
    stems = _in_processes(_draw_scenes, [(folder, chunk) for chunk in chunks], workers)
    for _ in shown(stems, len(jobs), f"rendering {synthetic.name}") if progress else stems:
        pass
    _darken(folder, jobs, progress)
    _lower(folder, jobs, plan["seed"], progress)
    (folder / MARKER).write_text(json.dumps(plan, indent=1) + "\n")


def _commit(partial: Path, root: Path) -> None:
    """Put the finished folder in place; if another process was faster, its synthetic data set (the same bytes) stays."""
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()
    try:
        os.rename(partial, root)
    except OSError:
        if not is_complete(root):
            raise


def _in_processes(work: Any, tasks: Sequence[Any], workers: int | None) -> Iterator[Any]:
    """All items of the lists that work(task) returns, in order, from `workers` fresh processes (none for 1).

    Fresh ones, as a fork of a process that holds torch's threads may hang. Where no process can start (a script
    without a main guard), the work is done here.
    """
    workers = min(workers or cores(), len(tasks))
    done = 0
    if workers > 1:
        try:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                for results in pool.map(work, tasks):
                    done += 1
                    yield from results
            return
        except BrokenProcessPool:
            pass
    for task in tasks[done:]:
        yield from work(task)


def _draw_scenes(task: tuple[Path, Sequence[_Job]]) -> list[str]:
    """Draw and write some scenes; returns their names."""
    folder, jobs = task
    cv2.setNumThreads(1)  # one process a core is enough
    for job in jobs:
        _write_scene(folder, job)
    return [job.stem for job in jobs]


def _write_scene(folder: Path, job: _Job) -> None:
    """Write a scene in its looks with its labels, or into the folder of its class. Raises OSError where OpenCV cannot."""
    synthetic = SYNTHETIC[job.synthetic]
    scene = synthetic.splits[job.split].scene or synthetic.scene
    looks, labels = scene(job.seed, job.size, set(job.folders.values()) - {DARK, LOWRES})
    if isinstance(labels, int):
        if DARK in job.folders.values():
            looks[DARK] = _darkened(looks["day"], job.seed)
        for name, look in job.folders.items():
            place = folder / name / synthetic.names[labels]
            place.mkdir(exist_ok=True)
            write, suffix = (save_film, "avi") if looks[look].ndim == 4 else (write_image, "jpg")
            write(place / f"{job.stem}.{suffix}", looks[look])
        return
    rows = "".join(f"{int(row[0])} " + " ".join(f"{v:.6f}" for v in row[1:]) + "\n" for row in labels)
    for name, look in job.folders.items():
        if look in looks:
            write_image(folder / "images" / name / f"{job.stem}.jpg", looks[look])
        (folder / "labels" / name / f"{job.stem}.txt").write_text(rows)


def _darkened(scene: Image, seed: int) -> Image:
    """An image or film of day as a camera would have taken it at night, by a model that knows nothing of the scene's lamps."""
    import torch  # only here, so that the drawing processes of other sets start fast

    from data.degrade import low_light_bytes
    from data.video.low_light import darken_clip

    if scene.ndim == 4:
        return darken_clip(scene, seed)
    return np.asarray(low_light_bytes(torch.from_numpy(scene)[None], [seed])[0][0])


def _darken(folder: Path, jobs: Sequence[_Job], progress: bool) -> None:
    """Fill the folders of look DARK from the day images of the same scenes."""
    pairs = _pairs(jobs, DARK)
    if not pairs:
        return
    import torch  # only here, so that the drawing processes start fast

    from data.degrade import low_light_bytes

    batches = [pairs[i : i + 16] for i in range(0, len(pairs), 16)]
    for batch in shown(batches, len(batches), "darkening the day images") if progress else batches:
        images = np.stack([read_rgb(folder / "images" / light / f"{job.stem}.jpg")[0] for job, _, light in batch])
        dark, _ = low_light_bytes(torch.from_numpy(images), [job.seed for job, _, _ in batch])
        for (job, name, _), image in zip(batch, dark.numpy(), strict=True):
            write_image(folder / "images" / name / f"{job.stem}.jpg", image)


def _lower(folder: Path, jobs: Sequence[_Job], seed: int, progress: bool) -> None:
    """Fill the folders of look LOWRES as `prepare.py degrade --recipe coco-d` would from the folders of day images."""
    pairs = _pairs(jobs, LOWRES)
    if not pairs:
        return
    from data.degradations.recipes import find_recipe, image_seed

    recipe = find_recipe("coco-d")
    for job, low, light in shown(pairs, len(pairs), "degrading the day images") if progress else pairs:
        name = f"{job.stem}.jpg"
        image = recipe(read_rgb(folder / "images" / light / name)[0], image_seed(name, seed)).pixels
        write_image(folder / "images" / low / name, image)


def _pairs(jobs: Sequence[_Job], wanted: str) -> list[tuple[_Job, str, str]]:
    """(scene, a folder of the look `wanted`, the folder of the same scenes by day)."""
    return [(job, made, light) for job in jobs if not SYNTHETIC[job.synthetic].by_class
            for made, look in job.folders.items() if look == wanted
            for light, other in job.folders.items() if other == "day"]  # fmt: skip


def night_clip(
    path: Path,
    *,
    seconds: float = 10.0,
    fps: int = 15,
    size: tuple[int, int] = (400, 300),
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Film a synthetic street at night as .mp4: traffic drives, people and dogs walk; only the noise differs by frame.

    size: (width, height), multiples of 4. The file appears whole or not at all. Raises UserError where it cannot be
    written.
    """
    path, total = Path(path), max(1, round(seconds * fps))
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"{path}: cannot be written ({problem.strerror}). Choose a writable place.") from None
    tasks = [(seed, size, fps, list(range(i, min(i + 5, total)))) for i in range(0, total, 5)]
    writer = cv2.VideoWriter(str(partial), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)  # type: ignore[attr-defined]
    try:
        if not writer.isOpened():
            raise UserError(
                f"{path}: no video can be written there. Expected a writable place and a name ending in .mp4."
            )
        frames = _in_processes(_film, tasks, workers)
        for frame in shown(frames, total, f"filming {path.name}") if progress else frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        finalize_video(partial, path)
    finally:
        writer.release()
        partial.unlink(missing_ok=True)


def _film(task: tuple[int, tuple[int, int], int, Sequence[int]]) -> list[Image]:
    """Some frames of a clip, all exposed as its first one would be."""
    seed, size, fps, numbers = task
    cv2.setNumThreads(1)
    street = make_street(seed, size, moving=True)
    exposure = night_exposure(night_light(draw(street), seed), seed, mean=34)
    return [night(draw(street, i / fps), seed, exposure=exposure, shot=i) for i in numbers]
