"""Write a detector for other programs: `python export.py --weights runs/train/exp/weights/best.pt --include onnx`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.options.export import ABOUT, EXAMPLES, ExportOptions
from utils.cli import run_cli
from utils.options import parse_argv


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and export; returns the exit code."""

    def work() -> None:
        given = parse_argv(argv, [ExportOptions], "export.py", ABOUT, EXAMPLES)
        from engine.exporters.detector import export  # torch is imported only once the options are right

        export(**given)

    return run_cli(work)


if __name__ == "__main__":
    sys.exit(main())
