"""Synthetic images to classify, by day and by night: one object of the synthetic street in the middle of each.

The ten classes are objects that vehicles.py, people.py and buildings.py draw; houses and lamps stand around
them as in scene.py, and day and night are those of render/lighting.py. numpy and OpenCV only, but for darkened copies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Camera, Pose
from data.synthetic.render.lighting import day, night
from data.synthetic.render.primitives import Model
from data.synthetic.street.buildings import bench, bin_, bollard, sign, tree
from data.synthetic.street.people import dog, person
from data.synthetic.street.scene import Street, draw, make_street
from data.synthetic.street.vehicles import BUILDERS

Image = NDArray[np.uint8]
Build = Callable[[np.random.Generator, bool], Model]
OBJECTS: dict[str, Build] = {  # in the order of the labels; `lit` lights what has lamps
    "Bench": lambda rng, lit: bench(rng),
    "Bicycle": BUILDERS["bicycle"],
    "Bin": lambda rng, lit: bin_(rng),
    "Bus": BUILDERS["bus"],
    "Car": BUILDERS["car"],
    "Dog": lambda rng, lit: dog(rng, rng.uniform(0, 2 * math.pi)),
    "Motorbike": BUILDERS["motorbike"],
    "Person": lambda rng, lit: person(rng, str(rng.choice(["walk", "stand"])), rng.uniform(0, 2 * math.pi)),
    "Sign": lambda rng, lit: sign(rng),
    "Tree": lambda rng, lit: tree(rng),
}
NAMES = tuple(OBJECTS)
FILLS = (0.5, 0.95)  # fraction of the image's side that the longer side of an object takes
NEAREST = (3.5, 6.0)  # metres to an object of no size; a large one stands further away
HORIZON = (0.15, 0.6)  # fraction of the image above it
LOWEST = 0.25  # metres: no camera is held lower
WIDE = 5.0  # metres: what is deeper is a house


def object_in_street(seed: int, size: tuple[int, int], looks: Collection[str]) -> tuple[dict[str, Image], int]:
    """Image number `seed` of (width, height) px, RGB, in each look (`day`, `night`): look -> image, and the class.

    Classes take turns: image number n is of class n % 10.
    """
    frame = draw(_street(seed, size))
    lights = {"day": day, "night": night}
    return {look: lights[look](frame, seed) for look in looks}, seed % len(NAMES)


def _street(seed: int, size: tuple[int, int]) -> Street:
    """A street with nothing on it but one object that the camera looks at, and now and then a bollard."""
    rng = np.random.default_rng([seed, 51])
    street = make_street(seed, size)
    target = OBJECTS[NAMES[seed % len(NAMES)]](rng, bool(rng.random() < 0.7))
    away = rng.uniform(*NEAREST) + 1.1 * max(target.size)
    camera = _aimed(rng, street.camera, target, away)
    standing = [(model, pose) for model, pose in street.standing if model.size[2] > WIDE or model.lamps]
    standing.append((target, Pose(*camera.to_world(0.0, away), rng.uniform(0, 2 * math.pi))))
    if rng.random() < 0.4:
        aside = rng.choice([-1, 1]) * (0.4 + 0.5 * max(target.size[0], target.size[2]))
        standing.append((bollard(rng), Pose(*camera.to_world(float(aside), away * rng.uniform(0.9, 1.4)))))
    return replace(street, camera=camera, standing=tuple(standing), actors=())


def _aimed(rng: np.random.Generator, camera: Camera, target: Model, away: float) -> Camera:
    """The street's camera with the object, `away` metres ahead, near the middle of the image and large in it."""
    length, height, width = target.size
    across = max(0.75 * length, width, height)
    focal = rng.uniform(*FILLS) * min(camera.width, camera.height) * away / across
    middle = camera.height * rng.uniform(0.44, 0.56)  # the row of the object's middle
    horizon = camera.height * rng.uniform(*HORIZON)
    up = max(height / 2 + (middle - horizon) * away / focal, LOWEST)
    return replace(camera, focal=focal, y=up, horizon=max(middle - focal * (up - height / 2) / away, 1.0))
