"""Write a detector for other programs: `python export.py --weights runs/train/exp/weights/best.pt --include onnx`."""

from __future__ import annotations

import sys

from engine.options.export import ABOUT, EXAMPLES, ExportOptions
from utils.cli import script

main = script("export.py", "engine.exporters.detector:export", [ExportOptions], ABOUT, EXAMPLES)

if __name__ == "__main__":
    sys.exit(main())
