"""Is a method worth it? `python compare.py --data demo-night --run none --run wiid --seeds 3`"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.options.compare import ABOUT, COMPARE_SCHEMAS
from utils.cli import run_cli
from utils.options import parse_argv


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options and compare. Returns the exit code."""

    def work() -> None:
        given = parse_argv(argv, COMPARE_SCHEMAS, "compare.py", ABOUT)  # first: --help must not wait for torch
        from engine.comparison.api import compare

        compare(**given)

    return run_cli(work)


if __name__ == "__main__":
    sys.exit(main())
