"""`prepare.py slice`: a labelled set of large images, cut into tiles with their part of the labels."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.config import DataConfig, load_data
from data.io.images import in_threads, turned
from data.io.labels import Label, label_path, scan, unreadable
from data.io.pairs import check_pair_sizes, match_pairs
from engine.options.prepare import SliceOptions
from utils.errors import UserError
from utils.files import atomic_folder, free_folder, list_images, save_yaml
from utils.log import LOGGER
from utils.tiles import tile_windows

THINNED = {"train": 0.1, "extra": 0.1}  # split -> fraction of its tiles without an object that is kept by default
_ANY_CLASS = 1_000_000  # --source comes without class names
MOST_PIXELS = 1 << 30  # which OpenCV reads; Pillow stops before
_SUFFIXES, _FORMATS = {"MPO": ".jpg"}, {"MPO": "JPEG"}  # of several images in a file the first is cut


@dataclass
class SliceResult:
    """What became of one split. boxes and parts: objects in the images, and boxes in the tiles."""

    split: str
    images: int = 0
    tiles: int = 0
    empty: int = 0  # tiles without an object among them
    dropped: int = 0  # tiles without an object that were not kept
    boxes: int = 0
    parts: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)  # (image, reason)

    def report(self) -> None:
        """The counts in words, and a line for each skipped image."""
        LOGGER.info(
            f"{self.split}: {self.images} images became {self.tiles} tiles, {self.empty} of them without an object "
            f"({self.dropped} more were dropped); {self.boxes} objects became {self.parts} boxes"
        )
        for path, reason in self.skipped:
            LOGGER.info(f"  skipped {path}: {reason}")


@dataclass(frozen=True)
class _Job:
    """One image to cut. `target`: where below images/ and labels/ its tiles go, their common stem as last part.

    paired: another image that is cut at the same places, and where its tiles go.
    """

    label: Label
    target: Path
    paired: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class _Tile:
    """A part of an image: (x1, y1, x2, y2) px, and its label rows (n, 5) class x y w h, fractions of the part."""

    window: tuple[int, int, int, int]
    rows: NDArray[np.float64]


def slice_set(options: SliceOptions) -> list[SliceResult]:
    """Cut every split of --data, or the images of --source, and write --out; all of it or nothing.

    Raises UserError for missing or unreadable data, an --out that is taken or lies among the images.
    """
    config = _data_of(options)
    out = free_folder(options.out or Path(), *(place for places in config.splits.values() for place in places))
    with atomic_folder(out) as work:
        results = [_slice_split(config, split, work, options) for split in config.splits if split != "pair"]
        if config.names:
            save_yaml(work / "data.yaml", _yaml_content(config))
            if config.federated:
                name = config.federated.name
                LOGGER.info(f"note: {name} is of whole images; on tiles every class counts as annotated")
    for result in results:
        result.report()
    train = f" Train on it with: python train.py --data {out / 'data.yaml'}" if config.names else ""
    LOGGER.info(f"{out} is ready.{train}")
    return results


def _data_of(options: SliceOptions) -> DataConfig:
    """The images by split; --source is a split without a name, in a set without classes."""
    if (options.source is None) == (not options.data) or options.out is None:
        raise UserError("prepare.py slice: expected --out DIR and either --data YAML or --source DIR.")
    if options.source is not None:
        source = options.source.absolute()
        root = source if source.is_dir() else source.parent
        return DataConfig(file=source, root=root, names={}, splits={"": (source,)})
    config = load_data(options.data)
    if config.task != "detect":
        raise UserError(f"--data {options.data}: is for {config.task}; only data sets with boxes can be sliced.")
    return config


def _yaml_content(config: DataConfig) -> dict[str, Any]:
    """The data.yaml of the tiles."""
    written = [split for split in config.splits if split != "pair" or "train" in config.splits]
    content: dict[str, Any] = {"path": ".", **{split: f"images/{split}" for split in written}, "names": config.names}
    content |= {"method": config.method} if config.method != "none" else {}
    content |= {"frequency": list(config.frequency)} if config.frequency else {}
    words = {split: word for split, word in config.conditions.items() if word != split and split in written}
    return content | ({"conditions": words} if words else {})


def _slice_split(config: DataConfig, split: str, work: Path, options: SliceOptions) -> SliceResult:
    """Cut a split, `train` together with its paired images."""
    targets = _targets(config, split)
    found = scan(
        list(targets), len(config.names) or _ANY_CLASS, what=split or str(config.file), most_pixels=MOST_PIXELS
    )
    paired = _paired(config, found.labels) if split == "train" else {}
    lost = unreadable([other for other, _ in paired.values()], MOST_PIXELS)
    result = SliceResult(split or config.root.name, skipped=[*found.skipped, *lost])
    unpaired = {image for image, (other, _) in paired.items() if other in dict(lost)}
    kept = [label for label in found.labels if label.image not in unpaired]
    jobs = [_Job(label, targets[label.image], paired.get(label.image)) for label in kept]
    fraction = THINNED.get(split, 1.0) if options.empty is None else options.empty
    written = in_threads(partial(_slice_image, work=work, fraction=fraction, options=options), jobs, f"cutting {split}")
    for job, tiles in zip(jobs, written, strict=True):
        parts = [len(tile.rows) for tile in tiles if tile]
        result.images += 1
        result.tiles += len(parts)
        result.empty += parts.count(0)
        result.dropped += len(tiles) - len(parts)
        result.boxes += len(job.label.boxes)
        result.parts += sum(parts)
    if not result.tiles:
        raise UserError(f"the '{result.split}' split has no tile to keep. Correct its labels, or give --empty 1.")
    return result


def _targets(config: DataConfig, split: str) -> dict[Path, Path]:
    """Image -> where its tiles go: SPLIT, its folders below the split's own, and its stem."""
    targets: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    places = config.splits[split]
    for number, place in enumerate(places, 1):
        home = Path(split, str(number)) if len(places) > 1 else Path(split)
        for image in list_images(place, None if split == "" else config.root):
            below = image.relative_to(place) if image.is_relative_to(place) else Path(image.name)
            target = home / below.with_suffix("")
            if owners.setdefault(target, image) != image:
                raise UserError(
                    f"{image}: its tiles would have the same names as those of {owners[target]}. Rename one of them."
                )
            targets[image] = target
    return targets


def _paired(config: DataConfig, labels: Sequence[Label]) -> dict[Path, tuple[Path, Path]]:
    """Train image -> its image of the `pair` split, and where that one's tiles go."""
    if "pair" not in config.splits:
        return {}
    targets, images = _targets(config, "pair"), [label.image for label in labels]
    paired = match_pairs(images, targets)
    check_pair_sizes(images, paired)
    return {image: (other, targets[other]) for image, other in zip(images, paired, strict=True)}


def _slice_image(job: _Job, work: Path, fraction: float, options: SliceOptions) -> list[_Tile | None]:
    """Write the tiles of an image; None stands for one without an object that is not kept."""
    tiles: list[_Tile | None] = []
    for tile in cut_label(job.label, options.slice, options.overlap, options.min_visible):
        name = _named(job.target, tile, "").as_posix()
        tiles.append(tile if len(tile.rows) or _chance(f"{options.seed}:{name}") < fraction else None)
    kept = [tile for tile in tiles if tile]
    _write_parts(job.label.image, work / "images", job.target, kept, options.quality)
    if job.paired:
        _write_parts(job.paired[0], work / "images", job.paired[1], kept, options.quality)
    if label_path(job.label.image).is_file():
        _write_labels(work / "labels", job.target, kept)
    return tiles


def cut_label(label: Label, size: int, overlap: float, min_visible: float) -> Iterator[_Tile]:
    """The tiles of an image with the boxes that they show, clipped to them.

    A tile counts an object of which it shows at least `min_visible` of the area, or no less than every other tile.
    """
    height, width = label.shape
    windows = tile_windows(height, width, size, overlap)
    centre, half = label.boxes[:, :2].astype(np.float64), label.boxes[:, 2:].astype(np.float64) / 2
    boxes = np.concatenate([centre - half, centre + half], 1).clip(0, 1) * (width, height, width, height)  # (n, 4) px
    low = np.maximum(boxes[None, :, :2], windows[:, None, :2])  # (t, n, 2)
    high = np.minimum(boxes[None, :, 2:], windows[:, None, 2:])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1).clip(1e-12)
    shown = (high - low).clip(0).prod(2) / areas  # (t, n) fraction of the area
    counts = (shown > 0) & (shown >= np.minimum(min_visible, shown.max(0)) - 1e-9)
    for window, near, far, seen in zip(windows, low, high, counts, strict=True):
        sides = window[2:] - window[:2]
        place = np.concatenate([(near + far) / 2 - window[:2], far - near], 1)[seen] / np.tile(sides, 2)
        x1, y1, x2, y2 = window.tolist()
        yield _Tile((x1, y1, x2, y2), np.concatenate([label.classes[seen], place], 1))


def _named(target: Path, tile: _Tile, suffix: str) -> Path:
    """Where a tile goes: its corner is in its name."""
    return target.with_name(f"{target.name}_{tile.window[0]}_{tile.window[1]}{suffix}")


def _chance(name: str) -> float:
    """A number in [0, 1) that only depends on the name.

    >>> _chance("0:a") == _chance("0:a") != _chance("1:a")
    True
    """
    return int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=6).digest(), "big") / 2**48


def _write_parts(source: Path, home: Path, target: Path, tiles: Sequence[_Tile], quality: int) -> None:
    """Cut the tiles out of an image, in its own format. An image that is a single tile is copied as it is."""
    if not tiles:
        return
    (home / target).parent.mkdir(parents=True, exist_ok=True)
    image, kind = _decoded(source)
    for tile in tiles:
        file = home / _named(target, tile, _SUFFIXES.get(kind, source.suffix))
        if tile.window == (0, 0, *image.size) and kind not in _SUFFIXES:
            shutil.copyfile(source, file)
        else:
            image.crop(tile.window).save(file, format=_FORMATS.get(kind, kind), **_settings(kind, quality))


def _decoded(source: Path) -> tuple[Image.Image, str]:
    """An image, turned as its EXIF mark says, and its format. Raises UserError where it cannot be decoded."""
    try:
        with Image.open(source) as image:
            return turned(image), image.format or ""
    except (OSError, ValueError, SyntaxError) as problem:
        raise UserError(f"{source}: cannot be decoded ({problem}). Remove or replace the image.") from None


def _settings(kind: str, quality: int) -> dict[str, Any]:
    """How a format is written; JPEG with the colours of every pixel, which small objects need."""
    jpeg = {"quality": quality, "subsampling": 0}
    return {"JPEG": jpeg, "MPO": jpeg, "WEBP": {"quality": quality}}.get(kind, {})


def _write_labels(home: Path, target: Path, tiles: Sequence[_Tile]) -> None:
    """One label file per tile, an empty one where there is no object."""
    for tile in tiles:
        file = home / _named(target, tile, ".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = (f"{int(number)} " + " ".join(f"{v:.6f}" for v in place) for number, *place in tile.rows.tolist())
        file.write_text("".join(row + "\n" for row in rows))
