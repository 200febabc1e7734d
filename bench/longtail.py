"""Rare classes on the synthetic shelf: repeated images, a federated loss, soft labels, coarse extra data, one after another.

python -m bench.longtail                          two hours and a half of one core, the teacher's three minutes included
python -m bench.longtail --split val --seeds 1    to choose among variants

Each run adds one part to the one before. All see about the same number of labelled images (7,200): what lengthens an epoch
shortens the run. Extra images come on top, a seventh of them. A comparison that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.recipe import RECIPE
from engine.comparison.api import compare
from engine.preparation import prepare
from utils.options import run_cli

TEACHER = Path("runs/teacher/demo-longtail")
REPEAT = "repeat_threshold=0.1"
FEDERATED = f"{REPEAT} federated=30"
RUNS = (
    "none epochs=20",
    f"none {REPEAT} epochs={{repeated}}",
    f"none {FEDERATED} epochs={{repeated}}",
    f"richsem {FEDERATED} teacher={{teacher}} epochs={{repeated}}",
    f"richsem {FEDERATED} teacher={{teacher}} extra_ratio=0.125 epochs={{repeated}}",
)


def make_teacher() -> Path:
    """The cache of the demo's own CLIP, over the training images and the extra ones; made once."""
    if not TEACHER.is_dir():
        prepare("teacher", data="demo-longtail", train_demo=True, extra=True, mode="crop", out=TEACHER)
    return TEACHER


def main() -> None:
    """Make the teacher, train, measure on the test split, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="the first; another one in another process shares the work")
    parser.add_argument(
        "--repeated", type=int, default=15, help="epochs of runs that see images of rare classes more often"
    )
    parser.add_argument("--split", choices=("test", "val"), default="test", help="val: to choose among variants")
    parser.add_argument("--runs", nargs="+", default=list(RUNS), help="{teacher} stands for the teacher's cache")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    words = {"teacher": make_teacher(), "repeated": args.repeated}
    name = "longtail" + ("" if args.split == "test" else "-val")
    compare(
        **{**RECIPE, "data": "demo-longtail", "imgsz": 224, "protocol": "lvis", "metric": ("APr", "AP")},
        seeds=args.seeds,
        **({"seed": args.seed} if args.seed else {}),
        split=args.split,
        run=tuple(run.format(**words) for run in args.runs),
        name=name,
        exist_ok=True,
        out=args.out / name,
    )


if __name__ == "__main__":
    sys.exit(run_cli(main))
