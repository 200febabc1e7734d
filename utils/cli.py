"""What the scripts share: from a function's errors to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from utils.errors import UserError
from utils.resource_errors import shortage


def run_cli(main: Callable[[], Any]) -> int:
    """Run a script's work and return its exit code: 0, 130 for Ctrl-C, 2 for what is said on one line of stderr.

    That is a UserError, or that the machine ran out of disk or memory.
    """
    try:
        main()
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as problem:
        ran_out = shortage(problem)
        if ran_out is None:
            raise
        print(f"error: {ran_out}", file=sys.stderr)
        return 2
    return 0
