"""The drawing of an assignment: which image, which part, which numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from docs.assignment import AssignmentOptions, RuleAssignment, densest, draw, draw_assignment, row
from tests.engine.tiny import write_dataset
from utils.errors import UserError

OBJECTS = np.array([[10, 10, 14, 14], [16, 12, 20, 16], [90, 50, 96, 58]], np.float32)


def found() -> RuleAssignment:
    """Points on a line, 10 px apart; the first two train object 1, the third object 2, nobody object 3."""
    centres = np.stack([np.arange(5, 100, 10), np.full(10, 12)], 1).astype(np.float32)
    owner, target = np.zeros(10, np.int64), np.zeros(10, np.float32)
    owner[:3], target[:3] = [1, 1, 2], [0.5, 0.1, 0.3]
    return RuleAssignment("Ultralytics", OBJECTS, centres, np.full(10, 40, np.float32), owner, target)


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


def options(tmp_path: Path, **given) -> AssignmentOptions:
    return AssignmentOptions(**{"out": tmp_path / "drawing.png", "zoom": 4, **given})


def test_the_drawing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_dataset(tmp_path)["data"]
    draw_assignment(options(tmp_path, data=data, imgsz=64, window=32))
    assert cv2.imread(str(tmp_path / "drawing.png")) is not None
    printed = capsys.readouterr().out
    assert all(rule in printed for rule in ("Ultralytics", "hybrid", "paper"))


def test_a_missing_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image of that name; it has, for one, "):
        draw_assignment(options(tmp_path, data=write_dataset(tmp_path)["data"], imgsz=64, image="moon"))


def test_on_a_real_image(tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trees from the air, shrunk to crowns of some pixels: Ultralytics' targets vanish, the hybrid's best is 0.5."""
    data = tmp_path / "trees.yaml"
    data.write_text(f"path: {shared / 'data' / 'deepforest'}\ntrain: images/val\nval: images/val\nnames: [tree]\n")
    draw_assignment(options(tmp_path, data=str(data), imgsz=192))
    assert (tmp_path / "drawing.png").is_file() and "hybrid" in capsys.readouterr().out
