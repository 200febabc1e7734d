"""Faults to plant in copies of data sets: how each is planted, and which finding must name which file (bench/doctor.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from data.io.labels import label_path
from utils.files import load_yaml, save_yaml

Pixels = Any


@dataclass
class Copy:
    """A copy of a data set that faults are planted in; every fault takes images that no other one has."""

    root: Path
    used: set[Path] = field(default_factory=set)

    @property
    def yaml(self) -> Path:
        """Its data YAML."""
        return self.root / "data.yaml"

    def images(self, split: str) -> list[Path]:
        """The images of a folder below images/, by name."""
        return sorted(path for path in (self.root / "images" / split).iterdir() if path.suffix in {".jpg", ".png"})

    def image(self, split: str = "train") -> Path:
        """The next image of a split that has two objects or more and no fault yet."""
        for path in self.images(split):
            label = label_path(path)
            if path not in self.used and label.is_file() and len(label.read_text().split("\n")) > 2:
                self.used.add(path)
                return path
        raise ValueError(f"{self.root}: too few images in {split}")

    def label(self, split: str = "train") -> Path:
        """The label file of such an image."""
        return label_path(self.image(split))

    def add(self, split: str, name: str, file: bytes, rows: str) -> Path:
        """Write another image with its label."""
        path = self.root / "images" / split / name
        path.write_bytes(file)
        label_path(path).write_text(rows)
        self.used.add(path)
        return path

    @property
    def night(self) -> Path:
        """The folder of paired images."""
        return self.root / "images" / "train_night"

    def configure(self, **entries: Any) -> None:
        """Replace entries of the data YAML."""
        save_yaml(self.yaml, load_yaml(self.yaml) | entries)


Plant = Callable[[Copy], Path | None]


class Fault(NamedTuple):
    """One fault: its name, the finding that must name it, and what plants it and returns the file (None: a whole split)."""

    name: str
    finding: str
    plant: Plant


def content(change: Callable[[bytes], bytes]) -> Plant:
    """Change the bytes of an image."""

    def plant(copy: Copy) -> Path:
        path = copy.image()
        path.write_bytes(change(path.read_bytes()))
        return path

    return plant


def resaved(save: Callable[[Image.Image, Path], None]) -> Plant:
    """Save an image in another way under its name."""

    def plant(copy: Copy) -> Path:
        path = copy.image()
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        save(image, path)
        return path

    return plant


def with_orientation(number: int) -> Plant:
    """Mark an image as turned."""

    def save(image: Image.Image, path: Path) -> None:
        exif = Image.Exif()
        exif[274] = number
        image.save(path, quality=95, exif=exif)

    return resaved(save)


def row(change: Callable[[list[str]], list[str]]) -> Plant:
    """Change the rows of a label file."""

    def plant(copy: Copy) -> Path:
        path = copy.label()
        path.write_text("\n".join(change(path.read_text().strip().splitlines())) + "\n")
        return path

    return plant


def with_value(place: int, value: str) -> Plant:
    """Replace one value of the first row."""

    def change(rows: list[str]) -> list[str]:
        words = rows[0].split()
        words[place] = value
        return [" ".join(words), *rows[1:]]

    return row(change)


def again(shift: float = 0.0, cls: int | None = None) -> Callable[[list[str]], list[str]]:
    """Repeat the largest box, moved by a fraction of its width, or of another class."""

    def change(rows: list[str]) -> list[str]:
        words = max((line.split() for line in rows), key=lambda words: float(words[3]) * float(words[4]))
        number = words[0] if cls is None else str((int(words[0]) + cls) % 2)
        x = float(words[1]) + shift * float(words[3])
        return [*rows, f"{number} {x:.6f} {' '.join(words[2:])}"]

    return change


def copied(
    source: str, target: str, change: Callable[[Pixels], Pixels] | None = None, rows: str | None = None
) -> Plant:
    """Put an image of one split into another, its bytes as they are or its pixels changed."""

    def plant(copy: Copy) -> Path:
        path = copy.image(source)
        text = label_path(path).read_text() if rows is None else rows
        file = path.read_bytes() if change is None else encoded(change(cv2.imread(str(path))), ".jpg", 60)
        return copy.add(target, f"copy_of_{path.stem}_{len(copy.used)}.jpg", file, text)

    return plant


def encoded(pixels: Pixels, suffix: str, quality: int = 95) -> bytes:
    """An image (H, W, 3) as a file."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    return bytes(cv2.imencode(suffix, np.ascontiguousarray(pixels), settings)[1])


def brighter(pixels: Pixels) -> Pixels:
    """A fifth brighter."""
    return np.clip(pixels * 1.2, 0, 255).astype(np.uint8)


def half(pixels: Pixels) -> Pixels:
    """At half the size."""
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def orphan(copy: Copy) -> Path:
    """Remove an image and leave its label file."""
    path = copy.image()
    path.unlink()
    return label_path(path)


def unlabelled(copy: Copy) -> Path:
    """Remove a label file and leave its image."""
    path = copy.label()
    path.unlink()
    return path


def latin(copy: Copy) -> Path:
    """A label file in another encoding."""
    path = copy.label()
    path.write_bytes(b"\xe9" + path.read_bytes())
    return path


def blank(copy: Copy) -> Path:
    """An image of one grey."""
    return copy.add("train", "blank.png", encoded(np.full((240, 320, 3), 90, np.uint8), ".png"), "0 0.5 0.5 0.2 0.2\n")


FILES: tuple[Fault, ...] = (
    Fault("JPEG without its second half", "image-truncated", content(lambda b: b[: len(b) // 2])),
    Fault("JPEG without its last 100 bytes", "image-truncated", content(lambda b: b[:-100])),
    Fault("empty file", "image-unreadable", content(lambda b: b"")),
    Fault("HTML page named .jpg", "image-unreadable", content(lambda b: b"<!DOCTYPE html><html>not found</html>")),
    Fault("header overwritten", "image-unreadable", content(lambda b: bytes(200) + b[200:])),
    Fault("GIF named .jpg", "image-unreadable", resaved(lambda image, path: image.save(path, format="GIF"))),
    Fault("PNG named .jpg", "image-format", resaved(lambda image, path: image.save(path, format="PNG"))),
    Fault(
        "WebP named .jpg", "image-format", resaved(lambda image, path: image.save(path, format="WEBP", lossless=True))
    ),
    Fault("EXIF mark: turned by 90 degrees", "image-exif", with_orientation(6)),
    Fault("EXIF mark: mirrored", "image-exif", with_orientation(2)),
    Fault("image of one grey", "image-blank", blank),
    Fault("class number too high", "label-class", with_value(0, "99")),
    Fault("negative class number", "label-class", with_value(0, "-1")),
    Fault("fractional class number", "label-class", with_value(0, "0.5")),
    Fault("class name in place of its number", "label-row", with_value(0, "car")),
    Fault("row of four values", "label-row", row(lambda rows: [" ".join(rows[0].split()[:4]), *rows[1:]])),
    Fault("NaN", "label-row", with_value(3, "nan")),
    Fault("coordinates in pixels", "label-range", with_value(1, "153")),
    Fault("negative width", "label-range", with_value(3, "-0.005")),
    Fault("box without width", "label-no-area", with_value(3, "0")),
    Fault("box over the edge", "label-over-edge", row(lambda rows: [*rows, f"{rows[0].split()[0]} 0.98 0.5 0.2 0.1"])),
    Fault("box doubled, moved by 3 %", "label-doubled", row(again(0.03))),
    Fault("row doubled", "label-doubled", row(again())),
    Fault("box of two classes", "label-two-classes", row(again(0.0, 1))),
    Fault("label file without an image", "label-orphan", orphan),
    Fault("image without a label file", "label-missing", unlabelled),
    Fault("label file not in UTF-8", "label-unreadable", latin),
)
DUPLICATES: tuple[Fault, ...] = (
    Fault("training image copied into val", "leak", copied("train", "val")),
    Fault("the same, encoded anew (quality 60)", "near-leak", copied("train", "val", lambda p: p)),
    Fault("the same at half the size", "near-leak", copied("train", "val", half)),
    Fault("the same, a fifth brighter", "near-leak", copied("train", "val", brighter)),
    Fault("the same, mirrored", "near-leak", copied("train", "val", lambda p: p[:, ::-1])),
    Fault("image twice in train", "duplicate", copied("train", "train")),
    Fault("image twice in train, encoded anew", "near-duplicate", copied("train", "train", lambda p: p)),
    Fault("copy with other labels", "duplicate-conflict", copied("train", "train", rows="0 0.5 0.5 0.3 0.3\n")),
)


def foreign_pair(copy: Copy) -> Path:
    """Put the paired image of another image in place of one."""
    first, second = (copy.night / copy.image().name for _ in range(2))
    first.write_bytes(second.read_bytes())
    return first


def lost_pair(copy: Copy) -> Path:
    """Remove a paired image."""
    path = copy.image()
    (copy.night / path.name).unlink()
    return path


def small_pair(copy: Copy) -> Path:
    """Halve a paired image."""
    path = copy.night / copy.image().name
    path.write_bytes(encoded(half(cv2.imread(str(path))), path.suffix))
    return path


def two_pairs(copy: Copy) -> Path:
    """Give an image two paired images."""
    path = copy.image()
    paired = copy.night / path.name
    paired.with_suffix(".png").write_bytes(encoded(cv2.imread(str(paired)), ".png"))
    return path


PAIRS: tuple[Fault, ...] = (
    Fault("paired image missing", "pair-missing", lost_pair),
    Fault("two paired images", "pair-missing", two_pairs),
    Fault("paired image of half the size", "pair-size", small_pair),
    Fault("paired image of another scene", "pair-content", foreign_pair),
)


def every_image(split: str, change: Callable[[Pixels, np.random.Generator], Pixels]) -> Plant:
    """Change all images of a split."""

    def plant(copy: Copy) -> None:
        generator = np.random.default_rng(0)
        for path in copy.images(split):
            path.write_bytes(encoded(change(cv2.imread(str(path)), generator), path.suffix))

    return plant


def every_row(split: str, change: Callable[[list[str], int], list[str] | None]) -> Plant:
    """Change all rows of a split: (values, number of the image) -> values, or None to remove the row."""

    def plant(copy: Copy) -> None:
        for number, path in enumerate(copy.images(split)):
            label = label_path(path)
            kept = [change(line.split(), number) for line in label.read_text().strip().splitlines()]
            label.write_text("".join(" ".join(words) + "\n" for words in kept if words))

    return plant


def without_class(number: str, after: int = 0) -> Callable[[list[str], int], list[str] | None]:
    """Remove a class from all images but the first `after`."""
    return lambda words, image: None if words[0] == number and image >= after else words


def shrunk(factor: float) -> Callable[[list[str], int], list[str] | None]:
    """Boxes smaller by a factor."""
    return lambda words, image: [*words[:3], *(f"{float(value) / factor:.6f}" for value in words[3:5])]


def one_image(copy: Copy) -> None:
    """A val split of one image."""
    for path in copy.images("val")[1:]:
        path.unlink()
        label_path(path).unlink()


def listed(copy: Copy) -> Path:
    """A list that names an image that does not exist."""
    lost = copy.root / "images" / "val" / "lost.jpg"
    files = [f"./images/val/{path.name}\n" for path in [*copy.images("val"), lost]]
    (copy.root / "val.txt").write_text("".join(files))
    copy.configure(val="val.txt")
    return lost


def noisy(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """White noise of 15 levels."""
    return np.clip(pixels + generator.normal(0, 15, pixels.shape), 0, 255).astype(np.uint8)


def foggy(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Two fifths of transmission before a light grey."""
    return (0.4 * pixels + 0.6 * 215).astype(np.uint8)


SETS: tuple[Fault, ...] = (
    Fault("val darkened to a third", "shift-dark", every_image("val", lambda p, g: (p * 0.33).astype(np.uint8))),
    Fault("val in fog", "shift-haze", every_image("val", foggy)),
    Fault("val blurred by 2 px", "shift-blur", every_image("val", lambda p, g: cv2.GaussianBlur(p, (0, 0), 2))),
    Fault("val with noise of 15 levels", "shift-noise", every_image("val", noisy)),
    Fault("val at half the size", "shift-low-resolution", every_image("val", lambda p, g: half(p))),
    Fault("boxes of val a third as wide", "shift-small-objects", every_row("val", shrunk(3))),
    Fault("boxes of train an eighth as wide", "tiny-objects", every_row("train", shrunk(8))),
    Fault("class 0 removed from val", "class-absent", every_row("val", without_class("0"))),
    Fault("class 0 removed from train", "class-absent", every_row("train", without_class("0"))),
    Fault("class 0 in a few images of train", "class-rare", every_row("train", without_class("0", 6))),
    Fault("val of one image", "split-small", one_image),
    Fault("list with a missing image", "image-missing", listed),
    Fault("'test' names a missing folder", "split-missing", lambda copy: copy.configure(test="images/nowhere")),
    Fault("no 'val'", "split-missing", lambda copy: copy.configure(val=None)),
)
