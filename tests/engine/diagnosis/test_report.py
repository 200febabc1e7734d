"""The report on the screen."""

from __future__ import annotations

import re

from engine.diagnosis.diagnosis import diagnose
from engine.diagnosis.report import lines_of, printable, totals
from tests.data.checks.sets import change_yaml, write_clean_set


def test_report_lists_files_below_the_set_and_answers(tmp_path):
    file = write_clean_set(tmp_path, train=20)
    for number in range(7):
        (tmp_path / "labels" / "train" / f"train00{number}.txt").write_text("x\n")
    diagnosis, _ = diagnose(str(file))
    text = "\n".join(lines_of(diagnosis, most=2))
    assert (
        "error    label-row  train: 7 label rows make no sense\n    labels/train/train000.txt:1: 'x' holds something"
        in text
    )
    assert "    and 5 more\n    -> correct the rows" in text
    assert totals(diagnosis) == "1 error"


def test_hostile_names_cannot_act_on_a_terminal(tmp_path):
    file = write_clean_set(tmp_path, train=12, val=20)
    change_yaml(file, names={0: "cat<script>alert(1)</script>", 1: "dog | `rm`"})
    for path in (tmp_path / "labels" / "val").iterdir():
        path.write_text("")
    (tmp_path / "images" / "train" / "a\x1b]0;b\x07\nc.jpg").write_bytes(b"no image")
    lines = [printable(line) for line in lines_of(diagnose(str(file))[0], most=9)]
    assert not re.search(r"[\x00-\x1f\x7f]", "".join(lines))
    assert any("<script>" in line for line in lines) and any(r"a\x1b]0;b\x07\x0ac.jpg" in line for line in lines)
