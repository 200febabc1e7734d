"""What is found in a set, and the advice that follows."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from data.checks import survey as reading
from data.checks.findings import Finding
from engine.diagnosis.diagnosis import diagnose, ordered
from tests.data.checks.sets import change_yaml, write_clean_set
from utils.errors import UserError


def test_a_clean_set(tmp_path):
    diagnosis, _ = diagnose(str(write_clean_set(tmp_path, pair=True)), imgsz=64)
    assert (diagnosis.exit_code, diagnosis.findings, diagnosis.images, diagnosis.objects) == (0, (), 100, 120)
    assert diagnosis.advice == "Nothing found here calls for a method: train plainly (--method none)."


def test_advice_names_the_weightiest_finding_and_json_all_files(tmp_path):
    file = write_clean_set(tmp_path)
    for path in (tmp_path / "images" / "val").iterdir():
        cv2.imwrite(str(path), (cv2.imread(str(path)) * 0.3).astype(np.uint8))
    (tmp_path / "labels" / "train" / "train003.txt").write_text("9 0.5 0.5 0.2 0.2\n")
    diagnosis, _ = diagnose(str(file))
    assert [finding.kind for finding in diagnosis.findings] == ["label-class", "shift-dark"]
    assert diagnosis.exit_code == 1
    assert diagnosis.advice.startswith("To try first: val is 3.") and diagnosis.advice.endswith(
        "prepare.py darken, --method wiid"
    )
    content = json.loads(json.dumps(diagnosis.content(), allow_nan=False))
    assert content["counts"] == {"error": 1, "warning": 0, "advice": 1}
    row = content["findings"][0]
    assert (row["id"], row["severity"], row["split"], row["files"][0]["line"]) == ("label-class", "error", "train", 1)
    assert row["files"][0]["file"].endswith("labels/train/train003.txt") and row["answers"]


def test_least_severity():
    found = [Finding("duplicate", "train", ""), Finding("leak", "val", ""), Finding("image-exif", "train", "")]
    assert [finding.kind for finding in ordered(found)] == ["leak", "image-exif", "duplicate"]
    assert [finding.kind for finding in ordered(found, "warning")] == ["leak", "image-exif"]


def test_a_missing_test_split_is_a_finding_and_a_missing_val_an_error(tmp_path):
    file = change_yaml(write_clean_set(tmp_path), test="images/nowhere")
    diagnosis, _ = diagnose(str(file))
    assert [(finding.kind, finding.split) for finding in diagnosis.findings] == [("split-missing", "test")]
    with pytest.raises(UserError, match="'val' is .*nowhere, which is missing"):
        diagnose(str(change_yaml(file, val="images/nowhere")))


def test_one_image_in_val(tmp_path):
    diagnosis, _ = diagnose(str(write_clean_set(tmp_path, val=1)))
    assert [finding.kind for finding in diagnosis.findings] == ["split-small"]


def test_a_set_that_changes_under_the_check(tmp_path, monkeypatch):
    file = write_clean_set(tmp_path, train=12)
    images = sorted((tmp_path / "images" / "train").iterdir())
    read, seen = reading.read_image_facts, []

    def changing(path):
        facts = read(path)
        seen.append(path)
        if len(seen) == 8:  # one that was read is written anew, one that was not is cut short, one vanishes
            seen[0].write_bytes(b"other")
            images[-1].write_bytes(images[-1].read_bytes()[:-50])
            images[-2].unlink()
        return facts

    monkeypatch.setattr(reading, "cores", lambda: 1)
    monkeypatch.setattr(reading, "read_image_facts", changing)
    kinds = {finding.kind for finding in diagnose(str(file))[0].findings}
    assert {"image-changed", "image-truncated", "image-missing"} <= kinds


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [a\n", "not valid YAML"),
        ("names: {0: a}\ntrain: images\n", "which is missing"),
        ("names: {0: a}\n", "names no split"),
        ("names: {0: a}\ntask: classify\ntrain: .\n", "task: classify"),
        ("- 1\n", "expected a mapping"),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_paragraph(tmp_path, content, message):
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(UserError, match=message) as problem:
        diagnose(str(tmp_path / "data.yaml"))
    assert "\n" not in str(problem.value)
