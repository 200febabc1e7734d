"""Label files, COCO JSON and sample images of a validation."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import numpy as np
import pytest

from data.detection.federated import FederatedLabels
from engine.evaluation import writers
from engine.evaluation.class_frequency import LVISLabels
from engine.evaluation.writers import SAMPLES, JsonWriter, SampleSheet, TextWriter, hits_and_misses
from engine.results import ImageResult
from utils.files import IMAGE_SUFFIXES

NAMES = {0: "cat", 1: "dog"}


def result(file: str, boxes: list[list[float]], scores: list[float], classes: list[int]) -> ImageResult:
    """An image of 100 x 50 px whose labels are its own detections of class 0."""
    found = np.array(boxes, float).reshape(-1, 4)
    kinds = np.array(classes, float)
    return ImageResult(file, (50, 100), found, np.array(scores), kinds, found[kinds == 0], kinds[kinds == 0])


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [(False, "1 0.2 0.4 0.2 0.4\n0 0.5 0.5 1 1\n"), (True, "1 0.2 0.4 0.2 0.4 0.75\n0 0.5 0.5 1 1 0.5\n")],
)
def test_text_is_class_centre_size_in_fractions(tmp_path, confidence, expected):
    """(10, 10, 30, 30) of 100 x 50: centre (20 / 100, 20 / 50), size (20 / 100, 20 / 50)."""
    writer = TextWriter(tmp_path / "labels", confidence)
    writer(result("/a/1.jpg", [[10, 10, 30, 30], [0, 0, 100, 50]], [0.75, 0.5], [1, 0]))
    writer(result("/a/2.jpg", [], [], []))
    assert writer.close() is None
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["1.txt"]
    assert (tmp_path / "labels" / "1.txt").read_text() == expected


def test_equal_names_in_two_folders_stay_apart(tmp_path):
    writer = TextWriter(tmp_path, confidence=False)
    for folder in ("left", "right"):
        writer(result(f"/set/{folder}/1.jpg", [[0, 0, 10, 10]], [0.9], [0]))
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["left_1.txt", "right_1.txt"]


@pytest.mark.parametrize(
    "files", [["day/night_1.jpg", "day_night/1.jpg"], ["a/1.jpg", "a/1.png"], ["a/1.jpg", "a_1.jpg", "a_1.2.jpg"]]
)
def test_no_image_takes_the_file_of_another(tmp_path, files):
    writer = TextWriter(tmp_path, confidence=False)
    for kind, file in enumerate(files):
        writer(result(f"/set/{file}", [[0, 0, 10, 10]], [0.9], [kind]))
    writer.close()
    assert sorted(path.read_text()[0] for path in tmp_path.iterdir()) == [str(kind) for kind in range(len(files))]


def test_names_of_label_files():
    assert doctest.testmod(writers).failed == 0


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["000042.jpg", "7.jpg"], [42, 7]),  # COCO's own names
        (["a.jpg", "7.jpg"], [1, 2]),
        (["x/7.jpg", "y/007.png"], [1, 2]),  # twice the same number
    ],
)
def test_json_numbers_images(tmp_path, files, expected):
    writer = JsonWriter(tmp_path, NAMES)
    for file in files:
        writer(result(file, [[10, 10, 30, 20]], [0.123456789], [0]))
    found = writer.close()
    labels, predictions = (json.loads((tmp_path / name).read_text()) for name in ("labels.json", "predictions.json"))
    assert [image["id"] for image in labels["images"]] == expected
    assert [row["image_id"] for row in predictions] == expected
    assert predictions[0]["bbox"] == [10, 10, 20, 10]
    assert predictions[0]["score"] == 0.123457
    assert labels["annotations"][0]["area"] == 200
    assert labels["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert found["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("known", "absent", "partial"), [(None, [2], []), ({"1.jpg": FederatedLabels((), (0,))}, [], [1])]
)
def test_json_says_what_lvis_needs(tmp_path, known, absent, partial):
    """A cat in the image; of dogs the set says that there are none, or nothing. Ids start at 1."""
    writer = JsonWriter(tmp_path, NAMES, lvis=LVISLabels(("f", ""), Path("/set"), known))
    writer(result("/set/1.jpg", [[10, 10, 30, 20]], [0.5], [0]))
    writer.close()
    labels = json.loads((tmp_path / "labels.json").read_text())
    (image,) = labels["images"]
    assert (image["neg_category_ids"], image["not_exhaustive_category_ids"]) == (absent, partial)
    assert [category["frequency"] for category in labels["categories"]] == ["f", ""]


def test_hits_misses_and_false_alarms_by_hand():
    """Of two detections on one object the surer one hits; another class and a faint detection do not count."""
    objects = [[0, 0, 10, 10], [20, 0, 30, 10]]
    found = [[0, 0, 10, 8], [0, 0, 10, 10], [20, 0, 30, 10], [40, 40, 50, 50]]
    scores, classes = np.array([0.6, 0.9, 0.8, 0.1]), np.array([0, 0, 1, 0])
    image = ImageResult("a", (60, 60), np.array(found, float), scores, classes, np.array(objects, float), np.zeros(2))
    hits, missed, false = hits_and_misses(image)
    assert hits[:, 4].tolist() == [0.9] and missed[:, :4].tolist() == [[20, 0, 30, 10]]
    assert false[:, 4].tolist() == [0.8, 0.6]


@pytest.mark.slow
def test_samples_stop_when_the_sheet_is_full(tmp_path, make_image):
    sheet = SampleSheet(tmp_path / "images.jpg", NAMES)
    for number in range(SAMPLES + 3):
        path = make_image(tmp_path / f"{number}.png", width=100, height=50)
        sheet(result(str(path), [[10, 10, 30, 30]], [0.9], [1]))
    assert len(sheet.cells) == 2 * SAMPLES
    assert sheet.cells[0][0] == "0.png: labels"
    labels, found = (image.astype(int) for _, image in sheet.cells[:2])
    assert (labels != found).any()  # no label of class 0, one detection
    sheet.close()
    assert (tmp_path / "images.jpg").stat().st_size > 1000


def test_no_images_no_files(tmp_path):
    for output in (TextWriter(tmp_path / "labels", confidence=True), SampleSheet(tmp_path / "images.jpg", NAMES)):
        output.close()
    assert not any(Path(path).suffix in {".txt", *IMAGE_SUFFIXES} for path in tmp_path.rglob("*"))
