"""Train a detector: python train.py --data Exdark_night.yaml"""

from __future__ import annotations

import sys

from engine.options.selection import used_options
from engine.options.train import ABOUT, EXAMPLES, schemas_of
from utils.cli import script

main = script("train.py", "engine.training.api:train", schemas_of, ABOUT, EXAMPLES, used_options)

if __name__ == "__main__":
    sys.exit(main())
