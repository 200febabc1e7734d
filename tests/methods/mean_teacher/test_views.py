"""What the student sees."""

from __future__ import annotations

import pytest
import torch

from methods.mean_teacher import views
from methods.mean_teacher.views import inside, night_light, other_colours, ramp, scale_of, shrunk


def images(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, 64, 96, generator=torch.Generator().manual_seed(2))


def test_the_scale_grows_in_six_steps():
    scales = [scale_of(progress / 60, 0.5) for progress in range(61)]
    assert sorted(set(scales)) == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1.0]) and scales == sorted(scales)
    assert {scale_of(progress / 10, 1.0) for progress in range(11)} == {1.0}


def test_sizes_stay_multiples_of_the_stride():
    assert shrunk(images(), 0.5).shape[2:] == (32, 64)
    assert shrunk(images(), 0.2).shape[2:] == (32, 32)
    whole = images()
    assert shrunk(whole, 1.0) is whole


@pytest.mark.parametrize("change", [other_colours, lambda x, seeds: night_light(x, seeds, 1.0)])
def test_an_image_depends_on_its_seed_alone(change):
    whole = images()
    before, state = whole.clone(), torch.get_rng_state()
    together = change(whole, [5, 6, 7, 8])
    assert torch.allclose(together[1:2], change(whole[1:2], [6]), atol=1e-6)
    assert torch.equal(whole, before) and torch.equal(torch.get_rng_state(), state)
    assert together.min() >= 0 and together.max() <= 1 and not torch.equal(together, whole)


def test_a_rectangle_by_hand():
    """A quarter to a half of the width, half to the whole of the height: columns 24 to 47, rows 32 to 63."""
    mask = inside([[(0.25, 0.5, 0.5, 1.0), (0.0, 0.0, 0.0, 0.0)]], images(1))[0, 0]
    assert mask.sum().item() == 24 * 32 and bool(mask[32:, 24:48].all())


def test_night_light_darkens_and_leaves_the_rest():
    whole = torch.full((200, 3, 16, 16), 0.8)
    changed = night_light(whole, range(200), 0.5)
    same = (changed == whole).flatten(1).all(1)
    assert 70 < same.sum() < 130
    assert changed[~same].mean() < 0.75
    assert night_light(whole, range(200), 0.0) is whole


def test_glare_is_round_and_bright():
    """At the middle of 64 x 96 px with a deviation of 0.1 of the longer side, 9.6 px: exp(-0.5) at that distance."""
    light = views._glare(torch.tensor([[[0.5, 0.5, 0.1, 1.0], [0.1, 0.1, 0.1, 0.0]]]), images(1))[0, 0]
    assert light.max() > 0.99 and light[0, 0] < 0.01
    assert light[32, 48 + 9].item() == pytest.approx(light[32 - 10, 48].item(), abs=0.03)
    assert light[32, 48 + 9].item() == pytest.approx(0.61, abs=0.04)


def test_the_weight_rises():
    assert (
        ramp(0.0) == pytest.approx(0.0067, abs=1e-4)
        and ramp(2.0) == 1.0
        and ramp(0.5) == pytest.approx(0.2865, abs=1e-4)
    )
