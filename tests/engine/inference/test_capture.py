"""Reading one source: images, videos, and streams that fall silent."""

from __future__ import annotations

from pathlib import Path
from time import sleep
from typing import Any

import cv2
import numpy as np
import pytest

from engine.inference import capture
from engine.inference.capture import (
    LiveReader,
    SourceLost,
    fetch,
    frames_of,
    on_disk,
    open_capture,
    read_image,
    read_video,
)
from engine.inference.sources import Source
from tests.engine.inference.live import (
    FakeCapture,
    Script,
    Waits,
    plain_image,
    send,
    send_mjpeg,
    serve,
    write_video,
)

STREAM = Source("stream", "cam", "cam", 1, "cam")


def image_item(path: Path | str) -> Source:
    return Source("image", str(path), str(path), 1, "x")


def test_an_image_is_one_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), plain_image(7))
    (frame,) = read_image(image_item(tmp_path / "a.png"))
    assert frame.image.shape == (24, 32, 3) and (frame.image == 7).all()
    assert (frame.number, frame.total, frame.live) == (1, 0, False)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_an_image_that_is_cut_off_is_refused(tmp_path: Path, suffix: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * keep)])
    before = path.read_bytes()
    with pytest.raises(SourceLost, match="not a readable image"):
        list(read_image(image_item(path)))
    assert path.read_bytes() == before


def test_grey_and_transparent_images_come_with_three_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "g.png"), np.full((8, 9), 3, np.uint8))
    cv2.imwrite(str(tmp_path / "t.png"), np.full((8, 9, 4), 3, np.uint8))
    for name in ("g.png", "t.png"):
        assert next(read_image(image_item(tmp_path / name))).image.shape == (8, 9, 3)


def test_missing_and_mistaken_files_say_why(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    for name, words in (("none.jpg", "cannot be read"), ("text.jpg", "not a readable image")):
        with pytest.raises(SourceLost, match=words):
            list(read_image(image_item(tmp_path / name)))


@pytest.mark.parametrize(
    ("stride", "numbers", "retrieved"),
    [(1, [1, 2, 3, 4, 5], 5), (2, [1, 3, 5], 3), (4, [1, 5], 2), (9, [1], 1)],
)
def test_a_stride_decodes_only_what_it_gives(stride: int, numbers: list[int], retrieved: int) -> None:
    capture = FakeCapture([plain_image(n) for n in range(5)], total=5)
    frames = list(read_video(STREAM, capture, stride))
    assert [frame.number for frame in frames] == numbers
    assert [int(frame.image[0, 0, 0]) + 1 for frame in frames] == numbers
    assert capture.retrieved == retrieved and capture.released
    assert (frames[0].total, frames[0].fps) == (5, 25.0)


@pytest.mark.parametrize(
    ("capture", "words"),
    [
        (FakeCapture(opened=False), "cannot be opened as a video"),
        (FakeCapture([], total=50), "no frame of it can be decoded"),
        (FakeCapture([None], total=50), "no frame of it can be decoded"),
        (FakeCapture([plain_image()] * 31, total=67), "breaks off after 31 of 67 frames"),
        (FakeCapture([plain_image(), cv2.error("gone")], total=9), "breaks off after 1 of 9 frames"),
    ],
)
def test_videos_that_fail(capture: FakeCapture, words: str) -> None:
    with pytest.raises(SourceLost, match=words):
        list(read_video(STREAM, capture))
    assert capture.released


@pytest.mark.parametrize("total", [-1.0, -9.2e18, 0.0, 4.0, 5.0])  # no length stated, or one that is off by a frame
def test_a_length_that_is_not_exact_is_no_failure(total: float) -> None:
    assert len(list(read_video(STREAM, FakeCapture([plain_image()] * 4, total=total)))) == 4


def test_a_real_video_and_one_cut_in_half(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=6)
    item = Source("video", str(path), "v", 1, "v")
    frames = list(read_video(item, open_capture(item)))
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert (frames[0].total, frames[0].fps, frames[0].image.shape) == (6, 10.0, (48, 64, 3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceLost):
        list(read_video(item, open_capture(item)))


def live(script: Script, waits: Waits, **settings: object) -> tuple[LiveReader, list[str]]:
    said: list[str] = []
    return LiveReader(STREAM, script, wait=waits, log=said.append, **settings), said  # type: ignore[arg-type]


def test_a_stream_reconnects_and_counts_on() -> None:
    script = Script(cam=[FakeCapture([plain_image()] * 2), FakeCapture(opened=False), FakeCapture([plain_image()] * 3)])
    waits = Waits()
    reader, said = live(script, waits, retries=2)
    numbers = []
    with pytest.raises(SourceLost, match="broke off|cannot be opened, and 2 further tries"):
        numbers.extend(frame.number for frame in reader.frames())
    # broke off: 1 s; not opened: 2 s; three frames, broke off: the back-off starts again at 1 s, then 2 s, then the end
    assert waits.seconds == [1.0, 2.0, 1.0, 2.0]
    assert reader.number == 5
    assert said[0] == "cam: broke off; try 1 of 2 to reconnect in 1 s"
    assert said[1] == "cam: cannot be opened; try 2 of 2 to reconnect in 2 s"


def test_the_back_off_doubles_up_to_half_a_minute() -> None:
    waits = Waits()
    reader, _ = live(Script(), waits, retries=7)
    with pytest.raises(SourceLost, match="cannot be opened, and 7 further tries did not help"):
        list(reader.frames())
    assert waits.seconds == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_no_limit_goes_on_until_the_run_is_over() -> None:
    waits = Waits(until=40)
    reader, said = live(Script(), waits, retries=0)
    assert list(reader.frames()) == []
    assert len(waits.seconds) == 40 and waits.seconds[-1] == 30.0
    assert "try 40 to reconnect" in said[-1]


def test_a_camera_that_is_away_for_a_day_is_still_tried() -> None:
    """2 to the power of 1024 is more than a float holds."""
    reader, _ = live(Script(), waits := Waits(until=3000), retries=0)
    assert list(reader.frames()) == [] and waits.seconds[-1] == 30.0


def test_a_camera_that_is_not_there_is_given_up_at_once() -> None:
    waits = Waits()
    reader = LiveReader(Source("camera", "0", "camera 0", 1, "c"), Script(), wait=waits)
    with pytest.raises(SourceLost, match="^cannot be opened$"):
        list(reader.frames())
    assert waits.seconds == []


def test_a_camera_that_was_there_is_tried_again() -> None:
    waits = Waits()
    script = Script(**{"0": [FakeCapture([plain_image()])]})
    reader = LiveReader(Source("camera", "0", "camera 0", 1, "c"), script, retries=3, wait=waits, log=lambda _: None)
    with pytest.raises(SourceLost):
        list(reader.frames())
    assert waits.seconds == [1.0, 2.0, 4.0]


def test_a_stream_with_a_length_ends_and_one_that_broke_off_is_read_on() -> None:
    whole = [plain_image(n) for n in range(20)]
    script = Script(cam=[FakeCapture(whole[:7], total=20), FakeCapture(whole, total=20)])
    waits = Waits()
    reader, _ = live(script, waits)
    frames = list(reader.frames())
    assert [int(frame.image[0, 0, 0]) for frame in frames] == list(range(20))  # nothing twice, nothing left out
    assert not frames[0].live and waits.seconds == [1.0]


def test_live_frames_carry_their_time() -> None:
    ticks = iter([5.0, 5.5, 7.0])
    reader, _ = live(Script(cam=[FakeCapture([plain_image()] * 3)]), Waits(until=1), clock=lambda: next(ticks))
    frames = list(reader.frames())
    assert [(frame.live, frame.seconds) for frame in frames] == [(True, 0.0), (True, 0.5), (True, 2.0)]


@pytest.mark.parametrize(
    ("stated", "fps"), [(25.0, 25.0), (0.0, 0.0), (-1.0, 0.0), (90000.0, 0.0), (float("nan"), 0.0)]
)
def test_frame_rates_that_cannot_be_are_not_believed(stated: float, fps: float) -> None:
    (frame,) = read_video(STREAM, FakeCapture([plain_image()], fps=stated))
    assert frame.fps == fps


def test_images_and_videos_behind_addresses(tmp_path: Path) -> None:
    data = cv2.imencode(".png", plain_image(9))[1].tobytes()
    clip = write_video(tmp_path / "v.mp4", frames=4).read_bytes()
    with serve(pic=send(data), cut=send(data, short=10), clip=send(clip), half=send(clip, short=99)) as address:
        assert (next(read_image(image_item(f"{address}/pic.png"))).image == 9).all()
        for name, words in (("cut.png", "missing|read"), ("none.png", "404")):
            with pytest.raises(SourceLost, match=words):
                list(read_image(image_item(f"{address}/{name}")))
        item = Source("video", f"{address}/clip.mp4", "clip", 1, "clip")
        with on_disk(item, lambda: False) as file:
            kept = Path(file.where)
            assert kept.suffix == ".mp4" and len(list(read_video(item, open_capture(file)))) == 4
        assert not kept.exists()
        with (
            pytest.raises(SourceLost, match="cannot be fetched"),
            on_disk(Source("video", f"{address}/half.mp4", "h"), bool),
        ):
            pass
    with pytest.raises(SourceLost, match="cannot be read"):  # the server is gone
        list(read_image(image_item(f"{address}/pic.png")))


def test_a_video_that_was_not_fetched_to_its_end_is_not_read(tmp_path: Path) -> None:
    with serve(clip=send(b"text" * 99)) as address:
        item = Source("video", f"{address}/clip.mp4", "c")
        assert list(frames_of(item, open_capture, 1, lambda: True)) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("VIDEO_BYTES", 2**20, "cannot be fetched .it is larger than 1 MiB; download it"),
        ("VIDEO_SECONDS", 0.3, "cannot be fetched .it takes longer than 0 s; download it"),
        ("SPARE", 2**60, "less than .* MiB left; set TMPDIR"),
    ],
)
def test_a_video_that_never_ends(monkeypatch: pytest.MonkeyPatch, name: str, value: float, words: str) -> None:
    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(500):
            handler.wfile.write(bytes(2**16))
            sleep(0.01)

    monkeypatch.setattr(capture, name, value)
    with serve(clip=endless) as address, pytest.raises(SourceLost, match=words):
        list(frames_of(Source("video", f"{address}/clip.mp4", "c"), open_capture, 1, lambda: False))


def test_giant_frames_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Source("video", str(write_video(tmp_path / "v.mp4")), "v")  # 64 x 48
    monkeypatch.setattr(capture, "IMAGE_PIXELS", 48 * 64)
    assert len(list(read_video(item, open_capture(item)))) == 6
    monkeypatch.setattr(capture, "IMAGE_PIXELS", 48 * 64 - 1)
    with pytest.raises(SourceLost, match="has frames of 64 x 48 pixels, more than 3,071 in all"):
        list(read_video(item, open_capture(item)))


def test_a_stream_whose_frames_become_giants_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av", reason="OpenCV scales all frames to the size of the first")
    monkeypatch.setattr(capture, "IMAGE_PIXELS", 24 * 32)
    images = [plain_image(), plain_image(), plain_image(0, 48, 64)]
    shapes = []
    with serve(cam=send_mjpeg(images)) as address, pytest.raises(SourceLost, match="64 x 48"):
        for frame in LiveReader(Source("stream", f"{address}/cam", "cam")).frames():
            shapes.append(frame.image.shape)
    assert shapes == [(24, 32, 3)] * 2


def test_a_file_is_where_it_is(tmp_path: Path) -> None:
    with on_disk(Source("video", str(tmp_path), "v"), bool) as file:
        assert file.where == str(tmp_path)


def test_a_network_camera_dies_and_comes_back() -> None:
    """The server goes away after its images, and is there again at the second try to reconnect."""
    images = [plain_image(40 * n, 48, 64) for n in range(3)]
    with serve(cam=send_mjpeg(images)) as address:
        port = int(address.rpartition(":")[2])
    waits: list[float] = []
    said: list[str] = []
    revived = None

    def wait(seconds: float) -> bool:
        nonlocal revived
        waits.append(seconds)
        if len(waits) == 2:
            revived = serve(port, cam=send_mjpeg(images))
            revived.__enter__()
        return len(waits) == 3  # after the revived server's images, the run is over

    item = Source("stream", f"{address}/cam", "cam", 1, "cam")
    try:
        frames = list(LiveReader(item, wait=wait, log=said.append).frames())
    finally:
        if revived is not None:
            revived.__exit__(None, None, None)
    assert waits == [1.0, 2.0, 1.0]
    assert [frame.number for frame in frames] == [1, 2, 3] and frames[0].image.shape == (48, 64, 3)
    assert "cannot be opened" in said[0] and "broke off" in said[-1]


def test_user_name_and_password_go_into_the_header_and_nowhere_else() -> None:
    """base64 of `me:to/p@s` is bWU6dG8vcEBz."""
    asked = []

    def answer(handler: Any) -> None:
        asked.append((handler.path, handler.headers["Authorization"]))
        send(b"x")(handler)

    with serve(pic=answer) as address:
        where = address.replace("http://", "http://me:to%2Fp%40s@") + "/pic.png"
        assert fetch(Source("image", where, address)) == b"x"
    assert asked == [("/pic.png", "Basic bWU6dG8vcEBz")]
    with pytest.raises(SourceLost) as lost:
        fetch(Source("image", where, address))
    assert "p%40s" not in str(lost.value) and "p@s" not in str(lost.value)


@pytest.mark.parametrize("address", ["http://u:hun/ter2@127.0.0.1/a.jpg", "http://u:pw@127.0.0.1:1/hun ter2.jpg"])
def test_an_address_that_cannot_be_read_is_not_repeated(address: str) -> None:
    with pytest.raises(SourceLost, match="not a valid address") as problem:
        fetch(Source("image", address, "http://127.0.0.1"))
    assert "hun" not in str(problem.value)


def test_a_password_that_was_not_escaped_is_hinted_at() -> None:
    said: list[str] = []
    reader = LiveReader(Source("stream", "rtsp://u:a#b@h/x", "rtsp://h/x"), Script(), wait=Waits(1), log=said.append)
    assert list(reader.frames()) == []
    assert "# as %23" in said[0] and "a#b" not in said[0]


def test_a_list_of_videos_is_no_video(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", frames=2)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile v.mp4\n")
    with pytest.raises(SourceLost, match="is a text, not a video"):
        list(frames_of(Source("video", str(tmp_path / "list.mp4"), "v", 1, "v"), open_capture, 1, bool))


def test_a_source_that_comes_and_goes_is_logged_once_a_minute() -> None:
    """A frame every 10 s, and a break after each: lines at 0, 60 and 120 s, with the 6 breaks that each stands for."""
    ticks = iter(range(0, 10_000, 10))
    script = Script(cam=[FakeCapture([plain_image()]) for _ in range(15)])
    reader, said = live(script, Waits(until=15), retries=3, clock=lambda: float(next(ticks)))
    assert len(list(reader.frames())) == 15
    again = " (6 times since that was last logged)"
    assert said == [f"cam: broke off{times}; try 1 of 3 to reconnect in 1 s" for times in ("", again, again)]
