"""Train a detector: python train.py --data Exdark_night.yaml"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import engine
from engine.options.train import ABOUT, TRAIN_SCHEMAS
from utils.options import parse_argv, run_door


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options and train. Returns the exit code."""
    return run_door(lambda: engine.train(**parse_argv(argv, TRAIN_SCHEMAS, "train.py", ABOUT)))


if __name__ == "__main__":
    sys.exit(main())
