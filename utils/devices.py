"""The device that --device names."""

from __future__ import annotations

import torch

from utils.errors import UserError


def pick_device(device: str) -> torch.device:
    """`` (best there is), `cpu`, `0`, `cuda:0`, `mps`. Raises UserError if this machine has no such device."""
    text = device.strip().lower().removeprefix("cuda:")
    if text in {"", "auto"}:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if text in {"cpu", "mps"}:
        return torch.device(text)
    if text.isdigit() and torch.cuda.is_available() and int(text) < torch.cuda.device_count():
        return torch.device("cuda", int(text))
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    raise UserError(
        f"--device {device}: this machine has {count} CUDA GPUs. Use --device cpu, or a number below {count}."
    )
