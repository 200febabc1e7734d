"""Work beside the main thread."""

from __future__ import annotations

import threading
import time

import pytest

from engine.inference.worker import GRACE, WorkerThread


def test_work_is_done_in_order_and_completely_before_leaving() -> None:
    done: list[tuple[int, str]] = []
    with WorkerThread(lambda number, text: done.append((number, text)), ahead=2) as worker:
        for number in range(20):
            worker.put(number, "x")
    assert done == [(number, "x") for number in range(20)]


def test_it_happens_in_another_thread() -> None:
    names: list[str] = []
    with WorkerThread(lambda: names.append(threading.current_thread().name)) as worker:
        worker.put()
    assert names and names[0] != threading.current_thread().name


def test_putting_waits_when_too_much_is_under_way() -> None:
    gate = threading.Event()
    under_way: list[int] = []

    def work(number: int) -> None:
        gate.wait(5)
        under_way.append(number)

    with WorkerThread(work, ahead=1) as worker:
        worker.put(0)
        worker.put(1)
        threading.Timer(0.02, gate.set).start()
        worker.put(2)  # has room only once the gate is open
        assert gate.is_set()
    assert under_way == [0, 1, 2]


def test_putting_waits_when_too_many_bytes_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.inference.worker.MOST_BYTES", 10)
    gate = threading.Event()
    with WorkerThread(lambda: gate.wait(5)) as worker:
        worker.put(size=20)  # alone, whatever it has
        threading.Timer(0.02, gate.set).start()
        worker.put(size=1)
        assert gate.is_set()
        worker.put(size=9)


def test_an_error_reaches_the_one_who_put() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == 1:
            raise OSError("disk full")
        done.append(number)

    with pytest.raises(OSError, match="disk full"), WorkerThread(work, ahead=1) as worker:
        for number in range(100):
            worker.put(number)
    assert done == [0]


def test_an_error_at_the_very_end_is_raised_on_leaving() -> None:
    def work() -> None:
        raise OSError("late")

    with pytest.raises(OSError, match="late"), WorkerThread(work) as worker:
        worker.put()


def test_leaving_by_an_error_keeps_that_error_and_finishes_the_work() -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt), WorkerThread(done.append) as worker:
        worker.put(1)
        raise KeyboardInterrupt
    assert done == [1]


def test_leaving_by_ctrl_c_does_not_wait_for_work_that_hangs() -> None:
    gate, left = threading.Event(), time.monotonic()
    with pytest.raises(KeyboardInterrupt), WorkerThread(lambda: gate.wait(20), ahead=1) as worker:
        worker.put()
        worker.put()
        raise KeyboardInterrupt
    assert time.monotonic() - left < 5
    gate.set()
    worker._queue.put(None)
    worker._thread.join(5)


def test_leaving_by_ctrl_c_waits_for_work_that_gets_on() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        time.sleep(GRACE / 3)
        done.append(number)

    with pytest.raises(KeyboardInterrupt), WorkerThread(work, ahead=8) as worker:
        for number in range(6):
            worker.put(number)
        raise KeyboardInterrupt
    assert done == list(range(6))
