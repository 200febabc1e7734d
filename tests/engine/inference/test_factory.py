"""What the options of detect.py become."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.inference.factory import choose_names, padded_size
from utils.errors import UserError


@pytest.mark.parametrize(
    ("imgsz", "expected"), [((640,), (640, 640)), ((600,), (608, 608)), ((480, 640), (480, 640)), ((33, 1), (64, 32))]
)
def test_padded_sizes_are_whole_strides(imgsz: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert padded_size(imgsz, 32) == expected


def test_three_sizes_are_a_mistake() -> None:
    with pytest.raises(UserError, match="--imgsz 1 2 3: expected one number, or height and width"):
        padded_size((1, 2, 3), 32)


def test_names_of_a_data_yaml(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("path: nowhere\ntrain: images\nval: images\nnames: [cat, dog]\n")
    data = str(tmp_path / "d.yaml")
    assert choose_names({}, data) == {0: "cat", 1: "dog"}  # the images need not be there
    assert choose_names({0: "x", 1: "y"}, data) == {0: "cat", 1: "dog"}
    assert choose_names({0: "x"}, "") == {0: "x"}
    with pytest.raises(UserError, match="names 2 classes, the detector has 3"):
        choose_names({0: "x", 1: "y", 2: "z"}, data)
