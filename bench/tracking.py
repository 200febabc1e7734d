"""IDF1 and HOTA of detect.py's trackers on synthetic videos whose actors are known, by day and at night.

python -m bench.tracking films                            # the videos and their ground truth, datasets/films
python -m bench.tracking frames                           # labelled frames of other streets, to train on, datasets/film-frames
python -m bench.tracking measure --weights best.pt --out bench/results/tracking.md

Scores are those of TrackEval, over all classes and films of a look. Objects whose longer side is below LEAST px are
not asked for: whoever finds them or not, neither counts. `labels` takes the ground truth as detections: what is lost
there, the tracker loses.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from ultralytics.utils.ops import linear_sum_assignment

from data.io.images import write_image
from data.synthetic.clips import ClipFrame, clip_frames, street_clip
from data.synthetic.generate import in_processes
from data.synthetic.street.scene import NAMES
from engine.inference.factory import open_predictor
from engine.options.detect import TRACKERS, DetectOptions
from engine.tracking.trackers import weakest
from engine.tracking.tracking import Tracking
from utils.cli import run_cli
from utils.files import atomic_folder, save_yaml
from utils.metrics.tracking import TrackedFrame, join, tracking_scores, without_small
from utils.tables import markdown_table

FILMS, SEEDS, LOOKS = Path("datasets/films"), (900, 901), ("day", "night")
SIZE, RATE, SECONDS = (320, 240), 10, 8
FRAMES, SPLITS = Path("datasets/film-frames"), {"train": range(100, 250), "val": range(300, 320)}
MOMENTS = (0, 4, 8)  # s
LEAST = 24  # px of the longer side: what is smaller is not asked for
PAGE = f"""# Trackers on synthetic videos whose actors are known

{len(SEEDS)} streets of {SECONDS} s at {RATE} frames a second, {SIZE[0]} x {SIZE[1]} px, each by day and at night.
Detector: {{weights}} at {{imgsz}} px, --conf-thres 0.25. Objects whose longer side is below {LEAST} px are not asked for.
Fractions of 1, as TrackEval defines them, all classes together; an object matches detections of its own class only.
`labels`: the ground truth as detections.

{{table}}

python -m bench.tracking films
python -m bench.tracking measure --weights {{weights}} --imgsz {{imgsz}}
"""


def make_films() -> None:
    """Render the videos that do not exist yet."""
    for look in LOOKS:
        for seed in SEEDS:
            video = FILMS / f"{look}-{seed}.mp4"
            if not video.is_file():
                street_clip(
                    video, look=look, seconds=SECONDS, fps=RATE, size=SIZE, seed=seed, labels=video.with_suffix(".txt")
                )


def make_frames() -> None:
    """Write frames of other streets with their labels as a data set in YOLO's layout, unless it is there."""
    if FRAMES.exists():
        return
    with atomic_folder(FRAMES) as folder:
        for split, seeds in SPLITS.items():
            images, labels = (folder / kind / split for kind in ("images", "labels"))
            images.mkdir(parents=True)
            labels.mkdir(parents=True)
            streets = [(look, seed) for look in LOOKS for seed in seeds]
            for name, frame in in_processes(frames_of, streets, None):
                write_image(images / f"{name}.jpg", frame.image)
                (labels / f"{name}.txt").write_text(yolo_rows(frame.labels))
        splits = {split: f"images/{split}" for split in SPLITS}
        save_yaml(folder / "data.yaml", {"path": ".", **splits, "names": dict(enumerate(NAMES))})


def yolo_rows(labels: np.ndarray) -> str:
    """Rows `class x y width height` in fractions of the image, of labels (n, 6): identity, class, x1, y1, x2, y2 px."""
    low, high = labels[:, 2:4] / SIZE, labels[:, 4:6] / SIZE
    rows = np.column_stack((labels[:, 1], (low + high) / 2, high - low))
    return "".join(f"{int(kind)} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for kind, x, y, w, h in rows)


def frames_of(street: tuple[str, int]) -> list[tuple[str, ClipFrame]]:
    """Frames of the street of a look and a seed, and what each is called."""
    look, seed = street
    frames = clip_frames(look, seed, SIZE, MOMENTS, range(len(MOMENTS)))
    return [(f"{look}-{seed}-{time}", frame) for time, frame in zip(MOMENTS, frames, strict=True)]


def truth_of(video: Path) -> dict[int, np.ndarray]:
    """Frame number -> (n, 6) identity, class, x1, y1, x2, y2 px."""
    rows = np.loadtxt(video.with_suffix(".txt"), delimiter=",", ndmin=2)
    found = np.column_stack(
        (rows[:, 1], rows[:, 7] - 1, rows[:, 2] - 1, rows[:, 3] - 1, rows[:, 2:4] + rows[:, 4:6] - 1)
    )
    return {number: found[rows[:, 0] == number] for number in range(1, round(SECONDS * RATE) + 1)}


def images_of(video: Path) -> Iterator[np.ndarray]:
    """The frames of a video, (H, W, 3) uint8."""
    capture = cv2.VideoCapture(str(video))
    while (read := capture.read())[0]:
        yield read[1]


Detect = Callable[[np.ndarray, int], Tensor]  # image and its number -> (n, 6) boxes


def labels_as_detections(video: Path) -> Detect:
    """A detector that sees what the ground truth says, with confidence 0.9."""
    truth = truth_of(video)

    def detect(image: np.ndarray, number: int) -> Tensor:
        rows = truth[number]
        return torch.from_numpy(np.column_stack((rows[:, 2:], np.full(len(rows), 0.9), rows[:, 1]))).float()

    return detect


def tracked(video: Path, options: DetectOptions, detect: Detect) -> list[TrackedFrame]:
    """Every frame of a video with its ground truth and its tracks, without what is not asked for."""
    tracking, truth, frames = Tracking(options, dict(enumerate(NAMES))), truth_of(video), []
    for number, image in enumerate(images_of(video), 1):
        boxes, seen = tracking("film", 1, (number - 1) / RATE, image, detect(image, number))
        rows = np.column_stack((seen.ids, boxes[:, 5].numpy(), boxes[:, :4].numpy()))[seen.ids > 0]
        frames.append(without_small(TrackedFrame(truth[number], rows), LEAST, linear_sum_assignment))
    return frames


def cached(weights: Path, imgsz: int, video: Path) -> Detect:
    """A detector whose boxes of each frame are computed once, for all trackers: those that tracking needs."""
    options = DetectOptions(weights=weights, imgsz=(imgsz,), track="bytetrack")
    predictor = open_predictor(options)
    assert weakest(options) < options.conf_thres
    found = [predictor([image])[0] for image in images_of(video)]
    return lambda image, number: found[number - 1]


def measure(weights: Path, imgsz: int) -> str:
    """The table of all trackers."""
    rows = []
    for look in LOOKS:
        videos = [FILMS / f"{look}-{seed}.mp4" for seed in SEEDS]
        made = {"labels": [labels_as_detections(video) for video in videos]} if look == LOOKS[0] else {}
        made["detector"] = [cached(weights, imgsz, video) for video in videos]
        for kind, detectors in made.items():
            for name in TRACKERS[1:]:
                options = DetectOptions(track=name)
                start = time.process_time()
                films = [tracked(*pair) for pair in zip(videos, [options] * len(videos), detectors, strict=True)]
                spent = time.process_time() - start
                scores = tracking_scores(join(films), linear_sum_assignment)
                print(look, kind, name, scores, f"{spent:.1f} s", flush=True)
                rows.append({"look": look, "detections": kind, "tracker": name, **scores})
    return markdown_table(rows)


def main() -> None:
    """One of the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("films", "frames", "measure"))
    parser.add_argument("--weights", type=Path, help="of measure")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--out", type=Path, help="of measure: also write the table here")
    options = parser.parse_args()
    if options.step == "films":
        make_films()
    elif options.step == "frames":
        make_frames()
    else:
        page = PAGE.format(weights=options.weights, imgsz=options.imgsz, table=measure(options.weights, options.imgsz))
        print(page)
        if options.out:
            options.out.write_text(page)


if __name__ == "__main__":
    sys.exit(run_cli(main))
