"""Timing side by side: how every speed figure of this project is measured.

- What is compared runs in one process, alternating (a b, b a, a b, ...), so that a machine that slows down slows both.
- Warm-up rounds do not count. The accelerator is synchronised before each look at the clock.
- A time is the median over rounds, with the 10th and 90th percentile beside it. A ratio is the median of the ratios
  within a round, not the ratio of medians, so that a disturbed round cancels.
- Speed is stated as ratios; seconds are given with the machine that they were measured on.
- Nothing here asserts: tests check results, benchmarks print tables.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Clock = Callable[[], float]


def options_of(about: str | None, *, rounds: int = 0) -> argparse.ArgumentParser:
    """The options that every timing script takes: --rounds (where there are any), --device, --busy and --out."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--device", default="", help="cpu, or a GPU's number; empty: the best there is")
    parser.add_argument("--busy", action="store_true", help="measure processor time, on a CPU that is shared")
    parser.add_argument("--out", type=Path, help="also write the page here")
    return parser


def publish(options: argparse.Namespace, *pages: str) -> None:
    """Print the pages, and write them to --out."""
    text = "\n".join(pages)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def in_fresh_process(*words: str) -> float:
    """The last word that this script prints when started again with the same command line and these words after it."""
    module = sys.modules["__main__"].__spec__
    assert module is not None, "start it as python -m bench.speed.NAME"
    command = [sys.executable, "-m", module.name, *sys.argv[1:], *words]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def process_memory(field: str) -> float:
    """A field of this process's memory, MiB (Linux): VmRSS is the present size, VmHWM the peak."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) / 2**10


@dataclass(frozen=True)
class Timing:
    """The seconds of one candidate, one per round, in the order of the rounds."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the rounds, seconds."""
        return float(np.median(self.seconds))

    def ratio_to(self, other: Timing) -> float:
        """Time relative to the other: the median of the ratios within a round."""
        return float(np.median(np.divide(self.seconds, other.seconds)))


def alternate(
    candidates: Mapping[str, Callable[[], Any]], *, rounds: int = 30, warm_up: int = 3, clock: Clock = time.perf_counter
) -> dict[str, Timing]:
    """Time every candidate `rounds` times, alternating, after `warm_up` discarded rounds.

    Raises ValueError without candidates or rounds.
    """
    if not candidates or rounds < 1 or warm_up < 0:
        raise ValueError(f"expected candidates and at least one round, got {len(candidates)} and {rounds}")
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(warm_up + rounds):
        order = list(candidates.items())
        for name, work in order if number % 2 == 0 else order[::-1]:
            wait_for_accelerator()
            start = clock()
            work()
            wait_for_accelerator()
            if number >= warm_up:
                seconds[name].append(clock() - start)
    return {name: Timing(name, tuple(values)) for name, values in seconds.items()}


def measure(
    options: argparse.Namespace, candidates: Mapping[str, Callable[[], Any]], warm_up: int = 3
) -> dict[str, Timing]:
    """Time the candidates as --rounds and --busy say."""
    clock = time.process_time if options.busy else time.perf_counter
    return alternate(candidates, rounds=options.rounds, warm_up=warm_up, clock=clock)


def table(timings: Mapping[str, Timing], reference: str) -> list[dict[str, Any]]:
    """One row per candidate: median and spread in ms, and the ratio to the reference. Raises KeyError without it."""
    rows = []
    for name, timing in timings.items():
        low, high = np.quantile(timing.seconds, (0.1, 0.9)) * 1e3
        row = {"candidate": name, "median ms": timing.median * 1e3, "p10 ms": float(low), "p90 ms": float(high)}
        row |= {f"ratio to {reference}": timing.ratio_to(timings[reference]), "rounds": len(timing.seconds)}
        rows.append(row)
    return rows


def wait_for_accelerator() -> None:
    """Let queued GPU work finish; does nothing where torch is not loaded or has no GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def machine() -> dict[str, Any]:
    """The machine that seconds were measured on: processor, cores, threads, memory, GPU, and versions."""
    import psutil
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory GiB": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    """The processor's name, where the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def report(title: str, rows: Sequence[Mapping[str, Any]], busy: bool = False) -> str:
    """A Markdown page of a table and the machine that it was measured on. busy: it is processor time."""
    from utils.tables import markdown_table

    facts = "\n".join(f"- {name}: {value}" for name, value in machine().items())
    return f"# {title}{', processor time' * busy}\n\n{markdown_table(rows, digits=2)}\n\n{facts}\n"
