"""Compare training runs over seeds: `python compare.py --data demo-night --run none --run wiid --seeds 3`"""

from __future__ import annotations

import sys

from engine.options.compare import ABOUT, COMPARE_SCHEMAS, EXAMPLES, own_options
from utils.cli import script

main = script("compare.py", "engine.comparison.api:compare", COMPARE_SCHEMAS, ABOUT, EXAMPLES, own_options)

if __name__ == "__main__":
    sys.exit(main())
