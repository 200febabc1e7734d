"""data.convert.duplicates: one image in several rows, under several names, in several splits."""

from __future__ import annotations

from pathlib import Path

from data.convert.duplicates import joined
from data.convert.items import Box, Item
from data.convert.writer import Summary

CAT, DOG = Box("cat", 0, 0, 4, 4), Box("dog", 1, 1, 5, 5)


def item(image: Path, *boxes: Box, split: str = "train", size: tuple[int, int] = (8, 8)) -> Item:
    return Item(image, split, "g", boxes, size)


def test_rows_of_one_image_are_joined(tmp_path):
    """a.jpg twice and once more under the name of a link: cat, and cat and dog, make cat and dog."""
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    rows = [item(tmp_path / "a.jpg", CAT), item(tmp_path / "b.jpg", DOG), item(tmp_path / "link.jpg", CAT, DOG)]
    summary = Summary()
    found = joined([*rows, item(tmp_path / "a.jpg")], summary)
    assert [(each.image.name, each.boxes) for each in found] == [("a.jpg", (CAT, DOG)), ("b.jpg", (DOG,))]
    assert summary.notes == ["2 rows name an image that another row names already; their boxes were joined"]


def test_rows_that_do_not_belong_together_stay(tmp_path):
    """Another stated size, another missing file, and an image of two splits, which is noted."""
    (tmp_path / "a.jpg").touch()
    rows = [item(tmp_path / "a.jpg", CAT), item(tmp_path / "a.jpg", CAT, size=(9, 8)), item(tmp_path / "none.jpg", CAT)]
    summary = Summary()
    assert joined(rows, summary) == rows and not summary.notes
    rows += [item(tmp_path / "a.jpg", CAT, split="val")]
    assert joined(rows, summary) == rows
    assert [note.partition(":")[0] for note in summary.notes] == ["1 images are in train and val"]
