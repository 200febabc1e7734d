"""Notes appear by default, and can be silenced."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest

from utils.log import LOGGER, redact, results_on_stdout, unescaped_password


def test_notes_go_to_stdout_and_warnings_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    LOGGER.info("100 % of it")
    LOGGER.warning("take %s", "care")
    assert capsys.readouterr() == ("100 % of it\n", "take care\n")


def test_callers_silence_notes(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("hardsight").setLevel(logging.WARNING)
    LOGGER.info("nobody reads this")
    assert capsys.readouterr() == ("", "")
    LOGGER.setLevel(logging.INFO)


def test_a_level_set_before_the_import_stays() -> None:
    code = "import logging; log = logging.getLogger('hardsight'); log.setLevel('ERROR'); import utils.log; print(log.level)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)  # noqa: S603
    assert done.stdout == f"{logging.ERROR}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@mirror/a.pt?token=1#x", "https://mirror/a.pt"),
        ("https://host/a.pt", "https://host/a.pt"),
        ("https://me:secret@[x/a.pt", "https://..."),
        ("a@b/c?d.jpg", "a@b/c?d.jpg"),  # a path
        ("rtsp://u:secret#pw@h/x", "rtsp://h/x"),
        ("rtsp://u:sec/retpw@h/x", "rtsp://h/x"),
        ("rtsp://u:sec?retpw@h/x", "rtsp://..."),
        ("http://u:pw@h/x?mail=a@token", "http://..."),  # the token is not shown as a host
        ("rtsp://u:p@ss@h:554/x", "rtsp://h:554/x"),
        ("rtsp:/u:secretpw@h/x", "...@h/x"),
        ("rtsp;//u:secretpw@h/x?a=1", "...@h/x"),
        ("rtsp//u:secretpw@h/x", "...@h/x"),
        ("rtsp //u:sec?ret@h/x", "..."),
        ("u:secretpw@h/x", "...@h/x"),
        ("u:pw://x@h/y", "...@h/y"),
        ("rtsp:/h/x?token=secret", "rtsp:/h/x"),
        ("photos/im?.jpg", "photos/im?.jpg"),
    ],
)
def test_addresses_lose_their_secrets(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("rtsp://u:se#cret@h/x", True),
        ("rtsp://u:se/cret@h/x", True),
        ("rtsp://u:se%2Fcret@h/x", False),
        ("http://h/x@2", False),
        ("rtsp://h:554/x", False),
    ],
)
def test_passwords_that_must_be_escaped(address: str, expected: bool) -> None:
    assert unescaped_password(address) is expected


def test_messages_leave_stdout_to_results(capsys):
    with results_on_stdout():
        LOGGER.info("a note")
    with results_on_stdout(False):
        LOGGER.info("another")
    said = capsys.readouterr()
    assert (said.err, said.out) == ("a note\n", "another\n")


def test_half_a_letter_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "latin-1", write_through=True))
    monkeypatch.setattr(LOGGER, "propagate", False)  # a report of pytest cannot be sent with half a letter in it
    LOGGER.info("dog \ud800, \u732b, \xfc")
    assert written.getvalue() == b"dog \\ud800, \\u732b, \xfc\n"
