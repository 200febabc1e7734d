"""The synthetic street: where objects stand, how they move, and one drawn frame of it with labels.

A layout is fixed by its seed and drawn for a time in seconds, so stills are frames at time 0 and clips are many frames.
World frame: the street runs along z, the middle of the road is x = 0, right-hand traffic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import SUPERSAMPLE, Array, Camera, Pose, floats, triple
from data.synthetic.render.primitives import Lamp, Model, srgb, times
from data.synthetic.render.rasterizer import Buffers, Canvas, Caster, Material, numbered_label_rows
from data.synthetic.street.buildings import building, furnishings, lamp_post
from data.synthetic.street.people import dog, person
from data.synthetic.street.vehicles import BUILDERS, WHITE_BEAM

NAMES: tuple[str, ...] = ("bicycle", "bus", "car", "dog", "motorbike", "people")
# metres from the camera, how often, speed in m/s, radius of the ground it takes
HABITS: dict[str, tuple[float, float, float, float, float]] = {
    "bicycle": (5.0, 10.5, 1.0, 3.5, 0.7),
    "bus": (13.0, 26.0, 0.8, 6.0, 1.5),
    "car": (7.5, 19.0, 1.3, 7.0, 1.2),
    "dog": (4.0, 7.5, 1.0, 1.2, 0.5),
    "motorbike": (5.0, 11.0, 1.0, 7.0, 0.7),
    "people": (4.5, 12.0, 1.5, 1.2, 0.35),
}
LENGTHS = {"bicycle": 1.8, "bus": 10.0, "car": 4.5, "dog": 0.9, "motorbike": 2.2, "people": 0.5}
LOOP = (2.0, 62.0)  # metres of street that moving objects of a clip go round in


@dataclass(frozen=True)
class Actor:
    """One labelled object. `looks` seeds its appearance, `manner` is a person's pose, `speed` is ahead, in m/s."""

    name: str
    looks: int
    pose: Pose
    speed: float
    lit: bool
    manner: str = "walk"
    phase: float = 0.0

    def model(self, time: float = 0.0) -> Model:
        """Its shapes at `time` seconds: limbs move with the way it has gone."""
        rng = np.random.default_rng(self.looks)
        phase = self.phase + 5.2 * min(self.speed, 1.6) * time
        if self.name == "people":
            return person(rng, self.manner, phase)
        if self.name == "dog":
            return dog(rng, 1.7 * phase)
        return BUILDERS[self.name](rng, self.lit)

    def at(self, time: float) -> Pose:
        """Where it is after `time` seconds; whoever leaves the street's end comes in again at the other."""
        x = self.pose.x + self.speed * time * math.sin(self.pose.heading)
        z = self.pose.z + self.speed * time * math.cos(self.pose.heading)
        wrapped = LOOP[0] + (z - LOOP[0]) % (LOOP[1] - LOOP[0]) if time > 0 else z
        return replace(self.pose, x=x, z=wrapped)

    def round(self, time: float) -> int:
        """How often it has left the street's end until then; whoever comes in again is somebody else for a tracker."""
        z = self.pose.z + self.speed * time * math.cos(self.pose.heading)
        return math.floor((z - LOOP[0]) / (LOOP[1] - LOOP[0])) if time > 0 else 0


@dataclass(frozen=True)
class Street:
    """A layout: camera, half widths of road and of road with pavements (metres), standing objects, and actors."""

    seed: int
    camera: Camera
    road: float
    verge: float
    surfaces: tuple[tuple[Array, Material], ...]
    standing: tuple[tuple[Model, Pose], ...]
    actors: tuple[Actor, ...]


@dataclass(frozen=True)
class Frame:
    """A drawn street: buffers, lamps and shadow casters in the camera's frame, and labels of what is visible."""

    camera: Camera
    buffers: Buffers
    lamps: tuple[Lamp, ...]  # places and aims as (x, y, z) of the camera's frame
    casters: tuple[Caster, ...]
    labels: NDArray[np.float32]  # (n, 5) class, centre x, centre y, width, height as fractions of the image
    actors: tuple[int, ...]  # number of each label's actor in the street


def make_street(seed: int, size: tuple[int, int] = (320, 240), moving: bool = False) -> Street:
    """Lay out street number `seed` for an image of `size` (width, height). `moving` spreads traffic for a clip."""
    rng = np.random.default_rng([seed, 11])
    road, pavement = rng.uniform(3.4, 5.2), rng.uniform(2.6, 4.2)
    camera = _camera(rng, size, road, at_kerb=moving)
    standing = _standing(rng, road, road + pavement)
    actors = _traffic(rng, road, road + pavement) if moving else _actors(rng, camera, road, road + pavement)
    return Street(seed, camera, road, road + pavement, tuple(_surfaces(rng, road, road + pavement)), standing, actors)


def _camera(rng: np.random.Generator, size: tuple[int, int], road: float, at_kerb: bool) -> Camera:
    """Someone standing at the roadside or on the road, looking down the street; `at_kerb` lets traffic pass."""
    width, height = size
    x = rng.choice([-1, 1]) * (road + 0.4) if at_kerb else rng.uniform(-road - 1, road + 1)
    yaw = math.atan2(-0.6 * x, 14) + rng.normal(0, 0.02 if at_kerb else 0.10)
    focal, horizon = width * rng.uniform(0.80, 0.98), height * rng.uniform(0.36, 0.46)
    return Camera(width, height, focal, horizon, x, rng.uniform(1.6, 2.5), 0.0, yaw)


def _surfaces(rng: np.random.Generator, road: float, verge: float) -> list[tuple[Array, Material]]:
    """What lies on the ground: asphalt, pavements with joints, kerbs, lane marks, a crossing, patches."""
    grey = rng.uniform(0.75, 1.25)
    asphalt = Material(times(srgb(88, 88, 92), grey), 0.16)
    slabs, joint = Material(srgb(150, 146, 138), 0.12), Material(srgb(112, 108, 102), 0.05)
    kerb, paint = Material(srgb(185, 183, 178), 0.08), Material(srgb(225, 224, 215), 0.15)
    found = [(_strip(-road, road, -5, 300), asphalt)]
    for sign in (-1, 1):
        found.append((_strip(sign * road, sign * verge, -5, 300), slabs))
        found += [(_strip(sign * road, sign * verge, z, z + 0.05), joint) for z in np.arange(2.0, 22.0, 1.5)]
        found.append((_strip(sign * (road + verge) / 2, sign * ((road + verge) / 2 + 0.04), -5, 40), joint))
        found.append((_strip(sign * road, sign * (road + 0.18), -5, 120), kerb))
    for _ in range(rng.integers(0, 4)):
        x, z, tone = rng.uniform(-road, road - 1), rng.uniform(3, 25), rng.uniform(0.6, 0.9)
        patch = _strip(x, x + rng.uniform(0.5, 1.5), z, z + rng.uniform(1, 5))
        found.append((patch, asphalt._replace(colour=times(asphalt.colour, tone))))
    found += [(_strip(-0.07, 0.07, z, z + 2.5), paint) for z in np.arange(rng.uniform(0, 5), 70, 5.5)]
    if rng.random() < 0.4:
        z = rng.uniform(5, 18)
        found += [(_strip(x, x + 0.5, z, z + 2.8), paint) for x in np.arange(-road + 0.4, road - 0.4, 1.0)]
    return found


def _strip(left: float, right: float, near: float, far: float) -> Array:
    return np.array([(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)], np.float32)


def _standing(rng: np.random.Generator, road: float, verge: float) -> tuple[tuple[Model, Pose], ...]:
    """Buildings first (drawn behind everything, far to near), then lamps, trees and small objects by the kerb."""
    houses: list[tuple[Model, Pose]] = []
    for sign in (-1, 1):
        z = rng.uniform(-12, -4)
        while z < 75:
            length = rng.uniform(8, 15)
            houses.append((building(rng, length, sign, near=z < 25), Pose(sign * verge, z + length / 2)))
            z += length + (rng.uniform(2, 6) if rng.random() < 0.2 else 0)
    houses.sort(key=lambda item: -item[1].z)
    if rng.random() < 0.7:
        houses.insert(0, (building(rng, 14.0, 0), Pose(0.0, rng.uniform(85, 110))))
    return (*houses, *_lamp_posts(rng, road), *furnishings(rng, road, verge), *_car_behind(rng, road))


def _car_behind(rng: np.random.Generator, road: float) -> list[tuple[Model, Pose]]:
    """The headlights of a car behind the camera, in some streets: light without an object to see."""
    if rng.random() > 0.4:
        return []
    beam = Lamp((0.0, 0.7, 0.0), WHITE_BEAM, rng.uniform(40, 90), (1.0, -0.03, 0.0), 9.0)
    return [(Model((), (0.0, 0.0, 0.0), (beam,)), Pose(rng.uniform(0.3, 0.7) * road, -3.0, rng.normal(-0.05, 0.1)))]


def _lamp_posts(rng: np.random.Generator, road: float) -> list[tuple[Model, Pose]]:
    """Posts in a row on one or both sides, all of one kind."""
    step, start, both = rng.uniform(12, 18), rng.uniform(2, 10), rng.random() < 0.7
    kind, power = rng.random(), rng.uniform(32, 62)
    posts = []
    for i in range(-1, 5):
        for sign in (-1, 1) if both else (1 if rng.random() < 0.5 else -1,):
            z = start + i * step + (0 if sign > 0 else step / 2)
            post = lamp_post(kind, power if rng.random() > 0.06 else 0.0)  # few are broken
            posts.append((post, Pose(sign * (road + 0.5), z, -sign * math.pi / 2)))
    return posts


def _actors(rng: np.random.Generator, camera: Camera, road: float, verge: float) -> tuple[Actor, ...]:
    """Two to seven labelled objects where the camera sees them and none stands in another."""
    fractions = np.array([HABITS[name][2] for name in NAMES])
    taken: list[tuple[float, float, float]] = []
    actors: list[Actor] = []
    for name in rng.choice(NAMES, size=rng.integers(2, 7), p=fractions / fractions.sum()):
        for _ in range(40):
            spot = _spot(rng, str(name), camera, road, verge)
            circles = _circles(str(name), spot)
            if _free(circles, taken):
                taken += circles
                actors += _cast(rng, str(name), spot)
                break
    return tuple(actors[:7]) if len(actors) >= 2 else _actors(rng, camera, road, verge)


def _spot(rng: np.random.Generator, name: str, camera: Camera, road: float, verge: float) -> Pose:
    """Somewhere the camera looks at; vehicles keep to the road and mostly to their lane's direction."""
    near, far = HABITS[name][:2]
    depth = near + (far - near) * rng.random() ** 1.3
    across = rng.uniform(0.06, 0.94) - 0.5
    x, z = camera.to_world(across * camera.width / camera.focal * depth, depth)
    if name in ("people", "dog"):
        return Pose(float(np.clip(x, 0.5 - verge, verge - 0.5)), z, rng.uniform(0, 2 * math.pi))
    room = road - (1.4 if name in ("bus", "car") else 0.5) + (1.5 if name == "bicycle" else 0)
    x = float(np.clip(x, -room, room))
    heading = (0.0 if x > 0 else math.pi) + rng.normal(0, 0.12)
    if rng.random() < (0.25 if name == "bus" else 0.5):  # turning, crossing or parked askew
        heading = rng.uniform(0, 2 * math.pi) if name != "bus" else heading + rng.uniform(-0.7, 0.7)
    return Pose(x, z, heading)


def _circles(name: str, pose: Pose) -> list[tuple[float, float, float]]:
    """The ground something takes, as circles (x, z, radius) along its length."""
    radius, length = HABITS[name][4], LENGTHS[name]
    reach = max(length / 2 - radius, 0)
    steps = np.linspace(-reach, reach, max(1, math.ceil(length / (2 * radius))))
    return [(pose.x + s * math.sin(pose.heading), pose.z + s * math.cos(pose.heading), radius) for s in steps]


def _free(circles: list[tuple[float, float, float]], taken: list[tuple[float, float, float]]) -> bool:
    return all(math.hypot(x - a, z - b) > r + s for x, z, r in circles for a, b, s in taken)


def _cast(rng: np.random.Generator, name: str, pose: Pose, moving: float = 0.7) -> list[Actor]:
    """The object itself, moving with this chance; a moving bicycle or motorbike has a rider, labelled as well."""
    looks, phase = (int(v) for v in rng.integers(0, 2**31, 2))
    ridden = name in ("bicycle", "motorbike")
    moves = rng.random() < (0.65 * moving if ridden and moving < 1 else moving)
    speed = HABITS[name][3] * rng.uniform(0.7, 1.3) if moves else 0.0
    lit = bool(moves or (rng.random() < 0.4 and name != "bicycle"))
    actor = Actor(name, looks, pose, speed, lit, "walk" if moves else "stand", phase % 628 / 100)
    if ridden and moves:
        return [actor, replace(actor, name="people", looks=looks + 1, lit=False, manner=name)]
    return [actor]


def _traffic(rng: np.random.Generator, road: float, verge: float) -> tuple[Actor, ...]:
    """Actors of a clip: vehicles in their lanes all along the street, people and dogs along the pavements."""
    actors: list[Actor] = []
    for lane, heading in ((road * 0.5, 0.0), (-road * 0.5, math.pi)):
        speed = rng.uniform(3.5, 5.5)  # one speed a lane: nobody drives into another
        for i, name in enumerate(rng.permutation(["car", "bus", "car", "motorbike", "bicycle"])):
            z = LOOP[0] + (i + rng.uniform(0.2, 0.5)) * (LOOP[1] - LOOP[0]) / 5
            actors += [replace(a, speed=speed) for a in _cast(rng, str(name), Pose(lane, z, heading), moving=1)]
    for name in ("people",) * 5 + ("dog",) * 2:
        x, heading = rng.choice([-1, 1]) * rng.uniform(road + 1.2, verge - 0.4), rng.choice([0.0, math.pi])
        actor = _cast(rng, name, Pose(x, rng.uniform(5, 18), heading), moving=1)[0]
        actors.append(replace(actor, speed=rng.uniform(0.6, 1.4)))
    return tuple(actors)


def draw(street: Street, time: float = 0.0) -> Frame:
    """Paint the street at `time` seconds, far to near, and measure what is visible of each actor."""
    canvas = Canvas(street.camera)
    canvas.floor(Material(srgb(96, 100, 84), 0.2))
    for points, material in street.surfaces:
        canvas.flat(points, material)
    lamps: list[Lamp] = []
    objects: list[tuple[float, int, Model, Pose, int]] = []
    for model, pose in street.standing:
        if model.size[2] > 5:  # a building: behind everything on the street
            canvas.draw(model.shapes, pose)
        else:
            objects.append((_distance(street.camera, pose), -1, model, pose, -1))
        lamps += _placed(street.camera, model, pose)
    for i, actor in enumerate(street.actors):
        model, pose = actor.model(time), actor.at(time)
        objects.append((_distance(street.camera, pose), -i, model, pose, i))
        lamps += _placed(street.camera, model, pose)
    fractions, own = np.zeros(len(street.actors)), np.ones(len(street.actors))
    for _, _, model, pose, owner in sorted(objects, key=lambda t: (-t[0], -t[1])):
        start = canvas.begin()
        canvas.draw(model.shapes, pose, owner, model.sort)
        if owner >= 0:
            own[owner], fractions[owner] = canvas.painted_since(start), canvas.inside()
    buffers = canvas.finish()

    def is_labelled(number: int, pixels: int, width: int, height: int) -> bool:
        """What shows at least a quarter of itself and is 8 pixels long."""
        return pixels / max(own[number], 1) * fractions[number] >= 0.25 and max(width, height) >= 8 * SUPERSAMPLE

    classes = [NAMES.index(actor.name) for actor in street.actors]
    labels, shown = numbered_label_rows(np.take(buffers.owner, buffers.faces), classes, is_labelled)
    return Frame(street.camera, buffers, tuple(lamps), tuple(canvas.casters), labels, shown)


def _distance(camera: Camera, pose: Pose) -> float:
    return math.hypot(pose.x - camera.x, pose.z - camera.z)


def _placed(camera: Camera, model: Model, pose: Pose) -> list[Lamp]:
    """A model's lamps in the camera's frame."""
    found = []
    for lamp in model.lamps:
        place = camera.to_camera(pose.place(floats(lamp.place)))
        aim = None
        if lamp.aim is not None:
            ahead = camera.to_camera(pose.place(floats(lamp.place) + floats(lamp.aim))) - place
            aim = triple(ahead / np.linalg.norm(ahead))
        found.append(lamp._replace(place=triple(place), aim=aim))
    return found
