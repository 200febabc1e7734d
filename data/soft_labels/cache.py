"""The teacher cache: what a frozen image-and-text model makes of every object of a training set, kept on the disk.

A folder of four files:
emb.npy      (N, D) float16, a unit row per object, in the order of the labels; memory-mapped
offsets.npy  (images + 1,) int64: objects of image i are the rows offsets[i] .. offsets[i + 1]
text.npy     (C, D) float32, the mean embedding of each class's prompts, not normalised
meta.json    which labels, model, checkpoint, prompts and mode it was made from, and the scale of its logits
While it is being made it is a hidden folder beside its place, with a byte per image in done.npy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.detection.columns import first_indices
from data.io.labels import Label
from data.soft_labels.prompts import prompt_hash
from utils.disk.reading import read_json
from utils.errors import UserError
from utils.files import atomic_write

EMBEDDINGS, OFFSETS, TEXT, META, DONE = "emb.npy", "offsets.npy", "text.npy", "meta.json", "done.npy"
WHAT = {"prompts": "class names or prompts", "short": "size of the images"}  # what errors call an entry of meta.json


@dataclass(frozen=True)
class Meta:
    """What a cache was made from.

    labels, prompts, checkpoint: sha256, as hexadecimal text, labels of several splits joined by '+'; model: its open_clip
    name; mode: `roi` or `crop`; short: px, the shorter side that images are scaled to (0: does not matter); spaces:
    whether underscores of names are read as spaces; scale: the teacher's exp(logit_scale).
    """

    labels: str
    prompts: str
    model: str
    checkpoint: str
    mode: str
    short: int
    spaces: bool
    scale: float


def label_hash(labels: Sequence[Label]) -> str:
    """A hash of the names, sizes, classes and boxes of a split's images, in order; folders do not count.

    The set may be moved to another place, but neither changed nor ordered otherwise.
    """
    digest = sha256()
    for label in labels:
        facts = f"{label.image.name}\n{label.shape[0]} {label.shape[1]} {len(label.classes)}\n"
        digest.update(facts.encode(errors="surrogateescape"))
        digest.update(np.ascontiguousarray(label.classes, "<f4").tobytes())
        digest.update(np.ascontiguousarray(label.boxes, "<f4").tobytes())
    return digest.hexdigest()


class TeacherCache:
    """A finished cache: `rows(ids)` gives embeddings, `text` (C, D) float32 and `meta` the rest.

    Raises UserError where a file is missing, damaged or does not fit the others.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.meta = _read_meta(self.folder)
        self.embeddings = _read_array(self.folder / EMBEDDINGS, np.float16, 2)
        self.offsets = _read_array(self.folder / OFFSETS, np.int64, 1)
        self.text = np.array(_read_array(self.folder / TEXT, np.float32, 2))
        rows, dimensions = self.embeddings.shape
        if not len(self.offsets) or self.offsets[-1] != rows or dimensions != self.text.shape[1]:
            raise _damaged(self.folder, "its files do not belong together")

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.float16]:
        """Unit embeddings (M, D) of objects (M,). Raises IndexError for a row that is not there."""
        if len(ids) and not 0 <= ids.min() <= ids.max() < len(self.embeddings):
            raise IndexError(f"rows {ids.min()} to {ids.max()} of a cache of {len(self.embeddings)}")
        return np.asarray(self.embeddings[ids])

    def check(self, parts: Sequence[Sequence[Label]], names: Sequence[str]) -> None:
        """Raise UserError, naming what differs, where the cache belongs to other labels, class names or prompts.

        parts: labels of the training split, and of the extra images where the run has some. A cache of both serves a
        run with the first alone.
        """
        hashes = [label_hash(part) for part in parts]
        same_labels = self.meta.labels.split("+")[: len(hashes)] == hashes
        same_prompts = self.meta.prompts == prompt_hash(names, spaces=self.meta.spaces)
        if wrong := ["labels"] * (not same_labels) + [WHAT["prompts"]] * (not same_prompts):
            raise UserError(
                f"{self.folder}: this teacher cache was made for other {' and other '.join(wrong)} than this training has. "
                "Make it again with 'python prepare.py teacher', or name the cache of this set."
            )


class CacheWriter:
    """Fill a cache image by image; what is done stays done when the run is broken off.

    with CacheWriter(out, meta, labels, text) as writer:
        for place in writer.missing(): writer.put(place, embeddings)
        writer.finish()
    """

    def __init__(self, out: Path, meta: Meta, labels: Sequence[Label], text: Callable[[], NDArray[np.float32]]) -> None:
        """text: makes (C, D), where it is missing. Raises UserError where `out` is taken, or was begun otherwise."""
        self.out = Path(out).absolute()
        self.work = self.out.with_name(f".{self.out.name}.part")
        if self.out.exists():
            raise UserError(f"--out {out}: already exists. Remove it to make it again, or name another folder.")
        self.offsets = first_indices([len(label.classes) for label in labels])
        if (self.work / META).is_file():
            begun, now = asdict(_read_meta(self.work)), asdict(meta)
            if wrong := [WHAT.get(key, key) for key in now if begun[key] != now[key]]:
                raise UserError(
                    f"{self.work}: was started with another {' and another '.join(wrong)}. Remove that folder, or go on as "
                    "it was begun."
                )
        else:
            self._begin(meta, text())
        self.embeddings = _open(self.work / EMBEDDINGS)
        self.done = _open(self.work / DONE)

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(self, *problem: object) -> None:
        self.keep()

    def _begin(self, meta: Meta, text: NDArray[np.float32]) -> None:
        """Empty files of the right size; the meta comes last, so that one that is there means that all are."""
        shape = (int(self.offsets[-1]), int(text.shape[1]))
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            np.save(self.work / OFFSETS, self.offsets)
            np.save(self.work / TEXT, text.astype(np.float32))
            _empty(self.work / EMBEDDINGS, np.float16, shape)
            _empty(self.work / DONE, np.uint8, (len(self.offsets) - 1,))
        except OSError as problem:
            raise UserError(
                f"{self.work}: cannot be written ({problem.strerror}); {shape[0] * shape[1] * 2 / 1e9:.2f} GB are needed. "
                "Choose a writable location with enough space."
            ) from None
        atomic_write(self.work / META, json.dumps(asdict(meta), indent=1).encode())

    def missing(self) -> list[int]:
        """Places of the images that are still to do."""
        return np.flatnonzero(self.done == 0).tolist()

    def put(self, place: int, embeddings: NDArray[np.floating[Any]]) -> None:
        """Embeddings (objects, D) of an image, of any length. Raises ValueError for another number, 0 or nan."""
        first, last = int(self.offsets[place]), int(self.offsets[place + 1])
        wide = np.asarray(embeddings, np.float32)
        lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
        if wide.shape != (last - first, self.embeddings.shape[1]) or not (np.isfinite(lengths) & (lengths > 0)).all():
            raise ValueError(f"image {place}: embeddings {wide.shape} for {last - first} objects, or not finite")
        self.embeddings[first:last] = wide / lengths
        self.done[place] = 1

    def skip(self, place: int) -> None:
        """Note that an image has no objects."""
        self.put(place, np.zeros((0, self.embeddings.shape[1]), np.float32))

    def keep(self) -> None:
        """Bring all that is done to the disk: rows first, then the marks that say so."""
        for array in (self.embeddings, self.done):
            if isinstance(array, np.memmap):
                array.flush()

    def finish(self) -> TeacherCache:
        """Give the folder its name. Raises ValueError while images are missing."""
        if left := len(self.missing()):
            raise ValueError(f"{left} images are still to do")
        self.keep()
        self.embeddings = self.done = np.zeros(0, np.uint8)  # some systems keep mapped files from being removed
        (self.work / DONE).unlink()
        self.work.rename(self.out)
        return TeacherCache(self.out)


def _empty(path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    """An array of zeros as a file, without having it in memory."""
    if 0 in shape:
        np.save(path, np.zeros(shape, dtype))
    else:
        np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()


def _open(path: Path, mode: Literal["r", "r+"] = "r+") -> NDArray[Any]:
    """An array that stays in its file; one without entries cannot be mapped, and needs not be. Raises UserError."""
    try:
        array = np.load(path, allow_pickle=False, mmap_mode=None if _entries(path) == 0 else mode)
    except OSError as problem:
        raise _damaged(path.parent, f"{path.name}: {problem.strerror or 'cut short'}") from None
    except Exception as problem:  # numpy parses a damaged header as Python, and raises what that raises
        raise _damaged(path.parent, f"{path.name}: {problem!s:.200}") from None
    return np.asanyarray(array)


def _entries(path: Path) -> int:
    """How many numbers the array in a file has, from its header."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        return int(np.prod(np.lib.format.read_array_header_1_0(file)[0]))


def _read_meta(folder: Path) -> Meta:
    try:
        content = read_json(folder / META)
    except (OSError, UnicodeDecodeError, ValueError):
        raise UserError(
            f"{folder}: is not a teacher cache (no readable {META}). Make one with 'python prepare.py teacher'."
        ) from None
    kinds: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": (int, float)}
    expected = {field.name: kinds[str(field.type)] for field in fields(Meta)}
    complete = isinstance(content, Mapping) and content.keys() == expected.keys()
    if not complete or not all(isinstance(content[name], kind) for name, kind in expected.items()):
        raise _damaged(folder, f"{META} lacks entries or has others")
    return Meta(**content)


def _read_array(path: Path, dtype: type, axes: int) -> NDArray[Any]:
    """An array that stays on the disk. Raises UserError where it is missing, cut short or of another kind."""
    array = _open(path, "r")
    if array.dtype != dtype or array.ndim != axes:
        raise _damaged(path.parent, f"{path.name} is {array.dtype} with {array.ndim} axes")
    return array


def _damaged(folder: Path, reason: str) -> UserError:
    return UserError(f"{folder}: damaged teacher cache ({reason}). Make it again with 'python prepare.py teacher'.")
