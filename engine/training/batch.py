"""A batch on its way to the device: what is drawn while it lies on the host, and the move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from methods.base import Batch, Method
from models.loss.detection import MOST, most_objects
from utils.devices import on_gpu, sent

DRAWN = "drawn"  # of a batch whose methods have drawn


@torch.no_grad()
def draw(batch: Batch, methods: Iterable[Method]) -> None:
    """Let methods draw for a batch, those first that change the size of its images."""
    if "batch_idx" in batch:
        batch[MOST] = most_objects(batch["batch_idx"])
    for method in sorted(methods, key=lambda method: type(method).degrade is Method.degrade):
        method.draw(batch)
    batch[DRAWN] = True


def relabelled(batch: Batch, labels: Mapping[str, Any]) -> Batch:
    """A batch with other labels, whose fullest image is counted anew unless they say it."""
    return {**{name: value for name, value in batch.items() if name != MOST}, **labels}


def moved(value: Any, device: torch.device) -> Any:
    """A tensor, or all tensors of a dict or a NamedTuple, on a device: sent so that the host goes on."""
    if isinstance(value, Tensor):
        return sent(value, device)
    if isinstance(value, dict):
        return {name: moved(part, device) for name, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(part, device) for part in value))
    return value


def as_views(images: Tensor) -> Tensor:
    """Bytes (B, 3, H, W), or clips, in [0, 1], in order."""
    return in_order(images).float() / 255


def in_order(images: Tensor) -> Tensor:
    """Images (B, C, H, W) in the order in which the convolutions of a GPU read; others, and on other devices, as they are."""
    if not on_gpu(images.device) or images.ndim != 4:
        return images
    return images.contiguous(memory_format=torch.channels_last)


def read(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Scalars, as float32, in one copy from their device."""
    if not values:
        return {}
    rows = [value if isinstance(value, Tensor) else torch.tensor(value) for value in values.values()]
    device = next((row.device for row in rows if row.device.type != "cpu"), rows[0].device)
    return dict(zip(values, torch.stack([row.detach().to(device).float() for row in rows]).tolist(), strict=True))
