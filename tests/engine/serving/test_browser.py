"""The page in a browser: tiles move, a source that dies is told and comes back, classes are hidden, nothing goes wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import pytest
from torch import Tensor

from engine.inference.api import detect
from engine.recording.encoders import open_encoder
from tests.engine.inference.live import plain_image, send, send_live, serve
from tests.engine.inference.test_api import FakeDetector
from tests.engine.serving.browser import browser

pytest.importorskip("aiohttp", reason="aiohttp is not installed")
pytest.importorskip("av", reason="PyAV is not installed")

TILE = "document.querySelector('[data-order=\"{}\"]')"
PIXELS = "[...{tile}.querySelector('canvas').getContext('2d').getImageData(0, 0, 9, 9).data].join()"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class StoppedDetector(FakeDetector):
    """A FakeDetector that ends the run when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.stop = threading.Event()

    def __call__(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        if self.stop.is_set():
            raise KeyboardInterrupt
        return super().__call__(images)


def run(detector: StoppedDetector, **options: object) -> threading.Thread:
    """A run in a thread."""

    def work() -> None:
        with pytest.raises(KeyboardInterrupt):
            detect(detector=detector, nosave=True, **options)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path) -> None:
    images = [plain_image(value, 120, 160) for value in range(120, 250, 10)]
    port, other_port, detector = free_port(), free_port(), StoppedDetector()
    with ExitStack() as stack:
        end = stack.enter_context(_ended())
        window = stack.enter_context(browser())
        address = stack.enter_context(serve(a=send_live(images, 15, end)))
        dying, died = stack.enter_context(ExitStack()), threading.Event()
        other = dying.enter_context(serve(other_port, b=send_live(images, 15, died)))
        (tmp_path / "l.streams").write_text(f"{address}/a\n{other}/b\n")
        thread = run(detector, source=tmp_path / "l.streams", serve=str(port), retries=0)
        stack.callback(thread.join, 10)
        stack.callback(detector.stop.set)

        window.open(f"http://127.0.0.1:{port}/")
        for order in (1, 2):
            tile = TILE.format(order)
            window.wait(f"{tile} && {tile}.classList.contains('live') && {tile}.dataset.boxes === '2'")
            before = window.run(PIXELS.format(tile=tile))
            window.wait(f"{PIXELS.format(tile=tile)} !== '{before}'")
        assert window.run("document.querySelector('#summary').textContent").startswith("2 live")

        assert window.run("[...document.querySelectorAll('#classes button')].map((b) => b.textContent)") == [
            "cat",
            "dog",
        ]
        window.run("document.querySelector('#classes button').click()")
        window.wait(f"{TILE.format(1)}.dataset.boxes === '1' && {TILE.format(2)}.dataset.boxes === '1'")
        window.run("document.querySelector('#classes button').click()")
        window.wait(f"{TILE.format(1)}.dataset.boxes === '2'")

        died.set()
        dying.close()
        window.wait(f"{TILE.format(2)}.classList.contains('reconnecting')")
        number = window.run(f"{TILE.format(1)}.dataset.number")
        window.wait(f"{TILE.format(1)}.dataset.number !== '{number}'")
        stack.enter_context(serve(other_port, b=send_live(images, 15, end)))
        window.wait(f"{TILE.format(2)}.classList.contains('live')")

        window.run(f"{TILE.format(1)}.querySelector('.view').click()")
        window.wait(f"{TILE.format(1)}.classList.contains('focused')")
        assert window.console() == []

        detector.stop.set()  # nobody knows now whether the sources are live
        for order in (1, 2):
            window.wait(f"{TILE.format(order)}.classList.contains('unknown')")
        assert "last frame" not in window.run("document.body.innerText")


@pytest.mark.slow
def test_an_enlarged_tile_is_seen_whole(tmp_path) -> None:
    detector, port = StoppedDetector(), free_port()
    with ExitStack() as stack:
        end = stack.enter_context(_ended())
        window = stack.enter_context(browser())
        address = stack.enter_context(serve(a=send_live([plain_image(150, 120, 160)], 10, end)))
        (tmp_path / "l.streams").write_text(f"{address}/a\n" * 9)
        thread = run(detector, source=tmp_path / "l.streams", serve=str(port))
        stack.callback(thread.join, 10)
        stack.callback(detector.stop.set)
        window.open(f"http://127.0.0.1:{port}/")
        tile = TILE.format(9)
        window.wait(f"{tile} && {tile}.dataset.boxes === '2'")
        window.run(f"{tile}.querySelector('.view').click()")
        window.wait(f"{tile}.classList.contains('focused')")
        window.wait(f"{tile}.querySelector('canvas').width > 0 && {tile}.getBoundingClientRect().width > 1000")
        place = f"{tile}.querySelector('canvas').getBoundingClientRect()"
        assert window.run(f"{place}.top >= document.querySelector('header').getBoundingClientRect().bottom")
        assert window.run(f"{place}.bottom <= innerHeight")


class _ended:
    """An event that is set on leaving."""

    def __enter__(self) -> threading.Event:
        self.event = threading.Event()
        return self.event

    def __exit__(self, *problem: object) -> None:
        self.event.set()


@pytest.mark.slow
def test_a_token_is_asked_for_as_a_password(tmp_path) -> None:
    detector, port = StoppedDetector(), free_port()
    with ExitStack() as stack:
        end = stack.enter_context(_ended())
        window = stack.enter_context(browser((390, 844)))
        address = stack.enter_context(serve(a=send_live([plain_image(150, 60, 80)], 10, end)))
        thread = run(detector, source=f"{address}/a", serve=f"0.0.0.0:{port}", serve_token="correct-horse")
        stack.callback(thread.join, 10)
        stack.callback(detector.stop.set)
        window.open(f"http://x:correct-horse@127.0.0.1:{port}/")
        window.wait(f"{TILE.format(1)} && {TILE.format(1)}.dataset.boxes === '2'")
        assert window.run("document.documentElement.scrollWidth") <= 390
        assert "correct-horse" not in window.run("document.cookie + document.documentElement.outerHTML")
        assert window.console() == []


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_recordings_play(tmp_path, codec: str) -> None:
    encoder = open_encoder(tmp_path / "v.mp4", (96, 64), 10.0, codec, fragmented=True)
    for number in range(40):
        encoder.write(plain_image(5 * number, 64, 96), number / 10)
    encoder.close()
    html = b"<!doctype html><video src='v.mp4' muted autoplay></video>"
    with (
        serve(page=send(html, "text/html"), v=send((tmp_path / "v.mp4").read_bytes(), "video/mp4")) as address,
        browser((390, 844)) as window,
    ):
        window.open(f"{address}/page.html")
        window.wait("document.querySelector('video').currentTime > 0.5")
        assert window.run("document.querySelector('video').videoWidth") == 96
