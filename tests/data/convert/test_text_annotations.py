"""data.convert.text_annotations: text files beside images, with a reader of 'name left top right bottom' rows."""

from __future__ import annotations

import pytest

from data.convert.items import Box
from data.convert.text_annotations import paired_items, read_rows
from data.convert.writer import Summary
from utils.errors import UserError


def read(row: str) -> Box | str | None:
    if row.startswith("#"):
        return None
    name, *edges = row.split()
    return "ghost" if name == "ghost" else Box(name, *map(float, edges[:4]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ([], {})),
        ("\ufeff# heading\r\n\r\ndog 1 2 3 4\r\nghost\nghost\n", ([Box("dog", 1, 2, 3, 4)], {"ghost": 2})),
        ("# heading\ndog 1 2 3 x\n", "line 2 is not 'name edges'"),
        ("caf\udce9 1 2 3 4", ([Box("caf\ufffd", 1, 2, 3, 4)], {})),  # no UTF-8, but a row
    ],
)
def test_rows(tmp_path, text, expected):
    file = tmp_path / "a.txt"
    file.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    assert read_rows(file, read, "name edges") == expected


def test_images_lie_anywhere_below_and_annotations_are_matched_by_stem(tmp_path, make_image):
    images = tmp_path / "images"
    imgs = [make_image(images / "part1/a.png"), make_image(images / "part2/deep/b.jpg")]
    for name in "ba":
        (tmp_path / f"{name}.txt").write_text(f"ghost\n{name} 1 2 3 4\n")
    summary = Summary()
    items = list(paired_items(images, tmp_path.glob("*.txt"), "val", "set-val", read, "name edges", summary))
    assert [(item.image, item.split, item.group, item.boxes[0].name) for item in items] == [
        (imgs[0], "val", "set-val", "a"),
        (imgs[1], "val", "set-val", "b"),
    ]
    assert (summary.dropped, summary.skipped) == ({"ghost": 2}, [])


def test_no_images_at_all(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        list(paired_items(tmp_path / "images", [], "val", "set-val", read, "name edges", Summary()))
