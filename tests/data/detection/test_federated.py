"""data.detection.federated: what is known of an image besides its objects, and every way in which its file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.detection.federated import FederatedLabels, merged, read_verified, verified_of
from utils.errors import UserError


def test_a_file_as_the_converter_writes_it(tmp_path):
    content = {"images/a.jpg": {"absent": [3, 7], "partial": [2]}, "images/b.jpg": {"absent": [0]}, "images/c.jpg": {}}
    (tmp_path / "federated.json").write_text(json.dumps(content))
    known = read_verified(tmp_path / "federated.json", classes=8)
    assert known == {
        "images/a.jpg": FederatedLabels((3, 7), (2,)),
        "images/b.jpg": FederatedLabels((0,)),
        "images/c.jpg": FederatedLabels(),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"cannot be read as JSON .*Expected \{\"images/train/a\.jpg\""),
        ("[]", "not a list"),
        ('{"a.jpg": [3]}', "the entry of 'a.jpg' is not as expected"),
        ('{"a.jpg": {"absnet": [3]}}', "the entry of 'a.jpg' is not as expected"),
        ('{"a.jpg": {"absent": 3}}', "'absent' of 'a.jpg' must be a list of class numbers"),
        ('{"a.jpg": {"partial": [true]}}', "'partial' of 'a.jpg' must be a list of class numbers"),
        ('{"a.jpg": {"absent": [7, 8]}}', "has the class 8, but the classes run from 0 to 7"),
        ('{"a.jpg": {"partial": [-1]}}', "has the class -1, but the classes run from 0 to 7"),
    ],
)
def test_wrong_files_are_explained(tmp_path, text, message):
    (tmp_path / "known.json").write_text(text)
    with pytest.raises(UserError, match=message) as problem:
        read_verified(tmp_path / "known.json", classes=8)
    assert "known.json" in str(problem.value) and "\n" not in str(problem.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.json: cannot be read"):
        read_verified(tmp_path / "nothing.json", classes=8)


@pytest.mark.parametrize(
    ("image", "expected"),
    [("/set/images/a.jpg", (3,)), ("/set/images/b.jpg", ()), ("/other/images/a.jpg", ()), ("images/a.jpg", ())],
)
def test_images_are_known_by_their_place_in_the_set(image, expected):
    known = {"images/a.jpg": FederatedLabels(absent=(3,))}
    assert verified_of(known, Path("/set"), image).absent == expected


def test_a_class_that_is_partial_anywhere_is_partial():
    parts = [FederatedLabels(absent=(3, 1)), FederatedLabels(absent=(2,), partial=(1,)), FederatedLabels()]
    assert merged(parts) == FederatedLabels(absent=(2, 3), partial=(1,))
