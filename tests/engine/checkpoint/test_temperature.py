"""The temperature of a checkpoint: exact on the confidences, kept by both layouts, refused where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.checkpoint import load_detector, save_checkpoint, save_safetensors
from engine.checkpoint.temperature import apply_temperature, temperature_of
from utils.errors import UserError


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_confidences_are_scaled_and_boxes_are_not(checkpoint: Path, tmp_path: Path, suffix: str):
    """sigmoid(z / 2) for every confidence sigmoid(z), as the header says."""
    plain, _ = load_detector(checkpoint)
    path = tmp_path / f"calibrated{suffix}"
    facts = {"options": {}, "metrics": {}, "temperature": 2.0}
    if suffix == ".pt":
        save_checkpoint(path, plain, epoch=3, **facts)
    else:
        save_safetensors(path, plain, method="none", **facts)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after, raw = (
            load_detector(file, calibrated=on)[0](image)[0]
            for file, on in ((checkpoint, True), (path, True), (path, False))
        )
    assert torch.equal(before, raw) and torch.equal(before[:, :4], after[:, :4])
    assert torch.allclose(after[:, 4:], (before[:, 4:].logit() / 2).sigmoid(), atol=1e-6)


def test_a_temperature_of_one_changes_nothing(checkpoint: Path):
    detector, _ = load_detector(checkpoint)
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    apply_temperature(detector, 1.0)
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())


@pytest.mark.parametrize(
    ("meta", "expected"),
    [({}, 1.0), ({"temperature": 2}, 2.0), ({"hardsight": {"temperature": 0.5}}, 0.5), ({"hardsight": 1}, 1)],
)
def test_where_it_is_kept(meta, expected):
    assert temperature_of(meta, "a.pt") == expected


@pytest.mark.parametrize("value", [0, -1, float("nan"), 1e9, "2", True, None, [2]])
def test_what_is_no_temperature(value):
    with pytest.raises(UserError, match=r"a\.pt: its temperature is"):
        temperature_of({"temperature": value}, "a.pt")
