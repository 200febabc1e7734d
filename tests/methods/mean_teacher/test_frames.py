"""Frames of films: at which distance, without look-alikes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.preparation import prepare
from methods.mean_teacher.frames import difference_hash, period
from utils.errors import UserError
from utils.tables import read_csv


def film(path: Path, scenes: list[int], fps: int = 10, each: int = 10) -> Path:
    """Each scene is a block of noise of its own, shown for `each` frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for scene in scenes:
        small = np.random.default_rng(scene).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        for _ in range(each):
            writer.write(cv2.resize(small, (64, 48), interpolation=cv2.INTER_NEAREST))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2s", (2.0, True)),
        ("1.5 min", (90.0, True)),
        ("500ms", (0.5, True)),
        ("30", (30.0, False)),
        ("1h", (3600.0, True)),
    ],
)
def test_periods(text, expected):
    assert period(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "-2s", "2 weeks", "1.5", "s"])
def test_periods_that_are_none(text):
    with pytest.raises(UserError, match="--every"):
        period(text)


def test_every_second(tmp_path: Path):
    """Five seconds at ten frames a second: frames 0, 10, 20, 30, 40."""
    kept = prepare("frames", source=film(tmp_path / "f.avi", [1, 2, 3, 4, 5]), out=tmp_path / "out", every="1s")
    rows = read_csv(tmp_path / "out" / "manifest.csv")
    assert [row["frame"] for row in rows] == ["0", "10", "20", "30", "40"]
    assert [float(row["seconds"]) for row in rows] == [0, 1, 2, 3, 4]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jpg")) == [row["file"] for row in rows]
    assert kept.duplicates == 0 and [*kept.frames.values()] == [5]


def test_hidden_files_of_a_folder_are_no_films(tmp_path: Path):
    """macOS writes `._name.avi` beside `name.avi` on foreign disks."""
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "f.avi", [1, 2])
    (folder / "._f.avi").write_bytes(b"x")
    kept = prepare("frames", source=folder, out=tmp_path / "out", every="1s")
    assert [*kept.frames] == [folder / "f.avi"] and kept.skipped == ()


def test_look_alikes_are_skipped(tmp_path: Path):
    """Three scenes, one of them twice, looked at twice each: eight frames, three of which are kept."""
    kept = prepare(
        "frames", source=film(tmp_path / "f.avi", [1, 2, 1, 3]), out=tmp_path / "out", every="500ms", dedupe=True
    )
    assert [*kept.frames.values()] == [3] and kept.duplicates == 5


def test_several_films_and_a_limit(tmp_path: Path):
    (tmp_path / "films").mkdir()
    for name in ("a", "b"):
        film(tmp_path / "films" / f"{name}.avi", [1, 2, 3])
    (tmp_path / "films" / "c.mp4").write_bytes(b"no film")
    kept = prepare("frames", source=tmp_path / "films", out=tmp_path / "out", every="10")
    assert [*kept.frames.values()] == [3, 3, 0] and [path.name for path, _ in kept.skipped] == ["c.mp4"]
    few = prepare("frames", source=tmp_path / "films", out=tmp_path / "few", every="10", most=4)
    assert sum(few.frames.values()) == 4


def test_hashes_stand_compression_and_brightness():
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8), (320, 240))
    darker = (image * 0.7).astype(np.uint8)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)
    other = cv2.resize(np.random.default_rng(1).integers(0, 256, (8, 9, 3), dtype=np.uint8), (320, 240))
    code = difference_hash(image)
    assert (code ^ difference_hash(darker)).bit_count() <= 2 and (code ^ difference_hash(jpeg)).bit_count() <= 2
    assert (code ^ difference_hash(other)).bit_count() > 16


@pytest.mark.parametrize(
    ("name", "match"), [("no.mp4", "no such film"), ("broken.mp4", "a text, not a video"), ("empty", "holds no film")]
)
def test_sources_that_give_nothing(tmp_path: Path, name: str, match: str):
    (tmp_path / "broken.mp4").write_bytes(b"this is no film at all")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=match):
        prepare("frames", source=tmp_path / name, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_whole_disk_holds_no_film(tmp_path: Path):
    with pytest.raises(UserError, match="^/: is the whole disk"):
        prepare("frames", source="/", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_header_that_claims_more_frames_than_a_file_can_hold(tmp_path: Path):
    """The frame count of an AVI is at byte 48 (avih) and 140 (strh)."""
    path = film(tmp_path / "f.avi", [1], each=3)
    content = bytearray(path.read_bytes())
    for place in (48, 140):
        assert content[place : place + 4] == (3).to_bytes(4, "little")
        content[place : place + 4] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(content)
    kept = prepare("frames", source=path, out=tmp_path / "out", every="1ms", dedupe=False)
    assert [*kept.frames.values()] == [3]
