"""ExDark's own annotation files (Piotr's toolbox, bbGt version 3) to the YOLO layout.

Source: Loh and Chan, Getting to Know Low-light Images with the Exclusively Dark Dataset (CVIU 2019), and the set's page
github.com/cs-chan/Exclusively-Dark-Image-Dataset, folder Groundtruth.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.convert.items import Box, Item
from data.convert.text_annotations import read_rows
from data.convert.writer import Summary, write_yolo
from utils.errors import UserError
from utils.files import files_below, list_images, read_lines
from utils.tables import whole

LIST = "imageclasslist.txt"
FORM = "Class left top width height ..."
SPLITS = {"1": "train", "2": "val", "3": "test"}
LIGHTS = ("Low", "Ambient", "Object", "Single", "Weak", "Strong", "Screen", "Window", "Shadow", "Twilight")  # from 1
PLACES = ("Indoor", "Outdoor")  # from 1


def convert(source: Path, out: Path, *, classes: str | None = None, link: str = "copy") -> Summary:
    """Convert the unpacked ExDark.zip and ExDark_Annno.zip with imageclasslist.txt, all anywhere below `source`.

    The list gives the published splits: 3,000 train, 1,800 val, 2,563 test. classes, link: see writer.write_yolo.
    Raises UserError where the list or the images are missing.
    """
    listing = find_listing(source)
    if listing is None:
        raise UserError(
            f"--source {source}: {LIST} is not in it. It gives the splits; fetch it from the folder Groundtruth of "
            "github.com/cs-chan/Exclusively-Dark-Image-Dataset and put it there. See docs/data/exdark.md."
        )
    summary = Summary()
    items = list(_items(source, listing, summary))
    return write_yolo(items, out, summary, "exdark", classes=classes, link=link, backgrounds=True)


def find_listing(source: Path) -> Path | None:
    """ExDark's list, where it lies anywhere below the folder `source`."""
    return next(iter(files_below(source, LIST)), None) if source.is_dir() else None


def _items(source: Path, listing: Path, summary: Summary) -> Iterator[Item]:
    """One item per line of the list whose image and annotation file are there."""
    annotations = {path.name.lower(): path for path in files_below(source, "*.txt") if path != listing}
    for image, name, _, split, attributes in listed_images(source, listing, summary):
        annotation = annotations.get(f"{name.lower()}.txt") or annotations.get(f"{Path(name).stem.lower()}.txt")
        if annotation is None:
            summary.skipped.append((image, "its annotation file is missing"))
            continue
        found = read_rows(annotation, read_row, FORM)
        if isinstance(found, str):
            summary.skipped.append((annotation, found))
        else:
            yield Item(image, SPLITS[split], image.parent.name, tuple(found[0]), attributes=attributes)


def listed_images(
    source: Path, listing: Path, summary: Summary, classes: int | None = None
) -> Iterator[tuple[Path, str, str, str, tuple[tuple[str, str], ...]]]:
    """(image, its name, class, split, attributes) of each line `name class light in/out split`, as the list says them.

    Images are found by name without case: lists and folders disagree about .JPG and .jpg. classes: how many there are,
    where it matters. Raises UserError for a line of another form.
    """
    images = {path.name.lower(): path for path in list_images(source)}
    for number, line in enumerate(read_lines(listing), 1):
        words = line.split()
        if not words or words[0] == "Name":  # the first line is a heading
            continue
        valid = len(words) == 5 and words[4] in SPLITS
        if not valid or (classes and not 1 <= (whole(words[1]) or 0) <= classes):
            which = f"class of 1 to {classes} and a split" if classes else "split"
            raise UserError(
                f"{listing}:{number}: expected 'name class light in/out split' with a {which} of 1, 2 or 3."
            )
        image = images.get(words[0].lower())
        if image is None:
            summary.skipped.append((source / words[0], "listed, but the image is missing"))
        else:
            yield image, words[0], words[1], words[4], attributes_of(words[2], words[3])


def attributes_of(light: str, place: str) -> tuple[tuple[str, str], ...]:
    """What ExDark's numbers for the kind of light (1 to 10) and the place (1, 2) mean; nothing for any other.

    Source: Loh and Chan, Getting to Know Low-light Images with The Exclusively Dark Dataset (CVIU 2019).

    >>> attributes_of("10", "1")
    (('light', 'Twilight'), ('place', 'Indoor'))
    """
    named = {"light": dict(zip("1 2 3 4 5 6 7 8 9 10".split(), LIGHTS, strict=True)).get(light)}
    named["place"] = dict(zip("12", PLACES, strict=True)).get(place)
    return tuple((name, value) for name, value in named.items() if value)


def read_row(row: str) -> Box | None:
    """The object of a row 'Class left top width height' and flags of a bbGt file; None for its first line '% bbGt ...'.

    Left and top are distances from the image's edge in px. Raises ValueError for anything else.
    """
    words = row.split()
    if words[0].startswith("%"):
        return None
    left, top, width, height = map(float, words[1:5])
    return Box(words[0], left, top, left + width, top + height)
