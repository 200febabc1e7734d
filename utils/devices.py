"""The device that --device names."""

from __future__ import annotations

import torch

from utils.errors import UserError


def pick_device(device: str) -> torch.device:
    """`` (best there is), `cpu`, `0`, `cuda:0`, `mps`. Raises UserError if this machine has no such device."""
    text = device.strip().lower().removeprefix("cuda:")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if text in {"", "auto"}:
        return torch.device("cuda:0" if count else "cpu")
    if text in {"cpu", "mps"}:
        return torch.device(text)
    if text.isdigit() and int(text) < count:
        return torch.device("cuda", int(text))
    expected = f"expected cpu, or a GPU number below {count}" if count else "no CUDA GPU is available; use --device cpu"
    raise UserError(f"--device {device}: {expected}.")
