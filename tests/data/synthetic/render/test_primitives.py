"""Building blocks: counts and corners by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data.synthetic.render.primitives import (
    ball,
    box,
    disc,
    extrude,
    limb,
    on_edge,
    panel,
    pick,
    ring,
    srgb,
    times,
    wheel,
)
from data.synthetic.render.rasterizer import Material

PLAIN = Material((0.2, 0.3, 0.4))
OTHER = Material((0.9, 0.9, 0.9))
CUBE = [(-1.0, 0.0, 1.0), (-1.0, 2.0, 1.0), (1.0, 2.0, 1.0), (1.0, 0.0, 1.0)]


@pytest.mark.parametrize(
    ("colour", "linear"),
    [((0, 0, 0), (0, 0, 0)), ((255, 255, 255), (1, 1, 1)), ((128, 10, 255), (0.2158605, 0.0030353, 1.0))],
)
def test_srgb_by_hand(colour, linear):
    """((128 / 255 + 0.055) / 1.055) ** 2.4 = 0.21586; 10 / 255 / 12.92 = 0.0030353."""
    assert srgb(*colour) == pytest.approx(linear, abs=1e-6)


def test_times_scales_a_colour():
    assert times((0.1, 0.2, 0.3), 2) == pytest.approx((0.2, 0.4, 0.6))


def test_pick_stays_near_one_of_the_choices():
    rng = np.random.default_rng(0)
    for _ in range(50):
        colour = np.array(pick(rng, [(0.5, 0.2, 0.1)]))
        assert (np.abs(colour / [0.5, 0.2, 0.1] - 1) < 0.3).all()


def test_extrude_has_two_sides_and_a_face_an_edge():
    body = extrude(CUBE, PLAIN, edges={1: OTHER})
    assert list(np.diff(body.starts)) == [4] * 6
    assert (body.parent == -1).all()
    assert [material is OTHER for material in body.materials] == [False, False, False, True, False, False]
    assert body.points.min(0) == pytest.approx([-1, 0, -1])
    assert body.points.max(0) == pytest.approx([1, 2, 1])


def test_side_decals_follow_a_leaning_side():
    """Half width 1 at the foot, 0.5 at 2 m: a decal corner at 1 m lies at 0.75."""
    cabin = [(-1.0, 0.0, 1.0), (-1.0, 2.0, 0.5), (1.0, 2.0, 0.5), (1.0, 0.0, 1.0)]
    body = extrude(cabin, PLAIN, side=[panel(-0.5, 0.5, 1.0, 2.0, OTHER)])
    decals = np.flatnonzero(body.parent >= 0)
    assert list(body.parent[decals]) == [0, 2]  # one on each side; face 2 is the right one
    left = body.points[body.starts[decals[0]] : body.starts[decals[0] + 1]]
    assert left[:, 2] == pytest.approx([-0.75, -0.75, -0.5, -0.5])


def test_decals_can_lie_on_one_side_only():
    body = extrude(CUBE, PLAIN, side=[panel(-0.5, 0.5, 1.0, 2.0, OTHER)], paint_sides=(1.0,), shift=5.0)
    (decal,) = np.flatnonzero(body.parent >= 0)
    assert body.points[body.starts[decal] : body.starts[decal + 1], 2] == pytest.approx([6.0] * 4)


def test_on_edge_by_hand():
    """Edge 1 of the cube is its roof, from rear to front: across -1..0 is the left half, along 0.5..1 the front half."""
    face = on_edge(CUBE, 1, (-1.0, 0.0), (0.5, 1.0), OTHER)
    assert face.points == pytest.approx(np.array([(0, 2, -1), (0, 2, 0), (1, 2, 0), (1, 2, -1)]))


def test_box_keeps_its_corners():
    body = box((0.0, 1.0, 2.0), (1.0, 3.0, 5.0), PLAIN)
    assert body.points.min(0) == pytest.approx([0, 1, 2])
    assert body.points.max(0) == pytest.approx([1, 3, 5])
    assert body.middle == pytest.approx([0.5, 2.0, 3.5])


def test_wheel_stands_on_the_ground():
    body = wheel(2.0, 0.3, 0.1, PLAIN, OTHER)
    assert body.points[:, 1].min() == pytest.approx(0, abs=0.01)
    assert body.points[:, 1].max() == pytest.approx(0.6, abs=0.01)
    assert sum(material is OTHER for material in body.materials) == 2


def test_disc_has_its_radius():
    points = disc(1.0, 2.0, 0.5, PLAIN).points
    assert np.hypot(points[:, 0] - 1, points[:, 1] - 2) == pytest.approx(0.5, abs=1e-6)


def test_ring_is_closed_and_touches_the_ground():
    tubes = ring(0.0, 0.3, 0.05, PLAIN, parts=8)
    assert tubes[0].a == pytest.approx(tubes[-1].b, abs=1e-9)
    assert min(min(t.a[1], t.b[1]) for t in tubes) == pytest.approx(0.05)


def test_limb_joins_its_spots():
    first, second = limb([(0, 0, 0), (0, 1, 0), (1, 1, 0)], [0.3, 0.2, 0.1], PLAIN)
    assert (first.b, first.radius_b) == (second.a, second.radius_a)
    assert ball((1.0, 2.0, 3.0), 0.5, PLAIN).a == (1.0, 2.0, 3.0)
