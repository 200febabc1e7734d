"""Detection on a film next to Ultralytics': time per frame, and from the start of a process to its first detection.

python -m bench.speed.peers.detect --film film.mp4 --busy --out bench/results/detect.md

Per frame: `YOLO(weights).predict(film, stream=True)` and `engine.stream(...)` with each installed backend, in one process,
alternating; models are loaded before, nothing is saved. Start-up: whole processes that find the objects of one image, `yolo
predict` and detect.py, alternating. Both sides get the same weights, film, size and thresholds.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2

import engine
from bench.speed.timing import Timing, measure, options_of, publish, report, table
from engine.checkpoint import load_detector, save_checkpoint
from engine.inference.backends.load import available
from engine.inference.factory import open_predictor
from engine.latest import BUNDLED
from engine.options.detect import DetectOptions
from utils.files import REPOSITORY
from utils.options import build

CONF, IOU = 0.25, 0.45
THEIRS = "yolo predict"


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=5)
    parser.add_argument("--film", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=BUNDLED)
    parser.add_argument("--imgsz", type=int, nargs="+", default=[640, 320])
    parser.add_argument("--frames", type=int, default=30, help="of the film")
    parser.add_argument("--starts", type=int, default=5, help="processes of each kind; 0: none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, film, image = folder / "best.pt", folder / "film.mp4", folder / "frame.jpg"
        save_checkpoint(weights, load_detector(options.weights)[0], epoch=0, options={}, metrics={})
        cut(options.film, options.frames, film, image)
        pages = [of_frames(options, weights, film, size) for size in options.imgsz]
        if options.starts:
            pages.append(of_starts(options, weights, image))
    publish(options, *pages)


def cut(film: Path, frames: int, target: Path, image: Path) -> None:
    """The first frames of a film as a film, and the first of them as an image."""
    capture = cv2.VideoCapture(str(film))
    shown = [capture.read()[1] for _ in range(frames)]
    height, width = shown[0].shape[:2]
    out = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
    for frame in shown:
        out.write(frame)
    out.release()
    cv2.imwrite(str(image), shown[0])


def of_frames(options: Namespace, weights: Path, film: Path, size: int) -> str:
    """The page of the times of a whole film, models loaded."""
    calls: dict[str, Callable[[], Any]] = {THEIRS: theirs(weights, film, size)}
    for way in ("torch", *sorted(available()), *(["openvino, --half"] if "openvino" in available() else [])):
        backend, half = way.partition(",")[0], "--half" in way
        given = {
            "weights": weights,
            "source": str(film),
            "imgsz": (size,),
            "backend": backend,
            "half": half,
            "device": "cpu",
        }
        (chosen,) = build([DetectOptions], {**given, "conf_thres": CONF, "iou_thres": IOU})
        calls[f"detect.py, {way}"] = ours(open_predictor(chosen), film)
    rows = table(measure(options, calls, warm_up=1), reference=THEIRS)
    return report(f"{options.frames} frames of a film at {size} px", rows, options.busy)


def ours(detector: Any, film: Path) -> Callable[[], Any]:
    """This project's, its detector loaded."""
    return lambda: drain(engine.stream(detector=detector, source=str(film)))


def theirs(weights: Path, film: Path, size: int) -> Callable[[], Any]:
    """Ultralytics' Python interface, its model loaded."""
    from ultralytics import YOLO

    model = YOLO(weights)
    given = {"imgsz": size, "conf": CONF, "iou": IOU, "device": "cpu", "verbose": False, "stream": True}
    return lambda: drain(model.predict(str(film), **given))


def drain(items: Iterable[Any]) -> None:
    """Take all and keep nothing."""
    for _ in items:
        continue


def of_starts(options: Namespace, weights: Path, image: Path) -> str:
    """The page of whole processes that detect in one image and save nothing."""
    yolo = Path(sys.executable).with_name("yolo")
    commands: dict[str, list[Any]] = {
        THEIRS: [str(yolo), "predict", f"model={weights}", f"source={image}", "imgsz=640", "save=False", "device=cpu"],
        "detect.py": [
            sys.executable,
            "detect.py",
            "--weights",
            weights,
            "--source",
            image,
            "--nosave",
            "--device",
            "cpu",
        ],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(options.starts + 1):
        for name, command in list(commands.items())[:: 1 if number % 2 else -1]:
            spent = process_seconds([str(word) for word in command], options.busy)
            if number:  # the first brings the files into memory
                seconds[name].append(spent)
    timings = {name: Timing(name, tuple(values)) for name, values in seconds.items()}
    return report("From the start of a process to the detections of one image", table(timings, THEIRS), options.busy)


def process_seconds(command: list[str], busy: bool) -> float:
    """Wall time of a process or, busy, its processor time."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not busy:
        return time.perf_counter() - start
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
