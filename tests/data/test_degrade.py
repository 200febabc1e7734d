"""The door to the degradations: the contract's names and signatures, and what is promised of every entry."""

from __future__ import annotations

import inspect

import pytest
import torch

from data import degrade
from data.degrade import COCO_C, DEGRADATIONS


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gaussian_kernel", ["size", "variances", "angle"]),
        ("blur_resize_noise", ["image", "kernel", "size", "mode", "sigma", "generator"]),
        ("low_light_bytes", ["pictures", "seeds", "severity"]),
    ],
)
def test_names_of_the_contract(name, parameters):
    assert list(inspect.signature(getattr(degrade, name)).parameters) == parameters


def test_all_that_is_promised_is_there():
    assert all(hasattr(degrade, name) for name in degrade.__all__)
    assert len(DEGRADATIONS) == 12
    assert len(COCO_C) == 15


@pytest.mark.parametrize(("table", "severity"), [(DEGRADATIONS, 0.7), (COCO_C, 3)])
def test_both_tables_are_called_alike(table, severity):
    """Pictures, seeds and a severity in; pictures and one mapping a picture out: what a sweep relies on."""
    image = torch.randint(0, 256, (1, 3, 48, 64), dtype=torch.uint8)
    for name, entry in table.items():
        result, drawn = entry(image, [3], severity)
        assert name == entry.name
        assert result.shape == image.shape and result.dtype == torch.float32
        assert drawn[0]["severity"] == severity
