"""After training, a method must cost nothing: parameters, FLOPs, ONNX graph and latency against plain Ultralytics.

python -m bench.after_training --weights runs/train/exp/weights/best.pt

Latency: `ultralytics.YOLO` of the checkpoint and of a freshly built detector of the same YAML, alternating in one process.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.speed.timing import alternate, report, table
from engine.checkpoint import load_detector, save_checkpoint
from engine.exporters.detector import export
from engine.training.distributed import start
from models.detector import build, flops, parameters


def operators(weights: Path, imgsz: int, folder: Path) -> Counter[str]:
    """How often each operator stands in the ONNX graph of a checkpoint."""
    import onnx

    copied = folder / weights.name
    copied.write_bytes(weights.read_bytes())
    files = export(weights=copied, include=("onnx",), imgsz=(imgsz,)).files
    return Counter(node.op_type for node in onnx.load(files["onnx"]).graph.node)


def main() -> None:
    """Compare and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    start("")
    trained, _ = load_detector(options.weights)
    plain = unequal(build(trained.yaml, trained.names))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_checkpoint(folder / "plain.pt", plain, epoch=0, options={}, metrics={})
        graphs = [operators(path, options.imgsz, folder) for path in (options.weights, folder / "plain.pt")]
        rows = [
            {
                "detector": title,
                "parameters": parameters(net),
                "GFLOPs": flops(net, options.imgsz),
                "state tensors": len(net.state_dict()),
                "ONNX nodes": sum(graph.values()),
            }
            for title, net, graph in (("trained", trained, graphs[0]), ("plain", plain, graphs[1]))
        ]
        latency = table(latencies(options.weights, folder / "plain.pt", options), reference="plain")
    text = report(f"What is left after training: {options.imgsz} px", rows)
    text += f"\nONNX operators equal: {graphs[0] == graphs[1]}\n\n" + report("Latency of one image", latency)
    print(text)
    if options.out:
        options.out.write_text(text)


def unequal(net: Any) -> Any:
    """Give a fresh network weights that differ from layer to layer, as training would.

    The ONNX writer stores equal tensors once and refers to them through Identity nodes; a fresh network has many.
    """
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data += 1e-3 * torch.randn(parameter.shape, generator=generator)
    return net


def latencies(trained: Path, plain: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Forward passes of both checkpoints as Ultralytics opens and fuses them."""
    from ultralytics import YOLO

    nets = {title: YOLO(path).model.float().fuse().eval() for title, path in (("plain", plain), ("trained", trained))}
    image = torch.rand(1, 3, options.imgsz, options.imgsz, generator=torch.Generator().manual_seed(0))

    def runner(net: Any) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                net(image)

        return run

    return alternate({title: runner(net) for title, net in nets.items()}, rounds=options.rounds, warm_up=10)


if __name__ == "__main__":
    main()
