"""Everything that listens to a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import engine.messages.outbox
from engine.messages.frame import FrameInfo
from engine.messages.json_lines import JsonLines
from engine.messages.outbox import Outbox, check_messages
from engine.options.detect import DetectOptions
from engine.tracking.result import Event, TrackingResult
from utils.errors import UserError

INFO = FrameInfo("a.mp4", 1, 1, 0.0, (48, 64, 3), 0.0)
SEEN = TrackingResult(events=(Event("line", "gate", "in", 3, "cat"),))


class FakePublisher:
    def __init__(self, address: str) -> None:
        if "refused" in address:
            raise UserError("refused")
        self.got: list[tuple[str, dict[str, object]]] = []
        self.closed = False

    def put(self, name: str, payload: str) -> None:
        self.got.append((name, json.loads(payload)))

    def close(self) -> None:
        self.closed = True


def test_frames_go_to_file_and_broker_and_events_to_a_topic_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(engine.messages.outbox, "Publisher", FakePublisher)
    options = DetectOptions(save_jsonl=str(tmp_path / "x.jsonl"), publish="mqtt://host")
    with Outbox(options, {0: "cat"}) as outbox:
        outbox.send(INFO, np.zeros((0, 6)), SEEN)
    frame = json.loads((tmp_path / "x.jsonl").read_text())
    (event_topic, event), (frame_topic, published) = outbox.publisher.got
    assert (event_topic, frame_topic) == ("1/event", "1/frame")
    assert published == frame and frame["events"] == [event["event"]]
    assert outbox.publisher.closed


def test_nothing_is_made_where_nobody_listens():
    with Outbox(DetectOptions(), {}) as outbox:
        assert not outbox.any
        outbox.send(INFO, np.array([[np.nan] * 6]), SEEN)


def test_mistakes_come_before_anything_is_loaded():
    with pytest.raises(UserError, match="expected mqtt://HOST"):
        check_messages(DetectOptions(publish="http://host"))
    check_messages(DetectOptions(save_jsonl="-"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_ends_a_folder_but_no_stream():
    with Outbox(DetectOptions(save_jsonl="/dev/full"), {0: "cat"}) as outbox:
        outbox.send(INFO, np.zeros((0, 6)), SEEN, live=True)
        outbox.lines = JsonLines("/dev/full")
        with pytest.raises(UserError, match="--save-jsonl /dev/full: cannot be written"):
            outbox.send(INFO, np.zeros((0, 6)), SEEN)
