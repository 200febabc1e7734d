"""The cost of each enhancer relative to a detector's forward pass, for one image of 640 px; YOLOv5n, fused.

python -m bench.speed.enhancers --rounds 7 --busy --out bench/results/enhance.md

What an enhancer does to accuracy: bench/enhanced.py, bench/yolov5_anchors.py.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.speed.degradations import forward
from bench.speed.timing import measure, options_of, publish, report
from engine.enhancement.enhancer import open_enhancer
from utils.devices import pick_device

FORWARD, SCALES, GOAL_SCALE, GOAL = "YOLOv5n forward, 640 px", (1, 2, 4, 8), 4, 0.3


def candidates(device: torch.device) -> dict[str, Callable[[], object]]:
    """Name -> one call: the forward pass, and every enhancer on one image; Zero-DCE at each scale."""
    image = 0.3 * torch.rand(1, 3, 640, 640, device=device)
    enhancers = {f"zero-dce, scale {scale}": open_enhancer("zero-dce", None, scale, device) for scale in SCALES}
    enhancers |= {name: open_enhancer(name, device=device) for name in ("clahe", "gamma")}
    calls = {FORWARD: forward("yolov5n", 640, device)}
    for name, enhancer in enhancers.items():
        assert enhancer is not None
        calls[name] = lambda enhancer=enhancer: enhancer(image)  # type: ignore[misc]
    return calls


def main() -> None:
    """Measure, print, and write the page."""
    options = options_of(__doc__, rounds=13).parse_args()
    device = pick_device(options.device)
    timings = measure(options, candidates(device), warm_up=1)
    reference = timings[FORWARD]
    rows = [
        {"candidate": name, "median ms": 1e3 * timing.median, "ratio to forward": timing.ratio_to(reference)}
        for name, timing in timings.items()
    ]
    page = report(f"Enhancing an image of 640 px on {device.type}", rows, options.busy)
    ratio = timings[f"zero-dce, scale {GOAL_SCALE}"].ratio_to(reference)
    publish(options, page + f"\nAt scale {GOAL_SCALE}: {ratio:.2f} of a forward pass (goal {GOAL}).\n")


if __name__ == "__main__":
    main()
