"""What WiiD is worth where images and clips are named: the comparison that bench/codan.py and bench/arid.py share.

As published, training starts from weights of the day. They are made here once, from the same images; every run starts
from them and has the same number of epochs.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import engine
from engine.comparison.api import parse_run
from utils.files import atomic_write
from utils.tables import markdown_table, text_table

PROJECT, RESULTS = Path("runs/compare"), Path("bench/results")
ENHANCERS = ("none", "zero-dce", "clahe", "gamma")
DAY_SEED = 100  # that of no run


@dataclass(frozen=True)
class DarkTask:
    """A comparison: its name, the recipe that all runs share, what the day's training has instead, and the runs."""

    name: str
    recipe: Mapping[str, Any]
    day: Mapping[str, Any]
    runs: tuple[str, ...]

    def day_weights(self) -> Path:
        """Weights trained by day alone; made where they are not there yet."""
        folder = f"{self.recipe['data']}-day"
        weights = PROJECT / folder / "weights/last.safetensors"
        if not weights.is_file():
            own = {"method": "none", "seed": DAY_SEED, "noval": True, "plots": False, "exist_ok": True}
            engine.train(**{**self.recipe, **own, **self.day}, project=PROJECT, name=folder)
        return weights

    def compare(self, given: argparse.Namespace) -> None:
        """The runs over the seeds; what was done before is not done again."""
        shared = {**self.recipe, "weights": self.day_weights(), "plots": False, "metric": "top1", "seeds": given.seeds}
        shared |= {"seed": given.seed} if given.seed else {}
        shared |= {"epochs": given.epochs} if given.epochs else {}
        name = self.name if given.split == "test" else f"{self.name}-val"
        engine.compare(
            run=tuple(given.runs), split=given.split, project=PROJECT, name=name, out=given.out / name, exist_ok=True,
            **shared,
        )  # fmt: skip

    def enhanced(self, given: argparse.Namespace) -> None:
        """Top-1 on test of the comparison's runs of these seeds, with each enhancer."""
        rows: list[dict[str, Any]] = []
        seeds = range(given.seed, given.seed + given.seeds)
        for run, way, seed in itertools.product(given.runs, given.enhancers, seeds):
            weights = PROJECT / self.name / f"runs/{parse_run(run).slug}-seed{seed}/weights/best.safetensors"
            found = engine.validate(data=self.recipe["data"], weights=weights, task="test", enhance=way, plots=False)
            scores = {report.condition: report.metrics["top1"] for report in found.reports}
            rows.append({"run": run, "seed": seed, "enhance": way, **scores})
        means = averaged(rows)
        print(text_table(means))
        title = f"# Enhanced at test, {self.recipe['data']}, top-1, mean over seeds"
        atomic_write(given.out / f"{self.name}-enhanced.md", f"{title}\n\n{markdown_table(means)}\n".encode())


def averaged(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, a row per run and enhancer."""
    means = []
    for run, way in dict.fromkeys((row["run"], row["enhance"]) for row in rows):
        mine = [row for row in rows if (row["run"], row["enhance"]) == (run, way)]
        scores = {name: mean(row[name] for row in mine) for name in mine[0] if name not in {"run", "seed", "enhance"}}
        means.append({"run": run, "enhance": way, "seeds": len(mine), **scores})
    return means


def add_options(parser: argparse.ArgumentParser, runs: Sequence[str]) -> None:
    """What both comparisons take."""
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="the first; another one in another process shares the work")
    parser.add_argument("--epochs", type=int, default=0, help="other than the recipe's")
    parser.add_argument("--split", choices=("test", "val"), default="test", help="val: to choose among variants")
    parser.add_argument("--runs", nargs="+", default=list(runs))
    parser.add_argument("--enhanced", action="store_true", help="measure the runs again, with images enhanced at test")
    parser.add_argument("--enhancers", nargs="+", choices=ENHANCERS, default=list(ENHANCERS), help="with --enhanced")
    parser.add_argument("--out", type=Path, default=RESULTS)
