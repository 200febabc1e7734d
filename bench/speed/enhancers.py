"""What an enhancer costs beside a detector, and what it does to a detector that knows days only.

python -m bench.speed.enhancers --rounds 7 --busy --out bench/results/enhance.md --exdark ../shared/data/exdark8 \\
    --coco-weights ../shared/data/weights/yolov5n_v6.1_coco.pt

Cost: one image of 640 px through YOLOv5n (fused) and through every enhancer, alternating. Effect: mAP50 of the shipped
day-only detector on demo-night's test split by night and by day; and of YOLOv5n as published on eight photographs of
ExDark. A sheet of images before and after goes to --sheet.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bench.recipe import DAY_WEIGHTS, RECIPE
from bench.speed.degradations import forward
from bench.speed.timing import Timing, alternate, report
from bench.yolov5_anchors import anchor_detector
from data.config import load_data
from data.detection.dataset import build_dataset, read_image
from engine.enhancement.enhancer import Enhancer, open_enhancer
from engine.evaluation.api import validate
from engine.evaluation.evaluator import evaluate_detector
from engine.evaluation.robustness import areas
from engine.preparation import prepare
from utils.files import list_images, save_yaml
from utils.tables import markdown_table

FORWARD, GOAL_SCALE, GOAL = "YOLOv5n forward, 640 px", 4, 0.3
WAYS: dict[str, dict[str, Any]] = {
    "none": {},
    "gamma": {"enhance": "gamma"},
    "clahe": {"enhance": "clahe"},
    "zero-dce": {"enhance": "zero-dce"},
    "zero-dce, scale 1": {"enhance": "zero-dce", "enhance_scale": 1},
}
EXDARK_IN_COCO = (1, 8, 39, 5, 2, 15, 56, 41, 16, 3, 0, 60)  # bicycle, boat, bottle, ... of ExDark's order
IMAGES = (0, 7, 21)  # of demo-night's test split, on the sheet


def opened(way: str, device: str = "cpu") -> Enhancer | None:
    """An enhancer by its name in WAYS."""
    options = WAYS[way]
    return open_enhancer(options.get("enhance", "none"), None, options.get("enhance_scale"), device)


def candidates(device: torch.device) -> dict[str, Callable[[], object]]:
    """The forward pass, and every enhancer on one image; Zero-DCE at each scale."""
    image = 0.3 * torch.rand(1, 3, 640, 640, device=device)
    makers = {f"zero-dce, scale {scale}": open_enhancer("zero-dce", None, scale, device) for scale in (1, 2, 4, 8)}
    makers |= {"clahe": open_enhancer("clahe", device=device), "gamma": open_enhancer("gamma", device=device)}
    ways = {FORWARD: forward("yolov5n", 640, device)}
    for name, enhancer in makers.items():
        assert enhancer is not None
        ways[name] = lambda enhancer=enhancer: enhancer(image)  # type: ignore[misc]
    return ways


def cost_rows(timings: dict[str, Timing]) -> list[dict[str, Any]]:
    """One row a candidate: milliseconds, and how many forward passes that is."""
    return [
        {"an image": name, "median ms": 1e3 * timing.median, "ratio to forward": timing.ratio_to(timings[FORWARD])}
        for name, timing in timings.items()
    ]


def demo_rows(folder: Path) -> list[dict[str, Any]]:
    """mAP50 on demo-night's test split, by night and by day, of the detector that was trained by day."""
    common = {"data": "demo-night", "weights": DAY_WEIGHTS, "task": "test", "imgsz": RECIPE["imgsz"]}
    rows = []
    for way, options in WAYS.items():
        result = validate(**common, **options, plots=False, project=folder, name="val", device="cpu")
        rows.append({"enhancer": way, **{f"{one.condition} mAP50": one.metrics["mAP50"] for one in result.reports}})
    return rows


def before_resizing(folder: Path) -> float:
    """Night mAP50 where Zero-DCE brightens the images at their own size, as detect.py does."""
    config = load_data("demo-night", need=("test",))
    place = folder / "copies" / "images"
    prepare("enhance", source=config.splits["test"][0], out=place, quality=100)
    dataset = dataset_like(config, place)
    result = validate(data=str(dataset), weights=DAY_WEIGHTS, task="test", imgsz=RECIPE["imgsz"], plots=False,
                      project=folder, name="val", device="cpu")  # fmt: skip
    return result.reports[0].metrics["mAP50"]


def dataset_like(config: Any, images: Path) -> Path:
    """A data YAML whose test split is a folder of copies."""
    path = images.parent / "data.yaml"
    save_yaml(path, {"path": str(images.parent.resolve()), "test": "images", "names": dict(config.names)})
    return path


def exdark_rows(folder: Path, weights: Path) -> list[dict[str, Any]]:
    """mAP50 on a few photographs of ExDark, of YOLOv5n as published."""
    config = load_data(str(folder / "data.yaml"), need=("val",))
    model, rows = anchor_detector(weights, dict(config.names), EXDARK_IN_COCO), []
    dataset = build_dataset(config, "val", imgsz=640, stride=32, rect=True, cache="none", batch_size=1)
    for way in WAYS:
        enhancer = opened(way)
        enhance = (lambda images, batch, use=enhancer: use.within(images, areas(batch))) if enhancer else None
        found = evaluate_detector(model, dataset, batch_size=1, device="cpu", enhance=enhance, progress=False)
        rows.append({"enhancer": way, **{key: found.metrics[key] for key in ("mAP50", "recall", "precision")}})
    return rows


def sheet(images: list[Path], height: int = 168) -> np.ndarray:
    """Rows of one image as it is and by each enhancer, with names above; (H, W, 3) BGR."""
    ways = [way for way in WAYS if not way.endswith("1")]
    rows = []
    for path in images:
        img = read_image(path)
        shown = [img if (one := opened(way)) is None else one.image(img) for way in ways]
        rows.append(np.hstack([_framed(image, height) for image in shown]))
    width = max(row.shape[1] for row in rows)
    head = np.full((18, width, 3), 255, np.uint8)
    for number, way in enumerate(ways):
        place = (4 + number * width // len(ways), 13)
        cv2.putText(head, way, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    return np.vstack([head, *rows])


def _framed(image: np.ndarray, height: int) -> np.ndarray:
    """An image cut to 4:3 and brought to `height` px, with a white edge."""
    width = min(image.shape[1], image.shape[0] * 4 // 3)
    cut = image[: width * 3 // 4, (image.shape[1] - width) // 2 :][:, :width]
    small = cv2.resize(cut, (height * 4 // 3, height), interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(small, 0, 3, 0, 3, cv2.BORDER_CONSTANT, value=(255, 255, 255, 255))


def write_sheet(target: Path) -> None:
    """Synthetic nights before and after."""
    nights = list_images(load_data("demo-night", need=("test",)).splits["test"][0])
    page = sheet([nights[number] for number in IMAGES])
    if not cv2.imwrite(str(target), page, [cv2.IMWRITE_JPEG_QUALITY, 60]):
        raise SystemExit(f"{target}: cannot be written. Choose a writable place that ends in .jpg or .png.")


def page(options: argparse.Namespace) -> str:
    """Everything that was asked for, as Markdown."""
    device = torch.device(options.device)
    clock = time.process_time if options.busy else time.perf_counter
    rows = cost_rows(alternate(candidates(device), rounds=options.rounds, warm_up=1, clock=clock))
    title = f"Enhancing an image of 640 px on {options.device}" + (", processor time" if options.busy else "")
    met = next(row["ratio to forward"] for row in rows if row["an image"].endswith(f"scale {GOAL_SCALE}"))
    text = report(title, rows) + f"\nAt scale {GOAL_SCALE}: {met:.2f} of a forward pass (goal {GOAL}).\n"
    with tempfile.TemporaryDirectory() as folder:
        text += "\n## The day-only detector on demo-night's test split\n\n" + markdown_table(
            demo_rows(Path(folder)), digits=3
        )
        text += (
            f"\n\nZero-DCE before resizing, as detect.py does it: night mAP50 {before_resizing(Path(folder)):.3f}.\n"
        )
    if options.exdark:
        found = exdark_rows(options.exdark, options.coco_weights)
        text += "\n## YOLOv5n as published, on eight photographs of ExDark (23 objects)\n\n"
        text += markdown_table(found, digits=3) + "\n"
    return text + f"\nMade by `python -m bench.speed.enhancers {shlex.join(sys.argv[1:])}`.\n"


def main() -> None:
    """Measure, print, and write the page and the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exdark", type=Path, help="folder of data.yaml, images/val and labels/val")
    parser.add_argument("--coco-weights", type=Path, help="YOLOv5n's checkpoint, with --exdark")
    parser.add_argument("--rounds", type=int, default=13)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--busy", action="store_true", help="count processor time: for a CPU that has other work too")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path, help="image to write, such as docs/images/enhancers.jpg")
    options = parser.parse_args()
    text = page(options)
    print(text)
    if options.out:
        options.out.write_text(text)
    if options.sheet:
        write_sheet(options.sheet)


if __name__ == "__main__":
    main()
