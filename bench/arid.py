"""Actions in the dark on the synthetic data set: what each part of WiiD is worth, and how fast clips are loaded.

python -m bench.arid                          # day only, the pair, WiiD without masks, WiiD; three seeds
python -m bench.arid --split val --seeds 1    # to choose among variants
python -m bench.arid --enhanced               # the same runs with frames enhanced at test
python -m bench.arid --loading                # clips against OpenCV's raw decoding of the same frames
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

import cv2

from bench.dark_tasks import DarkTask, add_options
from bench.speed.timing import alternate, report, table
from data.detection.options import AugmentOptions
from data.io.video import Facts, look, read_frames
from data.synthetic.generate import night_clip
from data.video.dataset import ClipSet, ClipShape
from data.video.index import Split, Video
from utils.files import atomic_write
from utils.options import run_cli
from utils.tables import text_table

UNMASKED = "front_ratio=0 back_ratio=0"
RUNS = ("none", f"wiid byol_weight=0 {UNMASKED}", f"wiid {UNMASKED}", "wiid back_ratio=0.1")
NETWORK = {"cfg": "mc3_18", "imgsz": 32, "frames": 6, "interval": 5}
OPTIMISER = {"optimizer": "Adam", "lr_schedule": "linear", "warmup_epochs": 0}
TASK = DarkTask(
    name="demo-arid",
    recipe={"data": "demo-arid", **NETWORK, **OPTIMISER, "epochs": 3, "batch_size": 12, "lr0": 0.0005, "noval": True},
    day={"epochs": 36, "lr0": 0.001},
    runs=RUNS,
)
SHAPE = ClipShape(16, 2, 112)
ROUNDS = 60


def loading(out: Path) -> None:
    """Time a clip of a synthetic street at night, 320 x 240 px, against decoding its frames and no more."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "street.mp4"
        night_clip(video, seconds=4, size=(320, 240), progress=False)
        facts = look(video)
        assert isinstance(facts, Facts)
        split = Split([Video(video, 0, None, Facts(facts.size, SHAPE.span))])  # every clip begins at its first frame
        common: dict[str, Any] = {"cache": "none"}
        plain = ClipSet(split, SHAPE, augment=AugmentOptions(hsv_h=0, hsv_s=0, hsv_v=0), **common)
        coloured = ClipSet(split, SHAPE, augment=AugmentOptions(), **common)
        moving = ClipSet(split, SHAPE, augment=AugmentOptions(), motion=True, **common)
        tests = ClipSet(split, SHAPE, **common)
        numbers = SHAPE.numbers(0)
        cv2.setNumThreads(1)
        timings = alternate(
            {
                "raw decoding": lambda: deque(read_frames(video, numbers), maxlen=0),
                "test clip": lambda: tests[0],
                "training clip, as it is": lambda: plain[0],
                "training clip, coloured": lambda: coloured[0],
                "training clip, coloured, with motion": lambda: moving[0],
            },
            rounds=ROUNDS,
        )
    rows = [{**row, "share of raw rate": 1 / row["ratio to raw decoding"]} for row in table(timings, "raw decoding")]
    print(text_table(rows))
    atomic_write(out / "clip-loading.md", report("Clip loading against OpenCV's raw decoding", rows).encode())


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, RUNS)
    parser.add_argument("--loading", action="store_true", help="time the loading of clips instead")
    given = parser.parse_args()
    if given.loading:
        loading(given.out)
    elif given.enhanced:
        TASK.enhanced(given)
    else:
        TASK.compare(given)


if __name__ == "__main__":
    sys.exit(run_cli(main))
