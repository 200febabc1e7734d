"""`prepare.py check` as a program: output, exit codes, nothing changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import engine
import prepare as script
from tests.data.checks.sets import write_clean_set


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("words", [[], ["--json"], ["--least", "error"]])
def test_a_clean_set_exits_with_0_and_is_not_touched(tmp_path, capsys, words):
    file = write_clean_set(tmp_path)
    before = state(tmp_path)
    assert script.main(["check", str(file), *words]) == 0
    assert state(tmp_path) == before
    assert "train plainly" in capsys.readouterr().out


def test_findings_exit_with_1_and_json_is_all_that_stdout_holds(tmp_path, capsys):
    file = write_clean_set(tmp_path)
    file.write_text(file.read_text() + "roboflow: {}\n")  # of which a note speaks
    (tmp_path / "images" / "val" / "val000.jpg").write_bytes(b"")
    assert script.main(["check", "--data", str(file), "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in content["findings"]] == ["image-unreadable", "split-small"]
    assert script.main(["check", "--data", str(file), "--imgsz", "20"]) == 2


def test_what_cannot_be_checked_exits_with_2(tmp_path, capsys):
    (tmp_path / "data.yaml").write_text("names: {0: a, 0: b}\n")
    assert script.main(["check", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("error: ") and err.count("\n") == 1
    assert script.main(["check"]) == 2


def test_names_that_no_text_can_hold(tmp_path, capsys):
    file = write_clean_set(tmp_path, train=12)
    with open(os.fsencode(tmp_path / "images" / "train") + b"/\xff.jpg", "wb") as broken:
        broken.write(b"no image")
    assert script.main(["check", str(file)]) == 1
    assert r"\udcff.jpg" in capsys.readouterr().out
    assert script.main(["check", str(file), "--json"]) == 1
    json.loads(capsys.readouterr().out)


def test_from_python(tmp_path):
    diagnosis = engine.prepare("check", data=str(write_clean_set(tmp_path, val=1)))
    assert [finding.kind for finding in diagnosis.findings] == ["split-small"]


@pytest.mark.parametrize("name", ["bccd", "nightcars", "aerialcars"])
@pytest.mark.slow
def test_photographs(shared, name):
    advice = {"bccd": "train plainly", "nightcars": "darken, --method wiid", "aerialcars": "-p2.yaml --method rfla"}
    assert advice[name] in engine.prepare("check", data=str(shared / "data" / name), least="advice").advice
