"""Many streams on few cores: age of frames, memory, what a dead source and what viewers of the page cost.

    python -m bench.streams --seconds 600 --out bench/results/streams.md

Sources are MJPEG cameras on this machine (another process), 640 x 480 px, 10 frames a second each. The detector is the
bundled YOLOv5n at 320 px; each batch holds the latest frame of every source that has a new one. Age is the time from the
decoding of a frame to the start and to the end of its batch.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple

import cv2
import numpy as np

from bench.speed.timing import options_of, process_memory, publish, report
from engine.inference.api import open_reader
from engine.inference.factory import open_predictor
from engine.inference.frame_reader import FrameReader
from engine.inference.sources import Source, SourcePlan
from engine.options.detect import DetectOptions
from engine.serving.access import reserve
from engine.serving.page import Page
from engine.tracking.result import TrackingResult
from utils.options import build

RATE = 10.0  # frames a second of each source
WARM_UP = 5.0  # seconds that do not count
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


class Batch(NamedTuple):
    """One call of the detector: when it began, how long it took, and the age of each frame at its start, seconds."""

    start: float
    seconds: float
    ages: list[float]


def frames() -> list[bytes]:
    """JPEGs of a drawn street that moves sideways."""
    from data.synthetic.registry import find_synthetic

    looks, _ = find_synthetic("demo-night").scene(7, (640, 480), ("day",))
    image = np.ascontiguousarray(looks["day"][..., ::-1])
    return [cv2.imencode(".jpg", np.roll(image, 16 * step, axis=1))[1].tobytes() for step in range(20)]


def send_frames(ports: Any, end: Event) -> None:
    """A process that plays cameras: one port that sends, and one that accepts and stays silent."""
    coded = frames()
    live, silent = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    ports.put((live.getsockname()[1], silent.getsockname()[1]))
    kept: list[Any] = []
    threading.Thread(target=lambda: kept.extend(silent.accept() for _ in itertools.count()), daemon=True).start()
    threading.Thread(target=_accept, args=(live, coded), daemon=True).start()
    end.wait()


def _accept(server: socket.socket, coded: Sequence[bytes]) -> None:
    """A thread for each reader."""
    while True:
        link, _ = server.accept()
        threading.Thread(target=_play, args=(link, coded), daemon=True).start()


def _play(link: socket.socket, coded: Sequence[bytes]) -> None:
    """Frames at RATE until the reader leaves."""
    link.recv(4096)
    due = time.monotonic()
    try:
        link.sendall(HEAD)
        for data in itertools.cycle(coded):
            link.sendall(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data))
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
    except OSError:
        link.close()


@contextmanager
def cameras() -> Iterator[tuple[str, str]]:
    """Addresses of a camera that sends and of one that is silent."""
    context = multiprocessing.get_context("spawn")
    ports, end = context.Queue(), context.Event()
    process = context.Process(target=send_frames, args=(ports, end), daemon=True)
    process.start()
    live, silent = ports.get(timeout=120)
    try:
        yield f"http://127.0.0.1:{live}/", f"http://127.0.0.1:{silent}/"
    finally:
        end.set()
        process.join(10)


def plan(addresses: Sequence[str]) -> SourcePlan:
    """A plan of these sources."""
    return SourcePlan(tuple(Source("stream", where, where, n, f"s{n}") for n, where in enumerate(addresses, 1)), True)


def batches(reader: FrameReader, detector: Any, seconds: float, page: Page | None = None) -> Iterator[Batch]:
    """Detect for so long."""
    until = time.monotonic() + seconds
    for taken in reader:
        start = time.monotonic()
        found = detector([frame.image for frame in taken])
        for frame, boxes in zip(taken, found, strict=True):
            reader.monitors[frame.item.order].detected(frame.read)
            if page is not None:
                page.show(frame.item.order, frame.number, frame.image, boxes.numpy(), TrackingResult())
        yield Batch(start, time.monotonic() - start, [start - frame.read for frame in taken])
        if start > until:
            return


def latest(options: argparse.Namespace, detector: Any, chosen: DetectOptions, live: str) -> list[dict[str, Any]]:
    """Age, rates and memory over --seconds with all sources alive."""
    memory: list[float] = []
    with open_reader(plan([live] * options.streams), chosen) as reader:
        list(batches(reader, detector, 3 * WARM_UP))
        begin, done = time.monotonic(), []
        for batch in batches(reader, detector, options.seconds):
            done.append(batch)
            if batch.start - begin > len(memory) * options.seconds / 60:
                memory.append(process_memory("VmRSS"))
        statuses = [monitor.status() for monitor in reader.monitors.values()]
    took = statistics.median(batch.seconds for batch in done)
    started = [age / batch.seconds for batch in done for age in batch.ages]
    ended = [1 + age / batch.seconds for batch in done for age in batch.ages]
    half = len(memory) // 2
    return [
        {"what": "seconds measured", "value": done[-1].start - begin},
        {"what": "frames per batch (median)", "value": float(statistics.median(len(batch.ages) for batch in done))},
        {"what": "batch, s (median)", "value": took},
        {"what": "detected frames/s of a source, least", "value": min(status.detection_rate for status in statuses)},
        {"what": "detected frames/s of a source, most", "value": max(status.detection_rate for status in statuses)},
        {"what": "arriving frames/s of a source, least", "value": min(status.rate for status in statuses)},
        {"what": "age at start of detection, batches: median", "value": float(np.median(started))},
        {"what": "age at start of detection, batches: p99", "value": float(np.quantile(started, 0.99))},
        {"what": "age at end of detection, batches: median", "value": float(np.median(ended))},
        {"what": "age at end of detection, batches: p99", "value": float(np.quantile(ended, 0.99))},
        {"what": "memory, MiB: median of the first half", "value": statistics.median(memory[:half])},
        {"what": "memory: second half / first half", "value": float(np.median(memory[half:]) / np.median(memory[:half]))},
    ]  # fmt: skip


def others(
    options: argparse.Namespace, detector: Any, chosen: DetectOptions, live: str, silent: str
) -> list[dict[str, Any]]:
    """Frame rate of the other sources beside one that is dead or silent, relative to their rate without it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = f"http://127.0.0.1:{free.getsockname()[1]}/"
    alive = [live] * (options.streams - 1)
    cases = {"without": [], "dead": [dead], "silent": [silent]}
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for round_ in range(options.rounds):
        order = list(cases.items())
        for name, more in order if round_ % 2 == 0 else order[::-1]:
            with open_reader(plan([*alive, *more]), chosen) as reader:
                list(batches(reader, detector, WARM_UP))
                begin, number = time.monotonic(), 0
                for batch in batches(reader, detector, options.window):
                    number += len(batch.ages)
                rates[name].append(number / (time.monotonic() - begin))
    return [
        {
            "beside": name, "frames/s (median)": statistics.median(found),
            "ratio to without": float(np.median(np.divide(found, rates["without"]))), "rounds": len(found),
        }
        for name, found in rates.items()
    ]  # fmt: skip


def watch(address: str, viewers: int, active: Event, end: Event) -> None:
    """A process of viewers, which look while `active` is set and ask for the next frames as the page does."""
    asyncio.run(_watch(address, viewers, active, end))


async def _watch(address: str, viewers: int, active: Event, end: Event) -> None:
    await asyncio.gather(*(_view(address, active, end) for _ in range(viewers)))


async def _view(address: str, active: Event, end: Event) -> None:
    import aiohttp

    while not end.is_set():
        if not active.is_set():
            await asyncio.sleep(0.1)
            continue
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{address}tiles", max_msg_size=0) as link:
            await link.receive_str()
            while active.is_set() and not end.is_set():
                await link.send_str(json.dumps({"focus": 0}))
                while (await link.receive(timeout=30)).type == aiohttp.WSMsgType.BINARY:
                    pass


def served(options: argparse.Namespace, detector: Any, chosen: DetectOptions, live: str) -> list[dict[str, Any]]:
    """Seconds per frame with three viewers of the page, relative to those with nobody looking; windows in turn."""
    context = multiprocessing.get_context("spawn")
    active, end = context.Event(), context.Event()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    each: dict[bool, list[float]] = {False: [], True: []}
    busy: dict[bool, list[float]] = {False: [], True: []}
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(plan([live] * options.streams), chosen))
        place = reserve(port, "")
        page = stack.enter_context(Page(place, {}, list(reader.monitors.values())))
        process = context.Process(target=watch, args=(place.address, 3, active, end), daemon=True)
        process.start()
        stack.callback(end.set)
        list(batches(reader, detector, 2 * WARM_UP, page))
        for number in range(2 * options.rounds):
            looking = number % 4 in (1, 2)  # off on on off, so that a drift of the machine cancels
            (active.set if looking else active.clear)()
            while page.viewers != 3 * looking:
                list(batches(reader, detector, 1.0, page))
            before = time.process_time()
            done = list(batches(reader, detector, options.window, page))
            number_of = sum(len(batch.ages) for batch in done)
            each[looking].append(sum(batch.seconds for batch in done) / number_of)
            busy[looking].append((time.process_time() - before) / number_of)
    rows: list[dict[str, Any]] = [
        {
            "viewers": 3 * looking, "ms per frame": 1000 * statistics.median(each[looking]),
            "processor ms per frame": 1000 * statistics.median(busy[looking]), "rounds": options.rounds,
        }
        for looking in (False, True)
    ]  # fmt: skip
    ratios = [float(np.median(np.divide(times[True], times[False]))) for times in (each, busy)]
    last = {"viewers": "3 / 0, median of ratios", "ms per frame": ratios[0], "processor ms per frame": ratios[1]}
    return [*rows, last | {"rounds": options.rounds}]


def main() -> None:
    """Measure and print."""
    parser = options_of(__doc__, rounds=8)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--part", type=int, default=0, choices=range(4), help="1, 2 or 3: one of the tables")
    parser.add_argument("--seconds", type=float, default=600.0, help="of the first table")
    parser.add_argument("--window", type=float, default=10.0, help="seconds of each round of the others")
    options = parser.parse_args()
    weights = "weights/yolov5n-demo-days.safetensors"
    (chosen,) = build([DetectOptions], {"weights": weights, "source": "x", "imgsz": 320, "retries": 0, "device": "cpu"})
    detector = open_predictor(chosen)
    title = f"{options.streams} streams of {RATE:.0f} frames/s, YOLOv5n at 320 px"
    with cameras() as (live, silent):
        tables: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
            title: lambda: latest(options, detector, chosen, live),
            "A dead or silent source beside the others": lambda: others(options, detector, chosen, live, silent),
            "The page with three viewers": lambda: served(options, detector, chosen, live),
        }
        wanted = list(tables.items())[slice(*((options.part - 1, options.part) if options.part else (None,)))]
        publish(options, *(report(name, work()) for name, work in wanted))


if __name__ == "__main__":
    main()
