"""A classifier for other programs: ONNX or TorchScript, compared with the network it came from."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.checkpoint.classifier import TASK, load_classifier
from engine.exporters.detector import LIMIT, RUNNERS, ExportResult, check_packages
from engine.options.export import ExportOptions
from engine.tasks import check_meaning
from models.normalize import IMAGENET, Normalize
from utils.errors import UserError
from utils.files import find_weights
from utils.options import build, canonical

SUFFIXES = {"onnx": ".onnx", "torchscript": ".torchscript"}
OPSET = 17  # runs everywhere


class Ready(nn.Module):
    """A network that takes values in [0, 1] and gives probabilities (B, classes): what is exported needs no preparation."""

    def __init__(self, network: nn.Module, normalize: Normalize) -> None:
        super().__init__()
        self.network, self.normalize = network, normalize

    def forward(self, seen: Tensor) -> Tensor:
        """seen: RGB images (B, 3, S, S) or clips (B, 3, T, S, S)."""
        scores: Tensor = self.network(self.normalize(seen)).softmax(1)
        return scores


def export(**options: Any) -> ExportResult:
    """Export a classifier with the options of export.py, at the size that it was trained with unless --imgsz is given.

    Raises UserError for an option without a meaning here, or an exported network that does not agree with the classifier;
    then nothing is left behind.
    """
    given = canonical(options, [ExportOptions])
    check_meaning(given, [ExportOptions], TASK)
    (chosen,) = build([ExportOptions], given)
    unfit = next((kind for kind in chosen.include if kind not in SUFFIXES), None)
    assert chosen.weights is not None  # they told the task
    if unfit is not None:
        raise UserError(f"--include {unfit}: a classifier can become {' or '.join(SUFFIXES)}. Choose one of them.")
    check_packages(chosen)
    weights = find_weights(chosen.weights)
    classifier = load_classifier(weights, "cpu", chosen.trust)
    sides = chosen.imgsz if "imgsz" in given else (classifier.imgsz,)
    image = torch.rand(chosen.batch_size, 3, sides[0], sides[-1], generator=torch.Generator().manual_seed(0))
    files, found = {}, {}
    ready, names = Ready(classifier.network, IMAGENET).eval(), classifier.names or {}
    for kind in dict.fromkeys(chosen.include):
        write = partial(_convert, ready, image, kind=kind, options=chosen, names=names)
        files[kind], found[kind] = convert(write, ready, image, weights, kind)
        print(f"{files[kind]}: agrees with the classifier to {found[kind]:.1e} (limit {LIMIT:.0e})")
    return ExportResult(files, found)


def convert(
    write: Callable[[Path], None], ready: Ready, example: Tensor, weights: Path, kind: str
) -> tuple[Path, float]:
    """`write` a file, compare what runs it with `ready` on an example, move it beside the weights when they agree.

    Returns the file and the largest difference of a probability. Raises UserError above LIMIT.
    """
    with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".export-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of what is meant to be
        made = Path(folder) / f"{weights.stem}{SUFFIXES[kind]}"
        write(made)
        with torch.no_grad():
            difference = float((RUNNERS[kind](made, example) - ready(example)).abs().max())
        if not difference <= LIMIT:
            raise UserError(
                f"--include {kind}: the exported network differs from the classifier by {difference:.1e} (limit "
                f"{LIMIT:.0e}), so it was not kept; try another --opset."
            )
        os.replace(made, weights.parent / made.name)
    return weights.parent / made.name, difference


def _convert(ready: Ready, image: Tensor, made: Path, kind: str, options: ExportOptions, names: dict[int, str]) -> None:
    """Trace the network into a file; ONNX keeps the class names among its metadata."""
    if kind == "torchscript":
        torch.jit.save(torch.jit.trace(ready, image), made)
        return
    import onnx

    axes = {"images": {0: "batch", 2: "height", 3: "width"}, "probabilities": {0: "batch"}} if options.dynamic else None
    torch.onnx.export(
        ready, (image,), str(made), input_names=["images"], output_names=["probabilities"], dynamic_axes=axes,
        opset_version=options.opset or OPSET, dynamo=False,
    )  # fmt: skip
    model = onnx.load(made)
    onnx.helper.set_model_props(model, {"task": TASK, "names": json.dumps(names), "input": "RGB in [0, 1]"})
    onnx.save(model, made)
