"""State dicts: compare one with a network, load it strictly, and write it as .pt or safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from utils.errors import UserError
from utils.files import atomic_write

COUNTER = "num_batches_tracked"  # of batch norms; old torchvision files lack it
SHOWN = 4  # tensors that a message names


def differences(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], needed: Callable[[str], bool] = lambda name: True
) -> list[str]:
    """How a state dict differs from a network's, one text per tensor: another shape, missing, or unknown.

    needed: whether a tensor of this name must be there. The batch counters of batch norms are ignored.
    """
    found, expected = ({key: value for key, value in some.items() if COUNTER not in key} for some in (found, expected))
    shapes = [
        f"{name} has shape {_shape(tensor)} instead of {_shape(expected[name])}"
        for name, tensor in found.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    missing = [f"{name} is missing" for name in expected if name not in found and needed(name)]
    return shapes + missing + [f"{name} is unknown" for name in found if name not in expected]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"


def listed(wrong: list[str]) -> str:
    """The first few differences, and how many more."""
    rest = len(wrong) - SHOWN
    return "; ".join(wrong[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def load_strict(network: nn.Module, state: Mapping[str, Tensor], path: Path, whose: str, remedy: str) -> None:
    """Load a state dict that must fit the network tensor for tensor, as float32.

    Raises UserError as `refuse_others` does.
    """
    refuse_others(network, state, path, whose, remedy)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)  # but for counters


def refuse_others(network: nn.Module, state: Mapping[str, Tensor], path: Path, whose: str, remedy: str) -> None:
    """Raise UserError, which names the file, the tensors by which it differs from `whose`, and the remedy.

    The network may be one of shapes alone, on the device `meta`.
    """
    wrong = differences(state, network.state_dict())
    wrong = wrong or [f"{name} contains NaN or Inf" for name in broken_tensors(state)]
    if wrong:
        raise UserError(f"{path}: these are not the tensors of {whose}: {listed(wrong)}. {remedy}")


def save_pt(path: Path, content: Mapping[str, Any]) -> None:
    """Write what `torch.save` makes of tensors and plain values, whole or not at all. Raises UserError as `atomic_write`."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a path, torch hides why it cannot write
            torch.save(content, file)

    atomic_write(path, write)


def broken_tensors(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that contain NaN or Inf."""
    return [name for name, tensor in state.items() if not tensor.float().isfinite().all()]  # float8 knows no isfinite


def refuse_broken(state: Mapping[str, Tensor]) -> None:
    """Raise UserError, which names tensors, where one contains NaN or Inf: a file of them is of no use."""
    broken = broken_tensors(state)
    if broken:
        raise UserError(
            f"not saved: {len(broken)} of the network's tensors contain NaN or Inf ({listed(broken)}), so training has "
            "diverged. Resume from an earlier checkpoint, or start again with a lower --lr0 or --amp False."
        )


def as_safetensors(state: Mapping[str, Tensor], texts: Mapping[str, str], facts: Mapping[str, Any]) -> bytes:
    """A safetensors file of these tensors. Its header has `texts` as they are and `facts` as JSON.

    Raises UserError as `refuse_broken` does.
    """
    refuse_broken(state)
    header = {"format": "pt", **texts, **{key: json.dumps(value) for key, value in facts.items()}}
    return save({name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}, metadata=header)
