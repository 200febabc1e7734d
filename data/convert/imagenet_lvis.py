"""ImageNet-21k folders whose synset is an LVIS class, as image-level labels: one row `class 0.5 0.5 1 1` an image.

Source: Zhou et al., Detecting Twenty-thousand Classes using Image-level Supervision (ECCV 2022), for the subset.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.convert.coco import Entry, load
from data.convert.items import Box, Item
from data.convert.lvis import CATEGORIES, read_classes
from data.convert.writer import EXTRA, WHOLE, Summary, inside, write_yolo
from utils.errors import UserError
from utils.files import list_images

WNID = re.compile(r"n\d{8}")
POSITIVE = "pos_category_ids"
NOUN = 1  # WordNet's number of the part of speech in a sense key


def convert(
    source: Path, out: Path, *, classes: str | None = None, synsets: str | Path | None = None, link: str = "copy"
) -> Summary:
    """Convert a folder of ImageNet's folders (`n02682922/n02682922_1.JPEG`) into the split `extra` of `out`.

    classes: an LVIS json, which names the classes and their synsets; or imagenet_lvis_image_info.json of Detic and
    RichSem, which also lists the images of each class. synsets: for the first, the table that says which synset a folder
    is, see `read_synsets`. `out` may hold the converted LVIS already. link: see writer.write_yolo. Raises UserError for
    a file that is missing or of another form, and where no folder belongs to a class.
    """
    content = load(Path(classes), {"categories": CATEGORIES}) if classes is not None else {}
    if classes is not None and synsets is None and _lists_images(content):
        return _listed_images(source, out, Path(classes), content, link)
    if classes is None or synsets is None:
        raise UserError(
            "convert imagenet-lvis: needs --classes FILE, an LVIS json such as lvis_v1_train.json, and --synsets FILE, "
            "lines such as 'n02682922 aerosol_can.n.01' or WordNet 3.0's index.sense; or imagenet_lvis_image_info.json as "
            "--classes, alone. See docs/data/lvis.md."
        )
    listed = read_classes(Path(classes), content)
    folders = sorted(path for path in source.glob("n*") if path.is_dir() and WNID.fullmatch(path.name))
    if not folders:
        raise UserError(f"--source {source}: expected ImageNet's folders in it, such as n02682922.")
    table = read_synsets(Path(synsets))
    numbers = {synset: number for number, synset in reversed(list(enumerate(listed.synsets)))}
    fits = {folder: [numbers[name] for name in table.get(folder.name, ()) if name in numbers] for folder in folders}
    chosen = {folder: min(found) for folder, found in fits.items() if found}  # the first class where several fit
    if not chosen:
        raise UserError(
            f"--source {source}: none of its {len(folders)} folders is a class of {classes} by {synsets}. Do the table's "
            "wnids and synset names belong to WordNet 3.0, as ImageNet's and LVIS's do?"
        )
    items = [
        Item(image, EXTRA, folder.name, (Box(listed.names[number], *WHOLE),))
        for folder, number in chosen.items()
        for image in (list_images(folder) if any(folder.iterdir()) else [])
    ]
    summary = Summary()
    write_yolo(items, out, summary, listed.names, link=link, about=listed.about)
    summary.notes.append(
        f"{len(chosen)} of {len(folders)} folders belong to a class; {len(set(chosen.values()))} of "
        f"{len(listed.names)} classes have a folder"
    )
    return summary


def _lists_images(content: Mapping[str, Any]) -> bool:
    """Whether a file says which class each image shows. LVIS's own has lists of verified classes instead."""
    rows = content.get("images")
    return isinstance(rows, list) and bool(rows) and isinstance(rows[0], dict) and POSITIVE in rows[0]


def _listed_images(source: Path, out: Path, file: Path, content: dict[str, list[Entry]], link: str) -> Summary:
    """Convert the images that a file lists (`file_name`, `pos_category_ids`); those that are missing are skipped."""
    listed, summary = read_classes(file, content), Summary()
    items = []
    for entry in content["images"]:
        try:
            image = inside(source, str(entry["file_name"]))
            names = [listed.names[listed.numbers[number]] for number in entry[POSITIVE]]
        except (KeyError, TypeError):
            raise UserError(
                f"{file}: expected 'file_name' and '{POSITIVE}', a list of category ids, in each of its images; one has {entry}."
            ) from None
        except ValueError as problem:
            summary.skipped.append((file, str(problem)))
            continue
        items.append(Item(image, EXTRA, image.parent.name, tuple(Box(name, *WHOLE) for name in names)))
    write_yolo(items, out, summary, listed.names, link=link, about=listed.about)
    shown = len({box.name for item in items for box in item.boxes})
    summary.notes.append(f"{file.name} lists {len(items)} images of {shown} of {len(listed.names)} classes")
    return summary


def read_synsets(file: Path) -> dict[str, set[str]]:
    """A table of synsets: wnid -> the names of its synset, such as n02682922 -> {'aerosol.n.02', 'aerosol_can.n.01'}.

    Lines are 'n02682922 aerosol_can.n.01', or those of WordNet's index.sense ('aerosol_can%1:06:00:: 02682922 1 0': a
    sense key, the offset of the synset, the number of the sense), of which nouns count. Empty lines are passed over.
    Raises UserError for a file that is missing, or a line of another form.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as problem:
        raise UserError(f"--synsets {file}: cannot be read as text ({problem}).") from None
    table: dict[str, set[str]] = defaultdict(set)
    for number, line in enumerate(lines, 1):
        words = line.split()
        try:
            pair = _sense(words) if words else None
        except (ValueError, IndexError):
            raise UserError(
                f"{file}:{number}: expected 'n02682922 aerosol_can.n.01', or a line of WordNet's index.sense."
            ) from None
        if pair is not None:
            table[pair[0]].add(pair[1])
    return dict(table)


def _sense(words: list[str]) -> tuple[str, str] | None:
    """wnid and synset of a line of either form; None where it is no noun. Raises ValueError or IndexError for another."""
    if "%" not in words[0]:
        wnid, synset = words
        if not WNID.fullmatch(wnid):
            raise ValueError(wnid)
        return wnid, synset
    lemma, _, key = words[0].partition("%")
    if int(key.split(":")[0]) != NOUN:
        return None
    return f"n{int(words[1]):08}", f"{lemma}.n.{int(words[2]):02}"
