"""engine.evaluation.class_frequency: frequencies from the data YAML or by counting, and the federated labels."""

from __future__ import annotations

import json

import pytest

from data.config import load_data
from data.detection.federated import FederatedLabels
from engine.evaluation.class_frequency import absent_groups, letters_of, lvis_labels
from utils.errors import UserError


def add(folder, text: str):
    """The config of a set, with more lines in its data.yaml."""
    file = folder / "data.yaml"
    file.write_text(file.read_text() + text)
    return load_data(folder)


@pytest.mark.parametrize(
    ("images", "expected"),
    [({0: 1, 1: 10}, ("r", "r", "")), ({0: 11, 1: 100}, ("c", "c", "")), ({0: 101, 2: 5000}, ("f", "", "f"))],
)
def test_letters_by_hand(images, expected):
    """To 10 images rare, to 100 common; a class counts once in an image."""
    assert letters_of(([number, number] for number, n in images.items() for _ in range(n)), 3) == expected


def test_letters_are_counted_in_the_training_images(tiny_set):
    """Two training images show each class."""
    found = lvis_labels(load_data(tiny_set))
    assert found.frequency == ("r", "r") and found.verified is None
    assert found.of(str(tiny_set / "images/val/0.png")) is None


def test_letters_and_lists_of_the_data_yaml(tiny_set):
    (tiny_set / "known.json").write_text(json.dumps({"images/val/0.png": {"absent": [1]}}))
    found = lvis_labels(add(tiny_set, "frequency: [f, c]\nfederated: known.json\n"))
    assert found.frequency == ("f", "c")
    assert found.of(str(tiny_set / "images/val/0.png")) == FederatedLabels(absent=(1,))
    assert found.of(str(tiny_set / "images/val/1.png")) == FederatedLabels()


def test_what_cannot_be_used(tiny_set):
    with pytest.raises(UserError, match="--single-cls: --protocol lvis compares"):
        lvis_labels(load_data(tiny_set), single_cls=True)
    (tiny_set / "known.json").write_text('{"a": {"absent": [2]}}')
    with pytest.raises(UserError, match=r"known\.json: 'absent' of 'a' has the class 2"):
        lvis_labels(add(tiny_set, "federated: known.json\n"))


@pytest.mark.parametrize(("line", "message"), [("", "there is no 'train' split"), ("train: gone", "which is missing")])
def test_without_training_images_the_letters_must_be_given(tiny_set, line, message):
    (tiny_set / "data.yaml").write_text(f"{line}\nval: images/val\nnames: [cat, dog]\n")
    with pytest.raises(UserError, match=message + ".*Add a line such as 'frequency"):
        lvis_labels(load_data(tiny_set, need=["val"]))


def test_groups_without_a_number():
    assert absent_groups({"AP": 0.5, "APc": 0.5}) == ["rare", "frequent"]
