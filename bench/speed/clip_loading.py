"""The speed of loading a training clip relative to OpenCV's raw decoding of its frames: a street at night, 320 x 240 px.

OMP_NUM_THREADS=1 python -m bench.speed.clip_loading --out bench/results/clip-loading.md
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from bench.speed.timing import measure, options_of, publish, report, table
from data.detection.options import AugmentOptions
from data.io.video import VideoInfo, probe_video, read_frames
from data.synthetic.clips import street_clip
from data.video.dataset import ClipSet, ClipShape
from data.video.index import Video, VideoSplit

SHAPE = ClipShape(16, 2, 112)
RAW = "raw decoding"


def candidates(video: Path) -> dict[str, Callable[[], Any]]:
    """Name -> one call: decoding alone, and a clip with more and more of what training does to it."""
    facts = probe_video(video)
    assert isinstance(facts, VideoInfo)
    split = VideoSplit(
        [Video(video, 0, None, VideoInfo(facts.size, SHAPE.span))]
    )  # every clip begins at its first frame
    common: dict[str, Any] = {"cache": "none"}
    plain = ClipSet(split, SHAPE, augment=AugmentOptions(hsv_h=0, hsv_s=0, hsv_v=0), **common)
    coloured = ClipSet(split, SHAPE, augment=AugmentOptions(), **common)
    moving = ClipSet(split, SHAPE, augment=AugmentOptions(), motion=True, **common)
    tests = ClipSet(split, SHAPE, **common)
    numbers = SHAPE.numbers(0)
    return {
        RAW: lambda: deque(read_frames(video, numbers), maxlen=0),
        "test clip": lambda: tests[0],
        "training clip without colour jitter": lambda: plain[0],
        "training clip": lambda: coloured[0],
        "training clip with its foreground mask": lambda: moving[0],
    }


def main() -> None:
    """Measure, print, and write the page."""
    options = options_of(__doc__, rounds=60).parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "street.mp4"
        street_clip(video, seconds=4, size=(320, 240), progress=False)
        timings = measure(options, candidates(video))
    rows = [{**row, "fraction of the raw rate": 1 / row[f"ratio to {RAW}"]} for row in table(timings, RAW)]
    publish(options, report("Clip loading relative to OpenCV's raw decoding", rows))


if __name__ == "__main__":
    main()
