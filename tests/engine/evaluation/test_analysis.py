"""val.py --by: parts add up to the split, equal a data set cut by hand, and perfect detections lose nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import engine
from engine.evaluation.analysis import meter_of, protocol_row, row_of, subsets_of, whole_of
from engine.evaluation.evaluator import METRICS, average
from engine.evaluation.subsets import SplitResults, by_crowding, by_position, by_size
from engine.results import DetectionStats, ImageResult, Report
from utils.errors import UserError
from utils.metrics.subsets import Groups
from utils.metrics.tide import TYPES

DATA = "path: .\ntrain: images/train\nval: images/night\nnames: {0: cat, 1: dog}\n"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def random_split(seed: int = 0, images: int = 12, perfect: bool = False) -> tuple[SplitResults, Report]:
    """Images of 200 px with objects of two classes, and detections near them; with `perfect` these are the objects."""
    rng, split, stats = np.random.default_rng(seed), SplitResults(), []
    for number in range(images):
        count = int(rng.integers(0, 8))
        corner, side = rng.uniform(0, 100, (count, 2)), rng.uniform(5, 99, (count, 2))
        targets, kinds = np.concatenate((corner, corner + side), 1), rng.integers(0, 2, count).astype(float)
        boxes = targets if perfect else targets + rng.normal(0, 3, targets.shape)
        scores = np.ones(count) if perfect else rng.random(count)
        order = np.argsort(-scores)
        boxes, scores, classes = boxes[order], scores[order], kinds[order]
        hit = np.ones((count, 10), bool) if perfect else rng.random((count, 1)) > np.linspace(0.3, 0.9, 10)
        split(ImageResult(f"{number}.png", (200, 200), boxes, scores, classes, targets, kinds))
        stats.append(DetectionStats(f"{number}.png", hit, scores, classes, kinds))
    split.stats = tuple(stats)
    values = average(stats, {0: "cat", 1: "dog"}).mean_results()
    objects = sum(len(image.target_cls) for image in stats)
    metrics = dict(zip(METRICS, map(float, values), strict=True))
    return split, Report("night", "val", images, objects, metrics, [], {}, tuple(stats))


def partitions(split: SplitResults):
    thirds = Groups(("a", "b", "c", "empty"), np.arange(len(split.stats)) % 3)
    by_image = [split.by_image("thirds", thirds), split.by_image("crowding", by_crowding(split))]
    by_object = [split.by_object("size", by_size), split.by_object("position", by_position)]
    return [*by_image, *by_object, by_image[0].crossed(by_object[0])]


def test_parts_add_up_to_the_split():
    split, report = random_split()
    whole = row_of(split, report, "all", whole_of(split), 0.8)
    assert whole["mAP50"] == report.metrics["mAP50"] and whole["instances"] == report.instances
    for partition in partitions(split):
        parts = list(subsets_of(split, partition))
        assert sum(part.objects.sum() for part in parts) == report.instances
        assert sum(part.found.sum() for part in parts) == len(split.image_of_found)
        assert sum(len(image.conf) for part in parts for image in part.stats) == len(split.image_of_found)
        counted = [split.errors.counts(part.found, part.objects) for part in parts]
        assert {name: sum(c[name] for c in counted) for name in TYPES} == split.errors.counts()
        if partition.images is not None:
            assert sum(part.images for part in parts) == report.images


def test_perfect_detections_lose_nothing_in_any_part():
    """The mAP50 of perfect detections is 0.995 by this estimator, Ultralytics' interpolation."""
    split, report = random_split(perfect=True)
    seen = 0
    for partition in partitions(split):
        for part in subsets_of(split, partition):
            row = row_of(split, report, partition.by, part, 0.8)
            if row["instances"]:
                seen += 1
                assert row["mAP50"] == pytest.approx(0.995) and row["mAP50-95"] == pytest.approx(0.995)
                assert row["D-ECE"] == 0 and row["recall at precision 0.8"] == 1
                assert {row[f"cost {name}"] for name in TYPES} == {0.0}
            else:
                assert np.isnan(row["mAP50"]) and np.isnan(row["cost missed"])
    assert seen > 12


def test_perfect_detections_have_an_ap_of_one_by_the_coco_protocol():
    """In every part of images with objects; parts of objects have none."""
    split, _ = random_split(perfect=True)
    session = SimpleNamespace(options=SimpleNamespace(protocol="coco"), lvis=None)
    meter = meter_of(split, session)  # type: ignore[arg-type]
    assert meter is not None
    for partition in partitions(split):
        for part in subsets_of(split, partition):
            row = protocol_row(meter, part)
            if partition.images is not None and part.objects.any():
                assert (row["AP"], row["AP50"]) == (1.0, 1.0)
            elif partition.images is None:
                assert np.isnan(row["AP"])


def test_one_image_has_no_interval():
    split, report = random_split(seed=3, images=1)
    row = row_of(split, report, "x", whole_of(split), 0.8)
    assert np.isnan(row["low"]) and np.isnan(row["high"])


def test_confidences_that_are_nan_come_last():
    """They lower nothing that stands before them, and no calibration counts them."""
    split, report = random_split()
    before = row_of(split, report, "x", whole_of(split), 0.8)
    first, *rest = split.stats
    odd = DetectionStats(
        first.file, np.vstack((first.tp, first.tp[:1] * False)), np.append(first.conf, np.nan),
        np.append(first.pred_cls, 0), first.target_cls,
    )  # fmt: skip
    with_nan = SplitResults()
    for result in split.results:
        with_nan(result)
    with_nan.results[0] = ImageResult(
        first.file, (200, 200), np.vstack((split.results[0].boxes, [[0, 0, 9, 9]])), odd.conf, odd.pred_cls,
        split.results[0].targets, split.results[0].target_classes,
    )  # fmt: skip
    with_nan.stats = (odd, *rest)
    after = row_of(with_nan, report, "x", whole_of(with_nan), 0.8)
    for name in ("mAP50", "mAP50-95", "D-ECE", "recall at precision 0.8", "cost missed"):
        assert after[name] == pytest.approx(before[name], abs=1e-9), name


@pytest.fixture
def given(tiny_set: Path, checkpoint: Path, tmp_path: Path) -> dict[str, object]:
    """Options that work, on the four images of one split: two of them rainy."""
    (tiny_set / "data.yaml").write_text(DATA)
    rows = "".join(f"images/night/{number}.png,{'rain' if number < 2 else 'fog'}\n" for number in range(4))
    (tiny_set / "attributes.csv").write_text("image,weather\n" + rows)
    folders = {"data": tiny_set / "data.yaml", "weights": checkpoint, "project": tmp_path / "runs"}
    return {**folders, "imgsz": 32, "batch_size": 2, "plots": False, "conf_thres": 1e-6, "workers": 0}


def test_a_part_equals_a_data_set_cut_by_hand(given, tiny_set, capsys):
    result = engine.validate(**given, by="weather x crowding,weather,light,size")
    (tiny_set / "rain.txt").write_text("images/night/0.png\nimages/night/1.png\n")
    (tiny_set / "cut.yaml").write_text(DATA.replace("images/night", "rain.txt"))
    alone = engine.validate(**{**given, "data": tiny_set / "cut.yaml"}, by="all")
    rows = rows_of(result.save_dir / "subsets.csv")
    (part,) = [row for row in rows if (row["by"], row["subset"]) == ("weather", "rain")]
    (whole,) = rows_of(alone.save_dir / "subsets.csv")
    for column in set(part) - {"by", "subset"}:
        if column in ("condition", "split", "resolution"):
            assert part[column] == whole[column]
        else:
            assert float(part[column]) == pytest.approx(float(whole[column]), abs=1e-12, nan_ok=True), column
    assert float(part["mAP50"]) == pytest.approx(alone.reports[0].metrics["mAP50"], abs=1e-12)
    images = rows_of(result.save_dir / "images.csv")
    assert len(images) == 4 and set(images[0]) >= {"image", "hits", "missed", "false alarms", "F1", "light"}
    assert {row["error"] for row in rows_of(result.save_dir / "errors.csv")} == set(TYPES)
    printed = capsys.readouterr().out
    assert "absent (no object): " in printed and "weather" in printed


def test_the_worst_images_are_written(given):
    result = engine.validate(**given, worst=3)
    assert len(list((result.save_dir / "worst" / "val").glob("00*.jpg"))) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"by": "wether"}, "Did you mean 'weather'"),
        ({"by": "light", "corruptions": "fog"}, "--by: --corruptions"),
        ({"worst": 3, "task": "speed"}, "--worst: --task speed"),
        ({"by": "frequency", "single_cls": True}, "--single-cls leaves one class"),
        ({"by": ","}, "--by: no name given"),
    ],
)
def test_what_cannot_be(given, more, message):
    with pytest.raises(UserError, match=message):
        engine.validate(**given, **more)
    assert not list(Path(given["project"]).glob("*/metrics.csv"))
