"""Tensors against a network's, in words; and files that say what they hold."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.checkpoint.state_dict import as_safetensors, differences, listed, load_strict, save_pt
from engine.checkpoint.weights import load_weights
from utils.errors import UserError

WANTED = {"a.weight": torch.zeros(24, 3), "a.bias": torch.zeros(24), "n.num_batches_tracked": torch.tensor(0)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"a.weight": None}, ["a.weight is missing"]),
        ({"b.weight": torch.zeros(1)}, ["b.weight is unknown"]),
        ({"a.weight": torch.zeros(24, 4)}, ["a.weight has shape 24x4 instead of 24x3"]),
        ({"a.bias": torch.tensor(0.0)}, ["a.bias has shape one number instead of 24"]),
        ({"n.num_batches_tracked": None, "m.num_batches_tracked": torch.tensor(1)}, []),
        (
            {"a.weight": None, "b": torch.zeros(1), "a.bias": torch.zeros(3)},
            ["a.bias has shape 3 instead of 24", "a.weight is missing", "b is unknown"],
        ),
    ],
)
def test_differences_name_the_tensor(changes: dict[str, Tensor | None], expected: list[str]) -> None:
    found = {name: tensor for name, tensor in {**WANTED, **changes}.items() if tensor is not None}
    assert differences(found, WANTED) == expected


def test_what_is_not_needed_may_miss() -> None:
    assert differences({}, WANTED, needed=lambda name: name == "a.bias") == ["a.bias is missing"]


def test_a_message_names_four() -> None:
    assert listed(["a", "b", "c", "d"]) == "a; b; c; d"
    assert listed(["a", "b", "c", "d", "e", "f"]) == "a; b; c; d; and 2 more"


def test_a_network_takes_all_or_nothing() -> None:
    network, before = nn.Linear(2, 1), torch.zeros(1, 2)
    network.load_state_dict({"weight": before, "bias": torch.zeros(1)})
    state = {"weight": torch.ones(1, 2).half(), "bias": torch.full((1,), math.nan)}
    with pytest.raises(UserError, match=r"a.pt: these are not the tensors of LeNet: bias contains NaN or Inf. Look."):
        load_strict(network, state, Path("a.pt"), "LeNet", "Look.")
    assert torch.equal(network.weight, before)
    load_strict(network, {**state, "bias": torch.ones(1)}, Path("a.pt"), "LeNet", "Look.")
    assert network.weight.dtype == torch.float32 and network(torch.ones(1, 2)).item() == 3


def test_a_file_says_what_it_holds(tmp_path: Path) -> None:
    """tensors that share memory are written apart."""
    whole = torch.arange(6.0).view(2, 3)
    made = as_safetensors({"a": whole, "b": whole.T}, {"task": "classify"}, {"imgsz": 64, "note": "12"})
    (tmp_path / "a.safetensors").write_bytes(made)
    weights = load_weights(tmp_path / "a.safetensors")
    assert weights.meta == {"format": "pt", "task": "classify", "imgsz": 64, "note": "12"}
    assert torch.equal(weights.state["b"], whole.T)


@pytest.mark.slow
def test_a_full_disk_leaves_the_older_file(tmp_path: Path, full_disk) -> None:
    save_pt(tmp_path / "x.pt", {"w": torch.ones(3)})
    full_disk(100_000)
    with pytest.raises(UserError, match=r"x\.pt: cannot be written .File too large"):
        save_pt(tmp_path / "x.pt", {"w": torch.zeros(1_000_000)})
    assert torch.load(tmp_path / "x.pt", weights_only=True)["w"].tolist() == [1, 1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]
