"""Compare training runs over seeds: `python compare.py --data demo-night --run none --run wiid --seeds 3`"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.options.compare import ABOUT, COMPARE_SCHEMAS, EXAMPLES, own_options
from utils.cli import run_cli
from utils.options import parse_argv


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options and compare. Returns the exit code."""

    def work() -> None:
        given = parse_argv(argv, COMPARE_SCHEMAS, "compare.py", ABOUT, EXAMPLES, own_options)
        from engine.comparison.api import compare  # torch is imported only once the options are right

        compare(**given)

    return run_cli(work)


if __name__ == "__main__":
    sys.exit(main())
