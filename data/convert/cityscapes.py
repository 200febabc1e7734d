"""Cityscapes, and its versions in fog and rain, to the YOLO layout: boxes around the polygons of the eight classes.

Sources: Cordts et al., The Cityscapes Dataset (CVPR 2016), cityscapes-dataset.com; fog: Sakaridis et al., Semantic Foggy
Scene Understanding with Synthetic Data (IJCV 2018); rain: Hu et al., Depth-Attentional Features for Single-Image Rain
Removal (CVPR 2019).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from data.convert.class_lists import CITYSCAPES
from data.convert.items import Box, Item
from data.convert.writer import LARGEST_SIDE, REFERENCE, Summary, Writing, write_yolo
from data.io.images import in_threads
from utils.errors import UserError

OBJECTS = {*CITYSCAPES, "caravan", "trailer"}  # labels of single objects; all others are surfaces
ANNOTATION = "_gtFine_polygons.json"
BETAS = ("0.005", "0.01", "0.02")  # 1/m, attenuation of light in fog


class Weather(NamedTuple):
    """Where images of a weather lie, how their names go on after the scene's, and whether every scene has one."""

    folder: str
    ending: str
    whole: bool = True


CLEAR = Weather("leftImg8bit", r"_leftImg8bit\.png")
WEATHERS = {
    "cityscapes": CLEAR,
    "foggy-cityscapes": Weather("leftImg8bit_foggy", r"_leftImg8bit_foggy_beta_{beta}\.png"),
    "rainy-cityscapes": Weather("leftImg8bit_rain", r"_leftImg8bit_rain_.+\.png", whole=False),
}


def convert(
    source: Path, out: Path, *, name: str = "cityscapes", beta: str = "0.02", **writing: Unpack[Writing]
) -> Summary:
    """Convert gtFine and the images of the weather `name` of WEATHERS, parts train and val, found below `source`.

    beta: density of the fog, one of BETAS. With fog and rain, the clear images of the training scenes become
    images/reference where they are there; those of validation scenes never do. Groups, objects marked deleted and other
    classes are skipped and counted. writing: see writer.write_yolo. Raises UserError where nothing can be found or
    written.
    """
    if name not in WEATHERS or beta not in BETAS:
        raise UserError(
            f"--name {name} --beta {beta}: expected one of {', '.join(WEATHERS)}, and one of {', '.join(BETAS)}."
        )
    weather = WEATHERS[name]
    truths, images = _folder(source, "gtFine"), _folder(source, weather.folder)
    scenes = {split: _by_scene(truths / split, re.escape(ANNOTATION)) for split in ("train", "val")}
    ending = weather.ending.format(beta=re.escape(beta))
    summary = Summary()
    items: list[Item] = []
    for split, truth in scenes.items():
        found = _by_scene(images / split, ending)
        if weather.whole:  # else annotations may be alone
            alone = [files[0] for scene, files in truth.items() if scene not in found]
            summary.skipped += [(file, "its image is missing") for file in alone]
        unknown = [file for scene, files in found.items() if scene not in truth for file in files]
        summary.skipped += [(file, "its annotation file is missing") for file in unknown]
        items += [
            replace(item, attributes=attributes_of(name, beta, item.image))
            for item in _items(truth, found, split, f"{name}-{split}", summary)
        ]
    if not items:
        words = ending.replace("\\", "").replace(".+", "...")  # of the pattern
        raise UserError(
            f"{images}: no image there has an annotation in {truths}. Expected train/CITY/SCENE{words}, and "
            f"train/CITY/SCENE{ANNOTATION} there. See docs/data/cityscapes.md."
        )
    if weather is not CLEAR:
        items += _reference(source, scenes, summary)
    return write_yolo(items, out, summary, "cityscapes", **writing)


def attributes_of(name: str, beta: str, image: Path) -> tuple[tuple[str, str], ...]:
    """Weather, density of the fog (beta, 1/m) and city of an image.

    >>> attributes_of("foggy-cityscapes", "0.02", Path("ulm_000000_000019_leftImg8bit_foggy_beta_0.02.png"))
    (('weather', 'fog'), ('fog', '0.02'), ('city', 'ulm'))
    """
    weather = {"foggy-cityscapes": "fog", "rainy-cityscapes": "rain"}.get(name, "clear")
    density = beta if weather == "fog" else "0"
    return ("weather", weather), ("fog", density), ("city", image.name.partition("_")[0])


def _folder(source: Path, name: str) -> Path:
    """The folder of that name in `source`, or in one inside it, as the archives unpack."""
    places = [source / name, *(path / name for path in sorted(source.glob("*")))]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise UserError(
            f"--source {source}: the folder {name} is not in it. Unpack that archive there. See docs/data/cityscapes.md."
        )
    return found


def _by_scene(folder: Path, ending: str) -> dict[str, list[Path]]:
    """Scene (CITY_SEQUENCE_FRAME) -> its files in FOLDER/CITY whose names end so."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*")):
        match = re.fullmatch(f"(.+?){ending}", path.name)
        if match:
            found.setdefault(match[1], []).append(path)
    return found


def _items(
    annotations: Mapping[str, list[Path]], images: Mapping[str, list[Path]], split: str, group: str, summary: Summary
) -> Iterator[Item]:
    """One item per image; all images of a scene have its boxes."""
    shared = [scene for scene in annotations if scene in images]
    files = [annotations[scene][0] for scene in shared]
    for scene, file, content in zip(shared, files, in_threads(_load, files, f"reading {group}"), strict=True):
        if isinstance(content, str):
            summary.skipped.append((file, content))
            continue
        boxes, size = tuple(_boxes(content["objects"], summary)), (content["imgHeight"], content["imgWidth"])
        for image in images[scene]:
            yield Item(image, split, group, boxes, size)


def _load(file: Path) -> dict[str, Any] | str:
    """The content of an annotation file, or the reason why it cannot be used."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        return f"not a readable annotation file ({problem})"
    sides = [content.get(key) for key in ("imgHeight", "imgWidth")] if isinstance(content, dict) else []
    rows = content.get("objects") if isinstance(content, dict) else None
    if not all(isinstance(side, int) and 0 < side <= LARGEST_SIDE for side in sides) or not isinstance(rows, list):
        return "expected imgHeight, imgWidth and a list of objects"
    if not all(isinstance(row, dict) and isinstance(row.get("label"), str) for row in rows):
        return "expected a label in each of its objects"
    return content


def _boxes(rows: list[dict[str, Any]], summary: Summary) -> Iterator[Box]:
    """The single objects of an annotation file; groups and deleted ones are counted, surfaces passed over."""
    for row in rows:
        label = row["label"]
        if label.removesuffix("group") not in OBJECTS:
            continue
        if row.get("deleted"):
            summary.dropped["marked deleted"] += 1
        elif label not in OBJECTS:
            summary.dropped["a group of several objects"] += 1
        else:
            yield _box(label, row.get("polygon"))


def _box(label: str, polygon: Any) -> Box:
    """The box around a polygon [[x, y], ...] in px; not-a-number, which is counted later, where it is none."""
    try:
        across, down = zip(*((float(x), float(y)) for x, y in polygon), strict=True)
    except (TypeError, ValueError, OverflowError):
        return Box(label, *[float("nan")] * 4)
    return Box(label, min(across), min(down), max(across), max(down))


def _reference(source: Path, scenes: Mapping[str, Mapping[str, object]], summary: Summary) -> list[Item]:
    """Clear images of the training scenes that are no validation scene; none, with a note, where there are none."""
    try:
        folder = _folder(source, CLEAR.folder)
    except UserError:
        summary.notes.append(f"without {CLEAR.folder} there are no reference images (images/reference)")
        return []
    clear = _by_scene(folder / "train", CLEAR.ending)
    wanted = sorted(scenes["train"].keys() - scenes["val"].keys())
    return [Item(file, REFERENCE, "cityscapes-train", ()) for scene in wanted for file in clear.get(scene, [])]
