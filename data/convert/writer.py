"""Writing a converted data set: images/SPLIT/GROUP, labels/SPLIT/GROUP and data.yaml, all of it or nothing."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict
from zlib import crc32

from PIL import Image, ImageOps

from data.config import SPLITS as LABELLED
from data.convert.class_lists import LISTS, ClassTable, same_but_case
from data.convert.items import Box, Item, distinct
from data.io.attributes import write_attributes
from data.io.images import Unreadable, in_threads, probe
from utils.errors import UserError
from utils.files import hidden_folder, load_yaml, save_yaml

SPLITS = ("train", "val", "test")
EXTRA = "extra"  # a split of image-level labels: each box is its whole image
REFERENCE = "reference"  # key and folder of the reference images: no boxes, no label files
WHOLE = (0.0, 0.0, math.inf, math.inf)  # the edges of a box that is its whole image, of whatever size
TAKEN = "another image of the same name was converted already"
LARGEST_SIDE = 10**9  # px; a side stated as longer is a mistake
ASPECT_TOLERANCE = 0.02  # a downscaled copy may round its sides


def _hard_link(source: Path, target: Path) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError as problem:
        if problem.errno != errno.EXDEV:
            raise
        raise UserError(
            "--link hard: needs --out on the same disk as --source. Use --link copy or --link symbolic."
        ) from None


LINKS: dict[str, Callable[[Path, Path], object]] = {
    "copy": shutil.copyfile,
    "hard": _hard_link,
    "symbolic": lambda source, target: os.symlink(os.path.abspath(source), target),
}


def size_mismatch(annotated: tuple[int, int], found: tuple[int, int]) -> str:
    """Why an image of (height, width) px is not the annotated one, perhaps resized; "" where it is."""
    if abs(math.log((annotated[0] / annotated[1]) / (found[0] / found[1]))) <= ASPECT_TOLERANCE + 1 / min(found):
        return ""
    return f"annotated as {annotated[1]} x {annotated[0]} px, but the file is {found[1]} x {found[0]}"


def placing(link: str) -> Callable[[Path, Path], object]:
    """How --link puts a file in its place. Raises UserError for another word."""
    if link not in LINKS:
        raise UserError(f"--link {link}: expected one of {', '.join(LINKS)}.")
    return LINKS[link]


@dataclass
class Summary:
    """What was converted, and what was not."""

    images: int = 0
    boxes: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)  # (file, reason)
    dropped: Counter[str] = field(default_factory=Counter)  # reason -> boxes skipped
    clipped: int = 0  # boxes that reached over the edge
    backgrounds: int = 0  # skipped images without a wanted object
    per_split: Counter[str] = field(default_factory=Counter)  # split -> images
    unlabelled: Counter[str] = field(default_factory=Counter)  # split -> images without labels, counted nowhere above
    notes: list[str] = field(default_factory=list)  # what else there is to know, a sentence each
    things: str = "images"
    boxed: bool = True  # False for a set to classify
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)  # of written images, by their path in the set

    @property
    def reference(self) -> int:
        """How many reference images there are."""
        return self.unlabelled[REFERENCE]

    def lines(self) -> list[str]:
        """The summary in words, one fact a line."""
        counts = ", ".join(f"{split} {count}" for split, count in self.per_split.items())
        boxes = f", {self.boxes} boxes, {self.clipped} of them clipped to the image" if self.boxed else ""
        facts = [f"{self.images} {self.things} ({counts}){boxes}"]
        facts += [f"{count}{' boxes' * self.boxed} skipped: {reason}" for reason, count in self.dropped.items()]
        if self.backgrounds:
            facts.append(f"{self.backgrounds} images without a wanted object skipped (--backgrounds keeps them)")
        if self.boxed and self.per_split.keys() >= {"train", "test"} and "val" not in self.per_split:
            facts.append(
                "no validation part: where data.yaml has no other, its val is the test images (--val-share 0.1 takes a tenth "
                "of the training images instead)"
            )
        facts += [f"{count} {split} images, without labels" for split, count in self.unlabelled.items()]
        facts += self.notes + [f"skipped {file}: {reason}" for file, reason in self.skipped]
        return [line.encode("utf-8", "backslashreplace").decode() for line in facts]  # names can hold half characters


def inside(folder: Path, name: str) -> Path:
    """The file `name` of a data set's folder. Raises ValueError where the name would lead out of it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise ValueError(f"the name {name!r} leads out of the data set's folder")
    return folder.joinpath(*parts)


class Writing(TypedDict, total=False):
    """What converters hand on to `write_yolo`, whose arguments these are."""

    classes: str | None
    link: str
    backgrounds: bool
    val_share: float


def write_yolo(
    items: Sequence[Item], out: Path, summary: Summary, own: str | Sequence[str] = "all", *, classes: str | None = None,
    link: str = "copy", backgrounds: bool = False, val_share: float = 0.0, about: Mapping[str, object] | None = None,
    listed: Iterable[str] = (),
) -> Summary:  # fmt: skip
    """Write the items in the YOLO layout and fill the summary. Images are copied or linked, never changed.

    own: the classes where `classes` does not choose others; see ClassTable. link: copy, hard or symbolic.
    backgrounds: keep images without a wanted object. val_share: fraction of the training images that become `val`, where the
    set has none; which ones follows from their names. about: more keys for data.yaml, of which mappings add to those that
    stand. listed: classes that the original lists, with objects or without, which `classes` may name.
    `out` may hold another converted set of the same classes ("all": of these and more): groups are added to it. Everything
    is built in a hidden folder beside `out` first. Parts of images are cut out and written anew. Raises UserError where
    nothing is left to write or a group already exists.
    """
    place, choice = placing(link), own if classes is None else classes
    items = distinct(held_out(items, val_share, out))
    found = {box.name for item in items for box in item.boxes}
    if isinstance(choice, str) and choice not in LISTS and not found:
        raise _nothing_found(out, summary)
    table = _class_table(choice, found - {""}, listed, out)
    summary.notes += _case_notes(table.names)
    groups = sorted({(item.split, item.group) for item in items})
    places = [out / kind / split / group for split, group in groups for kind in ("images", "labels")]
    content = begun_yaml(out, table.names, places)
    present = {split for split, _ in groups}
    order = dict.fromkeys((*SPLITS, EXTRA, *LABELLED, *sorted(present - {REFERENCE})))
    content.update({split: f"images/{split}" for split in order if split in present})
    _list_references(content, REFERENCE in present)
    if "test" in content:  # training needs a `val`; a set that publishes none is validated on its test images
        content.setdefault("val", content["test"])
    content = {**content, "names": dict(enumerate(table.names)), **_added(content, about or {})}
    with hidden_folder(out) as work:
        written = in_threads(lambda item: _write_item(item, work, table, place, backgrounds), items, "converting")
        for item, result in zip(items, written, strict=True):
            _count(summary, item, result)
        if not summary.images:
            raise _nothing_found(out, summary)
        for kind in ("labels", "images"):  # labels first, so that no image is ever there without its label
            for group_folder in sorted((work / kind).glob("*/*")):
                target = out / group_folder.relative_to(work)
                target.parent.mkdir(parents=True, exist_ok=True)
                group_folder.rename(target)
    write_attributes(out, summary.attributes)
    save_yaml(out / "data.yaml", content)
    return summary


def _added(content: Mapping[str, object], about: Mapping[str, object]) -> dict[str, object]:
    """The further keys of data.yaml; entries of a mapping, such as conditions of splits, join those that stand there."""
    both = {key: (content.get(key), value) for key, value in about.items()}
    return {
        key: {**old, **new} if isinstance(old, Mapping) and isinstance(new, Mapping) else new
        for key, (old, new) in both.items()
    }


def held_out(items: Sequence[Item], share: float, out: Path) -> Sequence[Item]:
    """Items with a fraction of the training ones, one at least but not all, as `val`.

    Raises UserError where there is a val already.
    """
    if not share:
        return items
    if any(item.split == "val" for item in items) or (out / "images/val").exists():
        raise UserError(f"--val-share {share:g}: the data set has validation images of its own. Leave the option out.")
    drawn = [crc32(item.file.encode(errors="surrogateescape")) for item in items]
    numbers = sorted({number for item, number in zip(items, drawn, strict=True) if item.split == "train"})
    count = sum(number / 2**32 < share for number in numbers)
    chosen = set(numbers[: min(max(count, 1), len(numbers) - 1)])  # an image at least on either side
    return [
        replace(item, split="val") if item.split == "train" and number in chosen else item
        for item, number in zip(items, drawn, strict=True)
    ]


def _nothing_found(out: Path, summary: Summary) -> UserError:
    """What to tell the user where there is nothing to write: with the first skipped file, and why most boxes went."""
    first = f" The first, {summary.skipped[0][0]}: {summary.skipped[0][1]}." if summary.skipped else ""
    most = "".join(f" {count} boxes were skipped: {reason}." for reason, count in summary.dropped.most_common(1))
    return UserError(f"{out}: no image with a wanted object was found.{first}{most} Check --source and --classes.")


def _class_table(choice: str | Sequence[str], found: set[str], listed: Iterable[str], out: Path) -> ClassTable:
    """The classes to write: of a set that is converted file by file, those of the files before where all are known."""
    standing = _standing_names(out)
    if choice == "all" and found and found <= set(standing):  # this file need not show every class
        return ClassTable(standing, found)
    return ClassTable(choice, found, {*listed, *standing})


def _standing_names(out: Path) -> list[str]:
    """The classes of the data.yaml that stands in `out`, in order; none where there is no such file."""
    names = load_yaml(out / "data.yaml").get("names") if (out / "data.yaml").is_file() else None
    return [str(name) for name in names.values()] if isinstance(names, dict) else []


def _case_notes(names: Sequence[str]) -> list[str]:
    """What to say of classes that differ in case only, which tools often write for one class."""
    return [
        f"the classes {' and '.join(group)} differ in case only and stay apart; --classes with one of these names joins them"
        for group in same_but_case(names)
    ]


def begun_yaml(out: Path, names: Sequence[str], places: Iterable[Path]) -> dict[str, object]:
    """The data.yaml that stands. Raises UserError where `out` has other classes, or one of the places is taken."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: a file is in the way. Choose another folder.")
    content: dict[str, object] = load_yaml(out / "data.yaml") if (out / "data.yaml").is_file() else {"path": "."}
    standing = content.get("names", dict(enumerate(names)))
    if standing != dict(enumerate(names)):
        new = sorted(set(names) - set(standing.values())) if isinstance(standing, dict) else []
        hint = f" ({', '.join(map(str, new))} not among them)" if new else ""
        raise UserError(
            f"--out {out}: its data.yaml has other classes{hint}. Choose another folder, or convert the file with all "
            "classes first."
        )
    taken = next(filter(os.path.exists, places), None)  # False for an impossible name
    if taken is not None:
        raise UserError(f"{taken} already exists. Remove it to convert again, or choose another --out.")
    return content


def _list_references(content: dict[str, Any], added: bool) -> None:
    """Name the folders of reference images; those of earlier versions, `favoured`, stay beside the one of this one."""
    earlier = content.pop("favoured", content.get(REFERENCE, []))
    folders = earlier if isinstance(earlier, list) else [earlier]
    if added and f"images/{REFERENCE}" not in folders:
        folders = [*folders, f"images/{REFERENCE}"]
    if folders:
        content[REFERENCE] = folders if len(folders) > 1 else folders[0]


def _write_item(
    item: Item, work: Path, table: ClassTable, place: Callable[[Path, Path], object], backgrounds: bool
) -> Summary | str:
    """Write one image and its label; returns its own counts, or the reason why it was skipped."""
    if item.split not in LABELLED:
        reason = place_whole(item.image, work / item.place, place)
        return reason or Summary(unlabelled=Counter({item.split: 1}))
    if not backgrounds and all(table.number(box.name) is None for box in item.boxes):
        return Summary(backgrounds=1, dropped=Counter({"another class": len(item.boxes)} if item.boxes else {}))
    try:
        size = _measure(item)
    except Unreadable as problem:
        return str(problem)
    annotated = item.annotated(size)
    if reason := size_mismatch(annotated, size):
        return reason
    counts = Summary(images=1)
    rows = [row for box in item.boxes if (row := _row(box, annotated, table, counts)) is not None]
    counts.boxes = len(rows)
    if not rows and not backgrounds:
        counts.images, counts.backgrounds = 0, 1
        return counts
    target = work / item.place
    label = (work / "labels" / item.split / item.group / item.file).with_suffix(".txt")
    target.parent.mkdir(parents=True, exist_ok=True)
    label.parent.mkdir(parents=True, exist_ok=True)
    if label.exists():
        return TAKEN
    try:
        _cut(item.image, item.crop, target) if item.crop else place(item.image, target)
    except Unreadable as problem:
        return str(problem)
    label.write_text("".join(rows))
    return counts


def place_whole(image: Path, target: Path, place: Callable[[Path, Path], object]) -> str:
    """Place an image that has no label; returns the reason where it was skipped."""
    try:
        probe(image)
    except Unreadable as problem:
        return str(problem)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return TAKEN
    place(image, target)
    return ""


def _measure(item: Item) -> tuple[int, int]:
    """(height, width) px of what will be written. Raises Unreadable where the image, or the part of it, is not there."""
    height, width = probe(item.image)
    if item.crop is None:
        return height, width
    left, top, right, bottom = item.crop
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise Unreadable(f"its part {list(item.crop)} does not lie in its {width} x {height} px")
    return bottom - top, right - left


def _cut(image: Path, crop: tuple[int, int, int, int], target: Path) -> None:
    """Write a part of an image in the image's own format. Raises Unreadable where it does not decode."""
    try:
        with Image.open(image) as whole:
            how: dict[str, Any] = {"quality": 95, "subsampling": 0} if whole.format == "JPEG" else {}
            part = ImageOps.exif_transpose(whole).crop(crop)
    except (OSError, ValueError, SyntaxError) as problem:
        raise Unreadable(str(problem)) from None
    part.save(target, **how)


def _row(box: Box, size: tuple[int, int], table: ClassTable, counts: Summary) -> str | None:
    """The label row of a box, clipped to the image; None, and counted, where it is skipped."""
    number = table.number(box.name)
    height, width = size
    edges = (box.left, box.top, box.right, box.bottom)
    if edges == WHOLE:
        edges = (0.0, 0.0, float(width), float(height))
    if number is None:
        counts.dropped["another class"] += 1
        return None
    if not all(map(math.isfinite, edges)):
        counts.dropped["not a number"] += 1
        return None
    left, right = (min(max(x, 0.0), width) for x in edges[::2])
    top, bottom = (min(max(y, 0.0), height) for y in edges[1::2])
    if right <= left or bottom <= top:
        counts.dropped["no area inside the image"] += 1
        return None
    counts.clipped += (left, top, right, bottom) != edges
    x, y, w, h = (
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    )
    return f"{number} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n"


def _count(total: Summary, item: Item, result: Summary | str) -> None:
    """Add one image's result to the summary."""
    if isinstance(result, str):
        total.skipped.append((item.image, result))
        return
    total.images += result.images
    total.boxes += result.boxes
    total.clipped += result.clipped
    total.backgrounds += result.backgrounds
    total.unlabelled += result.unlabelled
    total.dropped.update(result.dropped)
    if result.images:
        total.per_split[item.split] += 1
        if item.attributes:
            total.attributes[item.place] = dict(item.attributes)
