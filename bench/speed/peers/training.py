"""Training next to Ultralytics': whole commands with default settings, on an idle machine and beside a process that spins.

python -m bench.speed.peers.training --data raccoon/data.yaml --spin 0 2 --out bench/results/training-peers.md

`yolo train` and `train.py --method none --hyp hyp.ultralytics.yaml` train one model from the same random weights on the same
images, with the same epochs, batch and size, each in a process of its own, alternating, validation and plots included. --spin:
processes that compute all the time beside them. It is wall time, so nothing else may run on the machine.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.speed.timing import Timing, options_of, publish, report, table
from utils.files import REPOSITORY

THEIRS, OURS = "yolo train", "train.py"


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=3)
    parser.add_argument("--data", type=Path, required=True, help="data YAML that both read")
    parser.add_argument("--cfg", default="yolov8n.yaml")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--spin", type=int, nargs="+", default=[0], help="processes that spin beside the training")
    options = parser.parse_args()
    publish(options, *(page(options, count) for count in options.spin))


def page(options: Namespace, spinning: int) -> str:
    """The table beside so many processes that spin."""
    seconds: dict[str, list[float]] = {THEIRS: [], OURS: []}
    with spinners(spinning), tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for name in (THEIRS, OURS) if number % 2 == 0 else (OURS, THEIRS):
                start = time.perf_counter()
                run(command(name, options, Path(folder) / f"{name.partition('.')[0]}{number}".replace(" ", "-")))
                seconds[name].append(time.perf_counter() - start)
    timings = {name: Timing(name, tuple(values)) for name, values in seconds.items()}
    beside = f" beside {spinning} spinning processes" if spinning else ""
    what = f"{options.epochs} epochs of {options.cfg}, {options.imgsz} px, batch size {options.batch_size}"
    return report(f"{what}{beside}, whole commands", table(timings, THEIRS))


def command(name: str, options: Namespace, folder: Path) -> list[str]:
    """The command of one side, default settings but for what must be equal."""
    own = {
        "project": folder.parent,
        "name": folder.name,
        "epochs": options.epochs,
        "imgsz": options.imgsz,
        "device": "cpu",
    }
    if name == THEIRS:
        words = {"model": options.cfg, "batch": options.batch_size, "data": options.data.resolve(), **own}
        start = [str(Path(sys.executable).with_name("yolo")), "train"]
    else:
        words = {"cfg": options.cfg, "batch_size": options.batch_size, "data": options.data.resolve(), **own}
        start = [sys.executable, "train.py", "method=none", "hyp=hyp.ultralytics.yaml"]
    return [*start, *(f"{key}={value}" for key, value in words.items())]


def run(words: list[str]) -> None:
    """A command that must succeed; its output is shown where it does not."""
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


@contextmanager
def spinners(count: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    running = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in running:
        process.start()
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.join()


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
