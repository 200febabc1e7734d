"""The script to the degradations: the contract's names and signatures, and what is promised of every entry."""

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
        ("low_light_bytes", ["images", "seeds", "severity"]),
    ],
)
def test_names_of_the_contract(name, parameters):
    assert list(inspect.signature(getattr(degrade, name)).parameters) == parameters


def test_all_that_is_promised_is_there():
    assert all(hasattr(degrade, name) for name in degrade.__all__)
    assert len(DEGRADATIONS) == 14
    assert len(COCO_C) == 15


@pytest.mark.parametrize(("table", "severity"), [(DEGRADATIONS, 0.7), (COCO_C, 3)])
def test_both_tables_are_called_alike(table, severity):
    """Images, seeds and a severity in; images and one mapping an image out: what a sweep relies on."""
    image = torch.randint(0, 256, (1, 3, 48, 64), dtype=torch.uint8)
    for name, entry in table.items():
        result, drawn = entry(image, [3], severity)
        assert name == entry.name
        assert result.shape == image.shape and result.dtype == torch.float32
        assert drawn[0]["severity"] == severity


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("table", "severity"), [(DEGRADATIONS, 0.7), (COCO_C, 3)])
def test_a_gpu_draws_the_same_parameters(table, severity):
    """Only noise fields differ between devices; the mean of an image hardly does."""
    image = torch.rand(2, 3, 96, 128)
    for entry in table.values():
        here, drawn = entry(image, [3, 4], severity)
        there, drawn_there = entry(image.cuda(), [3, 4], severity)
        assert drawn == drawn_there and there.is_cuda
        assert there.mean().item() == pytest.approx(here.mean().item(), abs=0.1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_aeris_on_a_gpu_differs_in_its_noise_only():
    image = torch.rand(6, 3, 64, 96)
    draws = [degrade.draw_parameters(degrade.image_random(0, i), (64, 96), (32, 64), "resolution") for i in range(6)]
    there = degrade.degrade_batch(image.cuda(), draws).cpu()
    assert torch.allclose(there, degrade.degrade_batch(image, draws), atol=1e-5)
