"""Make and convert image sets: python prepare.py darken --source DIR --out DIR; --help lists all commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.preparation import prepare_argv
from utils.cli import run_cli


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that stands first on the command line. Returns the exit code."""
    return run_cli(lambda: prepare_argv(argv))


if __name__ == "__main__":
    sys.exit(main())
