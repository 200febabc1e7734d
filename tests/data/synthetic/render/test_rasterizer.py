"""The renderer's geometry, by hand: a camera 2 m up with a focal length of 100 px looks at objects whose pixels are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.synthetic.render.camera import SUPERSAMPLE, Camera, Pose
from data.synthetic.render.primitives import box
from data.synthetic.render.rasterizer import FAR, NEAR, Blob, Canvas, Material, Tube, noise_tile

CAMERA = Camera(width=80, height=60, focal=100.0, horizon=30.0, x=0.0, y=2.0, z=0.0, yaw=0.0)
GREY = Material((0.5, 0.5, 0.5), 0.0)
RED = Material((0.6, 0.1, 0.1), 0.0)


def canvas() -> Canvas:
    drawn = Canvas(CAMERA)
    drawn.floor(GREY)
    return drawn


def test_ground_depth_by_hand():
    """A fine row at height r px below the horizon sees the ground at focal * 2 m / r."""
    buffers = canvas().finish()
    row = 50 * SUPERSAMPLE  # its centre is (100.5 / 2) - 30 = 20.25 image pixels below the horizon
    assert buffers.depth[row, 0] == pytest.approx(200 / 20.25, rel=1e-5)
    assert buffers.position[row, :, 1] == pytest.approx(0, abs=1e-4)
    assert buffers.ground[row].all()
    assert (buffers.faces[: 30 * SUPERSAMPLE] == 0).all()
    assert buffers.depth[0, 0] == FAR


def test_a_box_fills_the_pixels_that_its_front_projects_to():
    """Front face at z = 10, 2 m wide, 1 m high on the ground: columns 30-50, rows 40-50 of the image."""
    drawn = canvas()
    drawn.draw([box((-1.0, 0.0, -1.0), (1.0, 1.0, 1.0), RED)], Pose(0.0, 11.0), owner=3)
    buffers = drawn.finish()
    rows, columns = np.nonzero(np.take(buffers.owner, buffers.faces) == 3)
    # the top face reaches up to z = 12: 100 * 1 / 12 = 8.33 px below the horizon
    assert (columns.min(), columns.max() + 1) == pytest.approx((60, 100), abs=2)
    assert (rows.min(), rows.max() + 1) == pytest.approx((76.7, 100), abs=2)
    assert buffers.depth[95, 80] == pytest.approx(10.0, rel=1e-4)


def test_faces_turned_away_are_not_drawn():
    """Seen from the front and above, a box shows two of its six faces."""
    drawn = canvas()
    drawn.draw([box((-1.0, 0.0, -1.0), (1.0, 1.0, 1.0), RED)], Pose(0.0, 11.0), owner=3)
    buffers = drawn.finish()
    seen = np.unique(buffers.faces[np.take(buffers.owner, buffers.faces) == 3])
    normals = sorted(tuple(np.round(n, 3) + 0.0) for n in buffers.normals[seen])
    assert normals == [(0.0, 0.0, -1.0), (0.0, 1.0, 0.0)]


def test_near_objects_hide_far_ones_and_are_counted():
    drawn = canvas()
    mark = drawn.begin()
    drawn.draw([box((-0.5, 0.0, -1.0), (0.5, 1.0, 1.0), RED)], Pose(0.0, 20.0), owner=0)
    alone = drawn.painted_since(mark)
    drawn.draw([box((-0.5, 0.0, -2.0), (0.5, 3.0, 2.0), GREY)], Pose(0.0, 8.0), owner=1)
    owners = np.take(drawn.finish().owner, drawn.faces)
    assert alone > 0
    assert not (owners == 0).any()
    assert (owners == 1).any()


@pytest.mark.parametrize(("x", "share"), [(0.0, 1.0), (4.0, 0.5), (30.0, 0.0)])
def test_share_inside_the_image(x, share):
    """A wall 2 m wide, 10 m away, spans 20 px about column 40 + 10 x; the image ends at column 80."""
    drawn = canvas()
    drawn.begin()
    drawn.draw([box((-0.01, 0.0, -1.0), (0.01, 1.0, 1.0), RED)], Pose(x, 10.0), owner=0)
    assert drawn.inside() == pytest.approx(share, abs=0.03)


def test_a_object_through_the_camera_is_clipped():
    drawn = canvas()
    drawn.draw([box((-5.0, 0.0, 1.0), (5.0, 1.0, 2.0), RED)], Pose(0.0, 2.0), owner=0)
    buffers = drawn.finish()
    mine = np.take(buffers.owner, buffers.faces) == 0
    assert mine.any()
    assert buffers.depth[mine].min() >= NEAR - 1e-4


def test_tube_and_ball_have_the_size_of_their_radius():
    """An upright tube of radius 0.5 m at 10 m is 10 image pixels wide; a ball of that radius too, and as high."""
    drawn = canvas()
    drawn.draw([Tube((0.0, 0.5, 0.0), (0.0, 1.5, 0.0), 0.5, 0.5, RED)], Pose(-2.0, 10.0), owner=0)
    drawn.draw([Tube((0.0, 2.0, 0.0), (0.0, 2.0, 0.0), 0.5, 0.5, RED)], Pose(2.0, 10.0), owner=1)
    owners = np.take(drawn.finish().owner, drawn.faces)
    for owner, height in ((0, 20), (1, 10)):
        rows, columns = np.nonzero(owners == owner)
        assert (np.ptp(columns) + 1) / SUPERSAMPLE == pytest.approx(10, abs=1.5)
        assert (np.ptp(rows) + 1) / SUPERSAMPLE == pytest.approx(height, abs=1.5)


def test_a_round_limb_is_lit_from_both_flanks_differently():
    drawn = canvas()
    drawn.draw([Tube((0.0, 0.2, 0.0), (0.0, 1.8, 0.0), 0.5, 0.5, RED)], Pose(0.0, 10.0), owner=0)
    buffers = drawn.finish()
    row = buffers.faces[90]
    mine = row[np.take(buffers.owner, row) == 0]
    sideways = buffers.normals[mine, 0]
    assert sideways[1] < -0.5 < 0.5 < sideways[-2]


def test_blob_is_lit_by_its_own_normal():
    drawn = canvas()
    leaf = Blob((0.0, 2.0, 0.0), 0.5, (1.0,) * 12, (0.0, 1.0, 0.0), RED)
    drawn.draw([leaf], Pose(0.0, 10.0), owner=0)
    buffers = drawn.finish()
    assert buffers.normals[buffers.faces[60, 80]] == pytest.approx([0.0, 1.0, 0.0])


def test_beamed_emission_falls_with_the_angle():
    """Seen head-on a lens shines fully, seen from 60 degrees aside with cos^1 = half; its rear not at all."""
    lens = Material((0.1, 0.1, 0.1), 0.0, 0.0, (2.0, 2.0, 2.0), 1.0)
    shown = []
    for heading in (math.pi, math.pi - math.radians(60)):
        drawn = Canvas(Camera(80, 60, 100.0, 30.0, 0.0, 0.5, 0.0, 0.0))
        drawn.draw([box((-0.1, 0.4, -0.1), (0.1, 0.6, 0.1), GREY, edges={2: lens})], Pose(0.0, 10.0, heading))
        shown.append(float(drawn.finish().emission.max()))
    assert shown == pytest.approx([2.0, 1.0], abs=0.04)


def test_ground_paint_has_no_thickness_and_casts_no_shadow():
    drawn = canvas()
    drawn.flat(np.array([(-1, 0, 5), (1, 0, 5), (1, 0, 9), (-1, 0, 9)], np.float32), RED)
    drawn.flat(np.array([(-1, 0, -5), (1, 0, -5), (1, 0, -9), (-1, 0, -9)], np.float32), RED)  # behind: nothing
    buffers = drawn.finish()
    painted = buffers.colour[buffers.faces, 0] > 0.55
    assert painted.any()
    assert buffers.ground[painted].all()
    assert drawn.casters == []


def test_noise_tile_repeats_at_its_edges():
    tile = noise_tile()
    assert (tile.shape, tile.mean(), tile.std()) == ((256, 256), pytest.approx(0, abs=0.1), pytest.approx(1, abs=1e-3))
    across_the_edge = np.abs(tile[:, 0] - tile[:, -1]).mean()
    assert across_the_edge == pytest.approx(np.abs(np.diff(tile, axis=1)).mean(), rel=0.25)


def test_texture_has_mean_one():
    drawn = Canvas(CAMERA)
    drawn.floor(GREY._replace(texture=0.2))
    grain = drawn.finish().grain[60:]
    assert grain.mean() == pytest.approx(1, abs=0.05)
    assert grain.std() > 0.02
