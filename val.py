"""Measure a detector by day and by night: python val.py --data demo-night --weights best.pt --task test"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import engine
from engine.options.val import ABOUT, EXAMPLES, VAL_SCHEMAS
from utils.cli import run_cli
from utils.options import parse_argv


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options and validate. Returns the exit code."""

    def work() -> None:
        given = parse_argv(argv, VAL_SCHEMAS, "val.py", ABOUT, EXAMPLES)  # first: --help must not wait for torch
        engine.validate(**given)

    return run_cli(work)


if __name__ == "__main__":
    sys.exit(main())
