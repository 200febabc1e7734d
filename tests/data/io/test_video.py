"""data.io.video: only whole videos get their names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from data.io import video
from data.io.video import VideoInfo, finalize_video, frames_in, probe_video
from utils.errors import UserError


def write(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()


def test_a_whole_video_gets_its_name(tmp_path: Path) -> None:
    write(tmp_path / "a.part.mp4", 9)
    assert frames_in(tmp_path / "a.part.mp4") == 9
    finalize_video(tmp_path / "a.part.mp4", tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_on_a_full_disk_no_video_is_left(tmp_path: Path, full_disk) -> None:
    full_disk(8192)
    write(tmp_path / "a.part.mp4", 9)
    with pytest.raises(UserError, match=r"a\.mp4: the video could not be written completely.*Free space"):
        finalize_video(tmp_path / "a.part.mp4", tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_video_has_no_frames(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing of the kind")
    assert frames_in(tmp_path / "a.mp4") == frames_in(tmp_path / "missing.mp4") == 0


def test_an_mp4_that_is_cut_off_has_no_frames(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 9)
    whole = (tmp_path / "a.mp4").read_bytes()
    for keep in (1, 7, 8, 20, len(whole) // 2, len(whole) - 1):
        (tmp_path / "b.mp4").write_bytes(whole[:keep])
        assert frames_in(tmp_path / "b.mp4") == 0


def test_a_list_of_videos_is_no_video(tmp_path: Path) -> None:
    """FFmpeg would read the neighbour that it names."""
    write(tmp_path / "a.mp4", 3)
    (tmp_path / "b.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    assert isinstance(probe_video(tmp_path / "a.mp4"), VideoInfo)
    assert probe_video(tmp_path / "b.mp4") == "it is a text, not a video"


def test_giant_frames_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.mp4", 1)  # 64 x 48
    monkeypatch.setattr(video, "MOST_PIXELS", 64 * 48)
    assert isinstance(probe_video(tmp_path / "a.mp4"), VideoInfo)
    monkeypatch.setattr(video, "MOST_PIXELS", 64 * 48 - 1)
    assert probe_video(tmp_path / "a.mp4") == "its frames have more than 3,071 pixels"
