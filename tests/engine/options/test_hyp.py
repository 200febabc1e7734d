"""engine.options.hyp: our own files are used whole, YOLOv5's where their keys mean the same."""

from __future__ import annotations

import pytest

from engine.options.hyp import IGNORED, KNOWN, load_hyp
from utils.errors import UserError

YOLOV5 = """lr0: 0.01
lrf: 0.1
momentum: 0.937
box: 0.05
cls: 0.3
cls_pw: 1.0
obj: 0.7
obj_pw: 1.0
iou_t: 0.20
anchor_t: 4.0
# anchors: 3
fl_gamma: 0.0
hsv_h: 0.015
mosaic: 1.0
mixup: 0.1
copy_paste: 0.1
mode: high
"""


@pytest.mark.parametrize(
    ("name", "lrf", "scale", "mixup"), [("low", 0.01, 0.5, 0.0), ("med", 0.1, 0.9, 0.0), ("high", 0.1, 0.9, 0.1)]
)
def test_our_own_files_are_used_whole(root, name, lrf, scale, mixup):
    used, ignored = load_hyp(root / f"data/hyps/hyp.scratch-{name}.yaml")
    assert ignored == {}
    assert set(used) == KNOWN - {"nbs", "close_mosaic"}
    assert (used["lrf"], used["scale"], used["mixup"]) == (lrf, scale, mixup)
    assert (used["lr0"], used["hsv_h"], used["hsv_s"], used["hsv_v"]) == (0.01, 0.015, 0.7, 0.4)


def test_a_yolov5_file_keeps_what_means_the_same(tmp_path):
    (tmp_path / "hyp.yaml").write_text(YOLOV5)
    used, ignored = load_hyp(tmp_path / "hyp.yaml")
    assert used == {"lr0": 0.01, "lrf": 0.1, "momentum": 0.937, "hsv_h": 0.015, "mosaic": 1.0, "mixup": 0.1}
    assert set(ignored) == {
        *("box", "cls", "cls_pw", "obj", "obj_pw", "iou_t", "anchor_t", "fl_gamma", "copy_paste", "mode")
    }
    assert "anchor-based loss" in ignored["box"]
    assert "objectness" in ignored["obj"]


@pytest.mark.parametrize("text", ["box: 5\ncls: 0.3\n", "box: 5\ncls: 0.3\ndfl: 1\nobj: 1\n"])
def test_gains_of_an_anchor_free_file_are_used(tmp_path, text):
    (tmp_path / "hyp.yaml").write_text(text)
    used, _ = load_hyp(tmp_path / "hyp.yaml")
    assert (used["box"], used["cls"]) == (5.0, 0.3)


def test_unknown_keys_are_named_with_the_nearest(tmp_path):
    (tmp_path / "hyp.yaml").write_text("mosiac: 1\n3: 4\nzzzz: x\n")
    used, ignored = load_hyp(tmp_path / "hyp.yaml")
    assert used == {}
    assert ignored == {
        "mosiac": "it has no meaning here. Did you mean 'mosaic'?",
        "3": "it has no meaning here.",
        "zzzz": "it has no meaning here.",
    }


@pytest.mark.parametrize(("text", "number"), [("lr0: 1e-3", 0.001), ("lr0: 1", 1.0), ("lr0: '0.5'", 0.5)])
def test_numbers(tmp_path, text, number):
    (tmp_path / "hyp.yaml").write_text(text)
    assert load_hyp(tmp_path / "hyp.yaml")[0] == {"lr0": number}


@pytest.mark.parametrize("value", ["high", "true", "[1]", "null", ".nan", ".inf"])
def test_what_is_no_number(tmp_path, value):
    (tmp_path / "hyp.yaml").write_text(f"lr0: {value}\n")
    with pytest.raises(UserError, match="hyp.yaml: 'lr0' must be a number"):
        load_hyp(tmp_path / "hyp.yaml")


def test_no_key_is_both_used_and_ignored():
    assert not KNOWN & IGNORED.keys()
