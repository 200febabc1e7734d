"""The meter of images says what the evaluator of files says, and each class on its own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.utils.metrics.test_metrics import federated, synthetic
from utils.metrics import evaluate
from utils.metrics.streaming_ap import ProtocolMeter, box_iou, match, precision_at_recall


def columns(rows, *names):
    """Columns of JSON rows as arrays, boxes as corners."""
    boxes = np.array([row["bbox"] for row in rows]).reshape(-1, 4)
    boxes = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1)
    return boxes, *(np.array([row[name] for row in rows]) for name in names)


def measured(truth, rows, protocol) -> ProtocolMeter:
    letters = ["", *(category.get("frequency", "") for category in truth["categories"])]  # class numbers are ids here
    meter = ProtocolMeter(protocol, letters)
    for image in truth["images"]:
        found = [row for row in rows if row["image_id"] == image["id"]]
        there = [row for row in truth["annotations"] if row["image_id"] == image["id"]]
        lists = {"absent": image.get("neg_category_ids"), "partial": image.get("not_exhaustive_category_ids", ())}
        meter.add(*columns(found, "score", "category_id"), *columns(there, "area", "category_id"), **lists)
    return meter


@pytest.mark.parametrize("protocol", ["aitod", "coco"])
@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_those_of_the_files(protocol, seed):
    truth, rows = synthetic(seed, crowded=False)
    whole, by_class = measured(truth, rows, protocol).result()
    assert whole == pytest.approx(evaluate(truth, rows, protocol), abs=1e-12, nan_ok=True)
    assert list(by_class) == [1, 2]
    for number, found in by_class.items():
        alone = {**truth, "categories": [{"id": number, "name": "cat"}]}
        alone["annotations"] = [row for row in truth["annotations"] if row["category_id"] == number]
        mine = [row for row in rows if row["category_id"] == number]
        assert found == pytest.approx(evaluate(alone, mine, protocol), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_lvis_numbers_are_those_of_the_files(seed):
    truth, rows = federated(seed)
    whole, by_class = measured(truth, rows, "lvis").result()
    assert whole == pytest.approx(evaluate(truth, rows, "lvis"), abs=1e-12)
    assert list(by_class) == [1, 2, 3, 4, 5, 6] and set(by_class[1]) == {"AP", "AP50", "AP75"}
    assert np.mean([by_class[number]["AP"] for number in (1, 2)]) == pytest.approx(whole["APr"])


BOX, OTHER = [0.0, 0, 9, 9], [50.0, 50, 59, 59]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, {"AP": 0.5, "APr": 0.5}),  # every class was looked for: the wrong one counts
        ({"absent": ()}, {"AP": 0.5, "APr": 0.5}),  # its class is in the image
        ({"absent": (), "partial": (1,)}, {"AP": 1.0, "APr": 1.0}),  # surplus of a class labelled in part
    ],
)
def test_lvis_by_hand(known, expected):
    """A surer wrong box of the image's own class 1: precision 1/2. Class 0, frequent, has no object: no APf."""
    meter = ProtocolMeter("lvis", "fr")
    truth = (np.array([BOX]), np.array([81.0]), np.array([1]))
    meter.add(np.array([OTHER, BOX]), np.array([0.9, 0.8]), np.array([1, 1]), *truth, **known)
    numbers = meter.result()[0]
    assert numbers.keys() == {"AP", "AP50", "AP75", "APr"}
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("absent", "expected"), [(None, 0.5), ((), 1.0), ((1,), 0.5)])
def test_lvis_drops_classes_that_nobody_looked_for(absent, expected):
    """Class 1 in the first image; in the second, without objects, a surer wrong one."""
    meter = ProtocolMeter("lvis", "fr")
    nothing = (np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    meter.add(np.array([BOX]), np.array([0.8]), np.ones(1), np.array([BOX]), np.array([81.0]), np.ones(1))
    meter.add(np.array([OTHER]), np.array([0.9]), np.ones(1), *nothing, absent=absent)
    assert meter.result()[0]["AP"] == pytest.approx(expected)


@pytest.mark.parametrize(("wrong", "expected"), [(299, 1.0), (300, 0.0)])
def test_lvis_scores_300_detections_of_an_image_over_all_classes(wrong, expected):
    """So many surer ones of class 0, of which nobody knows anything, before the right one: they still take places."""
    meter = ProtocolMeter("lvis", "fr")
    boxes, classes = np.array([OTHER] * wrong + [BOX]), np.array([0] * wrong + [1])
    truth = (np.array([BOX]), np.array([81.0]), np.array([1]))
    meter.add(boxes, np.linspace(0.9, 0.1, len(boxes)), classes, *truth, absent=())
    assert meter.result()[0]["APr"] == pytest.approx(expected)


@pytest.mark.parametrize(("protocol", "most"), [("coco", 100), ("aitod", 1500)])
def test_detections_that_count_are_those_of_a_class(protocol, most):
    """The right one comes after `most - 1` wrong ones of its class, or one more; another class takes no place."""
    right, wrong = [0.0, 0, 9, 9], [50.0, 50, 59, 59]
    for surplus, expected in ((0, 1 / most), (1, 0.0)):
        meter = ProtocolMeter(protocol)
        boxes = np.array([wrong] * (most - 1 + surplus) + [wrong] * 7 + [right])
        classes = np.array([0] * (most - 1 + surplus) + [5] * 7 + [0])
        scores = np.linspace(0.9, 0.1, len(boxes))
        meter.add(boxes, scores, classes, np.array([right]), np.array([81.0]), np.array([0]))
        assert meter.result()[0]["AP"] == pytest.approx(expected)


@pytest.mark.parametrize("images", [0, 1])
def test_without_objects_there_is_no_number(images):
    meter = ProtocolMeter("aitod")
    for _ in range(images):
        meter.add(np.array([[0.0, 0, 9, 9]]), np.ones(1), np.zeros(1), np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    whole, by_class = meter.result()
    assert list(whole) == ["AP", "AP50", "AP75", "APvt", "APt", "APs", "APm"]
    assert np.isnan(list(whole.values())).all() and by_class == {}


@pytest.mark.parametrize(
    ("iou", "valid", "right", "outside"),
    [
        ([[0.8]], [1], [7], [0]),  # right at 0.50 ... 0.80
        ([[0.8]], [0], [0], [7]),  # an object of another size
        ([[0.6, 0.8]], [1, 0], [3], [4]),  # the one that counts, as long as it reaches; then the other
        ([[0.9], [0.7]], [1], [9, 0], [0, 0]),  # taken once
        ([[0.7, 0.7], [0.0, 0.7]], [1, 1], [5, 0], [0, 0]),  # of equal ones the last
        ([[0.4]], [1], [0], [0]),
    ],
)
def test_match_by_hand(iou, valid, right, outside):
    """Counted over the ten levels 0.50, 0.55 ... 0.95."""
    flags = match(np.array(iou), np.array([valid], bool))
    assert [found[:, 0].sum(1).tolist() for found in flags] == [right, outside]


@pytest.mark.parametrize(
    ("right", "objects", "expected"),
    [
        ([True, False, True], 2, (51 + 50 * 2 / 3) / 101),  # 1 to recall 0.50, then 2/3
        ([False, True], 1, 0.5),
        ([], 3, 0.0),
        ([False], 0, -1.0),
    ],
)
def test_precision_at_recall_by_hand(right, objects, expected):
    assert precision_at_recall(np.array(right, bool), objects).mean() == pytest.approx(expected)


def test_box_iou_by_hand():
    """2 x 2 in 4 x 4: 4 / 16; side by side: 0; nothing with nothing: 0."""
    boxes = np.array([[0.0, 0, 2, 2], [4, 0, 6, 2], [1, 1, 1, 1]])
    assert box_iou(boxes, np.array([[0.0, 0, 4, 4], [1, 1, 1, 1]])).tolist() == [[0.25, 0], [0, 0], [0, 0]]


def test_iou_of_none_and_of_halves():
    assert box_iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
    assert box_iou(np.array([[0, 0, 2, 1.0]]), np.array([[1, 0, 3, 1.0]])) == pytest.approx(np.array([[1 / 3]]))
