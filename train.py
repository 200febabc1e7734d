"""Train a detector: python train.py --data Exdark_night.yaml"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import engine
from engine.options.selection import used_options
from engine.options.train import ABOUT, EXAMPLES, method_in, train_schemas
from utils.cli import run_cli
from utils.options import parse_argv


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options and train. Returns the exit code."""

    def work() -> None:
        words = sys.argv[1:] if argv is None else argv
        given = parse_argv(words, train_schemas(method_in(words)), "train.py", ABOUT, EXAMPLES, used_options)
        engine.train(**given)  # imports torch: --help must not wait for it

    return run_cli(work)


if __name__ == "__main__":
    sys.exit(main())
