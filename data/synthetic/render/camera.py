"""Where a scene is seen from, and where its models stand: arrays of points through a level pinhole camera.

Frame: x right, y up from the ground, z forward, metres. numpy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # of float32 where nothing else is said
SUPERSAMPLE = 2  # the buffers are this many times finer than the image


def floats(values: Any) -> Array:
    """A float32 array of numbers or nested lists."""
    return np.asarray(values, np.float32)


def triple(values: Any) -> tuple[float, float, float]:
    """Three numbers of an array as plain floats."""
    first, second, third = (float(value) for value in values)
    return first, second, third


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, held level. `width`, `height`, `focal`, `horizon` (row) in image pixels; `yaw` in radians."""

    width: int
    height: int
    focal: float
    horizon: float
    x: float
    y: float
    z: float
    yaw: float

    def to_camera(self, points: Array) -> Array:
        """World points (..., 3) -> the camera's frame (..., 3): turned and moved; y stays the height above ground."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        x, z = points[..., 0] - self.x, points[..., 2] - self.z
        return np.stack([c * x - s * z, points[..., 1], s * x + c * z], axis=-1).astype(np.float32)

    def to_world(self, x: float, z: float) -> tuple[float, float]:
        """A ground point of the camera's frame -> (x, z) in the world."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + c * x + s * z, self.z - s * x + c * z

    def project(self, points: Array, scale: int = SUPERSAMPLE) -> Array:
        """Camera points (..., 3) with z > 0 -> pixels (..., 2), centres at whole numbers, `scale` times as fine."""
        depth = points[..., 2]
        column = self.width / 2 + self.focal * points[..., 0] / depth
        row = self.horizon - self.focal * (points[..., 1] - self.y) / depth
        return np.stack([column, row], axis=-1) * scale - 0.5

    def rays(self, scale: int = SUPERSAMPLE) -> tuple[Array, Array]:
        """Slopes x/z (W,) of the columns and (y - camera height)/z (H,) of the rows of the fine image."""
        column = (np.arange(self.width * scale, dtype=np.float32) + 0.5) / scale
        row = (np.arange(self.height * scale, dtype=np.float32) + 0.5) / scale
        return (column - self.width / 2) / self.focal, (self.horizon - row) / self.focal


@dataclass(frozen=True)
class Pose:
    """Where a model stands: ground position in metres, heading in radians (0 looks along +z, pi/2 along +x)."""

    x: float
    z: float
    heading: float = 0.0

    def place(self, points: Array) -> Array:
        """Model points (..., 3) as (forward, up, right) -> world points (..., 3)."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        forward, up, right = points[..., 0], points[..., 1], points[..., 2]
        return np.stack([self.x + s * forward + c * right, up, self.z + c * forward - s * right], axis=-1)
