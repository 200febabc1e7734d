"""COCO files scaled: floats, never floored; what cannot be scaled is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.convert.coco_rescale import CocoSet, ResizedImage
from utils.errors import UserError

MADE = {"a.jpg": ResizedImage("a.png", (60, 90), (20, 30)), "b.jpg": ResizedImage("b.png", (50, 50), (20, 25))}


def coco(folder: Path, **change) -> Path:
    box = {"id": 1, "image_id": 7, "category_id": 9, "bbox": [10, 20, 31, 8], "area": 200.0, "iscrowd": 0}
    content = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 90, "height": 60, "coco_url": "x"},
            {"id": 8, "file_name": "b.jpg", "width": 100, "height": 100},  # annotated at twice the image's size
            {"id": 9, "file_name": "c.jpg", "width": 5, "height": 5},
        ],
        "annotations": [box, {**box, "id": 2, "image_id": 8}, {**box, "id": 3, "image_id": 9}],
        "categories": [{"id": 9, "name": "cat"}, {"id": 3, "name": "dog"}],
        "info": {"year": 2017},
    }
    content["annotations"][0] |= change
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json"


def test_boxes_are_floats(tmp_path):
    """a: a third of each side, so 10, 20, 31, 8 -> 3.33, 6.67, 10.33, 2.67. b: stated 100 x 100, made 25 x 20."""
    content, masks = CocoSet(coco(tmp_path), tmp_path).scaled(MADE)
    assert masks == 0
    first, second = content["annotations"]
    assert first["bbox"] == pytest.approx([10 / 3, 20 / 3, 31 / 3, 8 / 3])
    assert second["bbox"] == pytest.approx([2.5, 4.0, 7.75, 1.6])
    assert content["images"] == [
        {"id": 7, "file_name": "a.png", "width": 30, "height": 20, "coco_url": "x"},
        {"id": 8, "file_name": "b.png", "width": 25, "height": 20},
    ]
    assert content["info"] == {"year": 2017}


@pytest.mark.parametrize(("scale", "area"), [(False, 200.0), (True, 200 / 9)])
def test_area_only_if_asked_for(tmp_path, scale, area):
    content, _ = CocoSet(coco(tmp_path), tmp_path).scaled(MADE, scale)
    assert content["annotations"][0]["area"] == pytest.approx(area)


def test_polygons_keypoints_and_masks(tmp_path):
    file = coco(tmp_path, segmentation=[[3, 6, 9, 12, 15, 18]], keypoints=[3, 6, 2, 0, 0, 0])
    (one, _), masks = (lambda found: (found[0]["annotations"], found[1]))(CocoSet(file, tmp_path).scaled(MADE))
    assert one["segmentation"] == [pytest.approx([1, 2, 3, 4, 5, 6])]
    assert one["keypoints"] == pytest.approx([1, 2, 2, 0, 0, 0])
    assert masks == 0
    content, masks = CocoSet(coco(tmp_path, segmentation={"counts": "x", "size": [60, 90]}), tmp_path).scaled(MADE)
    assert masks == 1 and "segmentation" not in content["annotations"][0]


def test_label_rows_number_classes_by_id(tmp_path):
    """dog has id 3, so it is 0 and cat 1. Centre (10 + 15.5) / 90, (20 + 4) / 60; sides 31 / 90, 8 / 60."""
    found = CocoSet(coco(tmp_path), tmp_path)
    assert found.names == ["dog", "cat"]
    assert found.label_text("a.jpg", (1, 1)) == "1 0.283333 0.400000 0.344444 0.133333\n"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"iscrowd": 1}, ""),
        ({"bbox": [-9, -6, 18, 12]}, "1 0.050000 0.050000 0.100000 0.100000\n"),  # cut at the image's corner
        ({"bbox": [95, 0, 5, 5]}, ""),  # wholly outside
    ],
)
def test_labels_of_odd_boxes(tmp_path, change, expected):
    assert CocoSet(coco(tmp_path, **change), tmp_path).label_text("a.jpg", (60, 90)) == expected


@pytest.mark.parametrize("box", [[1, 2, 3], ["a", 2, 3, 4], None, [1, 2, float("nan"), 4]])
def test_boxes_that_are_none(tmp_path, box):
    with pytest.raises(UserError, match="annotation 1 of image 7.*nothing was written"):
        CocoSet(coco(tmp_path, bbox=box), tmp_path)


def test_names_stay_in_the_folder(tmp_path):
    file = coco(tmp_path)
    file.write_text(file.read_text().replace("c.jpg", "../c.jpg"))
    with pytest.raises(UserError, match="leads out of"):
        CocoSet(file, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": 8}, "category_id '8'; expected the id of one of its categories"),
        ({"category_id": "9"}, "category_id '9'; expected the id"),
        ({"area": "much"}, "area 'much'; expected a number"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, "segmentation .*; expected lists of numbers"),
        ({"segmentation": [["1", 2]]}, "segmentation .*; expected lists of numbers"),
        ({"keypoints": [1, None, 2]}, "keypoints .*; expected a list of numbers"),
        ({"keypoints": [10**400, 1, 2]}, "keypoints .*; expected a list of numbers"),
    ],
)
def test_entries_that_could_not_be_scaled(tmp_path, change, message):
    with pytest.raises(UserError, match=f"a.json: the annotation 1 of image 7 has the {message}.*nothing was written"):
        CocoSet(coco(tmp_path, **change), tmp_path)


def test_what_is_null_is_not_stated(tmp_path):
    file = coco(tmp_path, area=None, keypoints=None, segmentation=None)
    (one, _), _ = (lambda found: (found[0]["annotations"], found[1]))(CocoSet(file, tmp_path).scaled(MADE, True))
    assert one["area"] is None and one["keypoints"] is None and "segmentation" not in one


def test_ids_of_categories_are_of_one_kind(tmp_path):
    """A text beside a number has no order, and so no class number; texts alone have one."""
    file = coco(tmp_path)
    content = json.loads(file.read_text())
    content["categories"][1]["id"] = "0"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="category id '0' is text.*nothing was written"):
        CocoSet(file, tmp_path)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((60, 90), ""),
        ((30, 45), ""),  # half the size
        ((30, 44), ""),  # a side rounded: ln(45 / 44) = 0.022, allowed 0.02 + 1 / 30
        ((90, 60), "annotated as 90 x 60 px, but the file is 60 x 90"),  # turned
        ((60, 80), "annotated as 90 x 60 px, but the file is 80 x 60"),  # ln(90 / 80) = 0.118, allowed 0.037
    ],
)
def test_images_of_another_shape_are_told(tmp_path, shape, reason):
    found = CocoSet(coco(tmp_path), tmp_path)
    assert found.reason_against("a.jpg", shape) == reason
    images = found.scaled({"a.jpg": ResizedImage("a.png", shape, (10, 10))})[0]["images"]
    assert len(images) == (reason == "")
