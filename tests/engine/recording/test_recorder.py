"""Everything, or what surrounds events; and a disk that is full."""

from __future__ import annotations

import csv
import errno
from pathlib import Path

import numpy as np
import pytest

from engine.recording import recorder as module
from engine.recording.recorder import AGAIN, Moment, Recorder, RecordingOptions, events_of
from engine.tracking.result import Event, TrackingResult

pytest.importorskip("av", reason="PyAV is not installed")


class Clock:
    now = 1764417600.0

    def __call__(self) -> float:
        return self.now


def play(recorder: Recorder, seconds: float, events: dict[int, str], rate: int = 10, height: int = 48) -> None:
    """Frames of a source; events: frame number -> what happens in it."""
    start = recorder.options.clock.now  # type: ignore[attr-defined]
    for number in range(round(seconds * rate)):
        recorder.options.clock.now = start + number / rate  # type: ignore[attr-defined]
        image = np.full((height, 64, 3), number % 200, np.uint8)
        happened = [events[number]] if number in events else []
        recorder.save("cam", "rtsp://cam", 10.0, Moment(image, number / rate, happened))


def index(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def options(**given: object) -> RecordingOptions:
    return RecordingOptions(**{"clock": Clock(), **given})  # type: ignore[arg-type]


def test_everything_in_segments(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, options(segment=4.0))
    play(recorder, 10, {5: "people"})
    recorder.close()
    rows = index(tmp_path)
    assert [(row["frames"], row["start"][14:], row["end"][14:]) for row in rows] == [
        ("40", "00:00.000Z", "00:03.900Z"), ("40", "00:04.000Z", "00:07.900Z"), ("20", "00:08.000Z", "00:09.900Z"),
    ]  # fmt: skip
    assert [row["events"] for row in rows] == ["people", "", ""]
    assert sum(path.stat().st_size for path in tmp_path.glob("cam/*.mp4")) == sum(int(row["bytes"]) for row in rows)


def test_seconds_before_and_after_events(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, options(mode="events", before=2.0, after=3.0))
    play(recorder, 30, {100: "people", 110: "car", 250: "people"})
    recorder.close()
    first, second = index(tmp_path)
    assert (first["start"][14:], first["end"][14:], first["frames"]) == (
        "00:08.000Z",
        "00:14.000Z",
        "61",
    )  # 8 to 11 + 3
    assert (second["start"][14:], second["end"][14:], second["frames"]) == ("00:23.000Z", "00:28.000Z", "51")
    assert (first["events"], second["events"]) == ("people; car", "people")


def test_nothing_happened_nothing_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, options(mode="events"))
    play(recorder, 9, {})
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_the_ring_buffer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RING_BYTES", 5000)
    recorder = Recorder(tmp_path, options(mode="events", before=60.0))
    play(recorder, 50, {})
    source = recorder._sources["cam"]
    assert 0 < source._ring_bytes == sum(len(coded) for _, coded in source._ring) <= 5000


def test_another_size_begins_another_segment(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, options())
    play(recorder, 1, {})
    play(recorder, 1, {}, height=1)
    recorder.close()
    assert [row["frames"] for row in index(tmp_path)] == ["10", "10"]


def test_segments_that_are_being_written_count_for_the_limit(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, options(segment=1.0))
    play(recorder, 3, {})
    recorder.close()
    recorder = Recorder(tmp_path, options(segment=3600.0, limit=recorder.store.bytes))
    assert len(index(tmp_path)) == 3
    play(recorder, 20, {})
    assert len(index(tmp_path)) == 1 and len(list(tmp_path.glob("cam/*.part.mp4"))) == 1


def test_the_limit_holds_for_a_segment_under_way(tmp_path: Path) -> None:
    """Noise is large: one long segment would be ten times the limit."""
    recorder = Recorder(tmp_path, options(segment=1000.0, limit=400_000))
    noise, most = np.random.default_rng(0), 0
    for number in range(600):
        recorder.options.clock.now += 1  # type: ignore[attr-defined]
        image = noise.integers(0, 256, (96, 96, 3), dtype=np.uint8)
        recorder.save("cam", "rtsp://cam", 1.0, Moment(image, float(number)))
        most = max(most, sum(path.stat().st_size for path in tmp_path.glob("cam/*.mp4")))
    recorder.close()
    assert len(index(tmp_path)) == 1 and most < 460_000  # looked at every 5 s


def test_a_source_that_has_ended_is_closed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, options())
    play(recorder, 1, {})
    recorder.close(but="cam")
    assert not (tmp_path / "index.csv").exists()
    recorder.close(but="other")
    assert len(index(tmp_path)) == 1 and list(tmp_path.glob("*/*.part.mp4")) == []


def test_a_full_disk_ends_recording_for_a_while_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    recorder = Recorder(tmp_path, options(), log=said.append)
    play(recorder, 1, {})
    write = module._OpenSegment.write

    def full(segment: object, moment: Moment) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module._OpenSegment, "write", full)
    play(recorder, 3, {})
    assert said == ["warning: recording: the disk is full; detection goes on without it, tried again every 60 s"]
    assert list(tmp_path.glob("*/*")) == []
    recorder.options.clock.now += AGAIN  # type: ignore[attr-defined]
    play(recorder, 1, {})
    assert len(said) == 1  # still full: nothing new to say
    monkeypatch.setattr(module._OpenSegment, "write", write)
    recorder.options.clock.now += AGAIN  # type: ignore[attr-defined]
    play(recorder, 2, {})
    recorder.close()
    assert said[1:] == ["recording: goes on"] and [row["frames"] for row in index(tmp_path)] == ["20"]


def test_a_disk_that_is_full_for_real(tmp_path: Path, full_disk) -> None:
    said: list[str] = []
    recorder = Recorder(tmp_path, options(), log=said.append)
    rng = np.random.default_rng(0)
    full_disk(20000)
    for number in range(60):
        recorder.save("cam", "cam", 10.0, Moment(rng.integers(0, 256, (240, 320, 3), np.uint8), number / 10))
    recorder.close()
    assert len(said) == 1 and "the disk is full" in said[0]
    assert list(tmp_path.glob("*/*")) == []


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_too_many_open_files_end_recording_for_a_while_and_not_the_run(tmp_path: Path, codec: str) -> None:
    resource = pytest.importorskip("resource", reason="this system limits no open files")
    said: list[str] = []
    recorder = Recorder(tmp_path, options(codec=codec), log=said.append)
    play(recorder, 1, {})
    recorder.close()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (tmp_path / "index.csv").open() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + 1, before[1]))
        try:
            play(recorder, 3, {})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert said == [
        "warning: recording: too many files are open (see ulimit -n); detection goes on without it, tried again every 60 s"
    ]
    recorder.options.clock.now += AGAIN  # type: ignore[attr-defined]
    play(recorder, 2, {})
    recorder.close()
    assert said[1:] == ["recording: goes on"] and [row["frames"] for row in index(tmp_path)] == ["10", "20"]
    assert len(list(tmp_path.glob("*/*"))) == 2


def test_another_error_is_raised(tmp_path: Path) -> None:
    (tmp_path / "cam").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="exists"):
        play(Recorder(tmp_path, options()), 1, {})


def test_what_happened_in_a_frame() -> None:
    boxes = np.array([[0, 0, 1, 1, 0.9, 1], [0, 0, 1, 1, 0.8, 1], [0, 0, 1, 1, 0.8, 7]], np.float32)
    seen = TrackingResult(events=(Event("line", "gate", "in", 3, "people"),))
    assert events_of(boxes, seen, {1: "car"}, regions=False) == ["car", "7"]
    assert events_of(boxes, seen, {1: "car"}, regions=True) == ["gate: people in"]
    assert events_of(boxes[:0], TrackingResult(), {}, regions=False) == []
