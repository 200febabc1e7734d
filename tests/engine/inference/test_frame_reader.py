"""Frames of many sources, read ahead in threads."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import pytest

import engine.inference.capture
from engine.inference.capture import Frame
from engine.inference.frame_reader import AHEAD, GRACE, FrameReader
from engine.inference.sources import Source, SourcePlan, plan_sources
from tests.engine.inference.live import FakeCapture, Script, Waits, plain_image, write_video


def streams(*names: str, kind: str = "stream") -> SourcePlan:
    return SourcePlan(tuple(Source(kind, name, name, order, name) for order, name in enumerate(names, 1)), True)


def quiet(_: str) -> None:
    pass


def wait_until(condition: object, seconds: float = 5.0) -> None:
    """Wait for what another thread is about to do."""
    limit = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < limit, "the thread never came that far"
        time.sleep(0.001)


def test_files_come_one_after_another_and_complete(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), plain_image(1))
    (tmp_path / "b.jpg").write_bytes(b"no image")
    write_video(tmp_path / "c.mp4", frames=9)
    with FrameReader(plan_sources(tmp_path)) as reader:
        batches = list(reader)
    assert [len(batch) for batch in batches] == [1] * 10
    assert [(frame.item.stem, frame.number) for (frame,) in batches] == [("a", 1), *(("c", n) for n in range(1, 10))]
    ((name, reason),) = reader.dead
    assert name == str(tmp_path / "b.jpg") and "not a readable image" in reason


def test_what_is_known_to_fail_is_reported_in_order() -> None:
    items = (Source("image", "x", "x", 1, "x", problem="is a riddle"), Source("image", "y.jpg", "y.jpg", 2, "y"))
    with FrameReader(SourcePlan(items, False)) as reader:
        assert list(reader) == []
    assert reader.dead[0] == ("x", "is a riddle")
    assert [name for name, _ in reader.dead] == ["x", "y.jpg"]


def test_the_reader_stays_a_few_frames_ahead_and_no_more() -> None:
    capture = FakeCapture([plain_image()] * 50, total=50)
    item = Source("video", "v", "v", 1, "v")
    with FrameReader(SourcePlan((item,), False), opener=lambda _: capture) as reader:
        wait_until(lambda: capture.retrieved == AHEAD + 1)  # one more is in its hands
        time.sleep(0.02)
        assert capture.retrieved == AHEAD + 1
        assert len(list(reader)) == 50


def test_of_large_frames_one_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.inference.frame_reader.AHEAD_BYTES", 24 * 32 * 3)  # an image
    capture = FakeCapture([plain_image()] * 20, total=20)
    item = Source("video", "v", "v", 1, "v")
    with FrameReader(SourcePlan((item,), False), opener=lambda _: capture) as reader:
        wait_until(lambda: capture.retrieved == 2)  # one more is in its hands
        time.sleep(0.02)
        assert capture.retrieved == 2
        assert len(list(reader)) == 20


def test_a_live_source_keeps_the_latest_frame_only() -> None:
    capture = FakeCapture([plain_image(n) for n in range(30)])
    finished = threading.Event()

    def wait(_: float) -> bool:
        finished.set()
        return True

    with FrameReader(streams("cam"), opener=Script(cam=[capture]), wait=wait, log=quiet) as reader:
        assert finished.wait(5)
        frames = [frame for batch in reader for frame in batch]
    assert [frame.number for frame in frames] == [30]


def test_videos_that_are_read_together_lose_nothing() -> None:
    script = Script(a=[FakeCapture([plain_image()] * 12, total=12)], b=[FakeCapture([plain_image()] * 5, total=5)])
    with FrameReader(streams("a", "b", kind="video"), opener=script) as reader:
        frames = [frame for batch in reader for frame in batch]
    assert [frame.number for frame in frames if frame.item.where == "a"] == list(range(1, 13))
    assert [frame.number for frame in frames if frame.item.where == "b"] == list(range(1, 6))
    assert reader.dead == []


def test_a_batch_holds_each_source_once() -> None:
    script = Script(**{name: [FakeCapture([plain_image()] * 6, total=6)] for name in "abc"})
    with FrameReader(streams(*"abc", kind="video"), opener=script) as reader:
        for batch in reader:
            names = [frame.item.where for frame in batch]
            assert names == sorted(set(names))


def test_images_beside_a_stream_come_one_after_another(tmp_path: Path) -> None:
    """A folder in a .streams list: each round has one of its images, not all of them."""
    images = [Source("image", str(tmp_path / f"{n}.png"), f"{n}", n, f"{n}") for n in range(1, 4)]
    for item in images:
        cv2.imwrite(item.where, plain_image(item.order))
    plan = SourcePlan((*images, Source("stream", "a", "a", 4, "a")), True)
    with FrameReader(plan, opener=Script(a=[]), log=quiet, retries=1, wait=Waits()) as reader:
        batches = list(reader)
    assert [[frame.item.order for frame in batch] for batch in batches] == [[1], [2], [3]]


def test_one_dead_stream_does_not_end_the_others() -> None:
    script = Script(alive=[FakeCapture([plain_image()] * 40, total=40)])
    waits, said = Waits(), []
    with FrameReader(streams("dead", "alive"), opener=script, wait=waits, retries=3, log=said.append) as reader:
        numbers = [frame.number for batch in reader for frame in batch]
    assert numbers == list(range(1, 41))
    assert reader.dead == [("dead", "cannot be opened, and 3 further tries did not help")]
    assert waits.seconds == [1.0, 2.0, 4.0]
    assert said[-1].endswith("the other sources go on")


def test_the_end_of_one_video_does_not_end_another() -> None:
    script = Script(short=[FakeCapture([plain_image()], total=1)], long=[FakeCapture([plain_image()] * 30, total=30)])
    with FrameReader(streams("short", "long", kind="video"), opener=script) as reader:
        names = [frame.item.where for batch in reader for frame in batch]
    assert (names.count("short"), names.count("long")) == (1, 30)


@pytest.mark.parametrize("together", [True, False])
def test_leaving_early_ends_the_threads(together: bool) -> None:
    captures = {name: FakeCapture([plain_image()] * 1000, total=1000) for name in "ab"}
    items = tuple(Source("video", name, name, order, name) for order, name in enumerate("ab", 1))
    with FrameReader(SourcePlan(items, together), opener=lambda item: captures[item.where]) as reader:
        for _ in reader:
            break
    assert not any(thread.is_alive() for thread in reader._threads)
    assert captures["a"].released
    assert list(reader) == []


def test_leaving_wakes_a_reader_that_waits_to_reconnect() -> None:
    with FrameReader(streams("dead"), opener=Script(), log=quiet, retries=0) as reader:
        pass
    assert not reader._threads[0].is_alive()


def test_a_mistake_of_ours_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(item: Source) -> list[Frame]:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(engine.inference.capture, "read_image", broken)
    with (
        FrameReader(SourcePlan((Source("image", "x", "x", 1, "x"),), False)) as reader,
        pytest.raises(ZeroDivisionError, match="ours"),
    ):
        list(reader)


def test_a_monitor_hears_of_frames_that_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    monkeypatch.setattr("engine.streams.status.SourceMonitor.arrived", lambda self: heard.append(self.order))
    script = Script(a=[FakeCapture([plain_image()] * 5)])
    with FrameReader(streams("a"), stride=4, opener=script, retries=1, wait=Waits(), log=quiet) as reader:
        assert [frame.number for frames in reader for frame in frames][-1] == 5
    assert heard == [1] * 5


def test_retries_and_stride_reach_the_reader() -> None:
    waits = Waits()
    script = Script(cam=[FakeCapture([plain_image()] * 9, total=9)])
    with FrameReader(streams("cam", "gone"), opener=script, stride=4, retries=1, wait=waits, log=quiet) as reader:
        frames = [frame for batch in reader for frame in batch]
    assert [frame.number for frame in frames] == [1, 5, 9]
    assert waits.seconds == [1.0]


def test_sources_that_hang_hold_the_end_for_a_moment_only() -> None:
    wake = threading.Event()

    def hang(_: Source) -> FakeCapture:
        wake.wait(20)
        return FakeCapture(opened=False)

    with FrameReader(streams(*"abcdefgh"), opener=hang, log=quiet) as reader:
        left = time.monotonic()
    took = time.monotonic() - left
    assert took < GRACE + 1.0  # and not eight times as much
    wake.set()
    for thread in reader._threads:
        thread.join(5)


@pytest.mark.parametrize("together", [True, False])
def test_memory_of_live_sources_is_given_back_now_and_then(together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr("engine.inference.frame_reader.TRIM", -1.0)
    monkeypatch.setattr("engine.inference.frame_reader.give_back_memory", lambda: given.append(1))
    capture = FakeCapture([plain_image()] * 5, total=5)
    plan = SourcePlan((Source("video", "v", "v", 1, "v"),), together)
    with FrameReader(plan, opener=lambda _: capture) as reader:
        batches = list(reader)
    assert len(given) == (len(batches) if together else 0)
