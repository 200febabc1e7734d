"""Parts of objects by hand: what a cylinder, a ball, a ring, a rod and a panel cover, and which way they face."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.synthetic.shelf.primitives import TILT, Part, around, lathe, limb, mouth, panel, ring, sphere

CYLINDER = lathe(((0.0, 0.5), (1.0, 0.5)))
PARTS: list[Part] = [
    CYLINDER,
    lathe(((0.0, 0.2), (0.3, 0.4), (0.8, 0.1))),
    mouth(0.7, 0.3),
    ring((0.1, 0.5), (0.3, 0.2), 0.08),
    ring((0.0, 0.4), (0.3, 0.4), 0.08, upper=True),
    limb((0.1, 0.2), (-0.3, 0.8), (0.1, 0.05)),
    sphere((0.0, 0.5), 0.4, (0.3, -0.5)),
    panel((0.0, 0.0), (0.6, 0.1), (0.0, 0.7), (0.8, 0.7), (0.6, 0.0, 0.8)),
]


def at(part: Part, x: float, y: float) -> tuple[bool, list[float], list[float]]:
    face = part.face(np.array([[x]], np.float32), np.array([[y]], np.float32))
    return bool(face.inside[0, 0]), face.normal[0, 0].tolist(), face.place[0, 0].tolist()


@pytest.mark.parametrize(("y", "covered"), [(-0.11, False), (-0.09, True), (0.5, True), (0.89, True), (0.91, False)])
def test_a_cylinder_hangs_over_the_board(y: float, covered: bool) -> None:
    """Radius 0.5: its front is 0.5 nearer, so it appears TILT * 0.5 = 0.1 lower, from -0.1 to 0.9."""
    assert TILT == 0.2
    assert at(CYLINDER, 0.0, y)[0] is covered


def test_a_cylinder_turns_away_to_its_side() -> None:
    """x = 0.3 of radius 0.5: sine 0.6, so it faces (0.6, 0, 0.8), is 0.4 near, and 0.5 asin 0.6 round the corner."""
    covered, normal, place = at(CYLINDER, 0.3, 0.5)
    assert covered
    assert normal == pytest.approx([0.6, 0.0, 0.8], abs=1e-6)
    assert place == pytest.approx([0.5 * math.asin(0.6), 0.5 + 0.2 * 0.4], abs=1e-6)


def test_a_ball_faces_outwards() -> None:
    """(0.3, 0.4) from the middle of radius 0.65: w = sqrt(0.65² - 0.25)."""
    covered, normal, _ = at(sphere((1.0, 1.0), 0.65), 1.3, 1.4)
    assert covered
    assert normal == pytest.approx([0.3 / 0.65, 0.4 / 0.65, math.sqrt(0.65**2 - 0.25) / 0.65], abs=1e-5)
    assert not at(sphere((1.0, 1.0), 0.49), 1.3, 1.4)[0]


def test_a_ring_is_hollow() -> None:
    """Radius 0.4, thick 0.1: from 0.35 to 0.45; half of it where `upper`."""
    whole, half = (ring((0.0, 0.0), (0.4, 0.4), 0.1, upper=upper) for upper in (False, True))
    assert [at(whole, x, 0.0)[0] for x in (0.0, 0.34, 0.36, 0.44, 0.46)] == [False, False, True, True, False]
    assert at(whole, 0.4, 0.0)[1] == pytest.approx([0, 0, 1], abs=1e-6)
    assert [at(half, 0.0, y)[0] for y in (0.4, -0.4)] == [True, False]


def test_a_rod_narrows() -> None:
    """Radius 0.2 to 0.1 over 1: half way up it is 0.15."""
    rod = limb((0.0, 0.0), (0.0, 1.0), (0.2, 0.1))
    assert [at(rod, x, 0.5)[0] for x in (0.14, 0.16)] == [True, False]
    assert at(rod, -0.075, 0.5)[1] == pytest.approx([-0.5, 0.0, math.sqrt(0.75)], abs=1e-6)


def test_places_on_a_panel_are_true_lengths() -> None:
    """Half way along an edge drawn 0.6 wide whose true length is 0.8, and half way up 0.7."""
    assert at(PARTS[-1], 0.3, 0.05 + 0.35)[2] == pytest.approx([0.4, 0.35], abs=1e-6)
    assert not at(PARTS[-1], 0.61, 0.4)[0]


@pytest.mark.parametrize("part", PARTS)
def test_the_extent_just_holds_what_is_covered(part: Part) -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 401, dtype=np.float32), np.linspace(-0.5, 1.5, 401, dtype=np.float32))
    face = part.face(x, y)
    found = [x[face.inside].min(), y[face.inside].min(), x[face.inside].max(), y[face.inside].max()]
    loose = 0.11 if part in PARTS[:2] else 0.011  # a lathe may be lower at its widest
    assert np.abs(np.subtract(found, part.extent)).max() < loose
    assert np.linalg.norm(face.normal[face.inside], axis=-1) == pytest.approx(1, abs=1e-3)


def test_around() -> None:
    assert around((sphere((0, 0), 1), sphere((2, 1), 0.5))) == (-1, -1, 2.5, 1.5)
