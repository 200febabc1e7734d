"""Absent and rare classes, tiny objects, small and missing splits."""

from __future__ import annotations

import pytest

from data.checks.classes import class_findings, size_findings, usual_imgsz
from tests.data.checks.sets import change_yaml, surveyed, write_clean_set


def rewrite(file, split, change) -> None:
    for label in sorted((file.parent / "labels" / split).iterdir()):
        label.write_text(
            "".join(change(number, line) for number, line in enumerate(label.read_text().splitlines(True)))
        )


def kinds(file) -> list[tuple[str, str]]:
    return [(finding.kind, finding.split) for finding in class_findings(surveyed(file))]


def test_a_clean_set_has_none(tmp_path):
    assert kinds(write_clean_set(tmp_path)) == []


@pytest.mark.parametrize("split", ["train", "val"])
def test_absent_classes(tmp_path, split):
    file = write_clean_set(tmp_path)
    rewrite(file, split, lambda number, line: line if line[0] == "1" else "")
    (finding,) = class_findings(surveyed(file))
    assert (finding.kind, finding.split) == ("class-absent", split)
    assert finding.what == f"{split}: 1 class has no object: cat"


def test_rare_classes_and_the_threshold_that_repeats_them(tmp_path):
    file = write_clean_set(tmp_path)
    for label in sorted((tmp_path / "labels" / "train").iterdir())[9:]:
        label.write_text("0 0.3 0.4 0.4 0.5\n")
    (finding,) = class_findings(surveyed(file))
    assert finding.what == "1 class under 10 images in train: dog (9)" and finding.fields == {"threshold": "0.1"}


def test_small_and_missing_splits(tmp_path):
    file = write_clean_set(tmp_path, val=1)
    assert kinds(file) == [("split-small", "val")]
    change_yaml(file, val=None)
    assert kinds(file) == [("split-missing", "val")]


@pytest.mark.parametrize(("imgsz", "expected"), [(64, None), (24, "60% of the objects of train are under 12 px at 24")])
def test_tiny_objects_depend_on_imgsz(tmp_path, imgsz, expected):
    """sqrt(0.4 * 0.5 * 64 * 48) = 24.8 px at 64 and 9.3 at 24; sqrt(0.8 * 0.9 * 64 * 48) = 47.0 px, 17.6 at 24."""
    file = write_clean_set(tmp_path, train=5, val=1)
    for number, label in enumerate(sorted((tmp_path / "labels" / "train").iterdir())):
        label.write_text("0 0.5 0.5 0.4 0.5\n" if number < 3 else "0 0.5 0.5 0.8 0.9\n")
    found = [finding.what for finding in size_findings(surveyed(file), imgsz)]
    assert found == ([expected] if expected else [])


def test_usual_size_is_that_of_small_images(tmp_path):
    assert usual_imgsz(surveyed(write_clean_set(tmp_path, train=2, val=1))) == 64
