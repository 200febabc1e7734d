"""Encoders of .mp4 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.io.video import frames_in
from engine.recording.encoders import AvEncoder, OpenCvEncoder, chosen, open_encoder
from utils.errors import UserError

av = pytest.importorskip("av", reason="PyAV is not installed")


def images(number: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), 40 + 10 * index, np.uint8) for index in range(number)]


def times(path: Path) -> list[float]:
    """Seconds of each frame of a file."""
    with av.open(str(path)) as file:
        return [round(frame.time, 3) for frame in file.decode(video=0)]


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_what_browsers_play(tmp_path: Path, codec: str) -> None:
    encoder = open_encoder(tmp_path / "a.mp4", (96, 64), 10.0, codec)
    for image in images(5, 64, 96):
        encoder.write(image)
    encoder.close()
    encoder.close()  # once more does no harm
    assert times(tmp_path / "a.mp4") == [0.0, 0.1, 0.2, 0.3, 0.4] and frames_in(tmp_path / "a.mp4") == 5
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.video[0].codec_context.name in {"h264", "libdav1d", "av1"}
        first = next(file.decode(video=0)).to_ndarray(format="bgr24")
    assert first.shape == (64, 96, 3) and abs(first.mean() - 40) < 4


@pytest.mark.parametrize(("height", "width", "kept"), [(1, 1, (2, 2)), (47, 63, (48, 64)), (2, 1999, (2, 2000))])
def test_any_size(tmp_path: Path, height: int, width: int, kept: tuple[int, int]) -> None:
    for codec in ("h264", "av1"):
        encoder = open_encoder(tmp_path / f"{codec}.mp4", (width, height), 10.0, codec)
        for image in images(3, height, width):
            encoder.write(image)
        encoder.close()
        with av.open(str(tmp_path / f"{codec}.mp4")) as file:
            assert (file.streams.video[0].height, file.streams.video[0].width) == kept


def test_a_frame_every_hour(tmp_path: Path) -> None:
    encoder = open_encoder(tmp_path / "a.mp4", (64, 48), 1 / 3600)
    encoder.write(images(1)[0])
    encoder.close()
    assert frames_in(tmp_path / "a.mp4") == 1


def test_an_image_that_no_encoder_takes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="30000 x 30000 px cannot be encoded as h264"):
        open_encoder(tmp_path / "a.mp4", (30000, 30000), 10.0, "h264")


def test_frames_keep_their_times_and_never_go_back(tmp_path: Path) -> None:
    encoder = open_encoder(tmp_path / "a.mp4", (64, 48), 10.0, "h264", fragmented=True)
    for image, seconds in zip(images(5), (0.0, 0.04, 0.04, 1.5, 1.2), strict=True):
        encoder.write(image, seconds)
    encoder.close()
    assert times(tmp_path / "a.mp4") == [0.0, 0.04, 0.041, 1.5, 1.501]


def test_mpeg4_repeats_an_image_until_the_next_is_due(tmp_path: Path) -> None:
    encoder = open_encoder(tmp_path / "a.mp4", (64, 48), 10.0, "mpeg4")
    for image, seconds in zip(images(3), (0.0, 0.02, 0.5), strict=True):
        encoder.write(image, seconds)
    encoder.close()
    assert encoder.codec == "mpeg4" and frames_in(tmp_path / "a.mp4") == 6


def test_fragments_are_playable_before_the_file_is_complete(tmp_path: Path) -> None:
    encoder = open_encoder(tmp_path / "a.mp4", (64, 48), 10.0, "h264", fragmented=True)
    for image in images(20) * 4:
        encoder.write(image)
    cut = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(cut)
    assert len(times(tmp_path / "cut.mp4")) >= 20
    encoder.close()


def test_a_full_disk_is_an_oserror(tmp_path: Path, full_disk) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    for encoder in (
        AvEncoder(tmp_path / "a.mp4", (640, 480), 10.0, "h264"),
        OpenCvEncoder(tmp_path / "b.mp4", (640, 480), 10.0),
    ):
        full_disk(20000)
        with pytest.raises(OSError):  # noqa: PT011 - PyAV's own subclass
            for _ in range(8):
                encoder.write(noise)
            encoder.close()


def test_mpeg4_is_the_fallback_and_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("engine.recording.encoders.has_av", lambda: False)
    chosen.cache_clear()
    assert chosen("auto") == chosen("auto") == "mpeg4"
    said = capsys.readouterr().out
    assert said.count("browsers do not play") == 1 and "pip install av" in said
    with pytest.raises(UserError, match="--codec av1: needs PyAV: run pip install av"):
        chosen("av1")
    chosen.cache_clear()


def test_h264_is_what_auto_stands_for(tmp_path: Path) -> None:
    assert chosen("auto") == "h264"
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(OSError):  # noqa: PT011
        open_encoder(tmp_path / "x" / "a.mp4", (64, 48), 10.0)
