"""What a detection run leaves behind."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.inference.capture import Frame
from engine.inference.sources import Source
from engine.inference.writers import (
    COLUMNS,
    DrawStyle,
    Outputs,
    Writer,
    crop,
    label_text,
    numbered,
    safe_name,
    table_rows,
)
from engine.recording.recorder import RecordingOptions
from tests.engine.inference.live import plain_image, read_back
from utils.errors import UserError

NAMES = {0: "cat", 1: "hot dog"}
NONE = np.zeros((0, 6), np.float32)
TWO = np.array([[10, 20, 30, 60, 0.876, 1], [0, 0, 64, 48, 0.5, 0]], np.float32)


def frame(
    name: str = "a.png", number: int = 1, kind: str = "image", shape: tuple[int, int] = (80, 100), **more
) -> Frame:
    item = Source(kind, f"/in/{name}", f"/in/{name}", 1, Path(name).stem)
    return Frame(item, plain_image(90, *shape), number, **more)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run(folder: Path, outputs: Outputs, *frames: tuple[Frame, np.ndarray], **settings) -> list[str]:
    writer = Writer(folder, outputs, DrawStyle(NAMES), **settings)
    for one, boxes in frames:
        writer.save(one, boxes)
    writer.close()
    return files(folder)


def test_label_rows_by_hand() -> None:
    """x (10 + 30) / 2 / 100 = 0.2, y (20 + 60) / 2 / 80 = 0.5, width 20 / 100 = 0.2, height 40 / 80 = 0.5."""
    assert label_text(TWO[:1], (80, 100, 3)) == "1 0.200000 0.500000 0.200000 0.500000\n"
    assert label_text(TWO[:1], (80, 100, 3), True) == "1 0.200000 0.500000 0.200000 0.500000 0.876000\n"
    assert label_text(TWO, (80, 100)).count("\n") == 2
    assert label_text(NONE, (80, 100)) == ""


def test_table_rows_by_hand() -> None:
    rows = list(table_rows(frame("clip.mp4", 12, "video"), TWO, NAMES))
    assert rows[0] == ["clip.mp4", "hot dog", "0.88", 12, "10.0", "20.0", "30.0", "60.0"]
    assert len(rows[0]) == len(COLUMNS)
    unnamed = np.array([[0, 0, 1, 1, 1, 5]], np.float32)
    camera = Frame(Source("camera", "0", "camera 0", 1, "camera_0"), plain_image(), 3)
    assert next(table_rows(camera, unnamed, NAMES))[:3] == ["camera 0", "5", "1.00"]


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((40, 30, 60, 50), (30, 30)),  # 20 * 1.02 + 10 = 30.4 px, from 35 to 65
        ((0, 0, 20, 20), (25, 25)),  # cut at the upper left: from 0 to 10 + 15.2
        ((90, 70, 100, 80), (15, 15)),
        ((-9, -9, -5, -5), (0, 0)),  # outside altogether
    ],
)
def test_crops_have_a_margin_and_stay_inside(box: tuple[float, ...], shape: tuple[int, int]) -> None:
    assert crop(plain_image(0, 80, 100), box).shape[:2] == shape


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hot dog", "hot dog"),
        ("../../etc", "_.._etc"),
        ("a/b\\c", "a_b_c"),
        ("..", "_"),
        ("", "_"),
        ("собака", "собака"),
        ("a\0b", "a_b"),
    ],
)
def test_class_names_as_folders_stay_where_they_belong(name: str, expected: str) -> None:
    assert safe_name(name) == expected


def test_names_of_a_frames_own_files() -> None:
    assert numbered(frame("a.png")) == "a"
    assert numbered(frame("clip.mp4", 12, "video")) == "clip_12"
    assert numbered(frame("cam", 3, "stream")) == "cam_3"


def test_nothing_asked_nothing_written(tmp_path: Path) -> None:
    outputs = Outputs(images=False)
    assert not outputs.any
    assert run(tmp_path, outputs, (frame(), TWO)) == []


def test_everything_asked(tmp_path: Path) -> None:
    found = run(tmp_path, Outputs(True, True, True, True, True), (frame(), TWO), (frame("b.jpg"), NONE))
    assert found == [
        "a.png", "b.jpg", "crops/cat/a.jpg", "crops/hot dog/a.jpg", "labels/a.txt", "predictions.csv"
    ]  # fmt: skip
    drawn = cv2.imread(str(tmp_path / "a.png"))
    assert drawn.shape == (80, 100, 3) and (drawn != 90).any()
    with (tmp_path / "predictions.csv").open(newline="") as table:
        rows = list(csv.reader(table))
    assert rows[0] == list(COLUMNS) and [row[1] for row in rows[1:]] == ["hot dog", "cat"]
    assert (tmp_path / "labels" / "a.txt").read_text().splitlines()[0].endswith("0.876000")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.JPG", "a.jpg"),
        ("a.jpeg", "a.jpg"),
        ("a.mpo", "a.jpg"),
        ("a.webp", "a.webp"),
        ("a.tif", "a.tif"),
        ("a.BMP", "a.bmp"),
    ],
)
def test_images_keep_formats_that_can_be_written(tmp_path: Path, name: str, kept: str) -> None:
    assert run(tmp_path, Outputs(), (frame(name), NONE)) == [kept]
    assert cv2.imread(str(tmp_path / kept)).shape == (80, 100, 3)


def test_two_crops_of_a_class_are_two_files(tmp_path: Path) -> None:
    same = TWO.copy()
    same[:, 5] = 0
    assert run(tmp_path, Outputs(False, crops=True), (frame(), same)) == ["crops/cat/a.jpg", "crops/cat/a_2.jpg"]


def test_crops_of_two_images_are_not_mixed(tmp_path: Path) -> None:
    """Two cats in a.png are a.jpg and a_2.jpg, so that the one in a_2.png, which is brighter, becomes a_2_2.jpg."""
    same = TWO.copy()
    same[:, 5] = 0
    bright = frame("a_2.png")
    bright.image[:] = 200
    found = run(tmp_path, Outputs(False, crops=True), (frame("a.png"), same), (bright, same[:1]))
    assert found == ["crops/cat/a.jpg", "crops/cat/a_2.jpg", "crops/cat/a_2_2.jpg"]
    assert [int(cv2.imread(str(tmp_path / name)).mean().round()) for name in found] == [90, 90, 200]


def test_a_video_is_finished_when_the_next_begins(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Outputs(), DrawStyle(NAMES))
    for number in (1, 2, 3):
        writer.save(frame("a.mp4", number, "video", (48, 64), fps=12.0), NONE)
    assert files(tmp_path) == ["a.part.mp4"]
    writer.save(frame("b.avi", 1, "video", (48, 64)), NONE)
    assert files(tmp_path) == ["a.mp4", "b.part.mp4"]
    writer.close()
    assert read_back(tmp_path / "a.mp4") == (3, 12.0, (48, 64))
    assert read_back(tmp_path / "b.mp4") == (1, 30.0, (48, 64))  # a rate that is not stated


def test_sources_that_are_read_together_keep_their_videos_open(tmp_path: Path) -> None:
    pairs = [(frame(name, number, "video", (48, 64)), NONE) for number in (1, 2) for name in ("a.mp4", "b.mp4")]
    assert run(tmp_path, Outputs(), *pairs, together=True) == ["a.mp4", "b.mp4"]
    assert read_back(tmp_path / "a.mp4")[0] == read_back(tmp_path / "b.mp4")[0] == 2


def test_a_stride_keeps_the_speed_of_a_video(tmp_path: Path) -> None:
    pairs = [(frame("a.mp4", number, "video", (48, 64), fps=30.0), NONE) for number in (1, 4, 7)]
    run(tmp_path, Outputs(), *pairs, rate=1 / 3)
    assert read_back(tmp_path / "a.mp4") == (3, 10.0, (48, 64))


def test_a_live_source_is_written_in_real_time(tmp_path: Path) -> None:
    pairs = [
        (frame("cam", number, "stream", (48, 64), fps=10.0, live=True, seconds=number / 2), NONE)
        for number in (0, 1, 2)
    ]
    run(tmp_path, Outputs(), *pairs)
    assert read_back(tmp_path / "cam.mp4")[0] == 11


def test_what_is_drawn_already_is_written_as_it_is(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Outputs(), DrawStyle(NAMES))
    writer.save(frame(), TWO, plain_image(5, 80, 100))
    writer.close()
    assert (cv2.imread(str(tmp_path / "a.png")) == 5).all()


def test_a_table_goes_on_in_a_folder_that_is_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        run(tmp_path, Outputs(False, table=True), (frame(), TWO))
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 5  # one heading


def test_rows_are_there_before_the_end(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Outputs(False, table=True), DrawStyle(NAMES))
    writer.save(frame(), TWO)
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 3
    writer.close()


def test_an_image_too_large_for_its_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="20000 x 1 pixels does not fit into this format"):
        run(tmp_path, Outputs(), (frame("a.webp", shape=(1, 20000)), NONE))
    assert files(tmp_path) == []


def test_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    run(tmp_path, Outputs(table=True), (frame("\udcff.png"), TWO))
    assert (tmp_path / "\udcff.png").is_file()
    assert r"\udcff.png,hot dog," in (tmp_path / "predictions.csv").read_text()


def test_a_recording_is_complete_when_the_next_video_begins(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    writer = Writer(tmp_path, Outputs(False, recording=RecordingOptions()), DrawStyle(NAMES))
    for name in ("a.mp4", "b.mp4"):
        writer.save(frame(name, kind="video", fps=10.0), NONE)
    names = [Path(name).parent.name for name in files(tmp_path / "recordings") if not name.endswith(".part.mp4")]
    writer.close()
    assert names == ["a", ""] and len(files(tmp_path / "recordings")) == 3
