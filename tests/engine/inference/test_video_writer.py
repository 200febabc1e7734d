"""Videos that are complete or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.inference.video_writer import VideoWriter
from tests.engine.inference.live import plain_image, read_back
from utils.errors import UserError


def test_a_video_keeps_frames_rate_and_size(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "v.mp4", 12.5)
    for number in range(7):
        video.write(plain_image(30 * number, 48, 64))
    video.close()
    assert read_back(tmp_path / "v.mp4") == (7, 12.5, (48, 64))


def test_it_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "v.mp4", 10)
    video.write(plain_image(0, 48, 64))
    assert [path.name for path in tmp_path.iterdir()] == ["v.part.mp4"]
    video.close()
    video.close()  # once more does no harm
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


def test_nothing_written_leaves_nothing(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "v.mp4", 10).close()
    assert list(tmp_path.iterdir()) == []


def test_another_image_size_begins_another_file(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "v.mp4", 10)
    for height in (48, 48, 96, 48):
        video.write(plain_image(0, height, 64))
    video.close()
    found = {path.name: read_back(path)[::2] for path in tmp_path.iterdir()}
    assert found == {"v.mp4": (2, (48, 64)), "v_2.mp4": (1, (96, 64)), "v_3.mp4": (1, (48, 64))}


@pytest.mark.parametrize(
    ("times", "frames"),
    [
        ([0.0, 0.1, 0.2, 0.3], 4),  # as fast as the video's 10 frames a second
        ([0.0, 0.5, 1.0], 11),  # five times slower: each image stands for half a second
        ([0.0, 0.01, 0.02, 0.03, 0.1], 2),  # too fast: some are left out
        ([0.0, 60.0], 1 + 20),  # a minute's silence is shown for 2 s
        ([0.0, 60.0, 60.1, 60.2], 1 + 20 + 2),  # and does not have to be made up for
    ],
)
def test_a_live_source_keeps_real_time(tmp_path: Path, times: list[float], frames: int) -> None:
    video = VideoWriter(tmp_path / "v.mp4", 10)
    for seconds in times:
        video.write(plain_image(0, 48, 64), seconds)
    video.close()
    assert video.written == frames
    assert read_back(tmp_path / "v.mp4")[0] == frames


def test_a_live_source_of_few_frames_has_a_video(tmp_path: Path) -> None:
    """One frame in 5 s is slower than the longest gap that is filled."""
    video = VideoWriter(tmp_path / "v.mp4", 0.2)
    for number in range(6):
        video.write(plain_image(0, 48, 64), seconds=5.0 * number)
    video.close()
    assert video.written == 6 and (tmp_path / "v.mp4").is_file()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "missing" / "v.mp4", 10)
    with pytest.raises(UserError, match="no video can be written there"):
        video.write(plain_image(0, 48, 64))
    video.close()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, full_disk) -> None:
    video = VideoWriter(tmp_path / "v.mp4", 10)
    video.write(plain_image(0, 48, 64))
    full_disk(16)
    with pytest.raises(UserError, match=r"v\.mp4: the video could not be written completely"):
        video.close()
    assert list(tmp_path.iterdir()) == []


def test_a_size_of_which_no_frame_was_due_leaves_no_file(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "v.mp4", 10)
    video.write(plain_image(0, 48, 64), 0.0)
    video.write(plain_image(0, 96, 64), 0.01)  # too soon
    video.close()
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]
