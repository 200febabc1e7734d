"""Latency of a trained checkpoint relative to a freshly built detector of the same YAML: 1.0, whatever it was trained with.

python -m bench.speed.inference --weights runs/train/exp/weights/best.pt --rounds 100

Both are opened and fused by `ultralytics.YOLO`. That parameters, FLOPs and graph are equal is tested
(tests/bench/speed/test_inference.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from bench.speed.crux import runner
from bench.speed.timing import measure, options_of, publish, report, table
from engine.checkpoint import load_detector, save_checkpoint
from engine.training.distributed import start
from models.detector import build


def main() -> None:
    """Measure, print, and write the page."""
    from ultralytics import YOLO

    parser = options_of(__doc__, rounds=60)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--imgsz", type=int, default=320)
    options = parser.parse_args()
    device = start(options.device)
    trained, _ = load_detector(options.weights)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.pt"
        save_checkpoint(plain, build(trained.yaml, trained.names), epoch=0, options={}, metrics={})
        paths = {"plain": plain, "trained": options.weights}
        nets = {name: YOLO(path).model.float().fuse().eval().to(device) for name, path in paths.items()}
    image = torch.rand(1, 3, options.imgsz, options.imgsz, generator=torch.Generator().manual_seed(0)).to(device)
    calls = {name: runner(net, image) for name, net in nets.items()}
    rows = table(measure(options, calls, warm_up=10), reference="plain")
    publish(options, report(f"Latency of one image of {options.imgsz} px", rows))


if __name__ == "__main__":
    main()
