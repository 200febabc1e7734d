"""What is known of a source at any moment."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.streams.status import CONNECTING, ENDED, LIVE, LOST, RECONNECTING, SourceMonitor

IMAGE = np.full((4, 6, 3), 99, np.uint8)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def monitor(**given: object) -> tuple[SourceMonitor, Clock, list[str]]:
    clock, said = Clock(), []  # type: ignore[var-annotated]
    return SourceMonitor(3, "rtsp://cam/1", clock=clock, log=said.append, **given), clock, said  # type: ignore[arg-type]


def test_the_states_of_a_source() -> None:
    watched, clock, _ = monitor()
    assert watched.status().state == CONNECTING and watched.status().age is None
    watched.connected()
    assert watched.status().state == CONNECTING  # until a frame comes
    watched.frame(IMAGE, 1)
    clock.now += 0.5
    status = watched.status()
    assert (status.state, status.age, status.width, status.height, status.connections) == (LIVE, 0.5, 6, 4, 1)
    watched.ended(RECONNECTING, "broke off")
    assert (watched.status().state, watched.status().reason, watched.status().age) == (RECONNECTING, "broke off", 0.5)
    watched.connected()
    watched.frame(IMAGE, 2)
    assert (watched.status().state, watched.status().reason, watched.status().connections) == (LIVE, "", 2)
    watched.ended(LOST, "gone")
    assert watched.status().state == LOST
    watched.ended()
    assert watched.status().state == ENDED


def test_rates_and_latency() -> None:
    watched, clock, _ = monitor()
    for number in range(50):
        clock.now += 0.1
        watched.frame(IMAGE, number + 1)
        if number % 2:
            watched.detected(clock.now - 0.03)
    status = watched.status()
    assert (status.frames, status.detected) == (50, 25)
    assert status.rate == pytest.approx(10) and status.detection_rate == pytest.approx(25 / 4.8)
    assert status.latency == pytest.approx(0.03)


def test_alarms_are_logged_when_they_begin_and_when_all_is_well() -> None:
    watched, clock, said = monitor(after=5.0)
    for number in range(80):
        clock.now += 0.1
        watched.frame(IMAGE, number + 1)
        watched.detected()
    assert said == ["rtsp://cam/1: frozen image for 5 s"]
    assert [alarm.kind for alarm in watched.status().alarms] == ["frozen"]
    clock.now += 0.3
    watched.frame(IMAGE + 1, 81)
    assert watched.detected() == ()
    assert said[1:] == ["rtsp://cam/1: the stream is well again"]


def test_a_source_of_which_few_frames_are_read_is_not_silent() -> None:
    watched, clock, said = monitor(after=5.0)
    for number in range(200):
        clock.now += 0.1
        watched.arrived()
        if number % 50 == 0:  # --vid-stride 50
            watched.frame(IMAGE + number, number + 1)
            watched.detected()
        assert watched.status().alarms == ()
    clock.now += 4.0
    assert [alarm.kind for alarm in watched.status().alarms] == ["silent"] and said == []


def test_a_file_is_not_watched() -> None:
    watched, clock, _ = monitor(live=False, after=5.0)
    for number in range(100):
        clock.now += 1
        watched.frame(IMAGE * 0, number + 1)
    clock.now += 99
    assert watched.status().alarms == ()


def test_json_holds_everything() -> None:
    watched, clock, _ = monitor(after=1.0)
    for number in range(30):
        clock.now += 0.1
        watched.frame(IMAGE * 0, number + 1)
    said = json.loads(json.dumps(watched.status().as_json()))
    assert said["alarms"][0] == {"kind": "black", "text": "black image for 3 s"}
    assert (said["label"], said["state"], said["order"], said["age"]) == ("rtsp://cam/1", LIVE, 3, 0.0)
