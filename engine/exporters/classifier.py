"""A classifier of images or clips for other programs: ONNX or TorchScript, compared with the network it came from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.checkpoint.classifier import CLIPS, KINDS, LoadedClassifier, load_classifier
from engine.exporters.detector import RUNNERS, ExportResult, check_packages, place_agreeing
from engine.options.export import ExportOptions
from engine.tasks import check_meaning, task_of_weights
from utils.errors import UserError
from utils.files import find_weights
from utils.options import build, canonical

SUFFIXES = {"onnx": ".onnx", "torchscript": ".torchscript"}
OPSET = 17  # runs everywhere
VIEWS = {CLIPS: "clips"}  # what the input is called; else images
FREE = {CLIPS: {0: "batch"}}  # with --dynamic; else size too
Write = Callable[[Path], None]


def export(**options: Any) -> ExportResult:
    """Export a classifier with the options of export.py, at the size that it was trained with unless --imgsz is given.

    What is exported takes RGB in [0, 1] and gives probabilities. Raises UserError for an option without a meaning here, or
    an exported network that does not agree with the classifier; then nothing is left behind.
    """
    given = canonical(options, [ExportOptions])
    (chosen,) = build([ExportOptions], given)
    assert chosen.weights is not None  # they told the task
    weights = find_weights(chosen.weights)
    task = task_of_weights(weights)
    check_meaning(given, [ExportOptions], task)
    unfit = next((kind for kind in chosen.include if kind not in SUFFIXES), None)
    if unfit is not None:
        raise UserError(
            f"--include {unfit}: a {KINDS[task].noun} can become {' or '.join(SUFFIXES)}. Choose one of them."
        )
    check_packages(chosen)
    if len(chosen.imgsz) not in (1, 2):
        raise UserError(f"--imgsz {' '.join(map(str, chosen.imgsz))}: expected one number, or height and width.")
    classifier = load_classifier(weights, task, "cpu", chosen.trust)
    ready = nn.Sequential(classifier.model, nn.Softmax(1)).eval()
    views = example(classifier, chosen.batch_size, task, chosen.imgsz if "imgsz" in given else ())
    facts = {"task": task, "names": json.dumps(classifier.names or {}), "input": "RGB in [0, 1]"}
    result = ExportResult({})
    for kind in dict.fromkeys(chosen.include):
        write = partial(_write, ready, views, kind=kind, options=chosen, facts=facts)
        convert(result, write, ready, views, weights, kind)
    return result


def example(classifier: LoadedClassifier, batch: int, task: str, sides: tuple[int, ...] = ()) -> Tensor:
    """Random views in [0, 1]: images (B, 3, H, W) of the given sides, or clips (B, 3, T, S, S)."""
    shape = classifier.shape
    sides = sides or (shape.size,)
    frames = (shape.frames,) if task == CLIPS else ()
    return torch.rand(batch, 3, *frames, sides[0], sides[-1], generator=torch.Generator().manual_seed(0))


def convert(result: ExportResult, write: Write, ready: nn.Module, views: Tensor, weights: Path, kind: str) -> None:
    """`write` a file and keep it, see `place_agreeing`, by the largest difference of a probability of the example."""

    def make(folder: Path) -> Path:
        made = folder / f"{weights.stem}{SUFFIXES[kind]}"
        write(made)
        return made

    @torch.no_grad()
    def differs(made: Path) -> float:
        return float((RUNNERS[kind](made, views) - ready(views)).abs().max())

    place_agreeing(result, weights, kind, make, differs, "classifier")


def _write(
    ready: nn.Module, views: Tensor, made: Path, kind: str, options: ExportOptions, facts: Mapping[str, str]
) -> None:
    """Trace the network into a file; ONNX keeps the facts among its metadata."""
    if kind == "torchscript":
        torch.jit.save(torch.jit.trace(ready, views, check_trace=False), made)
        return
    import onnx

    name = VIEWS.get(facts["task"], "images")
    axes = {name: FREE.get(facts["task"], {0: "batch", 2: "height", 3: "width"}), "probabilities": {0: "batch"}}
    torch.onnx.export(
        ready, (views,), str(made), input_names=[name], output_names=["probabilities"], dynamo=False,
        dynamic_axes=axes if options.dynamic else None, opset_version=options.opset or OPSET,
    )  # fmt: skip
    model = onnx.load(made)
    onnx.helper.set_model_props(model, dict(facts))
    onnx.save(model, made)
