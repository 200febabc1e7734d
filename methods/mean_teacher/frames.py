"""`prepare.py frames`: frames of films at even distances, without those that look alike, as unlabelled images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from data.io.images import write_image
from data.io.video import Frame, Undecodable, opened, quiet, read_frames
from data.video.index import video_files
from methods.options.mean_teacher import FramesOptions
from utils.errors import UserError
from utils.files import VIDEO_SUFFIXES, atomic_folder, free_folder, read_lines
from utils.log import LOGGER
from utils.progress import progress
from utils.tables import save_csv

UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
FPS = 25.0  # of a film whose header states none
MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Kept:
    """What was written: the folder, frames by film, and how many were skipped as duplicates."""

    out: Path
    frames: dict[Path, int]
    duplicates: int
    skipped: tuple[tuple[Path, str], ...] = ()


def frames(options: FramesOptions) -> Kept:
    """Write every n-th frame of all films to --out, with a table of where each comes from; all or nothing.

    Raises UserError for options that make no sense, and where no film gives a frame. Films that cannot be decoded are listed.
    """
    if options.source is None or options.out is None:
        raise UserError("prepare.py frames: expected --source FILM and --out DIR.")
    every, in_seconds = period(options.every)
    films = list_films(options.source)
    out = free_folder(options.out)
    known: list[int] = []
    counts, skipped, rows, duplicates = dict.fromkeys(films, 0), [], [], 0
    with quiet(), atomic_folder(out) as work:
        work.mkdir(parents=True)
        for place, film in enumerate(progress(films, len(films), "films")):
            prefix = film.stem if len({one.stem for one in films}) == len(films) else f"{place:04}-{film.stem}"
            try:
                for number, seconds, frame in _sampled(film, every, in_seconds):
                    code = difference_hash(frame)
                    if options.dedupe and any((code ^ other).bit_count() < options.difference for other in known):
                        duplicates += 1
                        continue
                    known.append(code)
                    name = f"{prefix}-{number:07}.jpg"
                    write_image(work / name, np.ascontiguousarray(frame[..., ::-1]), options.quality)
                    rows.append({"file": name, "film": str(film), "frame": number, "seconds": round(seconds, 3)})
                    counts[film] += 1
                    if len(rows) == options.most:
                        break
            except Undecodable as problem:
                skipped.append((film, str(problem)))
            if options.most and len(rows) >= options.most:
                break
        if not rows:
            film, reason = skipped[0] if skipped else (films[0], "no frame of it can be decoded")
            raise UserError(f"--source {film}: {reason}. Check that it plays, or convert it to MP4 (H.264).")
        save_csv(work / MANIFEST, rows)
    _tell(out, len(rows), duplicates, skipped)
    return Kept(out, counts, duplicates, tuple(skipped))


def _tell(out: Path, written: int, duplicates: int, skipped: Sequence[tuple[Path, str]]) -> None:
    for film, reason in skipped:
        LOGGER.warning(f"skipped {film}: {reason}")
    same = f", {duplicates} that looked like one of these were skipped" if duplicates else ""
    LOGGER.info(
        f"{out}: {written} frames{same}.\nName it in the data YAML, 'target: {out}', and train with --method mean-teacher."
    )


def period(text: str) -> tuple[float, bool]:
    """A time such as `2s`, `500ms` or `1min` in seconds, or a number of frames; and whether it is a time.

    >>> period("500ms"), period("30")
    ((0.5, True), (30.0, False))
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)?", text.strip().lower(), re.ASCII)
    number = float(found[1]) if found else 0.0
    whole = found is not None and (found[2] or number == int(number))
    if found is None or number <= 0 or not whole:
        raise UserError(
            f"--every {text}: expected a time such as 2s, 500ms or 1min, or a whole number of frames such as 30."
        )
    return (number * UNITS[found[2]], True) if found[2] else (number, False)


def list_films(source: Path) -> list[Path]:
    """The film, the films of a folder and what is below it, or those of a .txt list, sorted. Raises UserError for none."""
    if source.is_dir():
        films = video_files(source)
        if not films:
            raise UserError(f"--source {source}: holds no film ({' '.join(sorted(VIDEO_SUFFIXES))}).")
        return films
    if not source.is_file():
        raise UserError(f"--source {source}: there is no such film, folder or list. Check the path.")
    if source.suffix.lower() == ".txt":
        return [source.parent / line.strip() for line in read_lines(source) if line.strip()]
    return [source]


def _sampled(film: Path, every: float, in_seconds: bool) -> Iterator[tuple[int, float, Frame]]:
    """(number, seconds, frame) of a film at even distances, as far as it can be decoded."""
    with opened(film) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
        stated = min(max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))), film.stat().st_size)  # a header may claim more
    rate = rate if 0 < rate < 1000 else FPS
    step = max(1.0, every * rate if in_seconds else every)
    numbers = sorted({round(place * step) for place in range(int((stated - 1) / step) + 1)})
    for number, frame in zip(numbers, read_frames(film, numbers), strict=False):
        yield number, number / rate, frame


def difference_hash(frame: Frame) -> int:
    """64 bits: whether each cell of an 8 x 8 grid is brighter than its right neighbour. (H, W, 3) uint8.

    Near-duplicates differ in few bits, whatever their size, brightness or compression.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = (small[:, :-1] > small[:, 1:]).flatten()
    return int("".join("1" if bit else "0" for bit in bits), 2)
