"""Task action behind export.py: a clip classifier as ONNX or TorchScript, compared with its network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.checkpoint.action import TASK, load_clip_classifier
from engine.exporters.classifier import OPSET, Ready, convert
from engine.exporters.detector import LIMIT, ExportResult
from engine.options.export import ExportOptions
from engine.tasks import check_meaning
from models.action import INPUTS
from utils.errors import UserError
from utils.files import find_weights
from utils.options import build, canonical


def export(**options: Any) -> ExportResult:
    """Export a clip classifier with the options of export.py. Each file is whole, and agrees with the network, or is not there.

    Raises UserError for what the user can mend.
    """
    given = canonical(options, [ExportOptions])
    check_meaning(given, [ExportOptions], TASK)
    (chosen,) = build([ExportOptions], given)
    assert chosen.weights is not None  # they told the task
    wrong = next((kind for kind in chosen.include if kind not in WRITERS), None)
    if wrong is not None:
        raise UserError(f"--include {wrong}: is not written for task action. Choose {' or '.join(WRITERS)}.")
    file = find_weights(chosen.weights)
    classifier = load_clip_classifier(file, "cpu", chosen.trust)
    shape, ready = classifier.shape, Ready(classifier.network, INPUTS[classifier.name].normalize).eval()
    clips = torch.rand(
        chosen.batch_size, 3, shape.frames, shape.size, shape.size, generator=torch.Generator().manual_seed(0)
    )
    files, differences = {}, {}
    for kind in dict.fromkeys(chosen.include):
        write = partial(_write, ready, clips, kind=kind, options=chosen)
        files[kind], differences[kind] = convert(write, ready, clips, file, kind)
        print(f"{files[kind]}: agrees with the network to {differences[kind]:.1e} (limit {LIMIT:.0e})")
    return ExportResult(files, differences)


def _write(ready: Ready, clips: Tensor, made: Path, *, kind: str, options: ExportOptions) -> None:
    """Convert. Raises UserError where that fails: not every network can become everything."""
    try:
        with torch.no_grad():
            WRITERS[kind](ready, clips, made, options)
    except (ImportError, RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as problem:
        reason = " ".join(str(problem).split())
        raise UserError(f"--include {kind}: the conversion failed ({reason:.300}); nothing was written.") from None


def _to_onnx(ready: Ready, clips: Tensor, made: Path, options: ExportOptions) -> None:
    """One file, the batch left open with --dynamic."""
    torch.onnx.export(
        ready, (clips,), str(made), input_names=["clips"], output_names=["probabilities"], dynamo=False,
        opset_version=options.opset or OPSET, dynamic_axes={"clips": {0: "batch"}} if options.dynamic else None,
    )  # fmt: skip


def _to_torchscript(ready: Ready, clips: Tensor, made: Path, _: ExportOptions) -> None:
    torch.jit.trace(ready, clips, check_trace=False).save(str(made))


WRITERS: dict[str, Callable[[Ready, Tensor, Path, ExportOptions], None]] = {
    "onnx": _to_onnx,
    "torchscript": _to_torchscript,
}
