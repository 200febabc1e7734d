"""The state of all sources for programs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from engine.serving.metrics import health, labels, prometheus
from engine.streams.status import ENDED, LIVE, LOST, RECONNECTING, SourceStatus
from engine.streams.watchdog import Alarm
from engine.tracking.result import TrackingResult

FROZEN = (Alarm("frozen", "frozen image for 12 s"),)


def status(state: str, order: int = 1, **given: object) -> SourceStatus:
    return SourceStatus(order, f"rtsp://cam/{order}", state, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        ([status(LIVE), status(LIVE, 2)], "ok"),
        ([status(LIVE), status(ENDED, 2)], "ok"),
        ([status(LIVE), status(RECONNECTING, 2)], "degraded"),
        ([status(LIVE, alarms=FROZEN)], "degraded"),
        ([status(RECONNECTING)], "degraded"),
        ([status(LOST), status(LOST, 2)], "failed"),
        ([status(ENDED)], "ok"),
    ],
)
def test_health_in_a_word(statuses: list[SourceStatus], word: str) -> None:
    assert health(statuses, {}, 0)["status"] == word


def test_health_in_full() -> None:
    seen = TrackingResult(np.zeros(0, np.int64), lines={"gate": {"people": {"in": 2, "out": 1}}})
    said = json.loads(json.dumps(health([status(LIVE, frames=9, alarms=FROZEN)], {1: seen}, 2)))
    assert (said["version"], said["viewers"]) == (1, 2)
    (source,) = said["sources"]
    assert source["alarms"] == [{"kind": "frozen", "text": "frozen image for 12 s"}]
    assert source["lines"] == {"gate": {"people": {"in": 2, "out": 1}}} and source["zones"] == {}
    assert source["frames"] == 9 and source["age"] is None


def test_prometheus_text_by_hand() -> None:
    zone = {"inside": 3, "entered": 5, "left": 2, "dwell": 1.5}
    seen = TrackingResult(lines={"gate": {"people": {"in": 2, "out": 1}}}, zones={"yard": {"car": zone}})
    text = prometheus([status(LIVE, frames=9, age=0.25, alarms=FROZEN), status(LOST, 2)], {1: seen}, 2)
    lines = text.splitlines()
    own = 'source="rtsp://cam/1",order="1"'
    for expected in (
        "hardsight_viewers 2",
        f"hardsight_source_frames_total{{{own}}} 9",
        f"hardsight_source_frame_age_seconds{{{own}}} 0.25",
        f'hardsight_source_state{{{own},state="live"}} 1',
        f'hardsight_source_state{{{own},state="lost"}} 0',
        f'hardsight_source_alarm{{{own},kind="frozen"}} 1',
        f'hardsight_line_crossings_total{{{own},line="gate",class="people",direction="out"}} 1',
        f'hardsight_zone_objects{{{own},zone="yard",class="car"}} 3',
    ):
        assert expected in lines
    assert not any("age" in line and 'order="2"' in line for line in lines)  # unknown: not there
    assert text.endswith("\n") and all(re.fullmatch(r"# .*|[a-z_]+(\{.*\})? [-0-9.e+]+", line) for line in lines)


@pytest.mark.parametrize(
    ("frames", "rate", "lines"),
    [
        (1234567, 29.97, ["_frames_total 1234567", "_frames_per_second 29.97"]),
        (10**15 + 1, 0.0, ["_frames_total 1000000000000001", "_frames_per_second 0.0"]),
        (0, 1234567.25, ["_frames_total 0", "_frames_per_second 1234567.25"]),
    ],
)
def test_numbers_keep_their_digits(frames: int, rate: float, lines: list[str]) -> None:
    text = re.sub(r"\{.*\}", "", prometheus([status(LIVE, frames=frames, rate=rate)], {}, 0))
    assert {f"hardsight_source{line}" for line in lines} <= set(text.splitlines())


def test_labels_are_escaped() -> None:
    assert labels({"a": 'x"y\\z\n'}) == r'{a="x\"y\\z\n"}'
    assert labels({"a": "caf\udce9 é"}) == r'{a="caf\\udce9 é"}'
