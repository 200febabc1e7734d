"""The record of a set that is being made: only what is listed and there is done, and no recipe mixes with another."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.manifest import MANIFEST, Manifest
from utils.files import UserError

NOTE, RECIPE = "made.yaml", {"recipe": "fog", "seed": 0, "severity": None}


def begin(out: Path, **change) -> Manifest:
    return Manifest(out, NOTE, RECIPE | change)


def fill(out: Path, *names: str) -> None:
    manifest = begin(out)
    for name in names:
        (out / name).write_bytes(b"picture")
        manifest.add({"file": name, "share": 0.1, "words": "a, b\nc"})


def test_rows_come_back(tmp_path):
    fill(tmp_path / "out", "a.png", "b, c.png")
    rows = begin(tmp_path / "out").rows
    assert list(rows) == ["a.png", "b, c.png"]
    assert rows["a.png"] == {"file": "a.png", "share": "0.1", "words": "a, b c"}


@pytest.mark.parametrize(
    ("spoil", "left"),
    [
        (lambda out: (out / "a.png").unlink(), ["b.png"]),
        (lambda out: (out / MANIFEST).write_text((out / MANIFEST).read_text()[:-3]), ["a.png"]),  # cut short by a crash
        (lambda out: (out / MANIFEST).write_text((out / MANIFEST).read_text() + "b.png,0"), ["a.png", "b.png"]),
        (lambda out: (out / MANIFEST).write_text("file,sha"), []),
        (lambda out: (out / MANIFEST).write_text(""), []),
        (lambda out: (out / MANIFEST).unlink(), []),
    ],
)
def test_what_is_not_surely_done_is_taken_off(tmp_path, spoil, left):
    fill(tmp_path, "a.png", "b.png")
    spoil(tmp_path)
    manifest = begin(tmp_path)
    assert list(manifest.rows) == left
    (tmp_path / "c.png").write_bytes(b"picture")
    manifest.add({"file": "c.png", "share": 1.0, "words": ""})
    assert list(begin(tmp_path).rows) == [*left, "c.png"]


@pytest.mark.parametrize("change", [{"recipe": "rain"}, {"seed": 1}, {"severity": 0.5}, {"quality": 3}])
def test_another_recipe_is_refused(tmp_path, change):
    fill(tmp_path, "a.png")
    before = (tmp_path / NOTE).read_bytes()
    with pytest.raises(UserError, match=f"begun with {next(iter(change))} .*another folder"):
        begin(tmp_path, **change)
    assert (tmp_path / NOTE).read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="something else"):
        begin(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_whose_pictures_are_all_gone_keeps_its_one_header(tmp_path):
    fill(tmp_path, "a.png")
    (tmp_path / "a.png").unlink()
    fill(tmp_path, "b.png")
    assert (tmp_path / MANIFEST).read_text().splitlines()[0] == "file,share,words"
    assert list(begin(tmp_path).rows) == ["b.png"] and len((tmp_path / MANIFEST).read_text().splitlines()) == 2
