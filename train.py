"""Train a detector: python train.py --data Exdark_night.yaml"""

from __future__ import annotations

import sys

from engine.options.selection import used_options
from engine.options.train import ABOUT, EXAMPLES, TRAIN_SCHEMAS
from utils.cli import script

main = script("train.py", "engine.training.api:train", TRAIN_SCHEMAS, ABOUT, EXAMPLES, used_options)

if __name__ == "__main__":
    sys.exit(main())
