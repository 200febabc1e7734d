"""Options of compare.py. Free of torch: `compare.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.options.train import TRAIN_SCHEMAS
from utils.options import option

GROUP = "Comparison"
ABOUT = "Train several runs over several seeds with an equal budget, and say whether they differ, by day and by night."


@dataclass(frozen=True)
class CompareOptions:
    """What is compared. Every option of train.py goes along, for all runs alike."""

    run: tuple[str, ...] = option(
        (),
        'a run (needed): methods, then options of its own, such as --run none --run "wiid byol_weight=0"; the first '
        "is what the others are held against",
        group=GROUP,
    )
    seeds: int = option(3, "seeds of each run, counted up from --seed", group=GROUP, low=1)
    split: str = option(
        "test", "measured on test and test2, or on val and val2 (to tune)", group=GROUP, choices=("test", "val")
    )
    metric: tuple[str, ...] = option(
        ("mAP50",),
        "what is compared: mAP50, mAP50-95; with --protocol also its numbers, such as AP APr; where the task is classify, "
        "top1 (its default) or top5",
        group=GROUP,
    )
    resamples: int = option(1000, "resamples of seeds and images", group=GROUP, low=100)
    out: Path | None = option(None, "also write the tables and the image here, such as bench/results", group=GROUP)
    restart: bool = option(False, "train everything anew instead of going on with finished runs", group=GROUP)
    project: Path = option(Path("runs/compare"), "folder of the comparisons", group=GROUP)
    name: str = option("exp", "name of the comparison; numbered if another one has it", group=GROUP)
    exist_ok: bool = option(False, "write into this folder whatever it holds", group=GROUP)


COMPARE_SCHEMAS: tuple[type, ...] = (CompareOptions, *TRAIN_SCHEMAS)
