"""Draws depend on an image's seed alone, and a batch changes none of its bytes."""

from __future__ import annotations

import pytest
import torch

from data.degrade import DEGRADATIONS
from methods.weather import draws
from methods.weather.draws import SeverityLaw, Stage, apply, draw
from methods.weather.mix import parse_mix
from utils.errors import UserError

EVERY = parse_mix(" ".join(f"{name}={0.9 / len(DEGRADATIONS):.4f}" for name in DEGRADATIONS))


def images(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, 48, 64, generator=torch.Generator().manual_seed(1))


def test_fractions_come_true():
    """Of 2000 images, 0.3, 0.2 and 0.5 within three standard deviations (0.011 at most)."""
    drawn = [draw(seed, parse_mix("fog=0.3 rain+jpeg=0.2"), SeverityLaw()) for seed in range(2000)]
    counts = dict.fromkeys(((), ("fog",), ("rain", "jpeg")), 0.0)
    for stages in drawn:
        counts[tuple(stage.model for stage in stages)] += 1 / 2000
    assert counts == pytest.approx({("fog",): 0.3, ("rain", "jpeg"): 0.2, (): 0.5}, abs=0.034)


@pytest.mark.parametrize(
    ("law", "chance", "expected"),
    [
        (SeverityLaw(), 0.5, 0.825),  # low light from its own 0.65 to 1
        (SeverityLaw((0.0, 1.0)), 0.25, 0.25),
        (SeverityLaw((0.0, 1.0), power=2.0), 0.25, 0.0625),
        (SeverityLaw((0.0, 1.0), power=0.5), 0.25, 0.5),
        (SeverityLaw((0.2, 0.6), reach=0.5), 0.5, 0.3),
    ],
)
def test_severities_by_hand(law, chance, expected):
    assert law("low_light", chance) == pytest.approx(expected)


def test_one_option_leaves_the_other_draws_alone():
    """A longer chain elsewhere, another law: the images that fog came upon keep their seeds."""
    plain = [draw(seed, parse_mix("fog=0.5"), SeverityLaw()) for seed in range(50)]
    other = [draw(seed, parse_mix("fog=0.5 rain+jpeg=0.1"), SeverityLaw((0.5, 1.0))) for seed in range(50)]
    foggy = [(a[0], b[0]) for a, b in zip(plain, other, strict=True) if a]
    assert len(foggy) > 10 and all((a.model, a.seed) == (b.model, b.seed) for a, b in foggy)


def test_no_byte_depends_on_the_batch():
    """All models, in one batch, in two halves, and alone: as on one rank, on two, and anywhere after a resume."""
    whole = images(32)
    mine = [draw(seed, EVERY, SeverityLaw()) for seed in range(32)]
    assert len({stage.model for stages in mine for stage in stages}) > 8
    together = apply(whole, mine)
    halves = torch.cat([apply(whole[:16], mine[:16]), apply(whole[16:], mine[16:])])
    alone = torch.cat([apply(whole[i : i + 1], mine[i : i + 1]) for i in range(32)])
    assert torch.equal(together, halves) and torch.equal(together, alone)


def test_grouped_by_model_as_on_an_accelerator(monkeypatch):
    """Images of one model go through it together, in the order of their stages; up to rounding the same images."""
    whole = images(6)
    fog, rain = Stage("fog", 0.9, 3), Stage("rain", 0.9, 4)
    mine = [(fog,), (rain, fog), (), (fog, rain), (rain,), (fog,)]
    grouped = list(draws._groups(mine, together=True))
    assert [(model, places) for model, places, _ in grouped] == [
        ("fog", [0, 3, 5]),
        ("rain", [1, 4]),
        ("fog", [1]),
        ("rain", [3]),
    ]
    expected = apply(whole, mine)
    every = draws._groups
    monkeypatch.setattr(draws, "_groups", lambda found, together: every(found, True))
    assert torch.allclose(apply(whole, mine), expected, atol=1e-4)


def test_stages_come_one_after_another():
    image = images(1)
    first, _ = DEGRADATIONS["rain"](image, [4], 0.7)
    both, _ = DEGRADATIONS["jpeg"](first, [5], 0.9)
    assert torch.equal(apply(image, [(Stage("rain", 0.7, 4), Stage("jpeg", 0.9, 5))]), both)


def test_clean_images_stay_and_nothing_is_written_to():
    whole = images(3)
    before = whole.clone()
    result = apply(whole, [(), (Stage("fog", 0.9, 1),), ()])
    assert (
        torch.equal(whole, before) and torch.equal(result[::2], before[::2]) and not torch.equal(result[1], before[1])
    )
    assert apply(whole, [(), (), ()]) is whole


def test_a_degradation_that_makes_nan_is_named():
    whole = images(1)
    whole[0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match="contrast made NaN"):
        apply(whole, [(Stage("contrast", 0.5, 1),)])
