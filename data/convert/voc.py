"""Pascal VOC annotation files (XML) to the YOLO layout.

Understood: the VOCdevkit as published (VOC2007, VOC2012: Annotations, JPEGImages, ImageSets/Main), one of its years,
and a plain folder of XML files with the images anywhere in `images`, with lists (train.txt, val.txt, test.txt) at its root or
without. Format: the development kit's documentation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack
from xml.etree.ElementTree import ParseError  # noqa: S405 - the exception alone; files are read by defusedxml

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from data.convert.items import Box, Item
from data.convert.split_folders import folder_split
from data.convert.writer import Summary, Writing, write_yolo
from data.dialects import SPLIT_FOLDERS
from data.io.images import in_threads
from utils.errors import UserError
from utils.files import IMAGE_SUFFIXES, files_below, list_images, read_lines

IMAGES = ("images", "JPEGImages")  # what folders of images are called
LISTS = {"train": "train", "val": "val", "test": "test"}  # split -> its list
TRAINVAL_LISTS = {"train": "trainval", "val": "test"}
EDGES = ("xmin", "ymin", "xmax", "ymax")


def convert(
    source: Path, out: Path, *, images: Path | None = None, difficult: bool = False, trainval: bool = False,
    **writing: Unpack[Writing],
) -> Summary:  # fmt: skip
    """Convert `source` into `out`/{images,labels}/SPLIT/GROUP and data.yaml; returns what was done.

    images: folder of the images, for a plain folder of XML files. difficult: keep objects marked so. trainval: train on
    the lists `trainval`, validate on `test` (the usual VOC protocol), instead of `train` and `val`. writing: see
    writer.write_yolo; all classes by default. Raises UserError where nothing can be found or written.
    """
    summary = Summary()
    places = [source, *sorted(source.glob("*")), *sorted(source.glob("*/*"))] if source.is_dir() else []
    years = [place for place in places if (place / "Annotations").is_dir() and (place / "ImageSets/Main").is_dir()]
    if years:
        lists = {year: _year_lists(year, TRAINVAL_LISTS if trainval else LISTS) for year in years}
        _check_lists(lists, trainval, summary)
        items = [
            item for year, found in lists.items() if found for item in _year_items(year, found, difficult, summary)
        ]
    else:
        items = list(_plain_items(source, images, difficult, summary))
    return write_yolo(items, out, summary, **writing)


def _year_lists(year: Path, names: Mapping[str, str]) -> dict[str, Path]:
    """Split -> its list. One that is missing (VOC2012 has no public test) is passed over."""
    places = {split: year / "ImageSets" / "Main" / f"{name}.txt" for split, name in names.items()}
    return {split: place for split, place in places.items() if place.is_file()}


def _check_lists(lists: Mapping[Path, Mapping[str, Path]], trainval: bool, summary: Summary) -> None:
    """Note years without a wanted list. Raises UserError where no year has one."""
    wanted, others = (TRAINVAL_LISTS, LISTS) if trainval else (LISTS, TRAINVAL_LISTS)
    reasons = {
        year / "ImageSets" / "Main": f"has no {' or '.join(f'{name}.txt' for name in wanted.values())}"
        for year, found in lists.items()
        if not found
    }
    if len(reasons) < len(lists):
        summary.skipped += reasons.items()
        return
    place, reason = next(iter(reasons.items()))
    there = next((file.name for year in lists for file in _year_lists(year, others).values()), None)
    advice = "Add one of them."
    if there and trainval:
        advice = f"There is {there}: leave --trainval out."
    elif there:
        advice = f"There is {there}: --trainval trains on it, and --val-share 0.1 validates on a tenth of that."
    raise UserError(f"{place}: {reason}. {advice}")


def _year_items(year: Path, lists: Mapping[str, Path], difficult: bool, summary: Summary) -> Iterator[Item]:
    """The items of one year, by its lists."""
    images = _by_stem(list_images(year / "JPEGImages"))
    for split, file in lists.items():
        xmls = [_listed(line, year / "Annotations") for line in read_lines(file) if line.strip()]
        yield from _items(xmls, images, year.name, split, difficult, summary)


def _listed(line: str, annotations: Path) -> Path:
    """The annotation file of a line: the whole line is its name where there is such a file, else the first word is."""
    whole, first = (annotations / f"{Path(name).name}.xml" for name in (line.strip(), line.split()[0]))
    return whole if os.path.isfile(whole) else first  # False, not an error, for an impossible name


def _plain_items(source: Path, images: Path | None, difficult: bool, summary: Summary) -> Iterator[Item]:
    """The items of a plain folder. An image in a folder named train, val, valid or test below it belongs to that split."""
    xmls = files_below(source, "*.xml") if source.is_dir() else []
    if not xmls:
        raise UserError(f"--source {source}: holds neither a VOC layout (Annotations, ImageSets/Main) nor XML files.")
    imgs = _by_stem(list_images(images or source))
    lists = root_lists(source)
    if not lists:
        yield from _items(xmls, imgs, "voc", images or source, difficult, summary)
    for split, stems in lists.items():
        yield from _items([xml for xml in xmls if xml.stem.lower() in stems], imgs, "voc", split, difficult, summary)
    listed = {stem for stems in lists.values() for stem in stems}
    summary.skipped += [(xml, "in none of the lists") for xml in xmls if lists and xml.stem.lower() not in listed]


def root_lists(source: Path) -> dict[str, set[str]]:
    """Split -> lower-case stems, by the lists of images at the root of a set or in a folder of lists; none: no lists.

    A list is called as a folder of its split is, such as valid.txt. Lines are names or paths, with or without a suffix;
    what follows a blank is no name.
    """
    places = [source, *(source / name for name in ("ImageSets", "ImageSets/Main", "main", "Main"))]
    for place in places:
        named = {split: [place / f"{word}.txt" for word in words] for split, words in SPLIT_FOLDERS.items()}
        files = {split: [file for file in each if file.is_file()] for split, each in named.items()}
        if any(files.values()):
            lines = {
                split: [line for file in each for line in read_lines(file)] for split, each in files.items() if each
            }
            return {split: {_stem(line) for line in each if line.strip()} for split, each in lines.items()}
    return {}


def _stem(line: str) -> str:
    """The name on a line of a list: of several words the first, unless they end as a file does."""
    name = line.strip().replace("\\", "/").rpartition("/")[2].lower()
    known = {*IMAGE_SUFFIXES, ".xml"}
    name = name if Path(name).suffix in known else name.split()[0]
    return Path(name).stem if Path(name).suffix in known else name


def folder_items(
    annotations: Path, images: Path, group: str, split: str, difficult: bool, summary: Summary
) -> Iterator[Item]:
    """The items of a folder of XML files and a folder of images, both of any depth; unmatched files are listed."""
    found = list_images(images)
    xmls = files_below(annotations, "*.xml")
    named = {xml.stem.lower() for xml in xmls}
    for item in _items(xmls, _by_stem(found), group, split, difficult, summary):
        named.add(item.image.stem.lower())  # an XML file may name its image inside
        yield item
    unmatched = [image for image in found if image.stem.lower() not in named]
    summary.skipped += [(image, "its annotation file is missing") for image in unmatched]


def _by_stem(images: Iterable[Path]) -> dict[str, list[Path]]:
    """Images by stem, without case."""
    found: dict[str, list[Path]] = {}
    for image in images:
        found.setdefault(image.stem.lower(), []).append(image)
    return found


def _items(
    xmls: list[Path], images: dict[str, list[Path]], group: str, split: str | Path, difficult: bool, summary: Summary
) -> Iterator[Item]:
    """One item an annotation file that can be read and has its image. split: or a folder, below which folders name splits."""
    reading = f"reading {group} {split if isinstance(split, str) else ''}".strip()
    for xml, root in zip(xmls, in_threads(_parse, xmls, reading), strict=True):
        if isinstance(root, str):
            summary.skipped.append((xml, root))
            continue
        stated = Path((root.findtext("filename") or "").replace("\\", "/")).stem
        found = _own(xml, images.get(xml.stem.lower()) or images.get(stated.lower()) or [])
        if len(found) != 1:
            summary.skipped.append((xml, "its image is missing" if not found else "several images have its name"))
            continue
        boxes = tuple(_boxes(root, difficult, summary))
        own = split if isinstance(split, str) else folder_split(found[0], split) or "train"
        yield Item(found[0], own, group, boxes, _size(root))


def _own(xml: Path, found: list[Path]) -> list[Path]:
    """Of several images of a name those in the annotation's folder, in a folder of images in it or beside it, or in
    the folder of images that is called as its own; all where none lies there.
    """
    home, outer = xml.parent, xml.parent.parent
    places = [home, *(place / name for place in (home, outer) for name in IMAGES)]
    places += [outer.parent / name / home.name for name in IMAGES]
    near = ([image for image in found if image.parent == place] for place in places)
    return next(filter(None, near), found)


def _parse(xml: Path) -> Any:
    """The root of an annotation file, or the reason why it cannot be read. Entities and external files are refused."""
    try:
        return ElementTree.parse(xml).getroot()
    except FileNotFoundError:
        return "its annotation file is missing"
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as problem:  # the last: its encoding
        return f"not a readable annotation file ({problem})"


def _size(root: Any) -> tuple[int, int] | None:
    """(height, width) as stated; None where it is not, or zero as some tools write."""
    try:
        return int(float(root.findtext("size/height"))), int(float(root.findtext("size/width")))
    except (TypeError, ValueError, OverflowError):
        return None


def _boxes(root: Any, difficult: bool, summary: Summary) -> Iterator[Box]:
    """The objects of an annotation. VOC's own files count pixels from 1 and include the last; other tools' do not."""
    first = 1.0 if (root.findtext("source/database") or "").startswith("The VOC") else 0.0
    for entry in root.findall("object"):
        if not difficult and (entry.findtext("difficult") or "0").strip() == "1":
            summary.dropped["marked difficult (--difficult keeps them)"] += 1
            continue
        name = (entry.findtext("name") or "").strip()
        if not name:
            summary.dropped["without a name"] += 1
            continue
        left, top, right, bottom = (_number(entry.findtext(f"bndbox/{edge}")) for edge in EDGES)
        yield Box(name, left - first, top - first, right, bottom)


def _number(text: str | None) -> float:
    """A coordinate; not-a-number where it is none, which is counted later."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
