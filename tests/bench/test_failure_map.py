"""Maps of where a detector fails, measured on a detector that was never trained."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.failure_map import areas, image_cells, maps_of, score_map
from engine.checkpoint import load_detector, save_checkpoint
from models.detector import build
from tests.engine.inference.test_api import real_weights
from tests.engine.tiny import write_dataset


def test_the_highest_score_in_each_cell(tmp_path: Path) -> None:
    """No higher than the highest of all anchors, which some cell has; the same rule on every level."""
    detector, _ = load_detector(real_weights(tmp_path))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = score_map(detector, images)
        every = detector(images)[0][:, 4:].amax(1)
    assert found.shape == (2, 8, 8) and torch.equal(found.flatten(1).amax(1), every.amax(1))
    assert set(maps_of(detector, images)) == {"highest score", "brightness", "contrast"}


def test_areas_of_a_split(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set", images=4)["data"]
    (tmp_path / "weights").mkdir()
    measured = areas(real_weights(tmp_path / "weights"), data, "val", 64)
    assert 0 < measured["failing cells"] < 1
    assert all(0 <= value <= 1 for value in measured.values())


def test_the_grey_around_an_image_has_no_cells() -> None:
    """100 x 60 px at 64 px is 64 x 39, 12 px from the top: whole cells are rows 2 to 5. And all of a square one."""
    letterboxed, whole = ((0.65, 0.64), (0, 12)), ((1.0, 1.0), (0, 0))
    batch = {"img": torch.zeros(2, 3, 64, 64), "ratio_pad": [letterboxed, whole], "ori_shape": [(60, 100), (64, 64)]}
    cells = image_cells(batch)
    assert cells[0].any(1).nonzero().flatten().tolist() == [2, 3, 4, 5] and cells[0, 2:6].all()
    assert cells[1].all() and cells.shape == (2, 8, 8)


def test_a_detector_whose_head_needs_no_nms(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set", images=4)["data"]
    save_checkpoint(tmp_path / "best.pt", build("yolo26n.yaml", {0: "a", 1: "b"}), epoch=1, options={}, metrics={})
    assert "highest score" in areas(tmp_path / "best.pt", data, "val", 64)
