"""COCO, AI-TOD and LVIS protocols: the golden file, small cases by hand, and what bad input gets."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest

from tests.utils.metrics.average_precision import reference
from utils.errors import UserError
from utils.metrics import best_of_each_image, evaluate


def labels(*boxes: tuple[int, list[float]], images: int = 2, **extra: Any) -> dict[str, Any]:
    """Labels of class 1 unless a row says otherwise: (image, box)."""
    rows = [
        {"id": number, "image_id": image, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for number, (image, box) in enumerate(boxes, 1)
    ]
    entries = [{"id": number, "width": 200, "height": 200} for number in range(1, images + 1)]
    return {"images": entries, "annotations": rows, "categories": [{"id": 1, "name": "cat"}], **extra}


def found(image: int, box: list[float], score: float, category: int = 1) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


SMALL, OTHER = [10.0, 10.0, 20.0, 20.0], [100.0, 100.0, 20.0, 20.0]


def test_golden_file(shared):
    """What pycocotools says of its own example, to its three digits and, by the slow yardstick, to twelve."""
    folder = shared / "data" / "coco_eval"
    names = ("instances_val2014_100.json", "instances_val2014_fakebbox100_results.json")
    truth, rows = (json.loads((folder / name).read_text()) for name in names)
    numbers = evaluate(folder / names[0], folder / names[1], protocol="coco")
    rounded = {name: round(value, 3) for name, value in numbers.items()}
    assert rounded == {"AP": 0.505, "AP50": 0.697, "AP75": 0.573, "APs": 0.586, "APm": 0.519, "APl": 0.501}
    assert numbers == pytest.approx(reference(truth, rows, "coco"), abs=1e-12)


def synthetic(seed: int, crowded: bool = True) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Eight images, three classes, the last without objects, the last image too; sides of 8, 16 and 32 px among

    others, crowds, areas that are not width x height, shaken detections with ties in their scores, and strays.
    """
    generator = np.random.default_rng(seed)
    truth, rows = labels(images=8), []
    truth["categories"] = [{"id": kind, "name": str(kind)} for kind in (1, 2, 3)]
    for number in range(60):
        side = generator.choice([8, 16, 32, generator.uniform(3, 60)], 2)
        box = [float(v) for v in (*generator.integers(0, 800, 2) / 8, *side)]
        row = {
            "id": number + 1,
            "image_id": int(generator.integers(1, 8)),
            "category_id": int(generator.integers(1, 3)),
        }
        area = box[2] * box[3] if generator.random() < 0.8 else float(generator.choice([64, 256, 1024, 40, 1024.5]))
        truth["annotations"].append({**row, "bbox": box, "area": area, "iscrowd": int(crowded and number % 9 == 0)})
        for _ in range(generator.integers(0, 5)):
            shaken = np.array(box) + generator.choice([0, 0.5, 2]) * generator.normal(size=4) * [1, 1, 0.5, 0.5]
            kind = row["category_id"] if generator.random() < 0.9 else 3
            rows.append(found(row["image_id"], np.abs(shaken).tolist(), round(generator.random(), 1), kind))
    rows += [found(8, [5.0, 5, 8, 8], float(score), 1) for score in generator.random(9).round(1)]
    return truth, [rows[place] for place in generator.permutation(len(rows))]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("protocol", ["aitod", "coco"])
def test_numbers_are_those_of_the_definition(protocol, seed):
    """Areas on borders, crowds, ties, a class and an image without objects: to the last digits."""
    truth, rows = synthetic(seed)
    numbers = evaluate(truth, rows, protocol=protocol)
    assert numbers == pytest.approx(reference(truth, rows, protocol), abs=1e-12, nan_ok=True)
    assert 0.05 < numbers["AP"] < 0.95


def test_numbers_of_the_definition_beyond_the_last_detection_that_counts():
    """1600 detections of one class in an image, the right ones at places 100, 1499 and 1550; and one of another class.

    AI-TOD scores 1500 of each class, so the one of the other class counts and the one at place 1550 does not.
    """
    truth = labels((1, [0, 0, 8, 8]), (1, [20, 0, 8, 8]), (1, [40, 0, 16, 16]), (1, [60, 0, 16, 16]))
    truth["annotations"][3]["category_id"] = 2
    truth["categories"].append({"id": 2, "name": "dog"})
    rows = [found(1, [150.0, 150, 9, 9], 1 - place / 2000) for place in range(1600)]
    for place, left, side in ((99, 0, 8), (1498, 20, 8), (1549, 40, 16)):
        rows[place]["bbox"] = [left, 0, side, side]
    rows.append(found(1, [60, 0, 16, 16], 0.001, category=2))
    numbers = evaluate(truth, rows, protocol="aitod")
    assert numbers == pytest.approx(reference(truth, rows, "aitod"), abs=1e-12, nan_ok=True)
    by_hand = (34 * 0.01 + 33 * 2 / 1499) / 101  # recall 1/3 at precision 1/100, then 2/3 at 2/1499
    assert numbers["AP"] == pytest.approx((by_hand + 1) / 2)


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        ([found(1, SMALL, 0.9), found(2, OTHER, 0.8)], {"AP": 1.0, "AP50": 1.0, "APs": 1.0}),
        ([found(1, SMALL, 0.9)], {"AP": 51 / 101, "AP50": 51 / 101}),  # half found: 51 of 101 recall steps
        ([found(1, OTHER, 0.95), found(1, SMALL, 0.9), found(2, OTHER, 0.8)], {"AP": 2 / 3}),  # 1/2, then 2/3
        ([], {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}),
        ([found(1, [10, 10, 20, 14], 0.9), found(2, [100, 100, 20, 14], 0.8)], {"AP": 0.5, "AP50": 1.0, "AP75": 0.0}),
    ],
)
def test_coco_by_hand(predictions, expected):
    """Two small objects in two images. A box of 20 x 14 over 20 x 20 overlaps by 0.7: right at 5 of 10 levels."""
    numbers = evaluate(labels((1, SMALL), (2, OTHER)), predictions)
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)
    assert math.isnan(numbers["APl"])  # no large object: no number


def test_aitod_borders_count_on_both_sides():
    """8 x 8 = 64 square pixels are very tiny and tiny; one of the two such objects is found."""
    truth = labels((1, [10, 10, 8, 8]), (2, [50, 50, 8, 8]))
    numbers = evaluate(truth, [found(1, [10, 10, 8, 8], 0.9)], protocol="aitod")
    assert list(numbers) == ["AP", "AP50", "AP75", "APvt", "APt", "APs", "APm"]
    assert numbers["APvt"] == numbers["APt"] == pytest.approx(51 / 101)
    assert math.isnan(numbers["APs"])


@pytest.mark.parametrize(("protocol", "kept"), [("coco", 100), ("aitod", 1500)])
def test_detections_that_count_in_an_image(protocol, kept):
    """The right box comes last, behind `kept` wrong ones or one less."""
    for wrong, expected in ((kept, 0.0), (kept - 1, 1 / kept)):
        rows = [found(1, [150, 150, 5, 5], 0.9)] * wrong + [found(1, SMALL, 0.1)]
        assert evaluate(labels((1, SMALL)), rows, protocol=protocol)["AP"] == pytest.approx(expected)


def long_tail(**first_image: Any) -> dict[str, Any]:
    """One rare and one frequent class; the frequent object in image 1, the rare one in image 2."""
    truth = labels((1, SMALL), (2, OTHER))
    truth["annotations"][1]["category_id"] = 2
    truth["categories"] = [{"id": 1, "name": "cat", "frequency": "f"}, {"id": 2, "name": "yak", "frequency": "r"}]
    truth["images"][0] |= first_image
    return truth


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, 1.0),  # nobody looked for a yak in image 1: the wrong yak there is dropped
        ({"neg_category_ids": [2]}, 0.5),  # somebody did, and there was none: it is wrong
        ({"not_exhaustive_category_ids": [2], "neg_category_ids": [2]}, 1.0),  # some may be unlabelled: ignored
    ],
)
def test_lvis_forgives_what_was_not_labelled(image, expected):
    rows = [found(1, SMALL, 0.9), found(1, OTHER, 0.95, category=2), found(2, OTHER, 0.8, category=2)]
    numbers = evaluate(long_tail(**image), rows, protocol="lvis")
    assert numbers["APr"] == pytest.approx(expected)
    assert numbers["APf"] == pytest.approx(1.0)
    assert "APc" not in numbers  # no common class has an object
    assert numbers["AP"] == pytest.approx((1 + expected) / 2)


def test_lvis_keeps_300_detections_of_an_image_over_all_classes():
    rows = [found(2, SMALL, 0.9, category=1)] * 300 + [found(2, OTHER, 0.5, category=2)]
    assert evaluate(long_tail(), rows, protocol="lvis")["APr"] == 0.0
    assert evaluate(long_tail(), rows[1:], protocol="lvis")["APr"] == pytest.approx(1.0)


def test_lvis_on_its_own_labels(shared):
    truth = json.loads((shared / "data" / "lvis_sample" / "lvis_val_100.json").read_text())
    rows = [found(row["image_id"], row["bbox"], 0.5, row["category_id"]) for row in truth["annotations"]]
    assert set(evaluate(truth, rows, protocol="lvis").values()) == {1.0}


def federated(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Six images, seven classes of which the last has no objects; each image looks for a few classes, and labels one

    of them in part. Shaken detections with ties in their scores, and some 400 strays an image, more than are scored.
    """
    generator = np.random.default_rng(seed)
    truth, rows = labels(images=6), []
    truth["categories"] = [{"id": kind, "name": str(kind), "frequency": "rrccffc"[kind - 1]} for kind in range(1, 8)]
    for image in truth["images"]:
        present, absent = np.split(generator.permutation(6)[:5] + 1, [3])
        image["neg_category_ids"], image["not_exhaustive_category_ids"] = absent.tolist(), present[:1].tolist()
        for kind in generator.choice(present, 9).tolist():
            box = np.concatenate((generator.uniform(0, 150, 2), generator.uniform(5, 40, 2)))
            ids = {"id": len(truth["annotations"]) + 1, "image_id": image["id"], "category_id": kind}
            truth["annotations"].append({**ids, "bbox": box.tolist(), "area": float(0.6 * box[2:].prod())})
            for _ in range(generator.integers(0, 4)):
                shaken = np.abs(box + generator.choice([0, 1, 4]) * generator.normal(size=4)).tolist()
                rows.append(found(image["id"], shaken, round(generator.random(), 1), kind))
        for kind in generator.integers(1, 8, 400).tolist():
            box = np.concatenate((generator.uniform(0, 150, 2), generator.uniform(5, 40, 2)))
            rows.append(found(image["id"], box.tolist(), float(generator.random() ** 2), kind))
    return truth, [rows[place] for place in generator.permutation(len(rows))]


@pytest.mark.parametrize("seed", range(2))
def test_lvis_numbers_are_those_of_the_definition(seed):
    truth, rows = federated(seed)
    numbers = evaluate(truth, rows, protocol="lvis")
    assert list(numbers) == ["AP", "AP50", "AP75", "APr", "APc", "APf"]
    assert numbers == pytest.approx(reference(truth, rows, "lvis"), abs=1e-12)
    assert 0.05 < numbers["AP"] < 0.95


def shifted(truth: dict[str, Any]) -> list[dict[str, Any]]:
    """Each object found once, off by 0, 1/20 ... 1/2 of its width, with ties in the scores; and in each image a wrong

    box of every class that is negative or labelled in part, and of one that nobody looked for.
    """
    rows = []
    for row in truth["annotations"]:
        left, top, width, height = row["bbox"]
        box = [left + width * (row["id"] * 7 % 11) / 20, top, width, height]
        rows.append(found(row["image_id"], box, row["id"] * 37 % 101 / 100, row["category_id"]))
    for place, image in enumerate(truth["images"]):
        kinds = [*image["neg_category_ids"], *image["not_exhaustive_category_ids"], place + 1]
        rows += [found(image["id"], [3, 3, 60, 40], (place + kind) % 97 / 96, kind) for kind in kinds]
    return rows


LVIS_API = {
    "AP": 0.24491790703400176, "AP50": 0.5050679555785655, "AP75": 0.1728323429437311,
    "APr": 0.03333333333333333, "APc": 0.23493202149885317, "APf": 0.24813275696956863,
}  # fmt: skip


def test_lvis_numbers_are_those_of_lvis_api(shared):
    """The expected numbers are those that lvis-api 0.5.3 prints, with all its digits, for the same boxes."""
    truth = json.loads((shared / "data" / "lvis_sample" / "lvis_val_100.json").read_text())
    assert evaluate(truth, shifted(truth), protocol="lvis") == pytest.approx(LVIS_API, abs=1e-9)


def test_best_of_each_image():
    rows = [found(1, SMALL, 0.1), found(2, SMALL, 0.2), found(1, SMALL, 0.9), found(1, OTHER, 0.9)]
    assert best_of_each_image(rows, 2) == [rows[2], rows[3], rows[1]]


def test_inputs_stay_as_they_are(tmp_path):
    truth, rows = long_tail(), [found(1, SMALL, 0.9), found(2, OTHER, 0.8, category=2)]
    before = copy.deepcopy((truth, rows))
    first = evaluate(truth, rows, protocol="lvis")
    assert (truth, rows) == before
    for name, content in (("truth.json", truth), ("found.json", rows)):
        (tmp_path / name).write_text(json.dumps(content))
    assert evaluate(tmp_path / "truth.json", tmp_path / "found.json", protocol="lvis") == pytest.approx(
        first, nan_ok=True
    )


@pytest.mark.parametrize(
    ("truth", "rows", "protocol", "message"),
    [
        (labels((1, SMALL)), [], "coca", "Did you mean 'coco'"),
        ({"images": []}, [], "coco", "lack annotations, categories"),
        (labels((1, SMALL)), [], "lvis", "frequency"),
        (labels((1, SMALL)), [{"image_id": 1}], "coco", "each with image_id, category_id, bbox, score"),
        (labels((1, SMALL)), [found(9, SMALL, 0.5)], "coco", "image_id 9 is not in the labels"),
    ],
)
def test_mistakes_are_explained(truth, rows, protocol, message):
    with pytest.raises(UserError, match=message):
        evaluate(truth, rows, protocol=protocol)


def test_files_that_are_no_json_are_named(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UserError, match=r"broken\.json: cannot be read as labels"):
        evaluate(tmp_path / "broken.json", [])
    with pytest.raises(UserError, match=r"missing\.json: cannot be read as detections"):
        evaluate(labels((1, SMALL)), tmp_path / "missing.json")
