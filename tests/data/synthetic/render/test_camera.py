"""Cameras and poses by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.synthetic.render.camera import Camera, Pose
from data.synthetic.render.rasterizer import Canvas, Material

CAMERA = Camera(width=80, height=60, focal=100.0, horizon=30.0, x=0.0, y=2.0, z=0.0, yaw=0.0)
GREY = Material((0.5, 0.5, 0.5), 0.0)
RED = Material((0.6, 0.1, 0.1), 0.0)


def canvas() -> Canvas:
    drawn = Canvas(CAMERA)
    drawn.floor(GREY)
    return drawn


@pytest.mark.parametrize(
    ("point", "pixel"),
    [
        ((0.0, 2.0, 10.0), (40.0, 30.0)),  # straight ahead at eye height: the middle column, on the horizon
        ((1.0, 2.0, 10.0), (50.0, 30.0)),  # 1 m right at 10 m: 100 * 1 / 10 = 10 px right
        ((0.0, 0.0, 10.0), (40.0, 50.0)),  # the ground at 10 m: 100 * 2 / 10 = 20 px below the horizon
        ((0.0, 4.0, 20.0), (40.0, 20.0)),  # 2 m above the eye at 20 m: 10 px above
    ],
)
def test_projection_by_hand(point, pixel):
    assert CAMERA.project(np.array(point), scale=1) == pytest.approx(np.array(pixel) - 0.5)
    assert CAMERA.project(np.array(point), scale=2) == pytest.approx(2 * np.array(pixel) - 0.5)


def test_a_turned_camera_sees_to_the_right():
    """Yaw pi/2 looks along +x: what lies 5 m along x is 5 m ahead, what lies along +z is to the left."""
    turned = Camera(80, 60, 100.0, 30.0, x=1.0, y=2.0, z=3.0, yaw=math.pi / 2)
    assert turned.to_camera(np.array([6.0, 0.7, 3.0])) == pytest.approx([0.0, 0.7, 5.0], abs=1e-6)
    assert turned.to_camera(np.array([1.0, 0.0, 5.0])) == pytest.approx([-2.0, 0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("yaw", [0.0, 0.4, -1.3])
def test_to_synthetic_inverts_to_camera(yaw):
    camera = Camera(80, 60, 100.0, 30.0, x=1.5, y=2.0, z=-3.0, yaw=yaw)
    seen = camera.to_camera(np.array([4.0, 0.0, 9.0]))
    assert camera.to_world(float(seen[0]), float(seen[2])) == pytest.approx((4.0, 9.0), abs=1e-5)


@pytest.mark.parametrize(
    ("heading", "expected"),
    [(0.0, (13.0, 0.5, 21.0)), (math.pi / 2, (11.0, 0.5, 17.0)), (math.pi, (7.0, 0.5, 19.0))],
)
def test_pose_turns_forward_and_right(heading, expected):
    """(forward 1, up 0.5, right 3) at (10, 20): heading 0 puts forward on z, right on x; pi/2: forward on x, right on -z."""
    assert Pose(10.0, 20.0, heading).place(np.array([1.0, 0.5, 3.0])) == pytest.approx(expected, abs=1e-6)
