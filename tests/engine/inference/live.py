"""Stand-ins for sources: captures that follow a script, a small server, small videos."""

from __future__ import annotations

import http.server
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from engine.inference.sources import Source


def plain_image(value: int = 0, height: int = 24, width: int = 32) -> np.ndarray:
    """A plain (height, width, 3) uint8 image."""
    return np.full((height, width, 3), value, np.uint8)


class FakeCapture:
    """Gives the images of a list, then no more. `total` and `fps` are what it states; opened=False: not there."""

    def __init__(
        self, images: Sequence[Any] = (), *, opened: bool = True, total: float = -1.0, fps: float = 25.0
    ) -> None:
        self.images, self.opened = list(images), opened
        self.stated = {cv2.CAP_PROP_FRAME_COUNT: total, cv2.CAP_PROP_FPS: fps}
        self.position, self.retrieved, self.released = -1, 0, False

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def grab(self) -> bool:
        self.position += 1
        return self.position < len(self.images)

    def retrieve(self) -> tuple[bool, Any]:
        self.retrieved += 1
        image = self.images[self.position]
        if isinstance(image, Exception):
            raise image
        return image is not None, image

    def get(self, what: int) -> float:
        return self.stated.get(what, 0.0)

    def release(self) -> None:
        self.released = True


class Script:
    """An opener that hands out the captures of each source, one a connection; then ones that do not open."""

    def __init__(self, **captures: list[FakeCapture]) -> None:
        self.captures = captures
        self.opened: list[str] = []

    def __call__(self, item: Source) -> FakeCapture:
        self.opened.append(item.where)
        left = self.captures.get(item.where, [])
        return left.pop(0) if left else FakeCapture(opened=False)


class Waits:
    """A `wait` that does not: it notes the seconds, and says after `until` calls that the run is over."""

    def __init__(self, until: int = 10**9) -> None:
        self.seconds: list[float] = []
        self.until = until

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) >= self.until


def write_video(path: Path, frames: int = 6, height: int = 48, width: int = 64, fps: float = 10.0) -> Path:
    """A video whose frames get brighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    assert out.isOpened()
    for number in range(frames):
        out.write(plain_image(20 + 30 * number % 220, height, width))
    out.release()
    return path


def read_back(path: Path) -> tuple[int, float, tuple[int, int]]:
    """(frames, frames a second, (height, width)) of a video file."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    shape = (0, 0)
    while True:
        good, image = capture.read()
        if not good:
            return count, capture.get(cv2.CAP_PROP_FPS), shape
        count, shape = count + 1, image.shape[:2]


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def send(content: bytes, kind: str = "application/octet-stream", short: int = 0) -> Answer:
    """An answer with this content, or with its last `short` bytes missing."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) - short])

    return answer


def send_mjpeg(images: Sequence[np.ndarray]) -> Answer:
    """An answer like that of a network camera: one JPEG after another, then the line goes dead."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        for image in images:
            data = cv2.imencode(".jpg", image)[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            handler.wfile.write(head.encode() + data + b"\r\n")

    return answer


def send_nothing(until: threading.Event) -> Answer:
    """An answer that begins like that of a network camera, and then stays silent on an open line."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        handler.wfile.write(b"--frame\r\n")
        handler.wfile.flush()
        until.wait(120)

    return answer


def send_live(images: Sequence[np.ndarray], rate: float, until: threading.Event) -> Answer:
    """An answer like that of a network camera that shows these images for ever, `rate` a second."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        coded = [cv2.imencode(".jpg", image)[1].tobytes() for image in images]
        for data in itertools.cycle(coded):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            handler.wfile.write(head.encode() + data + b"\r\n")
            if until.wait(1 / rate):
                return

    return answer


@contextmanager
def serve(port: int = 0, **answers: Answer) -> Iterator[str]:
    """A server on 127.0.0.1 that gives `answers[name]` for /name.suffix. Yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:  # noqa: N802
            answer = answers.get(Path(urlsplit(self.path).path).stem)
            with suppress(OSError):  # the reader has left
                answer(self) if answer else self.send_error(404)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
