"""What viewers of the page add to a frame, without a detector: processor time of the process that serves them.

OMP_NUM_THREADS=1 python -m bench.speed.streams.viewers --streams 16 --period 0.4

A frame of each source every `--period` seconds, with three viewers in another process and without, in turn.
"""

from __future__ import annotations

import multiprocessing
import socket
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack

import cv2
import numpy as np

from bench.speed.timing import options_of, publish, report
from bench.streams import frames, plan, watch
from engine.inference.frame_reader import monitor_of
from engine.serving.access import reserve
from engine.serving.page import Page
from engine.tracking.result import TrackingResult
from utils.log import LOGGER

VIEWERS = 3


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=3)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--period", type=float, default=0.4, help="seconds between two frames of a source")
    parser.add_argument("--window", type=float, default=4.0, help="seconds of a round")
    options = parser.parse_args()
    without, beside = np.array(rounds_of(options)).T * 1e3
    rows = [
        {"viewers": 0, "processor ms per frame": float(np.median(without)), "rounds": options.rounds},
        {"viewers": VIEWERS, "processor ms per frame": float(np.median(beside)), "rounds": options.rounds},
    ]
    publish(options, report(f"{options.streams} sources, a frame of each every {options.period:g} s", rows, busy=True))


def rounds_of(options: Namespace) -> list[tuple[float, float]]:
    """Seconds per frame of each round, without and with viewers."""
    context = multiprocessing.get_context("spawn")
    active, end = context.Event(), context.Event()
    monitors = [
        monitor_of(item, 0.0, time.monotonic, LOGGER.info) for item in plan(["http://x/"] * options.streams).items
    ]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with ExitStack() as stack:
        page = stack.enter_context(Page(reserve(port, ""), {}, monitors))
        viewers = context.Process(target=watch, args=(page.address, VIEWERS, active, end), daemon=True)
        viewers.start()
        stack.callback(end.set)
        show = player(page)
        found = []
        for _ in range(options.rounds):
            times = []
            for looking in (False, True):
                (active.set if looking else active.clear)()
                while page.viewers != VIEWERS * looking:
                    time.sleep(0.1)
                times.append(window(show, options))
            found.append((times[0], times[1]))
        return found


def player(page: Page) -> Callable[[int], None]:
    """Shows a frame of each source; called with its number."""
    images = [
        np.asarray(cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR), np.uint8) for coded in frames()
    ]
    boxes = np.zeros((3, 6), np.float32)

    def show(number: int) -> None:
        for monitor in page.monitors:
            image = images[(number + monitor.order) % len(images)]
            monitor.frame(image, number + 1)
            page.show(monitor.order, number, image, boxes, TrackingResult())

    return show


def window(show: Callable[[int], None], options: Namespace) -> float:
    """Processor time per frame over a round, seconds."""
    number, spent, start = 0, time.process_time(), time.monotonic()
    while time.monotonic() - start < options.window:
        show(number)
        number += 1
        time.sleep(max(0.0, start + number * options.period - time.monotonic()))
    return (time.process_time() - spent) / (number * options.streams)


if __name__ == "__main__":
    main()
