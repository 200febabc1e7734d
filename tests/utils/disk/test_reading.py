"""Only regular files of a fitting size are read."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from data.config import load_data
from data.io.images import Unreadable, probe
from data.io.labels import read_label
from engine.checkpoint.weights import load_weights
from engine.inference.capture import SourceLost, fetch
from engine.inference.sources import Source, plan_sources
from engine.options.hyp import load_hyp
from utils.disk import reading
from utils.disk.reading import read_json, read_text, read_whole
from utils.errors import MOST, UserError
from utils.files import list_images, load_yaml, read_lines


@pytest.fixture(autouse=True)
def in_time():
    """Nothing waits for the other end of a pipe."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    "read",
    [
        read_whole, read_text, load_yaml, read_lines, load_weights, list_images, plan_sources,
        lambda file: read_label(file, 2),
        lambda file: load_hyp(file, ["lr0"]),
        lambda file: load_data(str(file)),
    ],
)  # fmt: skip
def test_pipes_and_devices_are_refused(tmp_path: Path, kind: str, read) -> None:
    file = tmp_path / "file.txt"
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    if read is load_data:
        file = file.rename(tmp_path / "file.yaml")
    with pytest.raises(UserError):
        read(file)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_images_that_are_pipes(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(Unreadable, match="a pipe or a device"):
        probe(tmp_path / name)
    with pytest.raises(SourceLost, match="is a pipe or a device"):
        fetch(Source("image", str(tmp_path / name), name))


def test_an_image_with_too_many_pixels(tmp_path: Path, make_image) -> None:
    path = make_image(tmp_path / "a.png", width=40, height=30)
    assert probe(path) == (30, 40)
    with pytest.raises(Unreadable, match="40 x 30 px, more than 1,000 in all; cut it"):
        probe(path, most=1000)


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"123456")
    assert read_whole(path, 6) == b"123456"
    with pytest.raises(UserError, match="has 6 bytes; a file of this kind has at most 5"):
        read_whole(path, 5)
    monkeypatch.setattr(reading, "MOST_BYTES", 5)


def test_json_that_nests_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nests too deeply"):
        read_json(tmp_path / "a.json")


def test_a_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_whole(tmp_path)


def test_long_messages_lose_their_middle() -> None:
    message = str(UserError(f"a.yaml: {'word ' * 2000}Next step."))
    assert len(message) <= MOST + 5
    assert message.startswith("a.yaml: word") and message.endswith("Next step.")


def test_a_pattern_that_matches_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_image) -> None:
    monkeypatch.setattr("engine.inference.sources.MOST_MATCHES", 2)
    for number in range(3):
        make_image(tmp_path / f"{number}.png")
    with pytest.raises(UserError, match="matches more than 2 files"):
        plan_sources(str(tmp_path / "*"))
    monkeypatch.setattr("engine.inference.sources.MOST_MATCHES", 100)
    monkeypatch.setattr("engine.inference.sources.LONGEST_SEARCH", 0.0)
    with pytest.raises(UserError, match="than can be listed in 0 s"):
        plan_sources(str(tmp_path / "**/*"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"ffconcat version 1.0\nfile a.mp4\n", True),
        (b"ffconcat version 1.0\n# \xc3\xa9\nfile a.mp4\n", True),  # a letter or a NUL hides no list
        (b"ffconcat version 1.0\nfile a.mp4\n\0", True),
        (b"", False),
        (b"\0\0\0\x1cftypmp42", False),
        (b"GIF89a\xff", False),
    ],
)
def test_text(content: bytes, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert reading.is_text(tmp_path / "a.mp4") == expected
    assert not reading.is_text(tmp_path / "none.mp4")
