"""Checkpoints: into a detector, and out of it in the two layouts that others read too.

`.pt` files have Ultralytics' layout: the network alone, in half precision, with none of a method's parts.
`.safetensors` files hold the same numbers, and a JSON header in place of everything that would need unpickling.
"""

from __future__ import annotations

import csv
import io
import re
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.checkpoint.state_dict import as_safetensors, broken_tensors, listed, refuse_broken, save_pt
from engine.checkpoint.temperature import KEY as TEMPERATURE
from engine.checkpoint.temperature import apply_temperature, temperature_of
from engine.checkpoint.weights import Weights, load_weights
from models.description.cost import MOST_CLASSES
from models.detector import build
from models.parse import plain_layers
from utils.errors import UserError
from utils.files import atomic_write, plain
from utils.tables import number
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

import ultralytics  # noqa: E402
from ultralytics.nn.tasks import DetectionModel  # noqa: E402
from ultralytics.utils import DEFAULT_CFG_DICT  # noqa: E402

__all__ = ["Weights", "load_detector", "load_weights", "save_checkpoint", "save_safetensors", "transfer"]

ROW_KEY = re.compile(r"^model\.(\d+)\.")
ULTRALYTICS_ATTRIBUTES = frozenset(vars(nn.Module())) | {
    *("yaml", "save", "names", "inplace", "stride", "args", "task", "nc", "pt_path")
}
LARGEST_HALF = torch.finfo(torch.float16).max
TRAIN_ARGS = {"imgsz": "imgsz", "data": "data", "epochs": "epochs", "batch_size": "batch", "seed": "seed"}
HOOKS = [name for name in vars(nn.Module()) if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called"))]


def transfer(model: DetectionModel, weights: Weights) -> tuple[int, int]:
    """Copy every tensor whose name and shape agree; class rows of the head are matched by class name.

    model: any detector of `build`, changed in place. Returns (tensors copied, tensors in the model). A tensor of which
    only some class rows were found counts as copied; the other rows keep their initial values.
    """
    own = model.state_dict()
    state = _around_our_layers(weights.state, model)
    rows = _class_rows(getattr(model, "names", None), weights.names)
    class_keys = _class_keys(model)
    copied = 0
    with torch.no_grad():
        for key, target in own.items():
            source = state.get(key)
            if source is None or source.shape[1:] != target.shape[1:] or source.ndim != target.ndim:
                continue
            if key in class_keys and rows is not None:
                copied += _copy_rows(target, source, rows)
            elif source.shape == target.shape:
                target.copy_(source)
                copied += 1
    return copied, len(own)


def _around_our_layers(state: dict[str, Tensor], model: DetectionModel) -> dict[str, Tensor]:
    """Tensors of a plain network under the names they have in a model with rows of ours between; else as they are."""
    plain_rows = plain_layers(model.model)
    layers = {int(key.split(".")[1]) for key in state if ROW_KEY.match(key)}
    if len(plain_rows) == len(model.model) or not layers or max(layers) + 1 != len(plain_rows):
        return state
    return {ROW_KEY.sub(lambda key: f"model.{plain_rows[int(key[1])]}.", key): value for key, value in state.items()}


def _class_rows(target: dict[int, str] | None, source: dict[int, str] | None) -> list[tuple[int, int]] | None:
    """(row here, row there) of each class known to both; None where names say nothing or are equal."""
    if not target or not source or _placeholders(target) or _placeholders(source):
        return None
    there = {name.strip().lower(): row for row, name in source.items()}
    rows = [(row, there[key]) for row, name in target.items() if (key := name.strip().lower()) in there]
    same = len(target) == len(source) and all(a == b for a, b in rows)
    return None if not rows or same else rows


def _placeholders(names: dict[int, str]) -> bool:
    """Whether the names are just the numbers, which say nothing about what a class is."""
    return all(str(row) == str(name) for row, name in names.items())


def _class_keys(model: DetectionModel) -> set[str]:
    """Names of the tensors with one row per class: the last layer of each classification branch."""
    last = len(model.model) - 1
    head = model.model[last]
    return {
        f"model.{last}.{branch}.{level}.{len(layers) - 1}.{part}"
        for branch in ("cv3", "one2one_cv3")
        for level, layers in enumerate(getattr(head, branch, None) or ())
        for part in ("weight", "bias")
    }


def _copy_rows(target: Tensor, source: Tensor, rows: list[tuple[int, int]]) -> bool:
    """Copy the rows that lie inside both; returns whether there was any."""
    rows = [(here, there) for here, there in rows if here < len(target) and there < len(source)]
    for here, there in rows:
        target[here] = source[there].to(target.dtype)
    return bool(rows)


def load_detector(
    path: str | Path, device: torch.device | str = "cpu", trust: bool = False, *, calibrated: bool = True
) -> tuple[DetectionModel, dict[str, Any]]:
    """The detector that a checkpoint describes, in evaluation mode, float32, on `device`; and the file's plain entries.

    It is built anew from the description in the file and filled with its tensors; a temperature in the file's header is
    applied (`calibrated`). Raises UserError if the file has no
    description, or not every tensor of the network (YOLOv5's own head has anchors: such weights start a training), or
    tensors with NaN or Inf, which detect nothing.
    """
    weights = load_weights(path, trust)
    if weights.yaml is None:
        raise UserError(
            f"{path}: holds tensors but no network description, so no detector can be built from it; "
            "name one of a training run (best.pt, best.safetensors), or train with --weights and --cfg."
        )
    model = build(weights.yaml, weights.names or _numbered(weights.yaml.get("nc", 80), path))
    _widen_class_branches(model, weights)
    copied, total = transfer(model, weights)
    if copied < total:
        raise UserError(
            f"{path}: fills only {copied} of its detector's {total} tensors ({weights.source}), so it cannot detect; "
            "use it as --weights of a training run."
        )
    broken = broken_tensors(model.state_dict())
    if broken:
        raise UserError(
            f"{path}: {len(broken)} of its tensors contain NaN or Inf ({listed(broken)}), so it detects nothing. Use another "
            "checkpoint of that run, such as an earlier one of --save-period."
        )
    apply_temperature(model, temperature_of(weights.meta, path) if calibrated else 1.0)
    return model.float().eval().to(device), weights.meta


def _numbered(classes: Any, path: str | Path) -> dict[int, str]:
    """Names of classes that are known by number only. Raises UserError for a number of classes that no detector has."""
    if type(classes) is not int or not 1 <= classes <= MOST_CLASSES:
        raise UserError(
            f"{path}: states {classes!s:.40} classes; expected 1 to {MOST_CLASSES}. Download or save it again."
        )
    return {number: str(number) for number in range(classes)}


def _widen_class_branches(model: DetectionModel, weights: Weights) -> None:
    """Rebuild classification branches whose inner width is another than the class count gives.

    Ultralytics keeps the width of the pretrained head when it fine-tunes on another number of classes.
    """
    head, classes = model.model[-1], len(model.names)
    for branch in ("cv3", "one2one_cv3"):
        layers = getattr(head, branch, None)
        source = weights.state.get(f"model.{len(model.model) - 1}.{branch}.0.2.weight")  # (classes, width, 1, 1)
        if layers is None or source is None or source.ndim != 4 or source.shape[1] == layers[0][2].in_channels:
            continue
        twin = build(weights.yaml or {}, {number: str(number) for number in range(source.shape[1])})
        wide = getattr(twin.model[-1], branch)
        for level in wide:
            level[2] = nn.Conv2d(level[2].in_channels, classes, 1)
        setattr(head, branch, wide)


def save_checkpoint(
    path: str | Path, detector: DetectionModel, *, epoch: int, options: dict[str, Any], metrics: dict[str, Any],
    results: str = "", temperature: float | None = None,
) -> None:  # fmt: skip
    """Write a checkpoint in Ultralytics' layout, whole or not at all: `ultralytics.YOLO(path)` opens it anywhere.

    detector: the live model, left as it is. options, metrics: kept under `hardsight`, and where Ultralytics looks for
    them. results: the text of results.csv so far. temperature: of a calibrated one, whose tensors stay as they are. Raises
    TypeError unless the class is exactly DetectionModel.
    """
    network = plain_detector(detector)
    options = plain(options)
    content = {
        **_stamp(),
        "epoch": epoch,
        "model": network,
        **dict.fromkeys(("best_fitness", "ema", "updates", "optimizer", "scaler")),  # resume.pt has these
        "train_args": network.args,
        "train_metrics": {key: value for key, value in plain(metrics).items() if isinstance(value, int | float)},
        "train_results": _columns(results),
        "hardsight": {"options": options, "metrics": plain(metrics), **_calibration(temperature)},
    }
    network.args |= {theirs: options[ours] for ours, theirs in TRAIN_ARGS.items() if options.get(ours) is not None}
    save_pt(Path(path), content)


def save_safetensors(
    path: str | Path, detector: DetectionModel, *, options: dict[str, Any], metrics: dict[str, Any], method: str,
    temperature: float | None = None,
) -> None:  # fmt: skip
    """Write the weights that `save_checkpoint` writes, with a JSON header, whole or not at all."""
    network = plain_detector(detector)
    facts = {
        "yaml": plain(network.yaml),
        "names": network.names,
        "stride": network.stride.tolist(),
        "options": plain(options),
        "metrics": plain(metrics),
        "versions": {"torch": torch.__version__, "ultralytics": ultralytics.__version__},
        **_calibration(temperature),
    }
    texts = {"method": method, "date": _stamp()["date"]}
    atomic_write(Path(path), as_safetensors(network.state_dict(), texts, facts))


def _calibration(temperature: float | None) -> dict[str, float]:
    """The header's entry of a calibrated checkpoint."""
    return {} if temperature is None else {TEMPERATURE: temperature}


def plain_detector(detector: DetectionModel) -> DetectionModel:
    """A copy that is Ultralytics' detector and no more: half precision, on the CPU, no hooks, criterion, method parts.

    Values beyond the range of float16 are clamped to it. Raises TypeError unless the class is exactly DetectionModel, and
    UserError, which names tensors, where one contains NaN or Inf.
    """
    if type(detector) is not DetectionModel:
        raise TypeError(f"expected an ultralytics DetectionModel, got {type(detector).__name__}")
    kept = {key: value for key, value in vars(detector).items() if key in ULTRALYTICS_ATTRIBUTES}
    twin: Any = object.__new__(DetectionModel)
    twin.__dict__.update(kept, _modules={"model": detector.model})
    twin = deepcopy(twin)  # the live detector is not touched
    for module in twin.modules():
        for name in HOOKS:
            getattr(module, name).clear()
        # Batch norms of several ranks, where there is no EMA.
        module.__class__ = getattr(module, "stands_for", type(module))
    refuse_broken(twin.state_dict())
    for tensor in twin.half().to("cpu", memory_format=torch.contiguous_format).state_dict().values():
        if tensor.is_floating_point():
            tensor.clamp_(-LARGEST_HALF, LARGEST_HALF)
    for parameter in twin.parameters():
        parameter.requires_grad = False
        parameter.grad = None
    args = dict(vars(detector.args) if hasattr(detector.args, "__dict__") else detector.args)
    twin.args = {**DEFAULT_CFG_DICT, **{key: plain(value) for key, value in args.items() if key in DEFAULT_CFG_DICT}}
    twin.args |= {"task": "detect", "mode": "train"}
    return twin


def _stamp() -> dict[str, str]:
    return {
        "date": datetime.now().astimezone().isoformat(),
        "version": ultralytics.__version__,
        "license": "AGPL-3.0 License (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
    }


def _columns(results: str) -> dict[str, list[float]]:
    """results.csv as column name -> values; a cell that is no number becomes NaN."""
    rows = list(csv.DictReader(io.StringIO(results), skipinitialspace=True))
    return {key.strip(): [number(row[key] or "") for row in rows] for key in (rows[0] if rows else ()) if key}
