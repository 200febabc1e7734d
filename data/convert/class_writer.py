"""Writing a converted set to classify: SPLIT/CLASS/IMAGE and data.yaml, all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data.convert.writer import Summary, begun_yaml, place_whole, placing
from data.io.images import in_threads
from utils.errors import UserError
from utils.files import hidden_folder, save_yaml


class ClassImage(NamedTuple):
    """One image, the folder of its split, and its class, which is empty for an image without one."""

    image: Path
    split: str
    name: str = ""


def write_class_folders(
    images: Sequence[ClassImage],
    out: Path,
    summary: Summary,
    *,
    names: Sequence[str],
    keys: Mapping[str, str],
    conditions: Mapping[str, str],
    link: str = "copy",
) -> Summary:
    """Write the images into `out` and fill the summary. They are copied or linked, never changed.

    keys: key of data.yaml -> folder of a split; those whose folder is there are written, with their conditions. `out` may hold
    other splits of the same classes. Everything is built in a hidden folder beside `out` first. Raises UserError where
    nothing is left to write, or a split already exists.
    """
    place = placing(link)
    content = begun_yaml(out, names, (out / split for split in sorted({image.split for image in images})))
    with hidden_folder(out) as work:
        targets = {image: work / image.split / image.name / image.image.name for image in images}
        written = in_threads(lambda image: place_whole(image.image, targets[image], place), images, "converting")
        for image, problem in zip(images, written, strict=True):
            if problem:
                summary.skipped.append((image.image, problem))
            else:
                summary.images += 1
                summary.per_split[image.split] += 1
        if not summary.images:
            first = f" The first, {summary.skipped[0][0]}: {summary.skipped[0][1]}." if summary.skipped else ""
            raise UserError(f"{out}: no image of a wanted class was found.{first} Check --source.")
        out.mkdir(parents=True, exist_ok=True)
        for split in sorted(work.iterdir()):
            split.rename(out / split.name)
    present = {key: folder for key, folder in keys.items() if (out / folder).is_dir()}
    if "unlabeled" in present:
        content.pop("favoured", None)  # the key of earlier versions
    words = {key: conditions[key] for key in present if key in conditions}
    listed = {"names": dict(enumerate(names))}
    save_yaml(out / "data.yaml", {**content, "task": "classify", **present, "conditions": words, **listed})
    return summary
