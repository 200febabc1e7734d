"""Messages of frames and events, against their published schema."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.messages.frame import VERSION, FrameInfo, event_message, frame_message
from engine.streams.watchdog import Alarm
from engine.tracking.result import Event, TrackingResult

FROZEN = (Alarm("frozen", "frozen image for 12 s"),)
INFO = FrameInfo("rtsp://camera/1", 2, 12, 1.23456, (48, 64, 3), 1_700_000_000.5, FROZEN)
BOXES = np.array([[1.26, 2, 30, 40, 0.98761, 0], [5, 5, 9, 9, 0.3, 7]], np.float32)
LEFT = Event("zone", "yard", "leave", 3, "cat", 4.5)
SEEN = TrackingResult(
    np.array([3, 0]),
    lines={"gate": {"cat": {"in": 1, "out": 0}}},
    zones={"yard": {"cat": {"inside": 1, "entered": 2, "left": 1, "dwell": 4.56789}}},
    inside={"yard": {5: 0.25}},
    events=(Event("line", "gate", "in", 3, "cat"), LEFT),
)
HEAD = {
    "version": 1, "source": "rtsp://camera/1", "order": 2, "frame": 12, "seconds": 1.235, "time": "2023-11-14T22:13:20.500Z",
}  # fmt: skip


@pytest.fixture(scope="module")
def schema(root):
    return json.loads((root / f"docs/schema/frame-{VERSION}.json").read_text())


def check(message, schema) -> None:
    """Raise where the message is not what the schema says, or has a field that the schema does not know."""
    jsonschema = pytest.importorskip("jsonschema", exc_type=ImportError)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(message, schema, format_checker=jsonschema.FormatChecker())


def test_a_frame_by_hand():
    assert frame_message(INFO, BOXES, SEEN, {0: "cat"}) == HEAD | {
        "width": 64, "height": 48,
        "objects": [
            {"id": 3, "class": 0, "name": "cat", "confidence": 0.9876, "box": [1.3, 2.0, 30.0, 40.0]},
            {"id": None, "class": 7, "name": "7", "confidence": 0.3, "box": [5.0, 5.0, 9.0, 9.0]},
        ],
        "lines": {"gate": {"cat": {"in": 1, "out": 0}}},
        "zones": {"yard": {"cat": {"inside": 1, "entered": 2, "left": 1, "dwell": 4.568}}},
        "inside": {"yard": {"5": 0.25}},
        "events": [
            {"kind": "line", "name": "gate", "action": "in", "id": 3, "class": "cat"},
            {"kind": "zone", "name": "yard", "action": "leave", "id": 3, "class": "cat", "seconds": 4.5},
        ],
        "alarms": [{"kind": "frozen", "text": "frozen image for 12 s"}],
    }  # fmt: skip


def test_an_event_by_hand():
    event = {"kind": "zone", "name": "yard", "action": "leave", "id": 3, "class": "cat", "seconds": 4.5}
    assert event_message(INFO, LEFT) == HEAD | {"event": event}


@pytest.mark.parametrize("seen", [SEEN, TrackingResult()])
def test_frames_fit_the_schema_and_the_schema_knows_all_fields(seen, schema):
    message = frame_message(INFO, BOXES, seen, {0: "cat"})
    check(message, schema)
    assert set(message) == set(schema["properties"]) == set(schema["required"])
    assert all(set(one) == set(schema["$defs"]["object"]["properties"]) for one in message["objects"])
    assert all(set(one) <= set(schema["$defs"]["event"]["properties"]) for one in message["events"])


def test_events_fit_the_schema(schema):
    check(event_message(INFO, LEFT), schema["$defs"]["event_message"] | {"$defs": schema["$defs"]})
