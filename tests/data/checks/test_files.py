"""Findings about single files."""

from __future__ import annotations

from data.checks.files import file_findings
from tests.data.checks.sets import surveyed, write_clean_set


def found(file) -> dict[str, list[str]]:
    return {finding.kind: [place.file.name for place in finding.places] for finding in file_findings(surveyed(file))}


def test_a_clean_set_has_none(tmp_path):
    assert found(write_clean_set(tmp_path, train=3, val=1)) == {}


def test_files_are_named_by_kind(tmp_path):
    file = write_clean_set(tmp_path, train=5, val=1)
    images, labels = tmp_path / "images" / "train", tmp_path / "labels" / "train"
    (images / "train000.jpg").write_bytes((images / "train000.jpg").read_bytes()[:-60])
    (images / "train001.jpg").unlink()
    (labels / "train002.txt").unlink()
    (labels / "train003.txt").write_text("9 0.5 0.5 0.2 0.2\nx\n")
    (labels / "classes.txt").write_text("cat\ndog\n")
    assert found(file) == {
        "image-truncated": ["train000.jpg"],
        "label-row": ["train003.txt"],
        "label-class": ["train003.txt"],
        "label-missing": ["train002.txt"],
        "label-orphan": ["train001.txt"],
    }


def test_labels_of_images_that_no_split_lists_are_no_orphans(tmp_path):
    file = write_clean_set(tmp_path, train=3, val=1)
    (tmp_path / "train.txt").write_text("./images/train/train000.jpg\n")
    file.write_text(file.read_text().replace("images/train", "train.txt"))
    assert found(file) == {}


def test_suffixes_of_images_in_capitals(tmp_path):
    """Cameras write .JPG; a list leaves all but the first of these images out."""
    file = write_clean_set(tmp_path, ".JPG", train=3, val=1)
    (tmp_path / "train.txt").write_text("./images/train/train000.JPG\n")
    file.write_text(file.read_text().replace("images/train", "train.txt"))
    assert found(file) == {}
