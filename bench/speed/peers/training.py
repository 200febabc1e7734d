"""Training next to Ultralytics': whole commands with default settings, on an idle machine and beside a process that spins.

python -m bench.speed.peers.training --data raccoon.yaml --spin 0 2 --out bench/results/training-peers.md

`yolo train` and `train.py --method none --hyp hyp.ultralytics.yaml` train one model from the same random weights on the same
images, with the same epochs, batch and size, each in a process of its own, alternating, validation and plots included. --spin:
processes that compute all the time beside them. It is wall time, so nothing else may run on the machine.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.against_ultralytics import plain_yaml
from bench.speed.timing import alternate, options_of, publish, report, table
from utils.files import REPOSITORY
from utils.ultralytics_env import contain_ultralytics

THEIRS, OURS = "yolo train", "train.py"


def main() -> None:
    """Measure, print, and write the page."""
    contain_ultralytics()
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
    with spinners(spinning), tempfile.TemporaryDirectory() as folder:
        data = plain_yaml(str(options.data), Path(folder))
        commands = {name: command(name, data, Path(folder), options) for name in (THEIRS, OURS)}
        candidates = {name: partial(run, words) for name, words in commands.items()}
        timings = alternate(candidates, rounds=options.rounds, warm_up=0)
    beside = f" beside {spinning} spinning processes" if spinning else ""
    what = f"{options.epochs} epochs of {options.cfg}, {options.imgsz} px, batch size {options.batch_size}"
    return report(f"{what}{beside}, whole commands", table(timings, THEIRS))


def command(name: str, data: Path, folder: Path, options: Namespace) -> list[str]:
    """The command of one side, default settings but for what must be equal."""
    both = {"data": data, "project": folder, "epochs": options.epochs, "imgsz": options.imgsz, "device": "cpu"}
    if name == THEIRS:
        start = [str(Path(sys.executable).with_name("yolo")), "train"]
        words = {"model": options.cfg, "batch": options.batch_size, **both}
    else:
        start = [sys.executable, "train.py", "method=none", "hyp=hyp.ultralytics.yaml"]
        words = {"cfg": options.cfg, "batch_size": options.batch_size, **both}
    return [*start, *(f"{key}={value}" for key, value in words.items())]


def run(words: list[str]) -> None:
    """A command that must succeed, each side with its own rule for threads that wait; its output is shown where it fails."""
    own = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run(words, cwd=REPOSITORY, env=own, capture_output=True, text=True)
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
