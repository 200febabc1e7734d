"""Streams that do not wait for each other."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.inference.capture import open_capture
from engine.inference.sources import Source
from engine.streams.av_capture import AvCapture
from tests.engine.inference.live import plain_image, send, send_live, send_mjpeg, send_nothing, serve

pytest.importorskip("av", reason="PyAV is not installed")


def test_frames_of_a_network_camera() -> None:
    images = [plain_image(value) for value in (0, 100, 200)]
    with serve(cam=send_mjpeg(images)) as address:
        capture = AvCapture(f"{address}/cam", 5.0)
        assert capture.isOpened() and capture.get(cv2.CAP_PROP_FRAME_COUNT) == 0
        values = []
        while capture.grab():
            good, image = capture.retrieve()
            assert good and image is not None and image.shape == (24, 32, 3) and image.dtype == np.uint8
            values.append(round(float(image.mean())))
        capture.release()
    assert values == pytest.approx([0, 100, 200], abs=2)
    assert not capture.isOpened() and not capture.grab() and capture.retrieve() == (False, None)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x", "file:///etc/passwd", "rtsp://127.0.0.1:1/x"])
def test_what_cannot_be_opened(address: str) -> None:
    assert not AvCapture(address, 1.0).isOpened()


def test_what_is_no_video() -> None:
    with serve(cam=send(b"nothing of the kind" * 99)) as address:
        assert not AvCapture(f"{address}/cam", 2.0).isOpened()


def test_a_codec_that_is_not_known(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for packet in [
            *stream.encode(av.VideoFrame.from_ndarray(plain_image(0, 48, 64), format="bgr24")),
            *stream.encode(),
        ]:
            file.mux(packet)
    data = (tmp_path / "a.mkv").read_bytes()
    assert data.count(b"V_MJPEG") == 1
    with serve(cam=send(data.replace(b"V_MJPEG", b"V_XJPXX"))) as address:
        assert not AvCapture(f"{address}/cam", 2.0).isOpened()


def test_a_playlist_cannot_name_a_file() -> None:
    text = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    with serve(list=send(text, "application/vnd.apple.mpegurl")) as address:
        assert not AvCapture(f"{address}/list.m3u8", 2.0).isOpened()


def test_a_silent_source_holds_up_nobody() -> None:
    end = threading.Event()
    with serve(silent=send_nothing(end), alive=send_live([plain_image(0), plain_image(99)], 20, end)) as address:
        silent = threading.Thread(target=AvCapture, args=(f"{address}/silent", 2.0))
        silent.start()
        time.sleep(0.1)
        capture = open_capture(Source("stream", f"{address}/alive", "alive"))
        assert capture.isOpened() and capture.grab()
        assert silent.is_alive()  # still waiting for its answer
        capture.release()
        end.set()
        silent.join()


def rtsp_setup(open_stream: Callable[[str], object]) -> str:
    """The first SETUP request that a reader sends to an RTSP server, which then hangs up."""
    sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:t\r\n"
    asked: list[str] = []

    def answer(server: socket.socket) -> None:
        link, _ = server.accept()
        with link, suppress(OSError):
            while request := link.recv(4096).decode():
                asked.append(request)
                number = request.split("CSeq:")[1].split()[0]
                body = sdp if request.startswith("DESCRIBE") else ""
                if request.startswith("SETUP"):
                    return
                head = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nPublic: DESCRIBE, SETUP, PLAY\r\n"
                kind = "Content-Type: application/sdp\r\n" if body else ""
                link.sendall(f"{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        open_stream(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x")
        thread.join(10)
    return next(request for request in asked if request.startswith("SETUP"))


@pytest.mark.parametrize(("transport", "words"), [("tcp", "RTP/AVP/TCP"), ("udp", "RTP/AVP/UDP")])
def test_rtsp_goes_over_tcp_unless_udp_is_asked_for(transport: str, words: str) -> None:
    assert words in rtsp_setup(lambda address: AvCapture(address, 3.0, transport))


def test_rtsp_goes_over_tcp_with_opencv_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)
    monkeypatch.setattr("engine.inference.capture.has_av", lambda: False)
    assert "RTP/AVP/TCP" in rtsp_setup(lambda address: open_capture(Source("stream", address, "x")))
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)
