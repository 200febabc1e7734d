"""The animals and what is mistaken for them: in bounds, repeatable, and told apart by their shape and colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.synthetic.underwater.animals import (
    KINDS,
    STONES,
    Patch,
    _spines,
    echinus,
    holothurian,
    pick,
    polar,
    scallop,
    starfish,
    stone,
)

DRAWS = [echinus, holothurian, scallop, starfish, stone]


def drawn(draw, seed: int = 0) -> Patch:
    """An object 120 dots long."""
    v, u = np.meshgrid(*[np.linspace(-1.1, 1.1, 132, dtype=np.float32)] * 2, indexing="ij")
    return draw(np.random.default_rng(seed), u, v)


def rows_about(patch: Patch) -> np.ndarray:
    return np.ptp(np.argwhere(patch.inside), axis=0) / 120


@pytest.mark.parametrize("draw", DRAWS)
def test_objects_keep_to_their_length(draw):
    """Nothing beyond one half length of the middle; heights and colours are those of solid, lit objects."""
    for seed in range(8):
        patch, again = drawn(draw, seed), drawn(draw, seed)
        v, u = np.meshgrid(*[np.linspace(-1.1, 1.1, 132)] * 2, indexing="ij")
        assert np.hypot(u, v)[patch.inside].max() < 1.06
        assert patch.height.shape == patch.inside.shape and patch.colour.shape == (132, 132, 3)
        assert patch.height[patch.inside].min() > -0.05 and 0.05 < patch.height[patch.inside].max() < 0.8
        assert patch.colour[patch.inside].min() >= 0 and patch.colour[patch.inside].max() < 2.5
        assert all(np.array_equal(a, b) for a, b in zip(patch, again, strict=True))


def test_polar_by_hand():
    """(0, 1) lies a quarter turn on, (0, -1) three quarters."""
    radius, angle = polar(np.array([1.0, 0.0, 0.0, 3.0]), np.array([0.0, 1.0, -1.0, 4.0]))
    assert radius == pytest.approx([1, 1, 1, 5])
    assert angle[:3] == pytest.approx([0, np.pi / 2, 3 * np.pi / 2])


def test_pick_is_a_little_lighter_or_darker():
    found = np.array([pick(np.random.default_rng(seed), STONES) for seed in range(50)])
    ratios = found[:, None] / np.array(STONES)[None]
    level = np.abs(np.ptp(ratios, axis=2)) < 1e-3  # the same hue
    assert level.any(1).all() and level.any(0).all()
    assert ratios[level].min() > 0.799 and ratios[level].max() < 1.251


def test_spines_are_counted():
    """24 needles from the middle to 1: a circle at 0.8 crosses each once; there they lie 0.1 apart or more, 0.04 wide."""
    angle = np.linspace(0, 2 * np.pi, 7200, endpoint=False, dtype=np.float32)
    on = _spines(np.random.default_rng(0), np.full_like(angle, 0.8), angle, 24, 0.0, (1.0, 1.0))
    assert (np.diff(on.astype(int)) == 1).sum() + (on[0] and not on[-1]) == 24


@pytest.mark.parametrize("seed", range(4))
def test_a_starfish_has_five_arms(seed):
    """At two thirds of the way to the tips, a circle crosses five arms."""
    angle = np.linspace(0, 2 * np.pi, 3600, endpoint=False, dtype=np.float32)
    u, v = 0.66 * np.cos(angle), 0.66 * np.sin(angle)
    inside = starfish(np.random.default_rng(seed), u, v).inside
    assert ((np.roll(inside, -1).astype(int) - inside) == 1).sum() == 5


def test_shapes_differ():
    """An urchin is round and dark, a sea cucumber three times as long as wide or more, a shell one piece and pale."""
    for seed in range(6):
        urchin, roll, shell = drawn(echinus, seed), drawn(holothurian, seed), drawn(scallop, seed)
        tall, wide = rows_about(urchin)
        assert 0.85 < tall / wide < 1.18 and urchin.colour[urchin.inside].mean() < 0.12
        assert roll.inside.sum() / (rows_about(roll)[1] * 120) ** 2 < 0.36
        assert cv2.connectedComponents(shell.inside.astype(np.uint8))[0] == 2
        assert shell.colour[shell.inside].mean() > 2 * urchin.colour[urchin.inside].mean()


def test_kinds_are_sized_as_in_nature():
    """Metres: 5 to 25 cm, a sea cucumber the longest; how thick they look from the side lies between flat and ball."""
    for kind in KINDS.values():
        assert 0.05 < kind.length[0] < kind.length[1] <= 0.25 and 0 < kind.thickness <= 1
    assert KINDS["holothurian"].length[1] == max(kind.length[1] for kind in KINDS.values())
