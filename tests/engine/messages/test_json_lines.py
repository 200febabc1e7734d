"""One JSON object per line."""

from __future__ import annotations

import errno
import json
import os

import pytest

from engine.messages import json_lines
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


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path, full_disk):
    lines = JsonLines(str(tmp_path / "x.jsonl"))
    lines.write({"a": 1})
    full_disk(12)
    with pytest.raises(UserError, match=r"--save-jsonl .*/x.jsonl: cannot be written \(.*\). Free space there"):
        lines.write({"a": 2})
    lines.close()
    assert (tmp_path / "x.jsonl").read_text() == '{"a":1}\n'


def test_streams_go_on_over_a_full_disk(tmp_path, monkeypatch, caplog):
    def full(file, line):
        raise OSError(errno.ENOSPC, "No space left on device")

    now, room = [0.0], json_lines._append
    lines = JsonLines(str(tmp_path / "x.jsonl"), clock=lambda: now[0])
    lines.write({"a": 1}, go_on=True)
    monkeypatch.setattr(json_lines, "_append", full)
    for second in (0.0, 30.0, 61.0):  # not tried at 30 s
        now[0] = second
        lines.write({"a": 2}, go_on=True)
    monkeypatch.setattr(json_lines, "_append", room)
    lines.write({"a": 3}, go_on=True)
    now[0] = 122.0
    for number in (4, 5):
        lines.write({"a": number}, go_on=True)
    lines.close()
    assert (tmp_path / "x.jsonl").read_text() == '{"a":1}\n{"a":4}\n{"a":5}\n'
    told = [record.message for record in caplog.records]
    assert len(told) == 2 and "x.jsonl: cannot be written" in told[0] and told[1].endswith("x.jsonl: goes on")


def test_a_reader_that_is_gone_is_no_full_disk(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    lines = JsonLines(str(pipe))
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        lines.write({"a": 1}, go_on=True)
    lines.close()
