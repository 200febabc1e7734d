"""Recorded files, their index, and their limit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from engine.recording.segments import COLUMNS, INDEX, SegmentStore, iso, read_index

NOON = 1764417600.0  # 2025-11-29 12:00 UTC


def record(store: SegmentStore, start: float, size: int = 100, stem: str = "cam") -> Path:
    partial = store.begin(stem, NOON + start)
    partial.write_bytes(b"x" * size)
    store.finish(partial, f"rtsp://{stem}", NOON + start, NOON + start + 5.5, 55, "h264", ["people", "car"])
    return partial


def rows(folder: Path) -> list[list[str]]:
    with (folder / INDEX).open(newline="") as file:
        return list(csv.reader(file))


def test_a_row_by_hand(tmp_path: Path) -> None:
    assert record(SegmentStore(tmp_path, 10**6), 0.25).name == "20251129T120000.250Z.part.mp4"
    assert rows(tmp_path) == [
        list(COLUMNS),
        ["cam/20251129T120000.250Z.mp4", "rtsp://cam", "2025-11-29T12:00:00.250Z", "2025-11-29T12:00:05.750Z", "55", "100",
         "h264", "people; car"],
    ]  # fmt: skip
    assert [path.name for path in (tmp_path / "cam").iterdir()] == ["20251129T120000.250Z.mp4"]
    assert iso(0.0) == "1970-01-01T00:00:00.000Z"


def test_the_oldest_are_deleted_first_whatever_their_source(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path, 250)
    for number, stem in enumerate("abab"):
        record(store, 10.0 * number, stem=stem)
    names = [row[0] for row in rows(tmp_path)[1:]]
    assert names == ["a/20251129T120020.000Z.mp4", "b/20251129T120030.000Z.mp4"]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*.mp4")) == names
    record(store, 50, size=900)  # larger than the limit: the newest stays
    assert [row[0] for row in rows(tmp_path)[1:]] == ["cam/20251129T120050.000Z.mp4"]


def test_the_index_goes_on_and_counts_what_was_there(tmp_path: Path) -> None:
    record(SegmentStore(tmp_path, 250), 0)
    record(SegmentStore(tmp_path, 250), 10)
    assert len(rows(tmp_path)) == 3
    (tmp_path / "cam" / "left.part.mp4").write_bytes(b"killed")
    record(SegmentStore(tmp_path, 250), 20)
    assert [row[0][-15:] for row in rows(tmp_path)[1:]] == ["T120010.000Z.mp4"[-15:], "T120020.000Z.mp4"[-15:]]
    assert not (tmp_path / "cam" / "left.part.mp4").exists()


def test_an_index_that_was_edited_deletes_nothing_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    folder = tmp_path / "recordings"
    folder.mkdir()
    row = "../mine.txt,x,2020,2020,1,999,h264,"
    (folder / INDEX).write_text(f"{','.join(COLUMNS)}\n{row}\nonly,half\na,b,c,d,many,1,h264,\n")
    assert len(read_index(folder / INDEX)) == 1
    assert "2 rows cannot be read" in capsys.readouterr().err
    record(SegmentStore(folder, 250), 0)
    assert (tmp_path / "mine.txt").read_text() == "mine" and len(rows(folder)) == 2


def test_no_index_is_an_empty_one(tmp_path: Path) -> None:
    assert read_index(tmp_path / INDEX) == []
