"""The weights that --enhance zero-dce starts with: Zero-DCE, trained on 200 synthetic nights of 256 px.

python -m bench.enhancer

The nights are of demo-night's kind, from seeds of which demo-night uses none. Rendering them is not counted in the time.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from data.synthetic.generate import make_synthetic
from engine.options.common import SHIPPED
from engine.preparation import prepare
from utils.files import REPOSITORY, new_run_folder
from utils.options import run_cli

DATASET = Path("datasets/demo-enhancer")
SEED = 2000  # demo-night has 0, the days of the shipped detector 1000
COUNTS = {"train": 0, "val": 200, "test": 0}  # val is the split that is night
RECIPE = {"epochs": 4, "lr": 1e-3, "scale": 4, "level": 0.4}  # epochs and level chosen on the nights of val


def main() -> None:
    """Draw the nights, train, and put the weights in their place."""
    make_synthetic("demo-night", DATASET, seed=SEED, size=(256, 256), counts=COUNTS)
    out = new_run_folder(Path("runs/enhancer"), "demo") / SHIPPED
    wall, busy = time.perf_counter(), time.process_time()
    prepare("train-enhancer", source=DATASET / "images" / "val", out=out, device="cpu", **RECIPE)
    print(f"training: {time.perf_counter() - wall:.0f} s, {time.process_time() - busy:.0f} s of processor time")
    shutil.copyfile(out, REPOSITORY / "weights" / SHIPPED)
    print(f"weights/{SHIPPED} written")


if __name__ == "__main__":
    sys.exit(run_cli(main))
