"""The drawing of an assignment: which image, which part, which numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.preparation import prepare
from engine.preparation.show_assignment import Explained, densest, draw, row
from tests.engine.tiny import write_dataset
from utils.errors import UserError

OBJECTS = np.array([[10, 10, 14, 14], [16, 12, 20, 16], [90, 50, 96, 58]], np.float32)


def found() -> Explained:
    """Points on a line, 10 px apart; the first two train object 1, the third object 2, nobody object 3."""
    places = np.stack([np.arange(5, 100, 10), np.full(10, 12)], 1).astype(np.float32)
    owner, target = np.zeros(10, np.int64), np.zeros(10, np.float32)
    owner[:3], target[:3] = [1, 1, 2], [0.5, 0.1, 0.3]
    return Explained("stock", OBJECTS, places, np.full(10, 40, np.float32), owner, target)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (20, (2, 2, 22, 22)),  # around the first: middles (12, 12) and (18, 14) lie in it
        (0, (0, 0, 60, 60)),  # as much as the shorter side allows
        (500, (0, 0, 60, 60)),
    ],
)
def test_the_densest_part(side: int, expected: tuple[int, int, int, int]) -> None:
    assert densest(OBJECTS, (60, 100), side) == expected


def test_numbers_by_hand() -> None:
    """3 points for 3 objects; best targets 0.5, 0.3 and 0, in the middle 0.3; 0.9 in all, 0.3 per object."""
    facts = row(found())
    assert facts["points per object"] == 1 and facts["objects without"] == 1
    assert facts["median best target"] == "0.3" and facts["targets per object"] == "0.3"


def test_a_drawing_shows_only_its_part() -> None:
    image = np.full((60, 100, 3), 128, np.uint8)
    drawn = draw(image, found(), (0, 0, 30, 30), zoom=4)
    assert drawn.shape == (120, 120, 3)
    assert (drawn != 128).any() and (image == 128).all()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_dataset(tmp_path)["data"]
    out = tmp_path / "drawing.png"
    assert prepare("explain-assignment", data=data, imgsz=64, window=32, zoom=4, out=out) == out
    assert cv2.imread(str(out)) is not None
    said = capsys.readouterr().out
    assert all(rule in said for rule in ("stock", "hybrid", "paper"))


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image of that name; it has, for one, "):
        prepare(
            "explain-assignment", data=write_dataset(tmp_path)["data"], imgsz=64, image="moon", out=tmp_path / "a.png"
        )


def test_on_a_real_image(tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trees from the air, shrunk to crowns of some pixels: the stock targets are nothing, the hybrid's best is 0.5."""
    data, out = tmp_path / "trees.yaml", tmp_path / "trees.png"
    data.write_text(f"path: {shared / 'data' / 'deepforest'}\ntrain: images/val\nval: images/val\nnames: [tree]\n")
    prepare("explain-assignment", data=str(data), imgsz=192, zoom=4, out=out)
    assert out.is_file() and "hybrid" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.txt", "a"])
def test_no_format_to_draw_in(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"--out .*expected a name that ends in one of \.jpg, "):
        prepare("explain-assignment", data="nowhere.yaml", out=tmp_path / name)
