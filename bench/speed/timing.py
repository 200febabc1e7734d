"""Timing side by side: what a number of this project means.

The contract:

- Everything that is compared runs in one process, alternating (a b a b ..., the order turned round every round), so
that a machine that slows down slows both. - Warm-up rounds are thrown away. An accelerator is waited for before each
look at the clock. - A time is the median over rounds, with the 10th and 90th percentile beside it. A ratio is the
median of the ratios within a round, not the ratio of medians: what disturbs a round cancels. - Speed is stated as
ratios; seconds go along with the machine they belong to. - Nothing here asserts: tests check results, benches print
tables.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """The seconds of one candidate, one a round, in the rounds' order."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds, seconds."""
        return float(np.median(self.seconds))

    def ratio_to(self, other: Timing) -> float:
        """How many times as long as the other, by the median round."""
        return float(np.median(np.divide(self.seconds, other.seconds)))


def alternate(
    candidates: Mapping[str, Callable[[], Any]], *, rounds: int = 30, warm_up: int = 3, clock: Clock = time.perf_counter
) -> dict[str, Timing]:
    """Time every candidate `rounds` times, alternating, after `warm_up` rounds that do not count.

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


def table(timings: Mapping[str, Timing], reference: str) -> list[dict[str, Any]]:
    """One row a candidate: median and spread in ms, and the ratio to the reference. Raises KeyError without it."""
    rows = []
    for name, timing in timings.items():
        low, high = np.quantile(timing.seconds, (0.1, 0.9)) * 1e3
        row = {"candidate": name, "median ms": timing.median * 1e3, "p10 ms": float(low), "p90 ms": float(high)}
        rows.append(
            {**row, f"ratio to {reference}": timing.ratio_to(timings[reference]), "rounds": len(timing.seconds)}
        )
    return rows


def wait_for_accelerator() -> None:
    """Let queued GPU work finish; nothing where torch or a GPU is missing."""
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def machine() -> dict[str, Any]:
    """What the seconds belong to: processor, cores, threads, memory, GPU, and versions."""
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
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def report(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown page of a table and the machine that it was measured on."""
    from utils.tables import markdown_table

    facts = "\n".join(f"- {name}: {value}" for name, value in machine().items())
    return f"# {title}\n\n{markdown_table(rows, digits=2)}\n\n{facts}\n"
