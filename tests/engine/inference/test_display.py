"""A window for --view-img; OpenCV's own windows are stood in for."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import cv2
import pytest

from engine.inference import display as window
from engine.inference.display import Window, has_display, open_window
from tests.engine.inference.live import plain_image


@pytest.mark.parametrize(
    ("code", "expected"), [("pass", True), ("raise SystemExit(3)", False), ("import os; os.abort()", False)]
)
def test_a_display_is_tried_in_another_process(monkeypatch: pytest.MonkeyPatch, code: str, expected: bool) -> None:
    monkeypatch.setattr(window, "PROBE", code)
    assert has_display() is expected


def test_a_display_that_hangs_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("probe", 20)

    monkeypatch.setattr(window.subprocess, "run", hang)
    assert not has_display()


def test_without_a_display_there_is_one_warning_and_no_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(window, "has_display", lambda: False)
    assert open_window() is None
    assert capsys.readouterr().err.count("no display") == 1
    monkeypatch.setattr(window, "has_display", lambda: True)
    assert isinstance(open_window(), Window)


@pytest.mark.parametrize(
    ("keys", "visible", "still", "goes_on", "asked"),
    [
        ([-1], True, False, True, 1),  # a video does not wait for a key
        ([ord("q")], True, False, False, 1),
        ([27], True, False, False, 1),
        ([-1, -1, ord(" ")], True, True, True, 3),  # an image does
        ([-1, ord("q")], True, True, False, 2),
        ([-1], False, True, True, 1),  # unless its window was closed
        ([ord("q") + 2**16], True, True, False, 1),  # some systems add lock keys above the low byte
    ],
)
def test_keys(
    monkeypatch: pytest.MonkeyPatch, keys: list, visible: bool, still: bool, goes_on: bool, asked: int
) -> None:
    left = list(keys)
    shown: list[str] = []
    monkeypatch.setattr(cv2, "imshow", lambda title, image: shown.append(title))
    monkeypatch.setattr(cv2, "waitKey", lambda _: left.pop(0))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: float(visible))
    assert Window().show("name", plain_image(), still) is goes_on
    assert shown == ["name"] and len(keys) - len(left) == asked


def test_closing_closes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = SimpleNamespace(count=0)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: setattr(calls, "count", calls.count + 1))
    Window().close()
    assert calls.count == 1
