"""ImageNet-21k folders whose synset is an LVIS class, as image-level labels: one row `class 0.5 0.5 1 1` an image.

Source: Zhou et al., Detecting Twenty-thousand Classes using Image-level Supervision (ECCV 2022), for the subset.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from data.convert.coco import load
from data.convert.lvis import CATEGORIES, read_classes
from data.convert.writer import EXTRA, WHOLE, Box, Item, Summary, write_yolo
from utils.errors import UserError
from utils.files import list_images

WNID = re.compile(r"n\d{8}")
NOUN = 1  # WordNet's number of the part of speech in a sense key


def convert(
    source: Path, out: Path, *, classes: str | None = None, synsets: str | Path | None = None, link: str = "copy"
) -> Summary:
    """Convert a folder of ImageNet's folders (`n02682922/n02682922_1.JPEG`) into the split `extra` of `out`.

    classes: an LVIS json, which names the classes and their synsets. synsets: the table that says which synset a folder
    is, see `read_synsets`. `out` may hold the converted LVIS already. link: see writer.write_yolo. Raises UserError for
    a file that is missing or of another form, and where no folder belongs to a class.
    """
    if classes is None or synsets is None:
        raise UserError(
            "convert imagenet-lvis: needs --classes FILE, an LVIS json such as lvis_v1_train.json, and --synsets FILE, "
            "lines such as 'n02682922 aerosol_can.n.01' or WordNet 3.0's index.sense. See docs/data/lvis.md."
        )
    listed = read_classes(Path(classes), load(Path(classes), {"categories": CATEGORIES}))
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
