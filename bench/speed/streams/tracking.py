"""The cost of tracking 50 moving objects relative to detecting them in one frame.

OMP_NUM_THREADS=1 python -m bench.speed.streams.tracking --rounds 15 --out bench/results/track-cost.md

Objects of 30 to 90 px wander over 640 x 480 px; their boxes tremble by a pixel and one in twenty is missed. A round tracks the
next 10 frames, with a line and a zone as well; the detector's time is that of one frame through letterbox, network and NMS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from bench.speed.timing import Timing, measure, options_of, publish, report
from engine.inference.factory import open_predictor
from engine.options.detect import TRACKERS, DetectOptions
from engine.tracking.tracking import Tracking

WIDTH, HEIGHT, FRAMES = 640, 480, 10
GOAL = 0.1


def wander(objects: int, seed: int = 0) -> Iterator[Tensor]:
    """Boxes (n, 6) of one frame after another; objects turn back at the edge of the image."""
    rng = np.random.default_rng(seed)
    size, speed = rng.uniform(30, 90, (objects, 2)), rng.uniform(-4, 4, (objects, 2))
    room = np.array([WIDTH, HEIGHT]) - size
    place = rng.uniform(0, 1, (objects, 2)) * room
    while True:
        speed = np.where((place + speed < 0) | (place + speed > room), -speed, speed)
        place = place + speed
        corners = np.concatenate((place, place + size), 1) + rng.normal(0, 1, (objects, 4))  # (n, 4)
        rows = np.column_stack((corners, rng.uniform(0.4, 0.95, objects), np.arange(objects) % 6))
        yield torch.from_numpy(rows[rng.random(objects) > 0.05].astype(np.float32))


def tracker(name: str, objects: int) -> Callable[[], object]:
    """A call that tracks the next frames."""
    options = DetectOptions(track=name, line=("gate=0,0.5,1,0.5",), zone=("half=0,0,0.5,0,0.5,1,0,1",))
    tracking, boxes, numbers = Tracking(options, {}), wander(objects), count()
    scene = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    image = cv2.resize(scene, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(
        np.uint8
    )  # corners for camera motion

    def track() -> object:
        return [tracking("a", 1, next(numbers) / 10, image, next(boxes)) for _ in range(FRAMES)]

    return track


def detector(weights: Path, imgsz: int) -> Callable[[], object]:
    """A call that detects in one frame."""
    predictor = open_predictor(DetectOptions(weights=weights, imgsz=(imgsz,), conf_thres=0.1))
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return lambda: predictor([image])


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=15)
    parser.add_argument("--weights", type=Path, default=Path("weights/yolov5n-demo-days.safetensors"))
    parser.add_argument("--objects", type=int, default=50)
    options = parser.parse_args()
    detect = {f"detect, {imgsz} px": detector(options.weights, imgsz) for imgsz in (640, 320)}
    timings = measure(options, {**detect, **{name: tracker(name, options.objects) for name in TRACKERS[1:]}}, warm_up=2)
    rows = []
    for name, timing in timings.items():
        per_frame = Timing(name, tuple(second / (1 if name in detect else FRAMES) for second in timing.seconds))
        ratios = {f"ratio to {other}": per_frame.ratio_to(timings[other]) for other in detect}
        rows.append({"candidate": name, "median ms": 1e3 * per_frame.median, **ratios})
    page = report(f"Tracking {options.objects} objects beside detecting them, YOLOv5n, per frame", rows, options.busy)
    publish(options, f"{page}\nGoal: at most {GOAL} of a frame's detection.\n")


if __name__ == "__main__":
    main()
