"""The state of all sources for programs: JSON for /health, Prometheus text for /metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.streams.status import ENDED, LIVE, LOST, STATES, SourceStatus
from engine.tracking.result import TrackingResult

VERSION = 1  # of the JSON; a field that is added does not change it


def health(statuses: Sequence[SourceStatus], counts: Mapping[int, TrackingResult], viewers: int) -> dict[str, Any]:
    """What /health answers. status: ok; degraded where a source is not live or has an alarm; failed where none is live."""
    going = [status for status in statuses if status.state != ENDED]
    live = [status for status in going if status.state == LIVE]
    well = len(live) == len(going) and not any(status.alarms for status in live)
    lost = bool(going) and all(status.state == LOST for status in going)
    word = "ok" if well else "failed" if lost else "degraded"
    sources = [status.as_json() | counted(counts.get(status.order)) for status in statuses]
    return {"version": VERSION, "status": word, "viewers": viewers, "sources": sources}


def counted(seen: TrackingResult | None) -> dict[str, Any]:
    """Counts of lines and zones as JSON."""
    return {"lines": dict(seen.lines), "zones": dict(seen.zones)} if seen is not None else {"lines": {}, "zones": {}}


def prometheus(statuses: Sequence[SourceStatus], counts: Mapping[int, TrackingResult], viewers: int) -> str:
    """What /metrics answers (text format 0.0.4)."""
    lines = ["# TYPE hardsight_viewers gauge", f"hardsight_viewers {viewers}"]
    for name, kind, help_text, value in _SOURCE_METRICS:
        lines += [f"# HELP hardsight_source_{name} {help_text}", f"# TYPE hardsight_source_{name} {kind}"]
        for status in statuses:
            number = getattr(status, value)
            if number is not None:
                lines.append(f"hardsight_source_{name}{labels(_own(status))} {number}")
    lines += [
        "# HELP hardsight_source_state 1 for the state that a source is in.",
        "# TYPE hardsight_source_state gauge",
    ]
    for status in statuses:
        lines += [
            f"hardsight_source_state{labels(_own(status) | {'state': state})} {int(state == status.state)}"
            for state in STATES
        ]
    lines += ["# HELP hardsight_source_alarm 1 for each thing that is wrong.", "# TYPE hardsight_source_alarm gauge"]
    for status in statuses:
        lines += [f"hardsight_source_alarm{labels(_own(status) | {'kind': alarm.kind})} 1" for alarm in status.alarms]
    return "\n".join([*lines, *_crossings(statuses, counts), ""])


_SOURCE_METRICS = (
    ("frames_total", "counter", "Frames that came.", "frames"),
    ("detected_frames_total", "counter", "Frames that went through the detector.", "detected"),
    ("connections_total", "counter", "Times that it was opened.", "connections"),
    ("frames_per_second", "gauge", "Frames that come, per second.", "rate"),
    ("detected_frames_per_second", "gauge", "Frames that go through the detector, per second.", "detection_rate"),
    ("frame_age_seconds", "gauge", "Age of the newest frame.", "age"),
    ("latency_seconds", "gauge", "Age of the last frame when its detections were there.", "latency"),
)


def _crossings(statuses: Iterable[SourceStatus], counts: Mapping[int, TrackingResult]) -> Iterator[str]:
    """Lines and zones, where there are any."""
    if not any(seen.lines or seen.zones for seen in counts.values()):
        return
    yield "# TYPE hardsight_line_crossings_total counter"
    for status in statuses:
        for line, classes in (counts[status.order].lines if status.order in counts else {}).items():
            for label, crossed in classes.items():
                for direction, number in crossed.items():
                    given = _own(status) | {"line": line, "class": label, "direction": direction}
                    yield f"hardsight_line_crossings_total{labels(given)} {number}"
    yield "# TYPE hardsight_zone_objects gauge"
    for status in statuses:
        for zone, present in (counts[status.order].zones if status.order in counts else {}).items():
            for label, count in present.items():
                given = _own(status) | {"zone": zone, "class": label}
                yield f"hardsight_zone_objects{labels(given)} {count['inside']}"


def _own(status: SourceStatus) -> dict[str, str]:
    """The labels that tell a source."""
    return {"source": status.label, "order": str(status.order)}


def labels(given: Mapping[str, str]) -> str:
    """Labels in Prometheus' notation: in UTF-8, with backslash, quotation mark and line feed escaped."""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in given.items()) + "}"


def _escaped(value: str) -> str:
    """The value of a label. Half letters, as file names that are not UTF-8 have, become `\\udcXX`."""
    whole = value.encode(errors="backslashreplace").decode()
    return whole.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
