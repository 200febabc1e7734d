"""A small CUT, trained in minutes on synthetic streets, beside the physical darkener: a table and an image.

python -m bench.darkener --out bench/results/darkener.md --sheet docs/images/darkeners.jpg
python -m bench.darkener --worth cut          # detectors that learn from its images as partners; three seeds
python -m bench.darkener --worth physical     # and from the physical darkener's, by the same recipe

Days are demo-night's training images. Nights are of its kind, from seeds of which demo-night uses none; so are the
streets that are shown and measured. Drawing them is not counted in the time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import engine
from bench.recipe import RECIPE as RECIPE_OF_DETECTORS
from bench.speed.timing import report
from data.synthetic.generate import make_synthetic
from data.synthetic.render.lighting import day, night
from data.synthetic.street.scene import draw, make_street
from engine.darkening.darkener import Darkener, learned_darkener, physical_darkener
from engine.preparation import prepare
from utils.files import REPOSITORY, load_yaml, new_run_folder, save_yaml
from utils.options import run_cli

Image = NDArray[np.uint8]
DAYS, DATASET, NIGHTS = Path("datasets/demo-night"), Path("datasets/demo-darkener"), 240
SEED = 3000  # demo-night has 0, the shipped detector's days 1000, the shipped enhancer's nights 2000
STREETS = range(SEED * 1000 + 700, SEED * 1000 + 724)  # measured; the first ones are shown
SIZE = (320, 240)
RECIPE = {"width": 16, "blocks": 4, "imgsz": 112, "load": 180, "epochs": 1, "decay_epochs": 1, "lr": 5e-4}
PARTNERS = Path("datasets/demo-night-cut")
RUNS = ("wiid byol_weight=0 back_ratio=0", "wiid")  # the pair as augmentation, and all of WiiD
REACH, GAP = 6, 3  # px: shifts looked at; between images of the sheet


def edges(image: Image) -> NDArray[np.float32]:
    """Strength of the edges (H, W) of an image (H, W, 3), as the root of the gradient's length: dim ones count too."""
    grey = cv2.GaussianBlur(image.astype(np.float32).mean(2), (0, 0), 1.0)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.sqrt(np.hypot(across, down)).astype(np.float32)


def agreement(before: Image, after: Image, reach: int = REACH) -> tuple[float, tuple[int, int]]:
    """How well edges of one image lie on those of another of its size: their correlation without a shift, and the
    shift (rows, columns) in px, up to `reach`, at which it would be best."""
    still, moved = edges(before), edges(after)
    centre = still[reach:-reach, reach:-reach]
    found = cv2.matchTemplate(moved, centre, cv2.TM_CCOEFF_NORMED)  # (2 reach + 1, 2 reach + 1)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return float(found[reach, reach]), (int(row) - reach, int(column) - reach)


def train(folder: Path) -> tuple[Path, float]:
    """The weights, and the processor's seconds that they took."""
    make_synthetic("demo-night", DATASET, seed=SEED, size=SIZE, counts={"train": 0, "val": NIGHTS, "test": 0})
    make_synthetic("demo-night", DAYS)
    out, busy = folder / "cut.safetensors", time.process_time()
    prepare(
        "train-darkener",
        day=DAYS / "images" / "train",
        night=DATASET / "images" / "val",  # val is the split that is night
        out=out,
        device="cpu",
        **RECIPE,
    )
    return out, time.process_time() - busy


def measured(days: list[Image], make: Callable[[Image, int], Image]) -> tuple[dict[str, object], list[Image]]:
    """A row of the table, and the images made."""
    busy = time.process_time()
    made = [make(image, number) for number, image in enumerate(days)]
    seconds = (time.process_time() - busy) / len(days)
    found = [agreement(before, after) for before, after in zip(days, made, strict=True)]
    still = sum(shift == (0, 0) for _, shift in found)
    row: dict[str, object] = {
        "mean grey of 255": f"{np.mean([image.mean() for image in made]):.0f}",
        "edges: correlation with the day's": f"{np.mean([value for value, _ in found]):.2f}",
        "best without a shift": f"{still} of {len(found)}",
        "ms per image": f"{1000 * seconds:.0f}",
    }
    return row, made


def by(darkener: Darkener) -> Callable[[Image, int], Image]:
    """One image and its seed to the dark one."""
    return lambda image, seed: darkener.work(image[None], [seed])[0][0]


def sheet(columns: dict[str, list[Image]], rows: int) -> Image:
    """Columns of images (H, W, 3) under their names, white between them."""
    parts = []
    for name, images in columns.items():
        head = np.full((20, SIZE[0], 3), 255, np.uint8)
        cv2.putText(head, name, (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1, cv2.LINE_AA)
        gap = np.full((GAP, SIZE[0], 3), 255, np.uint8)
        column = np.vstack([head, *(part for image in images[:rows] for part in (image, gap))])
        parts += [column, np.full((len(column), GAP, 3), 255, np.uint8)]
    return np.hstack(parts)


def compare(weights: Path) -> tuple[list[dict[str, object]], dict[str, list[Image]]]:
    """The table, and each column of the sheet."""
    cpu = torch.device("cpu")
    frames = [draw(make_street(number, SIZE)) for number in STREETS]
    days = [day(frame, number) for frame, number in zip(frames, STREETS, strict=True)]
    ways = {
        "day": lambda image, number: image,
        "physical": by(physical_darkener(None, cpu)),
        "CUT": by(learned_darkener(weights, float("inf"), cpu)),
        "renderer's night": lambda image, number: night(frames[number], STREETS[number]),
    }
    rows, columns = [], {}
    for name, make in ways.items():
        row, columns[name] = measured(days, make)
        rows.append({"": name, **row, "ms per image": row["ms per image"] if name in {"physical", "CUT"} else ""})
    return rows, columns


def paired_with(weights: Path) -> Path:
    """A data YAML of demo-night whose partners are made by the CUT of these weights."""
    make_synthetic("demo-night", DAYS)
    prepare("darken", source=DAYS / "images/train", out=PARTNERS / "images/train", model="cut", weights=weights)
    facts = load_yaml(REPOSITORY / "data/demo-night.yaml")
    places = {key: f"{DAYS.name}/{facts[key]}" for key in ("train", "val", "val2", "test", "test2")}
    kept = {key: facts[key] for key in ("conditions", "method", "names")}
    file = PARTNERS.with_suffix(".yaml")
    save_yaml(file, {"path": ".", **places, "pair": f"{PARTNERS.name}/images/train", **kept})
    return file


def worth(darkener: str, weights: Path | None, seeds: int) -> None:
    """Compare detectors that learned from days and the partners that a darkener made of them."""
    data = RECIPE_OF_DETECTORS["data"]
    if darkener == "cut":
        data = paired_with(weights or train(new_run_folder(Path("runs/darkener"), "demo"))[0])
    name = f"darkener-{darkener}"
    folders = {"project": Path("runs/compare"), "name": name, "out": Path("bench/results") / name}
    engine.compare(
        **{**RECIPE_OF_DETECTORS, "data": data}, run=RUNS, seeds=seeds, plots=False, exist_ok=True, **folders
    )


def main() -> None:
    """Train, unless weights are given; measure, and write table and sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="of an earlier run: nothing is trained")
    parser.add_argument("--out", type=Path, help="Markdown file for the table")
    parser.add_argument("--sheet", type=Path, help="image of the darkeners side by side")
    parser.add_argument("--worth", choices=("cut", "physical"), help="compare detectors instead, trained on its images")
    parser.add_argument("--seeds", type=int, default=3, help="with --worth")
    options = parser.parse_args()
    if options.worth:
        worth(options.worth, options.weights, options.seeds)
        return
    torch.set_num_threads(1)
    weights, busy = (options.weights, None) if options.weights else train(new_run_folder(Path("runs/darkener"), "demo"))
    rows, columns = compare(weights)
    text = report(f"Two darkeners on {len(STREETS)} synthetic streets of {SIZE[0]} x {SIZE[1]} px", rows)
    if busy is not None:
        recipe = ", ".join(f"{name} {value}" for name, value in RECIPE.items())
        text += f"\nCUT was trained in {busy / 60:.1f} minutes of one core: {recipe}.\n"
    text += f"\nMade by `python -m bench.darkener {' '.join(sys.argv[1:])}`.\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    if options.sheet:
        cv2.imwrite(str(options.sheet), sheet(columns, 4)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    sys.exit(run_cli(main))
