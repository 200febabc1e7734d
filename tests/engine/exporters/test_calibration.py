"""Calibration images: of every condition equally many, copied, evenly spaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.exporters.calibration import calibration_set, equal_parts
from engine.options.export import ExportOptions
from tests.engine.tiny import write_dataset
from utils.errors import UserError
from utils.files import load_yaml, save_yaml
from utils.options import build


def options(**given: object) -> ExportOptions:
    (chosen,) = build([ExportOptions], {"int8": True, **given})
    return chosen


def test_equal_parts() -> None:
    day, night = [Path(f"d{i}") for i in range(10)], [Path(f"n{i}") for i in range(3)]
    chosen = equal_parts({"day": day, "night": night}, 8)
    assert [path.name for path in chosen] == [
        "d0",
        "d3",
        "d6",
        "d9",
        "n0",
        "n1",
        "n2",
    ]  # a small part gives what it has


def test_images_are_copied_with_the_detectors_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path / "data", images=4)
    content = load_yaml(tmp_path / "data" / "world.yaml")
    save_yaml(tmp_path / "data" / "world.yaml", content | {"val": content["train"], "val2": content["train"]})
    before = sorted(path for path in (tmp_path / "data").rglob("*"))
    folder = tmp_path / "calibration"
    folder.mkdir()
    file = calibration_set(
        options(calibrate=f"{tmp_path / 'data' / 'world.yaml'}:val", calibrate_images=4), folder, {0: "a"}
    )
    assert len(list((folder / "images").iterdir())) == 4 and load_yaml(file)["names"] == {0: "a"}
    assert sorted(path for path in (tmp_path / "data").rglob("*")) == before
    assert "calibrating with 4 images" in capsys.readouterr().out


def test_an_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected DATA:train, DATA:val or DATA:test"):
        calibration_set(options(calibrate="demo-night:night"), tmp_path, {0: "a"})
