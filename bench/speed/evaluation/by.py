"""What `val.py --by` adds to the time of a validation: measuring images, intervals, error types, calibration.

python -m bench.speed.evaluation.by --busy --out bench/results/by-speed.md

Validations without --by, with it for the first time (every image is measured), and again (measures are cached), alternating.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.speed.timing import measure, options_of, publish, report, table
from engine.evaluation.api import validate
from engine.evaluation.subsets import CACHE

GOAL = 1.2  # ratio to a validation without --by


def candidates(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], Any]]:
    """The three validations; all write into the same folder."""
    how: dict[str, Any] = {name: getattr(options, name) for name in ("data", "weights", "imgsz", "device")}
    how |= {"project": folder, "name": "run", "exist_ok": True, "plots": False, "batch_size": options.batch}

    def run(by: str | None, fresh: bool = False) -> None:
        if fresh:
            (folder / CACHE).unlink(missing_ok=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            validate(**how, by=by)

    return {
        "without --by": lambda: run(None),
        "--by, first time": lambda: run(options.by, fresh=True),
        "--by, measures cached": lambda: run(options.by),
    }


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=3)
    parser.add_argument("--weights", type=Path, default=Path("weights/yolov5n-demo-days.safetensors"))
    parser.add_argument("--data", default="demo-night")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--by", default="light,blur,haze,noise,size,crowding,position")
    options = parser.parse_args()
    logging.getLogger("hardsight").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        timings = measure(options, candidates(options, Path(folder)), warm_up=1)
    title = f"val.py --by {options.by}: {options.weights.stem}, {options.data} val at {options.imgsz} px"
    page = report(title, table(timings, "without --by"), options.busy)
    ratio = timings["--by, first time"].ratio_to(timings["without --by"])
    publish(options, page + f"\nThe first time --by takes {ratio:.2f} times the time (goal {GOAL}).\n")


if __name__ == "__main__":
    main()
