"""Options of compare.py. Free of torch: `compare.py --help` reads this file only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.options.common import EXIST_OK, PROJECT, by_option
from engine.options.train import TRAIN_SCHEMAS
from methods.registry import METHODS
from utils.options import Group, Option, schema_fields

RUNS, STATISTICS, OUTPUT = Group("Runs"), Group("Evaluation and statistics"), Group("Results")


@dataclass(frozen=True)
class CompareOptions:
    """What is compared. Every option of train.py can be given too, and goes to all runs."""

    config: Path | None = RUNS.option(
        None, "comparison as YAML, such as those in bench/comparisons; options given beside it take precedence"
    )
    run: tuple[str, ...] = RUNS.option(
        (),
        'one run: its methods, then options of its own, such as --run none --run "none lr0=0.02"; repeat it for each '
        "run; the first run is the baseline",
        shown="required without --config, --auto or --checkpoint",
    )
    checkpoint: tuple[str, ...] = RUNS.option(
        (),
        "instead of runs: finished weights under a name, such as --checkpoint plain=a.pt --checkpoint mine=b.pt; nothing is "
        "trained",
    )
    auto: bool = RUNS.option(
        False, "instead of runs: plain training and up to three runs that answer what prepare.py check finds in --data"
    )
    dry_run: bool = RUNS.option(False, "print the runs and how long they will take here, and train nothing")
    seeds: int = RUNS.option(3, "seeds of each run, counted up from --seed", low=1)
    restart: bool = RUNS.option(False, "train all runs again instead of reusing finished ones")
    split: str = STATISTICS.option("test", "evaluate on test and test2, or on val and val2", choices=("test", "val"))
    metric: tuple[str, ...] = STATISTICS.option(
        ("mAP50",),
        "metrics to compare: mAP50, mAP50-95, those of --protocol such as AP or APr; of a classifier top1 or top5",
        shown="mAP50; top1 of a classifier",
    )
    by: str | None = by_option(STATISTICS)
    resamples: int = STATISTICS.option(
        1000, "bootstrap resamples (seeds and images) of the confidence intervals", low=100
    )
    report: bool = OUTPUT.option(
        False, "write report.html: tables, intervals, and with --checkpoint the images on which the first two differ"
    )
    out: Path | None = OUTPUT.option(None, "also write the tables and the plot to this folder")
    project: Path = OUTPUT.option(Path("runs/compare"), PROJECT)
    name: str = OUTPUT.option(
        "exp", "folder of this comparison; numbered if it holds another one, resumed if it holds this one"
    )
    exist_ok: bool = OUTPUT.option(False, EXIST_OK)


def own_options(given: Mapping[str, Any]) -> list[Option]:
    """What --help shows: the options of train.py have a page of their own."""
    return [*schema_fields([CompareOptions]).values()]


COMPARE_SCHEMAS: tuple[type, ...] = (CompareOptions, *TRAIN_SCHEMAS)
ABOUT = (
    "Train several runs over several seeds with the same budget, or take finished checkpoints, and test whether they differ, "
    "for each condition (day, night, ...). Every option of train.py can be given as well and goes to all runs."
)
METHOD = next(iter(METHODS))
EXAMPLES = (
    f"python compare.py --data demo-night --run none --run {METHOD} --seeds 3 --epochs 30",
    "python compare.py --data my.yaml --auto --dry-run",
    "python compare.py --data demo-night --checkpoint plain=a.pt --checkpoint mine=b.pt",
)
