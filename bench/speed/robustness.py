"""Where a robustness evaluation spends its time: in the network, in making corruptions, and in everything else.

python -m bench.speed.robustness --out bench/results/corruptions.md

A sweep (`val.py --corruptions`) over a split, corruption by corruption. The accelerator is synchronised between stages, so
what overlaps in practice adds up here: the fraction outside the network is an upper bound.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from pathlib import Path
from typing import Any

from bench.speed.timing import options_of, publish, report
from data.config import load_data
from data.degradations.corruption_sets import choose_corruptions, choose_severities
from data.detection.dataset import build_dataset
from data.synthetic.generate import make_synthetic
from engine.checkpoint import load_detector
from engine.evaluation.robustness import RobustnessPlan, Sweep, sweep
from engine.evaluation.settings import EvalSettings
from utils.devices import pick_device

GOAL = 0.2  # of the time outside the network, on a GPU
STAGES = {"network": "inference", "corruptions": "corruptions", "NMS": "postprocess", "loading": "loading"}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per corruption, each in a sweep of its own after a clean pass, then a row of all together."""
    device = pick_device(options.device)
    model, _ = load_detector(options.weights, device)
    model = model.float().eval().fuse(verbose=False)
    config = load_data(options.data, make_demo=make_synthetic, need=(options.split,))
    sizes: dict[str, Any] = {"imgsz": options.imgsz, "batch_size": options.batch, "stride": int(max(model.stride))}
    dataset = build_dataset(config, options.split, cache="none", **sizes)
    chosen, severities = choose_corruptions(options.corruptions), choose_severities(options.severities)
    sweeps, settings = [], EvalSettings(batch_size=options.batch, max_det=300, progress=False)
    for one in [chosen[0], *chosen]:  # the first of all warms up
        plan = RobustnessPlan([one], severities, settings, device, config.root)
        with contextlib.redirect_stdout(io.StringIO()):
            sweeps.append(sweep(model, dataset, plan))
    groups = {one.full_name: [result] for one, result in zip(chosen, sweeps[1:], strict=True)} | {
        "together": sweeps[1:]
    }
    images, passes = len(dataset), 1 + len(severities)
    return [{"corruption": name, **breakdown(results, images, passes)} for name, results in groups.items()]


def breakdown(sweeps: list[Sweep], images: int, passes: int) -> dict[str, float]:
    """Milliseconds per image and pass, and their percentage by stage."""
    seconds = {stage: sum(result.seconds[stage] for result in sweeps) for stage in sweeps[0].seconds}
    total = seconds["total"]
    row = {"ms per image": 1e3 * total / (images * passes * len(sweeps))}
    row |= {f"{name} %": 100 * seconds[stage] / total for name, stage in STAGES.items()}
    return row | {"outside the network %": 100 * (1 - seconds["inference"] / total)}


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__)
    parser.add_argument("--weights", type=Path, default=Path("weights/yolov5n-demo-days.safetensors"))
    parser.add_argument("--data", default="demo-night")
    parser.add_argument("--split", default="val")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--corruptions", default="coco-c")
    parser.add_argument("--severities", default="3")
    options = parser.parse_args()
    rows = measure(options)
    title = f"A corruption sweep: {options.weights.stem}, {options.data} {options.split} at {options.imgsz} px"
    page = report(f"{title}, batches of {options.batch}, severity {options.severities}", rows)
    outside = rows[-1]["outside the network %"]
    publish(options, page + f"\nOutside the network: {outside:.1f} % of the time (goal on a GPU {100 * GOAL:.0f} %).\n")


if __name__ == "__main__":
    main()
