"""How long a comparison will take on this machine: a training step is timed, the rest is arithmetic."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from data.config import TESTS, VALS, DataConfig
from engine.comparison.runner import RunSpec
from engine.options.train import TrainOptions
from engine.training.detection import DEFAULT_MODEL
from methods.registry import METHODS, split_names
from models.detector import SCALE, build
from utils.devices import pick_device
from utils.files import list_images

STEPS = 2  # timed, after one to warm up
TIMED_BATCH = 4  # images: what a larger batch costs follows


@dataclass(frozen=True)
class Speed:
    """Seconds per image of a plain training step, and of a forward pass."""

    step: float
    forward: float


def measure_speed(cfg: str, names: dict[int, str], imgsz: int, batch: int, device: str) -> Speed:
    """Time a network on random images; its loss is the sum of its output, which costs about what the real one does."""
    place, size = pick_device(device.split(",")[0]), -(-imgsz // 32) * 32
    network = build(cfg, names).to(place).train()
    count = min(batch, TIMED_BATCH) if batch > 0 else TIMED_BATCH  # -1: chosen later by the memory that is free
    images = torch.rand(count, 3, size, size, device=place)  # (B, 3, H, W)
    steps = [_timed(network, images, True) for _ in range(STEPS + 1)][1:]
    passes = [_timed(network.eval(), images, False) for _ in range(STEPS + 1)][1:]
    return Speed(min(steps) / len(images), min(passes) / len(images))


def _timed(network: torch.nn.Module, images: torch.Tensor, train: bool) -> float:
    """Seconds of one pass, with its backward pass where it trains."""
    started = time.perf_counter()
    with torch.set_grad_enabled(train):
        output = network(images)
    if train:
        sum(tensor.float().sum() for tensor in _tensors(output)).backward()  # type: ignore[union-attr]
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - started


def _tensors(output: Any) -> list[torch.Tensor]:
    """All tensors in what a network returns."""
    if isinstance(output, torch.Tensor):
        return [output] if output.requires_grad else []
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def cost_of(method: str) -> float:
    """Time of a training step with these methods, relative to a plain one."""
    return prod(METHODS[name].cost for name in split_names(method))


def estimate(config: DataConfig, specs: Sequence[RunSpec], shared: Mapping[str, Any], seeds: int, split: str) -> float:
    """Seconds that all runs take, without loading, early stopping or what must be made first."""
    speeds: dict[tuple[str, int], Speed] = {}
    images = {name: _count(config, name) for name in config.splits if name == "train" or name in (*VALS, *TESTS)}
    measured = TESTS if split == "test" else VALS
    total = 0.0
    for spec in specs:
        own = {**vars(TrainOptions()), **shared, **spec.own}
        cfg, imgsz = str(own["cfg"] or network_of(str(own["weights"]))), int(own["imgsz"])
        key = cfg, imgsz
        speeds[key] = speeds.get(key) or measure_speed(
            cfg, config.names, imgsz, int(own["batch_size"]), str(own["device"])
        )
        training = images.get("train", 0) * speeds[key].step * cost_of(str(own["method"] or "none"))
        choosing = images.get("val", 0) * speeds[key].forward
        testing = sum(count for name, count in images.items() if name in measured) * speeds[key].forward
        total += int(own["epochs"]) * (training + choosing) + testing
    return total * seeds


def network_of(weights: str) -> str:
    """The network of a checkpoint, by its file's name; the default one where the name does not tell."""
    stem = weights.replace("\\", "/").rpartition("/")[2].partition(".")[0].split("-")[0].lower()
    return stem if stem.startswith("yolo") and SCALE.search(stem) else DEFAULT_MODEL


def _count(config: DataConfig, split: str) -> int:
    """How many images a split has; 0 where it is not there."""
    return sum(len(list_images(place, config.root)) for place in config.splits[split] if place.exists())


def in_words(seconds: float) -> str:
    """A duration that claims no more precision than it has.

    >>> in_words(42), in_words(1500), in_words(9000), in_words(200_000)
    ('1 minute', '25 minutes', '2.5 hours', '56 hours')
    """
    if seconds < 5400:
        minutes = max(1, round(seconds / 60))
        return f"{minutes} minute{'s' * (minutes > 1)}"
    hours = seconds / 3600
    return f"{hours:.1f} hours" if hours < 10 else f"{hours:,.0f} hours"
