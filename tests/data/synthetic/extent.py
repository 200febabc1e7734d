"""How far a synthetic object reaches: a helper of the tests of vehicles, people and buildings."""

from __future__ import annotations

import numpy as np

from data.synthetic.render.primitives import Model
from data.synthetic.render.rasterizer import Blob, Solid


def extent(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (forward, up, right) of all shapes."""
    low, high = [], []
    for shape in model.shapes:
        if isinstance(shape, Solid):
            low.append(shape.points.min(0))
            high.append(shape.points.max(0))
        elif isinstance(shape, Blob):
            low.append(np.array(shape.centre) - shape.radius)
            high.append(np.array(shape.centre) + shape.radius)
        else:
            low.append(np.minimum(np.array(shape.a) - shape.radius_a, np.array(shape.b) - shape.radius_b))
            high.append(np.maximum(np.array(shape.a) + shape.radius_a, np.array(shape.b) + shape.radius_b))
    return np.min(low, 0), np.max(high, 0)
