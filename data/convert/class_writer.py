"""Writing a converted set to classify: SPLIT/CLASS/IMAGE and data.yaml, all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from data.convert.writer import LINKS, Summary, place_whole, printable
from data.io.images import in_threads
from utils.errors import UserError
from utils.files import hidden_folder, load_yaml, save_yaml


class ClassImage(NamedTuple):
    """One image, the folder of its split, and its class, which is empty for an image without one."""

    image: Path
    split: str
    name: str = ""

    @property
    def place(self) -> Path:
        """Where it belongs in the set."""
        return Path(self.split, self.name, self.image.name)


@dataclass
class ClassSummary(Summary):
    """What was converted, where there are no boxes."""

    def lines(self) -> list[str]:
        """The summary in words, one fact a line."""
        counts = ", ".join(f"{split} {count}" for split, count in self.per_split.items())
        facts = [f"{self.images} images ({counts})"]
        facts += [f"{count} skipped: {reason}" for reason, count in self.dropped.items()]
        return printable(facts + self.notes + [f"skipped {file}: {reason}" for file, reason in self.skipped])


def write_class_folders(
    images: Sequence[ClassImage],
    out: Path,
    summary: ClassSummary,
    *,
    names: Sequence[str],
    keys: Mapping[str, str],
    conditions: Mapping[str, str],
    link: str = "copy",
) -> ClassSummary:
    """Write the images into `out` and fill the summary. They are copied or linked, never changed.

    keys: key of data.yaml -> folder of a split; those whose folder is there are written, with their conditions. `out` may hold
    other splits of the same classes. Everything is built in a hidden folder beside `out` first. Raises UserError where
    nothing is left to write, or a split is there already.
    """
    if link not in LINKS:
        raise UserError(f"--link {link}: expected one of {', '.join(LINKS)}.")
    content = _checked_yaml(out, names, {image.split for image in images})
    with hidden_folder(out) as work:
        place = LINKS[link]
        written = in_threads(lambda image: place_whole(image.image, work / image.place, place), images, "converting")
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
    words = {key: conditions[key] for key in present if key in conditions}
    listed = {"names": dict(enumerate(names))}
    save_yaml(out / "data.yaml", {**content, "task": "classify", **present, "conditions": words, **listed})
    return summary


def _checked_yaml(out: Path, names: Sequence[str], splits: set[str]) -> dict[str, object]:
    """The data.yaml as it is. Raises UserError where `out` holds other classes or one of the splits already."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: a file is in the way. Choose another folder.")
    content: dict[str, object] = load_yaml(out / "data.yaml") if (out / "data.yaml").is_file() else {"path": "."}
    if content.get("names", dict(enumerate(names))) != dict(enumerate(names)):
        raise UserError(f"--out {out}: its data.yaml has other classes. Choose another folder.")
    taken = next((out / split for split in sorted(splits) if (out / split).exists()), None)
    if taken is not None:
        raise UserError(f"{taken} is there already. Remove it to convert again, or choose another --out.")
    return content
