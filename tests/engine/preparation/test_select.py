"""`prepare.py select`: which images a detector does well on, and that nothing but whole results is left."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import load_data
from data.detection.dataset import build_dataset
from engine.options.prepare import SelectOptions
from engine.preparation import prepare
from engine.preparation import select as module
from engine.preparation.select import Selection, image_ap, select
from engine.results import ImageResult
from tests.engine.inference.test_api import real_weights
from tests.engine.tiny import write_dataset
from utils.errors import UserError
from utils.files import load_yaml, save_yaml
from utils.tables import read_csv

A, B = [0.0, 0.0, 100.0, 100.0], [200.0, 0.0, 300.0, 100.0]
HIGH = [0.0, 0.0, 100.0, 72.0]  # IoU with A 0.72: right at 0.50, 0.55 ... 0.70, five of ten levels
FAR = [400.0, 400.0, 500.0, 500.0]


def result(found: list[tuple[list[float], float, int]], truth: list[tuple[list[float], int]]) -> ImageResult:
    boxes = np.array([box for box, _, _ in found]).reshape(-1, 4)
    targets = np.array([box for box, _ in truth]).reshape(-1, 4)
    scores, classes = (np.array([row[column] for row in found], float) for column in (1, 2))
    return ImageResult("a", (600, 600), boxes, scores, classes, targets, np.array([kind for _, kind in truth], float))


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        ([(A, 0.9, 0)], [(A, 0)], 1.0),
        ([], [(A, 0)], 0.0),
        ([(HIGH, 0.9, 0)], [(A, 0)], 0.5),  # five of ten levels
        ([(A, 0.9, 1)], [(A, 0)], 0.0),  # another class
        ([(A, 0.9, 0)], [(A, 0), (B, 0)], 51 / 101),  # recall up to one half: 51 of 101 points
        ([(A, 0.9, 0)], [(A, 0), (B, 1)], 0.5),  # a mean over classes 0 (1) and 1 (0)
        ([(FAR, 0.9, 0), (A, 0.5, 0)], [(A, 0)], 0.5),  # right once in two
        ([(A, 0.9, 0), (FAR, 0.5, 0)], [(A, 0)], 1.0),  # false alarms below the last hit cost nothing
        ([(A, 0.9, 0), (FAR, 0.95, 1)], [(A, 0)], 1.0),  # nor do those of classes that the image has not
        ([(A, 0.9, 0)], [], math.nan),
    ],
)
def test_ap_of_one_image_by_hand(found: list[Any], truth: list[Any], expected: float) -> None:
    assert image_ap(result(found, truth)) == pytest.approx(expected, nan_ok=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that was never trained."""
    return real_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def synthetic(tmp_path: Path, weights: Path) -> dict[str, Any]:
    """Six images to choose from, two of them in a sub-folder, and the options that judge them."""
    data = write_dataset(tmp_path, images=6)["data"]
    for kind, suffix in (("images", "png"), ("labels", "txt")):
        (tmp_path / kind / "train" / "deep").mkdir()
        for number in ("004", "005"):
            file = tmp_path / kind / "train" / f"{number}.{suffix}"
            file.rename(file.parent / "deep" / file.name)
    return {"weights": weights, "data": data, "out": tmp_path / "good", "imgsz": 64, "device": "cpu"}


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float]], None]:
    """pretend({name: AP}) stands in for the detector's merits, 0 where nothing is said."""

    def set_to(known: dict[str, float]) -> None:
        monkeypatch.setattr(module, "image_ap", lambda result: known.get(Path(result.file).stem, 0.0))

    return set_to


def test_good_images_are_copied(
    synthetic: dict[str, Any], tmp_path: Path, pretend: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """0.6 is enough, 0.59 is not; an image without objects is listed and left."""
    pretend({"001": 0.6, "002": 0.59, "003": math.nan, "005": 1.0})
    done: Selection = prepare("select", **synthetic)
    assert [one.name for one in done.kept] == ["001.png", "deep/005.png"]
    out = synthetic["out"]
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == ["001.png", "deep/005.png", "select.csv", "select.txt", "select.yaml"]
    for name in ("001.png", "deep/005.png"):
        assert (out / name).read_bytes() == (tmp_path / "images" / "train" / name).read_bytes()
    assert [tuple(row.values()) for row in read_csv(out / "select.csv")] == [
        ("000.png", "0.0", "0"),
        ("001.png", "0.6", "1"),
        ("002.png", "0.59", "0"),
        ("003.png", "", "0"),
        ("deep/004.png", "0.0", "0"),
        ("deep/005.png", "1.0", "1"),
    ]
    said = capsys.readouterr().out
    assert "2 of 6 images" in said and f"reference: {out}" in said and "--data" in said
    config = load_data(out / "select.yaml")
    assert config.sources("reference") == (out,) and config.conditions["val"] == "night"
    easy = build_dataset(config, "train", imgsz=64)
    assert [Path(file).name for file in easy.im_files] == ["001.png", "005.png"]
    assert all(len(label["cls"]) for label in easy.labels)  # found beside the images themselves


def test_a_real_detector_judges(synthetic: dict[str, Any]) -> None:
    """It has learned nothing: all have an AP, and the bar at 0 would let all of them through, which selects nothing."""
    with pytest.raises(UserError, match="--min-ap 0: all 6 images of 'train' reach it.* higher --min-ap"):
        prepare("select", **synthetic, min_ap=0.0)
    with pytest.raises(UserError, match="no image of 'train' reaches it"):
        prepare("select", **synthetic, min_ap=0.6)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"weights": None}, "expected --weights"),
        ({"out": None}, "expected --weights"),
        ({"split": "test"}, "tested on"),
        ({"split": "test2"}, "tested on"),
        ({"split": "val"}, "also an image of the test split"),  # this synthetic data set tests on its val images
        ({"split": "pair"}, "labelled split .* train, val, val2"),
        ({"split": "extra"}, "labelled split .* train, val, val2"),
        ({"out": "images/train/good"}, "among the images"),
        ({"out": "images/val/deep/good"}, "among the images"),
        ({"out": "labels"}, "already exists"),
        ({"out": "world.yaml"}, "already exists"),
        ({"min_ap": 0.9}, "no image of 'train' reaches it; the best is 002.png with AP 0.400"),
        ({"min_ap": 1.5}, "min_ap: 1.5 does not fit"),
        ({"weights": "nothing.pt"}, "no such file"),
    ],
)
def test_mistakes_leave_nothing(
    synthetic: dict[str, Any], tmp_path: Path, pretend: Callable[..., None], more: dict[str, Any], expected: str
) -> None:
    pretend({"002": 0.4})
    given = synthetic | more
    if isinstance(more.get("out"), str):
        given["out"] = tmp_path / more["out"]
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=expected):
        prepare("select", **given)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before and path.suffix != ".cache"] == []


def test_no_objects_at_all(synthetic: dict[str, Any], pretend: Callable[..., None]) -> None:
    pretend({f"{number:03}": math.nan for number in range(6)})
    with pytest.raises(UserError, match="no image has an object"):
        prepare("select", **synthetic)


def test_a_full_disk_leaves_nothing(
    synthetic: dict[str, Any], pretend: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    pretend({"001": 0.9})
    monkeypatch.setattr(shutil, "copyfile", no_room)
    with pytest.raises(UserError, match="No space left"):
        prepare("select", **synthetic)
    assert not synthetic["out"].exists() and not list(synthetic["out"].parent.glob(".good*"))


def test_the_place_that_the_data_name_may_be_filled(
    synthetic: dict[str, Any], tmp_path: Path, pretend: Callable[..., None]
) -> None:
    """`reference: images/good` may stand in the YAML before the folder does, or be an empty one."""
    content = load_yaml(Path(synthetic["data"])) | {"reference": "images/good"}
    save_yaml(Path(synthetic["data"]), content)
    pretend({"001": 0.9})
    (tmp_path / "images" / "good").mkdir()
    options = SelectOptions(**synthetic | {"out": tmp_path / "images" / "good"})
    assert len(select(options).kept) == 1
