"""Find objects in images, videos and streams: `python detect.py --weights best.pt --source 0`."""

from __future__ import annotations

import sys

from engine.options.detect import ABOUT, EXAMPLES, DetectOptions
from utils.cli import script

main = script("detect.py", "engine.inference.api:detect", [DetectOptions], ABOUT, EXAMPLES)

if __name__ == "__main__":
    sys.exit(main())
