"""Day-to-night translators on synthetic streets: brightness, agreement of edges with the day image, time per image.

python compare.py --config bench/comparisons/wiid-cut.yaml      (trains the CUT that is compared)
python -m bench.speed.day_to_night --out bench/results/day-to-night.md
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.speed.timing import options_of, publish, report
from data.synthetic.render.lighting import day, night
from data.synthetic.street.scene import draw, make_street
from engine.darkening.translator import DayToNight, cut_model, physical_model
from tests.edges import agreement

Image = NDArray[np.uint8]
CUT = Path("runs/translator/cut.safetensors")
STREETS = range(3000700, 3000724)  # seeds that no data set and no training uses
SIZE = (320, 240)


def translations(weights: Path) -> dict[str, tuple[list[Image], float]]:
    """Name -> the streets' images (H, W, 3) and the processor's seconds per image."""
    frames = [draw(make_street(number, SIZE)) for number in STREETS]
    day_images = [day(frame, number) for frame, number in zip(frames, STREETS, strict=True)]
    cpu = torch.device("cpu")

    def by(translator: DayToNight) -> Callable[[int], Image]:
        return lambda number: translator.work(day_images[number][None], [number])[0][0]

    makers: dict[str, Callable[[int], Image]] = {
        "day": lambda number: day_images[number],
        "physical": by(physical_model(None, cpu)),
        "CUT": by(cut_model(weights, float("inf"), cpu)),
        "renderer's night": lambda number: night(frames[number], STREETS[number]),
    }
    made = {}
    for name, make in makers.items():
        start = time.process_time()
        images = [make(number) for number in range(len(day_images))]
        made[name] = images, (time.process_time() - start) / len(day_images)
    return made


def row(name: str, images: list[Image], day_images: list[Image], seconds: float) -> dict[str, str]:
    """A row of the table."""
    edges = [agreement(before, after) for before, after in zip(day_images, images, strict=True)]
    unmoved = sum(shift == (0, 0) for _, shift in edges)
    return {
        "": name,
        "mean grey of 255": f"{np.mean([image.mean() for image in images]):.0f}",
        "edges: correlation with the day's": f"{np.mean([value for value, _ in edges]):.2f}",
        "best without a shift": f"{unmoved} of {len(edges)}",
        "ms per image": f"{1000 * seconds:.0f}" if name in {"physical", "CUT"} else "",
    }


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__)
    parser.add_argument("--weights", type=Path, default=CUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = translations(options.weights)
    rows = [row(name, images, made["day"][0], seconds) for name, (images, seconds) in made.items()]
    title = f"Day-to-night translators on {len(STREETS)} synthetic streets of {SIZE[0]} x {SIZE[1]} px"
    publish(options, report(title, rows))


if __name__ == "__main__":
    main()
