"""A validation next to Ultralytics', on the same images and weights: whole calls, from reading the weights to the metrics.

OMP_NUM_THREADS=1 python -m bench.speed.peers.val --busy --out bench/results/val.md

`YOLO(weights).val(...)` and `engine.validate(...)` in one process, alternating.
Both sides get a copy of the split, rectangular batches of 16, confidences from 0.001 and NMS at 0.6, and draw nothing.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import engine
import methods.registry  # noqa: F401 - declares the lines of data YAMLs that methods read
from bench.speed.timing import measure, options_of, publish, report, table
from data.config import load_data
from data.synthetic.generate import make_synthetic
from engine.checkpoint import load_detector, save_checkpoint
from engine.latest import BUNDLED
from utils.files import list_images, save_yaml
from utils.tables import markdown_table

THEIRS, OURS = "yolo val", "val.py"
BATCH, CONF, IOU = 16, 0.001, 0.6
METRICS = ("precision", "recall", "mAP50", "mAP50-95")
Call = Callable[[], dict[str, float]]


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=5)
    parser.add_argument("--weights", type=Path, default=BUNDLED)
    parser.add_argument("--data", default="demo-night")
    parser.add_argument("--split", default="val2", help="of the data YAML")
    parser.add_argument("--images", type=int, default=64, help="of the split")
    parser.add_argument("--imgsz", type=int, nargs="+", default=[640, 320])
    options = parser.parse_args()
    logging.getLogger("hardsight").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, data = folder / "best.pt", copied(options, folder)
        save_checkpoint(weights, load_detector(options.weights)[0], epoch=0, options={}, metrics={})
        publish(options, *(of_size(options, weights, data, size) for size in options.imgsz))


def copied(options: Namespace, folder: Path) -> Path:
    """The first images of the split with their labels, and a data YAML that both sides read."""
    config = load_data(options.data, make_demo=make_synthetic, need=(options.split,))
    files = [file for source in config.sources(options.split) for file in list_images(source, config.root)]
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for file in files[: options.images]:
        shutil.copy(file, folder / "images")
        label = Path(str(file).replace("/images/", "/labels/")).with_suffix(".txt")
        (folder / "labels" / label.name).write_text(label.read_text() if label.is_file() else "")
    save_yaml(
        folder / "data.yaml", {"path": str(folder), "train": "images", "val": "images", "names": dict(config.names)}
    )
    return folder / "data.yaml"


def of_size(options: Namespace, weights: Path, data: Path, size: int) -> str:
    """The page of one image size: times, and what both sides found."""
    calls = {THEIRS: theirs(weights, data, size), OURS: ours(weights, data, size)}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = [{"candidate": name, **call()} for name, call in calls.items()]
        rows = table(measure(options, calls, warm_up=1), reference=THEIRS)
    images = len(list((data.parent / "images").iterdir()))
    title = f"Validation on {images} images of {options.data} ({options.split}) at {size} px"
    return f"{report(title, rows, options.busy)}\n{markdown_table(found, digits=4)}\n"


def ours(weights: Path, data: Path, size: int) -> Call:
    """This project's, as a script calls it."""
    how = {"data": str(data), "weights": weights, "imgsz": size, "batch_size": BATCH, "device": "cpu", "workers": 0}
    how |= {"conf_thres": CONF, "iou_thres": IOU, "plots": False}
    where = {"project": data.parent / "ours", "name": "run", "exist_ok": True}
    return lambda: dict(engine.validate(**how, **where).reports[0].metrics)


def theirs(weights: Path, data: Path, size: int) -> Call:
    """Ultralytics' Python interface."""
    from ultralytics import YOLO

    how = {"data": str(data), "imgsz": size, "batch": BATCH, "device": "cpu", "workers": 0, "conf": CONF, "iou": IOU}
    how |= {"plots": False, "verbose": False, "project": str(data.parent / "theirs"), "name": "run", "exist_ok": True}
    return lambda: dict(zip(METRICS, map(float, YOLO(weights).val(**how).mean_results()), strict=True))


if __name__ == "__main__":
    main()
