"""Measure a detector by day and by night: python val.py --data demo-night --weights best.pt --task test"""

from __future__ import annotations

import sys

from engine.options.val import ABOUT, EXAMPLES, VAL_SCHEMAS
from utils.cli import script

main = script("val.py", "engine.evaluation.api:validate", VAL_SCHEMAS, ABOUT, EXAMPLES)

if __name__ == "__main__":
    sys.exit(main())
