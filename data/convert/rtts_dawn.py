"""RTTS and DAWN, real streets in haze, fog, rain, snow and sand, to the YOLO layout. Both are test sets with XML files.

Sources: Li et al., Benchmarking Single-Image Dehazing and Beyond (TIP 2019), the RTTS part of RESIDE; Kenk and
Hassaballah, DAWN: Vehicle Detection in Adverse Weather Nature Dataset (2020), arXiv 2008.05402.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Unpack

from data.convert.items import Item
from data.convert.voc import folder_items
from data.convert.writer import Summary, Writing, write_yolo
from utils.errors import UserError

WEATHERS = ("fog", "rain", "sand", "snow")
NAMES = ("rtts", "dawn")


def convert(
    source: Path, out: Path, *, name: str = "rtts", difficult: bool = False, **writing: Unpack[Writing]
) -> Summary:
    """Convert the unpacked set `name` of NAMES, all of it, as the test part.

    difficult: keep objects marked so. writing: see writer.write_yolo; the classes "cityscapes" are numbered as a
    detector of streets does. Raises UserError where nothing can be found or written.
    """
    if name not in NAMES:
        raise UserError(f"--name {name}: expected one of {', '.join(NAMES)}.")
    summary = Summary()
    items: list[Item] = []
    for group, (xmls, images) in (_rtts(source) if name == "rtts" else _dawn(source)).items():
        weather = (("weather", "haze" if name == "rtts" else group.removeprefix("dawn-")),)
        found = folder_items(xmls, images, group, "test", difficult, summary)
        items += [replace(item, attributes=weather) for item in found]
    return write_yolo(items, out, summary, name, **writing)


def _rtts(source: Path) -> dict[str, tuple[Path, Path]]:
    """Group -> its annotations and its images, which lie in `source` or in one folder inside it."""
    places = [source, *sorted(source.glob("*"))] if source.is_dir() else []
    for place in places:
        if (place / "Annotations").is_dir() and (place / "JPEGImages").is_dir():
            return {"rtts": (place / "Annotations", place / "JPEGImages")}
    raise UserError(
        f"--source {source}: expected RTTS with its folders Annotations and JPEGImages. See docs/data/rtts-dawn.md."
    )


def _dawn(source: Path) -> dict[str, tuple[Path, Path]]:
    """Group -> its folder, twice: the XML files lie in a folder among the images."""
    places = [*sorted(source.glob("*")), *sorted(source.glob("*/*"))] if source.is_dir() else []
    found = {
        weather: next((place for place in places if place.is_dir() and place.name.lower() == weather), None)
        for weather in WEATHERS
    }
    if not any(found.values()):
        raise UserError(
            f"--source {source}: expected DAWN's folders Fog, Rain, Sand and Snow in it. See docs/data/rtts-dawn.md."
        )
    return {f"dawn-{weather}": (folder, folder) for weather, folder in found.items() if folder is not None}
