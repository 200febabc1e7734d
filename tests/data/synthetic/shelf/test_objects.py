"""Objects on the synthetic shelf: names that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from data.synthetic.shelf.objects import (
    EVERY_FORM,
    EVERY_SURFACE,
    FORMS,
    NAMES,
    OTHER_FORMS,
    OTHER_SURFACES,
    SURFACES,
    draw_object,
)


def test_the_names() -> None:
    assert len(NAMES) == len(set(NAMES)) == 40 == len(FORMS) * len(SURFACES)
    assert {"red_jug", "striped_bottle"} <= set(NAMES)
    assert not OTHER_FORMS.keys() & FORMS.keys() and not OTHER_SURFACES.keys() & SURFACES.keys()
    assert all(word.isalpha() and word.islower() for word in (*EVERY_FORM, *EVERY_SURFACE))


@pytest.mark.parametrize("form", EVERY_FORM)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_form_fills_its_grid(form: str, seed: int) -> None:
    """The longer side is as long as asked, and the object reaches close to all four sides."""
    sprite = draw_object(np.random.default_rng(seed), f"red_{form}", 90)
    height, width = sprite.inside.shape
    assert max(height, width) in (91, 92)
    assert sprite.normal.shape == sprite.colour.shape == (height, width, 3)
    assert np.isfinite(sprite.colour).all() and sprite.colour.min() >= 0
    rows, columns = np.flatnonzero(sprite.inside.any(1)), np.flatnonzero(sprite.inside.any(0))
    assert max(rows[0], columns[0], height - 1 - rows[-1], width - 1 - columns[-1]) <= 6
    assert sprite.inside.mean() > 0.15
    assert np.linalg.norm(sprite.normal[sprite.inside], axis=-1) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("surface", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_plain_objects_have_their_colour(surface: str, channel: int) -> None:
    for seed in range(8):
        sprite = draw_object(np.random.default_rng(seed), f"{surface}_ball", 40)
        assert sprite.colour[sprite.inside].mean(0).argmax() == channel


@pytest.mark.parametrize("surface", ["striped", "dotted", "checked"])
def test_patterns_have_two_colours_far_apart(surface: str) -> None:
    """Exactly two, one at least twice (e to 0.7) as bright as the other, each on a tenth of the object or more."""
    for seed in range(8):
        sprite = draw_object(np.random.default_rng(seed), f"{surface}_ball", 60)
        colours, counts = np.unique(sprite.colour[sprite.inside], axis=0, return_counts=True)
        assert len(colours) == 2
        assert counts.min() > 0.1 * counts.sum()
        dark, light = sorted(colours.mean(1))
        assert light > 1.99 * dark


def test_half_are_mirrored() -> None:
    """A teapot's spout is on one side: the middle of what it covers is left or right of the grid's."""
    sides = []
    for seed in range(40):
        inside = draw_object(np.random.default_rng(seed), "red_jug", 40).inside
        top = inside[: len(inside) // 5]
        sides.append(np.nonzero(top)[1].mean() > (inside.shape[1] - 1) / 2)
    assert 10 <= sum(sides) <= 30
