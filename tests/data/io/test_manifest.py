"""The record of a set that is being made: only what is listed and there is done, and no recipe mixes with another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.io.manifest import MANIFEST, SOURCE, STAMP, Manifest
from utils.errors import UserError

NOTE, RECIPE = "made.yaml", {"recipe": "fog", "seed": 0, "severity": None}


def begin(out: Path, **change) -> Manifest:
    return Manifest(out, NOTE, RECIPE | change)


def fill(out: Path, *names: str) -> None:
    manifest = begin(out)
    for name in names:
        (out / name).write_bytes(b"image")
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
    (tmp_path / "c.png").write_bytes(b"image")
    manifest.add({"file": "c.png", "share": 1.0, "words": ""})
    assert list(begin(tmp_path).rows) == [*left, "c.png"]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda good: good + b"\xe9.png,1,2\n", ["a.png", "b.png"]),  # not UTF-8
        (lambda good: good + b'"c\nd.png",1,2\n', ["a.png", "b.png"]),  # a quoted newline
        (lambda good: good + b"c.png," + b"x" * 200_000 + b",2\n", ["a.png", "b.png"]),  # more than csv reads
        (lambda good: good + b"x" * 5000 + b",1,2\n", ["a.png", "b.png"]),  # no file system has such a name
        (lambda good: b"\n" + good, []),
        (lambda good: b"x" * 200_000 + good, []),
        (lambda good: good.decode().encode("utf-16"), []),
    ],
)
def test_a_damaged_manifest(tmp_path, damage, left):
    fill(tmp_path, "a.png", "b.png")
    (tmp_path / MANIFEST).write_bytes(damage((tmp_path / MANIFEST).read_bytes()))
    manifest = begin(tmp_path)
    assert list(manifest.rows) == left
    manifest.add({"file": "a.png", "share": 0.2, "words": ""})
    assert list(begin(tmp_path).rows) == (left or ["a.png"])
    assert (tmp_path / MANIFEST).read_text().startswith("file,share,words\n")


def test_a_name_that_is_no_utf_8_comes_back(tmp_path):
    name = os.fsdecode(b"\xff.png")
    fill(tmp_path, name)
    assert list(begin(tmp_path).rows) == [name]


@pytest.mark.parametrize("change", [{"recipe": "rain"}, {"seed": 1}, {"severity": 0.5}, {"quality": 3}])
def test_another_recipe_is_refused(tmp_path, change):
    fill(tmp_path, "a.png")
    before = (tmp_path / NOTE).read_bytes()
    with pytest.raises(UserError, match=f"began with {next(iter(change))} .*another folder"):
        begin(tmp_path, **change)
    assert (tmp_path / NOTE).read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="something else"):
        begin(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_whose_images_are_all_gone_keeps_its_one_header(tmp_path):
    fill(tmp_path, "a.png")
    (tmp_path / "a.png").unlink()
    fill(tmp_path, "b.png")
    assert (tmp_path / MANIFEST).read_text().splitlines()[0] == "file,share,words"
    assert list(begin(tmp_path).rows) == ["b.png"] and len((tmp_path / MANIFEST).read_text().splitlines()) == 2


def stamped(out: Path, source: Path) -> Manifest:
    """Names of copies are those of the images, as .png."""
    images = {f"{path.stem}.png": path for path in sorted(source.iterdir())}
    manifest = Manifest(out, NOTE, RECIPE | {SOURCE: str(source)}, images)
    for name in images.keys() - manifest.rows:
        (out / name).write_bytes(b"image")
        manifest.add({"file": name, "share": 0.1})
    return manifest


def images(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"light")
    return folder


@pytest.mark.parametrize("content", [b"longer than it was", b"night"])
def test_a_source_that_changed_is_not_done(tmp_path, content):
    """Of another size, or of the same five bytes and another time; the rows of a.jpg and b.jpg come back alike."""
    source, out = images(tmp_path / "in", "a.jpg", "b.jpg"), tmp_path / "out"
    stamped(out, source)
    (source / "a.jpg").write_bytes(content)
    os.utime(source / "a.jpg", ns=(5, 5))
    manifest = Manifest(out, NOTE, RECIPE | {SOURCE: str(source)}, {f"{n}.png": source / f"{n}.jpg" for n in "ab"})
    assert list(manifest.rows) == ["b.png"]
    assert stamped(out, source).rows["a.png"][STAMP] == f"{len(content)} 5"
    assert len((out / MANIFEST).read_text().splitlines()) == 3


def test_a_source_that_is_gone_cannot_be_done_again(tmp_path):
    source, out = images(tmp_path / "in", "a.jpg"), tmp_path / "out"
    stamped(out, source)
    (source / "a.jpg").unlink()
    assert list(stamped(out, source).rows) == ["a.png"]


def test_folders_of_older_versions_are_gone_on_with(tmp_path):
    """Their notes name no source, and their rows have no stamp: they count as done, and new rows are like them."""
    source = images(tmp_path / "in", "a.jpg", "c.jpg")
    fill_old(tmp_path / "out")
    assert list(stamped(tmp_path / "out", source).rows) == ["a.png", "c.png"]
    assert (tmp_path / "out" / MANIFEST).read_text() == "file,share\na.png,0.1\nc.png,0.1\n"


def fill_old(out: Path) -> None:
    manifest = begin(out)
    (out / "a.png").write_bytes(b"image")
    manifest.add({"file": "a.png", "share": 0.1})


def test_another_source_is_refused(tmp_path):
    stamped(tmp_path / "out", images(tmp_path / "a", "1.jpg"))
    with pytest.raises(UserError, match="began with source .*/a, now it is .*/b.*another folder"):
        stamped(tmp_path / "out", images(tmp_path / "b", "2.jpg"))
