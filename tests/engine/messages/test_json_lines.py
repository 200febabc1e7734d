"""One JSON object per line."""

from __future__ import annotations

import json

import pytest

from engine.messages.json_lines import JsonLines, to_json
from utils.errors import UserError


def test_lines_are_written_at_once(tmp_path):
    lines = JsonLines(str(tmp_path / "new" / "x.jsonl"))
    lines.write({"a": "ö\n"})
    assert (tmp_path / "new" / "x.jsonl").read_text("utf-8") == '{"a":"ö\\n"}\n'
    lines.close()


def test_a_file_that_exists_is_kept_or_appended_to(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("1\n")
    with pytest.raises(UserError, match=r"--save-jsonl .*x.jsonl: exists. Choose another name.*--exist-ok"):
        JsonLines(str(path))
    lines = JsonLines(str(path), append=True)
    lines.write({})
    lines.close()
    assert path.read_text() == "1\n{}\n"


def test_standard_output(capsys):
    lines = JsonLines("-")
    lines.write({"a": 1})
    lines.close()
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_half_a_letter_comes_back():
    assert to_json({"file": "\udcff\xe9.png"}) == '{"file":"\\udcff\xe9.png"}'
    assert json.loads(to_json({"file": "\udcff.png"})) == {"file": "\udcff.png"}


@pytest.mark.parametrize("name", ["x" * 5000, "\ud800", "a\0b"])
def test_a_name_that_no_file_system_has(name):
    with pytest.raises(UserError, match="cannot be a path"):
        JsonLines(name)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--save-jsonl .*: cannot be written"):
        JsonLines(str(tmp_path / "file" / "x.jsonl"))


def test_what_is_no_number_is_our_mistake():
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"a": float("nan")})
