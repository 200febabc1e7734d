"""Damaged files are read, or refused with a paragraph: no traceback, no hang, no connection, no program.

`FUZZ_CASES` and `FUZZ_SEED` are how many cases a reader has and which; `make fuzz` sets them. A failure names its case.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuzz.mutate import MUTATIONS, mutated
from tests.fuzz.readers import Reader, readers
from utils.errors import UserError

CASES, SEED = int(os.environ.get("FUZZ_CASES", "120")), int(os.environ.get("FUZZ_SEED", "0"))
SECONDS = 30  # that one case may take
LETTERS = 2000  # of a message
FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
NAMES = (
    "data YAML", "hyp", "model YAML", "labels", "PNG", "JPEG", "BMP", "list of images", "list of sources",
    "federated labels", "safetensors", "header of safetensors", "pt", "pickle of a pt", "resume.pt", "TIFF", "WebP", "film",
    "COCO", "VOC",
)  # fmt: skip

watching = False
seen: list[str] = []


def _watch(event: str, _: object) -> None:
    if watching and event in FORBIDDEN:
        seen.append(event)
        raise RuntimeError(f"{event} while a file is read")


sys.addaudithook(_watch)


@contextmanager
def guarded() -> Iterator[None]:
    """No program, no connection, and no more than SECONDS inside."""
    global watching

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    watching = True
    try:
        yield
    finally:
        watching = False
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def problem(reader: Reader, content: bytes, folder: Path, accepted: bool = False) -> str:
    """What is wrong with how a reader takes this content; empty if nothing. accepted: a refusal is wrong too."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    file = folder / reader.name
    file.write_bytes(content)
    seen.clear()
    try:
        with guarded():
            reader.read(file)
    except UserError as refusal:
        message = str(refusal)
        if len(message) > LETTERS:
            return f"a message of {len(message)} letters: {message[:200]}"
        if accepted:
            return f"refused: {message}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return f"{seen[0]}" if seen else ""


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    reader = readers(tmp_path)[name]
    assert problem(reader, reader.good, tmp_path / "case", accepted=True) == ""
    wrong = []
    for number in range(CASES):
        content = mutated(reader.good, random.Random(f"{SEED} {name} {number}"))
        if found := problem(reader, content, tmp_path / "case"):
            wrong.append(f"seed {SEED}, case {number}: {found}; file {content[:120]!r}")
    assert not wrong, f"{len(wrong)} of {CASES} cases of {name}:\n" + "\n".join(wrong[:10])


class Wordy(UserError):
    """Says more than a UserError cuts."""

    def __str__(self) -> str:
        return "x" + " " * LETTERS


def test_the_guard_bites(tmp_path: Path) -> None:
    """A reader that starts a program, and one that raises anything but a UserError."""
    program = Reader("x", b"x", lambda file: os.system("true"))
    assert problem(program, b"x", tmp_path / "case") == "RuntimeError: os.system while a file is read"
    assert problem(Reader("x", b"x", lambda file: {}["x"]), b"x", tmp_path / "case") == "KeyError: 'x'"

    def wordy(file: Path) -> None:
        raise Wordy("x")

    assert problem(Reader("x", b"x", wordy), b"x", tmp_path / "case").startswith("a message of 2001 letters")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutations_repeat(mutation) -> None:
    good = b"a: 1\nb: 2 3\n"
    results = [mutation(good, random.Random(number)) for number in range(20)]
    assert results == [mutation(good, random.Random(number)) for number in range(20)]
    assert any(result != good for result in results)
