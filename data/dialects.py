"""Data YAMLs and folders of other tools in this project's words: YOLOv5, Ultralytics, Roboflow, CVAT, Label Studio, WiiD.

Nothing is written: a folder without a YAML is described in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from data.io.manifest import RECORDS
from utils.disk.reading import read_json
from utils.errors import UserError
from utils.files import IMAGE_SUFFIXES, read_lines
from utils.log import LOGGER

ALIASES = {"validation": "val", "valid": "val", "minival": "val", "testing": "test", "training": "train"}
FOREIGN = frozenset(  # keys of other tools without a meaning here
    "roboflow kpt_shape flip_idx kpt_names channels yaml_file license author version description date creator url "
    "val_images info train_info anchors dataset_name".split()
)
ROBOFLOW = frozenset({"train/images", "valid/images", "test/images"})  # which its YAML calls ../train/images, ...
SPLIT_FOLDERS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels", "notes.json")
DARK = ("night", "dark", "low")


def translated(file: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """A YAML's content under this project's keys; classes that only `nc` counts are called class0, class1, ...

    Raises UserError where two keys mean one split.
    """
    result = {str(key): value for key, value in content.items()}
    for alias, key in ALIASES.items():
        if alias not in result:
            continue
        if result.get(key) and alias != "minival":
            raise UserError(f"{file}: '{key}' and '{alias}' are two names of one split. Keep one of them.")
        LOGGER.info(f"{file}: '{alias}' is {'not used beside' if result.get(key) else 'read as'} '{key}'")
        value = result.pop(alias)
        result[key] = result.get(key) or value
    if not result.get("names") and isinstance(result.get("nc"), int) and result["nc"] > 0:
        LOGGER.info(f"{file}: no 'names', so the {result['nc']} classes are called class0, class1, ...")
        result["names"] = [f"class{number}" for number in range(result["nc"])]
    _refuse_keypoints(file, result)
    _note_reversed(file, result)
    return with_conditions(file, result)


def with_conditions(file: Path, content: dict[str, Any]) -> dict[str, Any]:
    """`val: {day: A, night: B}` as `val: A`, `val2: B` and their conditions; so `test`. Raises UserError for too many."""
    result = {**content}
    for split in ("val", "test"):
        parts = content.get(split)
        if not isinstance(parts, dict):
            continue
        keys = [split, *(f"{split}{number}" for number in range(2, 10))]
        if not 0 < len(parts) <= len(keys) or any(content.get(key) for key in keys[1:]):
            raise UserError(
                f"{file}: '{split}' names {len(parts)} conditions; expected one to {len(keys)}, without '{keys[1]}' beside them."
            )
        result |= dict(zip(keys, parts.values(), strict=False))
        words = dict(zip(keys, map(str, parts), strict=False))
        given = result.get("conditions")
        result["conditions"] = {**words, **(given if isinstance(given, dict) else {})}
    return result


def _refuse_keypoints(file: Path, content: Mapping[str, Any]) -> None:
    """Raise UserError for a set of poses: rows of a box and keypoints cannot be told from polygons."""
    if content.get("kpt_shape"):
        raise UserError(
            f"{file}: 'kpt_shape' says that label rows end in keypoints, which would be read as corners of a polygon. Keep the "
            "first five numbers of each row (class x y width height) in a copy of the labels, and remove 'kpt_shape'."
        )


def _note_reversed(file: Path, content: Mapping[str, Any]) -> None:
    """WiiD's published YAML calls the dark images `train` and the day images `train_night`."""
    dark = {key: any(word in str(content.get(key, "")).lower() for word in DARK) for key in ("train", "train_night")}
    if content.get("train_night") and dark["train"] and not dark["train_night"]:
        LOGGER.info(
            f"{file}: 'train' looks like the dark images and 'train_night' like those by day; both get the labels of 'train' and "
            "the same losses, so nothing has to be changed"
        )


def beside(root: Path, entry: str) -> Path:
    """The place of a relative entry below a root: of `../train/images`, `train/images` if that is there.

    Roboflow's own entries mean that folder also where neither exists: it names a test part that an export lacks.
    """
    rest = entry.removeprefix("../")
    if rest == entry or rest.startswith("../"):
        return root / entry
    absent = rest in ROBOFLOW and not (root / entry).exists()
    return root / rest if absent or (root / rest).exists() else root / entry


def describe_folder(folder: Path) -> dict[str, Any]:
    """What a data YAML of a folder with images and YOLO labels would say.

    Understood: images/SPLIT, SPLIT/images, SPLIT, and lists SPLIT.txt (CVAT's YOLO 1.1); a file of class names (classes.txt,
    obj.names, Label Studio's notes.json) in it or in each split (Roboflow's Darknet). Raises UserError where there are no
    images, no names, the parts of a set twice, or other names in another split.
    """
    splits: dict[str, str] = {}
    for split, words in SPLIT_FOLDERS.items():
        found = [
            place
            for word in words
            for place in (f"images/{word}", f"{word}/images", word)
            if _holds_images(folder / place)
        ]
        found = [place for place in found if not any(other.startswith(f"{place}/") for other in found)]
        if len(found) > 1:
            raise UserError(
                f"{folder}: both {found[0]} and {found[1]} hold images for '{split}': are these two data sets? Write a data YAML "
                f"that says which is meant, such as '{split}: {found[0]}' (docs/data/yaml.md)."
            )
        splits |= {split: found[0]} if found else {}
    if not splits and _holds_images(folder / "images"):
        splits = {"train": "images"}
    splits = splits or _lists_in(folder)
    if not splits:
        raise UserError(
            f"{folder}: no data YAML, and no images in images/train, train/images or images. Name a data YAML "
            "(docs/data/yaml.md)."
        )
    return {"path": str(folder), **splits, "names": _class_names(folder, splits.values())}


def _lists_in(folder: Path) -> dict[str, str]:
    """Split -> its list of images."""
    names = {split: [f"{word}.txt" for word in words] for split, words in SPLIT_FOLDERS.items()}
    found = {split: [name for name in each if (folder / name).is_file()] for split, each in names.items()}
    return {split: each[0] for split, each in found.items() if each}


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def _class_names(folder: Path, splits: Collection[str]) -> list[str]:
    """Class names of a folder, or those on which the folders of its splits agree."""
    file = _name_file(folder)
    if file is not None:
        return _names_in(file)
    places = [place for split in splits for place in (folder / split, (folder / split).parent) if place != folder]
    files = list(dict.fromkeys(file for place in places if (file := _name_file(place)) is not None))
    if not files:
        raise UserError(
            f"{folder}: no data YAML, and no file of class names ({', '.join(NAME_FILES)}). Add classes.txt with a name a line, "
            "in the order of their numbers."
        )
    first, *others = ((file, _names_in(file)) for file in files)
    for file, names in others:
        if names != first[1]:
            raise UserError(
                f"{file}: lists the classes {', '.join(names)}, but {first[0]} {', '.join(first[1])}, so a number means two "
                "things. Export the splits with one list, or number the labels of one of them anew."
            )
    return first[1]


def _name_file(folder: Path) -> Path | None:
    return next((folder / name for name in NAME_FILES if (folder / name).is_file()), None)


def _names_in(file: Path) -> list[str]:
    """Class names of a file: a name a line, or Label Studio's categories."""
    if file.suffix != ".json":
        return [line.strip() for line in read_lines(file) if line.strip()]
    try:
        rows = read_json(file)["categories"]
        return [str(row["name"]) for row in sorted(rows, key=lambda row: int(row["id"]))]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UserError(f"{file}: expected Label Studio's 'categories' ({problem}). Add classes.txt instead.") from None


def yaml_in(folder: Path) -> Path | None:
    """The data YAML of a folder: data.yaml, dataset.yaml, or the only one. Raises UserError where there are several others.

    The records of prepare.py's commands are none.
    """
    usual = next(
        (folder / name for name in ("data.yaml", "dataset.yaml", "data.yml") if (folder / name).is_file()), None
    )
    if usual is not None:
        return usual
    found = (path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in RECORDS)
    others = sorted(path for path in found if path.suffix.lower() in {".yaml", ".yml"})
    if len(others) > 1:
        raise UserError(
            f"{folder}: holds several YAML files ({', '.join(path.name for path in others)}). Name one of them."
        )
    return others[0] if others else None
