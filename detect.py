"""Find objects in images, videos and streams: `python detect.py --weights best.pt --source 0`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.options.detect import ABOUT, EXAMPLES, DetectOptions
from utils.cli import run_cli
from utils.options import parse_argv


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and detect; returns the exit code."""

    def work() -> None:
        given = parse_argv(argv, [DetectOptions], "detect.py", ABOUT, EXAMPLES)
        from engine.inference.api import detect  # torch is imported only once the options are right

        detect(**given)

    return run_cli(work)


if __name__ == "__main__":
    sys.exit(main())
