"""Normalisation by hand."""

from __future__ import annotations

import pytest
import torch

from models.normalize import CLIP, HALVES, IMAGENET, KINETICS


@pytest.mark.parametrize("normalize", [IMAGENET, KINETICS, CLIP, HALVES])
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3, 1, 1, 1)])
def test_the_mean_becomes_zero(normalize, shape):
    """(mean - mean) / std = 0; (mean + std - mean) / std = 1."""
    mean, std = (torch.tensor(values).view(shape) for values in normalize)
    assert normalize(mean).abs().max() == 0
    assert torch.allclose(normalize(mean + std), torch.ones(shape))


def test_white_by_hand():
    """White in red is (1 - 0.485) / 0.229 = 2.2489."""
    assert IMAGENET(torch.ones(1, 3, 1, 1))[0, 0].item() == pytest.approx(2.248908, abs=1e-5)


def test_the_type_of_the_images_stays():
    assert KINETICS(torch.ones(1, 3, 2, 2, 2, dtype=torch.float16)).dtype == torch.float16
