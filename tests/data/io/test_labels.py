"""data.io.labels: which images are usable and which boxes they have; the files themselves stay as they are."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from data.io import labels
from data.io.labels import Label, fraction_below, read_label, scan, unreadable
from utils.errors import UserError
from utils.files import list_images


def test_scan_of_a_tiny_set(tiny_set):
    result = scan(list_images(tiny_set / "images/train"), 2)
    assert [label.image.name for label in result.labels] == ["0.png", "1.png", "2.png", "3.png"]
    assert result.skipped == []
    first, second = result.labels[:2]
    assert first.shape == (24, 32)
    assert first.boxes.dtype == first.classes.dtype == np.float32
    np.testing.assert_array_equal(first.boxes, [[0.5, 0.5, 0.25, 0.5]])
    np.testing.assert_array_equal(second.classes, [[1]])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("set/images/train/1.jpg", "set/labels/train/1.txt"),
        ("images/set/images/1.jpg", "images/set/labels/1.txt"),  # the last one counts
        ("set/train/1.jpg", "set/train/1.txt"),
        ("set/images.old/1.b.jpg", "set/images.old/1.b.txt"),
        ("images/images.jpg", "labels/images.txt"),
    ],
)
def test_label_path(image, expected):
    assert labels.label_path(Path(image)) == Path(expected)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        ("\n  \n", []),
        ("1 .5 .5 .2 .4\n", [[1, 0.5, 0.5, 0.2, 0.4]]),
        ("\ufeff0 .5 .5 .2 .4", [[0, 0.5, 0.5, 0.2, 0.4]]),  # a byte-order mark is no number
        ("0 .5 .5 .2 .4\r\n0 .5 .5 .2 .4\r\n", [[0, 0.5, 0.5, 0.2, 0.4]]),  # the same row twice
        ("0 .5 .5 .2 .4\n1.0 .5 .5 1.005 1\n", [[0, 0.5, 0.5, 0.2, 0.4], [1, 0.5, 0.5, 1.005, 1]]),
        # a polygon: x from .1 to .5, y from .2 to .8
        ("1 .1 .2 .5 .2 .5 .8 .1 .8\n", [[1, 0.3, 0.5, 0.4, 0.6]]),
        ("0 .5 .5 0 .4\n1 .5 .5 .1 .1\n", [[1, 0.5, 0.5, 0.1, 0.1]]),  # no area
        ("0 .5 .5 1e-320 .4\n0 .5 .5 1e-30 1e-30\n", []),  # nor have these, in float32
    ],
)
def test_read_label(tmp_path, text, rows):
    (tmp_path / "1.txt").write_text(text, encoding="utf-8", newline="")
    found = read_label(tmp_path / "1.txt", 2)
    assert found.shape == (len(rows), 5)
    np.testing.assert_allclose(found, np.array(rows, np.float32).reshape(-1, 5), rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2 .5 .5 .2 .4", "class 2 is out of range; there are 2 classes, 0 to 1"),
        ("-1 .5 .5 .2 .4", "class -1 is out of range"),
        ("0.5 .5 .5 .2 .4", "class 0.5 is out of range"),
        ("0 .5 .5 nan .4", "not a finite number"),
        ("0 .5 .5 inf .4", "not a finite number"),
        ("nan .5 .5 .2 .4", "not a finite number"),
        ("0 .5 .5 wide .4", "holds something that is not a number"),
        ("0 0_0.5 .5 .2 .4", "holds something that is not a number"),
        ("0 .5 \u0660.\u0665 .2 .4", "holds something that is not a number"),  # 0.5 in Arabic digits
        ("0 320 240 100 100", "a coordinate is outside 0 to 1"),
        ("0 -.5 .5 .2 .4", "a coordinate is outside 0 to 1"),
        ("0 .5 .5 -.001 .4", "a width or height is negative"),
        ("0 .5 .5 .2", "4 values; expected"),
        ("0 .5 .5 .2 .4 .9", "6 values; expected"),
        ("0 .1 .2 .3 .4 .5 .6 .7", "8 values; expected"),
    ],
)
def test_wrong_rows_name_file_and_line(tiny_set, row, message):
    (tiny_set / "labels/train/1.txt").write_text(f"0 .5 .5 .2 .4\n\n{row}\n")
    with pytest.raises(UserError, match=message) as problem:
        scan(list_images(tiny_set / "images/train"), 2)
    assert str(tiny_set / "labels/train/1.txt") + ":3: " in str(problem.value)


def test_a_missing_label_file_is_background_and_binary_ones_are_refused(tmp_path, make_image):
    image = make_image(tmp_path / "1.png")
    assert scan([image], 2).labels[0].boxes.shape == (0, 4)
    (tmp_path / "1.txt").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(UserError, match="1.txt: cannot be read as a label file"):
        scan([image], 2)


def test_damaged_images_are_listed_and_stay_as_they_are(tiny_set):
    folder = tiny_set / "images/train"
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "2.png").write_bytes(b"")
    files = [*list_images(folder), folder / "gone.png"]
    before = {path: path.read_bytes() for path in list_images(folder)}
    result = scan(files, 2)
    assert [label.image.name for label in result.labels] == ["0.png", "3.png"]
    assert [(path.name, reason) for path, reason in result.skipped] == [
        ("1.png", "truncated: its end marker is missing"),
        ("2.png", "an empty file"),
        ("gone.png", "there is no such file"),
    ]
    assert unreadable(files) == result.skipped
    assert {path: path.read_bytes() for path in list_images(folder)} == before


def test_nothing_appears_beside_the_files(tiny_set):
    before = sorted(tiny_set.rglob("*"))
    scan(list_images(tiny_set / "images/train"), 2)
    assert sorted(tiny_set.rglob("*")) == before


def test_empty_and_hopeless_splits(tmp_path):
    with pytest.raises(UserError, match="the 'val' split is empty"):
        scan([], 2, what="val")
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match="the 'val' split has no usable image of 1; the first, .*a.jpg: not an image"):
        scan([tmp_path / "a.jpg"], 2, what="val")


def test_boxes_without_area_are_mentioned(tmp_path, caplog):
    (tmp_path / "1.txt").write_text("0 .5 .5 0 .4\n0 .5 .5 .1 0\n")
    with caplog.at_level(logging.WARNING):
        assert len(read_label(tmp_path / "1.txt", 1)) == 0
    assert "2 boxes without area are skipped" in caplog.text


def test_many_images_keep_their_order(tmp_path, make_image):
    first = make_image(tmp_path / "images/000.png")
    for number in range(1, 200):
        (tmp_path / f"images/{number:03}.png").write_bytes(first.read_bytes())
    images = list_images(tmp_path / "images")
    assert [label.image for label in scan(images, 1).labels] == images


@pytest.mark.parametrize(("name", "images", "boxes"), [("raccoon", 200, 217), ("bccd", 364, 4886), ("exdark8", 8, 23)])
def test_real_sets(shared, name, images, boxes):
    folder = shared / "data" / name
    result = scan(list_images(folder / "images"), 12)
    assert (len(result.labels), result.skipped) == (images, [])
    assert sum(len(label.boxes) for label in result.labels) == boxes


def test_share_below_by_hand():
    """An image of 200 x 100 px at 400: twice as large. sqrt(0.05 * 0.1 * 20000) = 10 px become 20, 40 px become 80."""
    label = Label(Path("a.png"), (100, 200), np.zeros((2, 1)), np.array([[0.5, 0.5, 0.05, 0.1], [0.5, 0.5, 0.2, 0.4]]))
    assert [fraction_below([label], side, 400) for side in (19.9, 20.1, 81)] == [0.0, 0.5, 1.0]
    assert fraction_below([], 12, 640) == 0.0


def test_a_split_without_labels_is_mentioned_with_the_place_that_was_looked_at():
    def label(*boxes):
        return labels.Label(
            Path("set/images/val/1.jpg"), (9, 9), np.zeros((len(boxes), 1)), np.array(boxes, np.float32)
        )

    (line,) = labels.unlabelled([label(), label()], "val")
    assert "none of the 2 images of 'val'" in line and str(Path("set/labels/val/1.txt")) in line
    boxed = [label((0.5, 0.5, 0.1, 0.1))] * 4
    assert labels.unlabelled([label(), *boxed], "val") == labels.unlabelled([], "val") == []


@pytest.mark.parametrize(("files", "noted"), [(4, 0), (3, 1), (2, 2)])
def test_images_without_a_label_file(tmp_path, files, noted):
    """Of four images two have boxes; an empty label file is no missing one, and a quarter without one is noted."""
    (tmp_path / "labels").mkdir()
    found = []
    for number in range(4):
        boxes = np.full((int(number < 2), 4), 0.5, np.float32)
        found.append(labels.Label(tmp_path / "images" / f"{number}.jpg", (8, 8), boxes[:, :1], boxes))
        if number < files:
            (tmp_path / "labels" / f"{number}.txt").touch()
    lines = labels.unlabelled(found, "train")
    assert bool(lines) == bool(noted)
    if noted:
        assert f"{noted} of the 4 images of 'train' have no label file" in lines[0] and f"{files}.txt" in lines[0]
