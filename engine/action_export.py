"""Task action behind export.py: a clip classifier as ONNX or TorchScript, compared with its network."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.action_weights import TASK, ClipClassifier, load_clip_classifier
from engine.exporter import HERE, LIMIT, RUNNERS, ExportResult
from engine.options.action import EXPORT_OPTIONS
from engine.options.export import ExportOptions
from engine.tasks import check_meaning, own_names
from models.action import normalise
from utils.files import UserError, find_file
from utils.options import build

OPSET = 17


class ReadyClips(nn.Module):
    """The network with its normalisation in front: clips RGB (B, 3, T, S, S) in [0, 1] to probabilities (B, classes)."""

    def __init__(self, classifier: ClipClassifier) -> None:
        super().__init__()
        self.network, self.name = classifier.network, classifier.name

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, S, S) to (B, classes)."""
        scores: Tensor = self.network(normalise(clips, self.name)).softmax(1)
        return scores


def export(**options: Any) -> ExportResult:
    """Export a clip classifier with the options of export.py. Each file is whole, and agrees with the network, or is not there.

    Raises UserError for what the user can mend.
    """
    given = own_names(options, [ExportOptions])
    check_meaning(given, EXPORT_OPTIONS, TASK)
    (chosen,) = build([ExportOptions], given)
    if chosen.weights is None:
        raise UserError(
            "--weights: expected the clip classifier to export, such as runs/train/exp/weights/best.safetensors."
        )
    wrong = next((kind for kind in chosen.include if kind not in WRITERS), None)
    if wrong is not None:
        raise UserError(f"--include {wrong}: is not written for task action. Choose {' or '.join(WRITERS)}.")
    file = find_file(chosen.weights, HERE, HERE / "weights")
    classifier = load_clip_classifier(file, "cpu", chosen.trust)
    shape, ready = classifier.shape, ReadyClips(classifier).eval()
    clips = torch.rand(
        chosen.batch_size, 3, shape.frames, shape.size, shape.size, generator=torch.Generator().manual_seed(0)
    )
    files, differences = {}, {}
    for kind in dict.fromkeys(chosen.include):
        files[kind], differences[kind] = _export_one(ready, clips, file, kind, chosen)
        print(f"{files[kind]}: agrees with the network to {differences[kind]:.1e} (limit {LIMIT:.0e})")
    return ExportResult(files, differences)


def _export_one(ready: ReadyClips, clips: Tensor, file: Path, kind: str, options: ExportOptions) -> tuple[Path, float]:
    """Convert, compare, move into place. Returns the file and the largest difference of a probability."""
    target = file.with_suffix(f".{kind}")
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".export-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of each shape that it reads
        made = Path(folder) / target.name
        try:
            with torch.no_grad():
                WRITERS[kind](ready, clips, made, options)
                expected = ready(clips)
        except (ImportError, RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as problem:
            reason = " ".join(str(problem).split())
            raise UserError(f"--include {kind}: the conversion failed ({reason:.300}); nothing was written.") from None
        difference = float((RUNNERS[kind](made, clips) - expected).abs().max())
        if not difference <= LIMIT:
            raise UserError(
                f"--include {kind}: the exported network differs from its original by {difference:.1e} (limit {LIMIT:.0e}) and "
                "was not kept; try another --opset."
            )
        os.replace(made, target)
    return target, difference


def _to_onnx(ready: ReadyClips, clips: Tensor, made: Path, options: ExportOptions) -> None:
    """One file, the batch left open with --dynamic."""
    torch.onnx.export(
        ready, (clips,), str(made), input_names=["clips"], output_names=["probabilities"], dynamo=False,
        opset_version=options.opset or OPSET, dynamic_axes={"clips": {0: "batch"}} if options.dynamic else None,
    )  # fmt: skip


def _to_torchscript(ready: ReadyClips, clips: Tensor, made: Path, _: ExportOptions) -> None:
    torch.jit.trace(ready, clips, check_trace=False).save(str(made))


WRITERS: dict[str, Callable[[ReadyClips, Tensor, Path, ExportOptions], None]] = {
    "onnx": _to_onnx,
    "torchscript": _to_torchscript,
}
