"""A small deferred renderer: flat faces and tubes in metres become per-pixel albedo, normal, position and owner.

Everything is painted far to near into ONE integer image of face numbers; what a face looks like stands in tables.
So the geometry of a scene is drawn once, and any light (sun, street lamps, fog) is computed afterwards from the same
buffers: images of one scene under different light are registered exactly, and the labels belong to all of them.

Frame: x right, y up from the ground, z forward, metres. Colours are linear-light albedo in RGB. numpy and OpenCV only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import SUPERSAMPLE, Array, Camera, Pose, floats

NEAR = 1.0  # metres; nothing closer is drawn
FAR = 400.0
_SUBPIXEL_BITS = 3  # OpenCV's fixed-point coordinates, 1/8 pixel


class Material(NamedTuple):
    """What a face is made of. `colour` and `emission` are linear RGB; `texture` is the relative depth of its grain.

    `gloss` mirrors that fraction of the sky. A face with `beam` > 0 shines forward only: its emission falls with the
    cosine to the viewer to that power, as the lens of a headlight does.
    """

    colour: tuple[float, float, float]
    texture: float = 0.10
    gloss: float = 0.0
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)
    beam: float = 0.0


class Solid(NamedTuple):
    """A convex body with painted faces; what is turned away from the camera is dropped.

    Corners of all polygons stand in one array; polygon i is `points[starts[i]:starts[i + 1]]` (its first three corners
    not in line). `parent` is -1 for a face, else the number of the face that a decal lies on; decals follow their face.
    """

    points: Array  # (n, 3)
    starts: NDArray[np.intp]  # (polygons + 1,)
    parent: NDArray[np.intp]  # (polygons,)
    materials: tuple[Material, ...]

    @property
    def middle(self) -> Array:
        """(3,) mean of its corners."""
        return self.points[: self.starts[1]].mean(0) if len(self.parent) == 1 else self.points.mean(0)


class Tube(NamedTuple):
    """A round limb from `a` to `b` with a radius at each end, in metres; `a` = `b` makes a ball."""

    a: tuple[float, float, float]
    b: tuple[float, float, float]
    radius_a: float
    radius_b: float
    material: Material


class Blob(NamedTuple):
    """A ragged ball (leaves): `outline` is its relative radius at equal angles, `normal` the side it shows to light."""

    centre: tuple[float, float, float]
    radius: float
    outline: tuple[float, ...]
    normal: tuple[float, float, float]
    material: Material


Shape = Solid | Tube | Blob
SKY = Material((0.0, 0.0, 0.0), 0.0)


class Buffers(NamedTuple):
    """One drawn scene: (H, W) are fine pixels, (F, ...) tables looked up with `faces`. Sky is face 0, depth FAR."""

    faces: NDArray[np.int32]  # (H, W)
    grain: Array  # (H, W) relative brightness of the texture
    position: Array  # (H, W, 3) camera frame, metres
    ground: NDArray[np.bool_]  # (H, W) lies on the ground: takes shadows
    colour: Array  # (F, 3) linear RGB albedo
    normals: Array  # (F, 3) camera frame
    emission: Array  # (F, 3) light given off at night
    gloss: Array  # (F,)
    owner: NDArray[np.int32]  # (F,) actor; -1 is scenery

    @property
    def depth(self) -> Array:
        """(H, W) metres along the optical axis."""
        return self.position[..., 2]


class Caster(NamedTuple):
    """What throws a shadow: corners of something convex (n, 3), camera frame, grown by a radius, and its owner."""

    points: Array
    radius: float
    owner: int


Job = tuple[float, list[tuple[NDArray[np.int32], int]]]  # distance to the eye, polygons in drawing order


class Canvas:
    """Collects faces far to near: draw the ground first, then objects by falling distance, then `finish`."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.faces = np.zeros((camera.height * SUPERSAMPLE, camera.width * SUPERSAMPLE), np.int32)
        self.casters: list[Caster] = []
        self._eye = np.array([0, camera.y, 0], np.float32)
        self._count = 0
        self._materials: list[Material] = []
        self._blocks: list[Array] = []  # (f, 10): plane (3), nearest, farthest, shading normal (3), facing, owner
        self._register(floats([[0, 0, 1]]), floats([[0, camera.y, FAR]]), [SKY], -1)
        self._grounds: list[int] = []
        self.begin()

    def begin(self) -> int:
        """Start measuring one object; returns a mark for `painted_since`."""
        self._reach = np.array([np.inf, np.inf, -np.inf, -np.inf])  # left, top, right, bottom in fine pixels
        return self._count

    def painted_since(self, mark: int) -> int:
        """Fine pixels that now show faces made since `mark`."""
        return int(np.count_nonzero(self.faces >= mark))

    def inside(self) -> float:
        """Fraction of the bounding box of what was drawn since `begin` that lies inside the image."""
        low, high = self._reach[:2], self._reach[2:]
        if not np.isfinite(low).all():
            return 0.0
        shown = np.subtract(*(np.clip(edge, 0, self.faces.shape[::-1]) for edge in (high, low)))
        return float(np.prod(shown / np.maximum(high - low, 1e-6)))

    def floor(self, material: Material) -> None:
        """Fill everything below the horizon with the ground plane."""
        index = self._ground(np.zeros((1, 3), np.float32), material, NEAR, FAR)
        self.faces[max(0, math.ceil(self.camera.horizon * SUPERSAMPLE)) :] = index

    def flat(self, points: Array, material: Material) -> None:
        """Paint a polygon (n, 3) lying on the ground; it takes shadows and throws none."""
        shown = _clip_near(self.camera.to_camera(points))
        if len(shown) >= 3:
            index = self._ground(shown[:1], material, shown[:, 2].min(), shown[:, 2].max())
            cv2.fillConvexPoly(self.faces, self._fixed(shown), index, cv2.LINE_8, _SUBPIXEL_BITS)

    def _ground(self, point: Array, material: Material, near: float, far: float) -> int:
        self._grounds.append(self._register(floats([[0, 1, 0]]), point, [material], -1, span=floats([[near, far]])))
        return self._grounds[-1]

    def draw(self, shapes: Sequence[Shape], pose: Pose, owner: int = -1, sort: bool = False) -> None:
        """Draw an object standing at `pose`: its shapes as listed, or far to near where `sort`."""
        tubes = [shape for shape in shapes if isinstance(shape, Tube)]
        blobs = [shape for shape in shapes if isinstance(shape, Blob)]
        rounds = iter(self._tubes(tubes, pose, owner) if tubes else [])
        leaves = iter(self._blobs(blobs, pose, owner) if blobs else [])
        jobs = []
        for shape in shapes:
            others = rounds if isinstance(shape, Tube) else leaves
            jobs.append(self._solid(shape, pose, owner) if isinstance(shape, Solid) else next(others))
        for _, polygons in sorted(jobs, key=lambda job: -job[0]) if sort else jobs:
            for pixels, index in polygons:
                cv2.fillPoly(self.faces, [pixels], index, cv2.LINE_8, _SUBPIXEL_BITS)
        drawn = [pixels for _, polygons in jobs for pixels, _ in polygons]
        if owner >= 0 and drawn:
            corners = np.concatenate(drawn) / (1 << _SUBPIXEL_BITS)
            self._reach[:2] = np.minimum(self._reach[:2], corners.min(0))
            self._reach[2:] = np.maximum(self._reach[2:], corners.max(0))

    def _solid(self, solid: Solid, pose: Pose, owner: int) -> Job:
        points = self.camera.to_camera(pose.place(solid.points))
        starts, parent = solid.starts[:-1], solid.parent
        centre = points.mean(0)
        self.casters.append(Caster(points[: solid.starts[-1]], 0.0, owner))
        corner = points[starts]
        normal = np.cross(points[starts + 1] - corner, points[starts + 2] - corner)  # (polygons, 3)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        normal *= np.where(((corner - centre) * normal).sum(1) < 0, -1, 1)[:, None]
        normal = np.where(parent[:, None] >= 0, normal[parent], normal)
        seen = ((corner - self._eye) * normal).sum(1) < 0
        depth = points[:, 2]
        span = np.stack([np.minimum.reduceat(depth, starts), np.maximum.reduceat(depth, starts)], axis=1)
        first = self._register(normal, corner, solid.materials, owner, span=np.maximum(span, NEAR))
        fixed = self._fixed(np.where(depth[:, None] < NEAR, floats([0, 0, NEAR]), points))
        polygons = []
        for i in np.flatnonzero(seen & (span[:, 1] > NEAR)):
            part = slice(solid.starts[i], solid.starts[i + 1])
            shape = fixed[part] if span[i, 0] >= NEAR else self._fixed(_clip_near(points[part]))
            polygons.append((shape, first + int(i)))
        return float(np.linalg.norm(centre - self._eye)), polygons

    def _tubes(self, tubes: Sequence[Tube], pose: Pose, owner: int) -> list[Job]:
        """Each tube: a round outline, and where it is wide enough a strip along each flank with a normal of its own."""
        ends = self.camera.to_camera(pose.place(np.array([(t.a, t.b) for t in tubes], np.float32)))  # (n, 2, 3)
        radii = np.array([(t.radius_a, t.radius_b) for t in tubes], np.float32)  # (n, 2)
        self.casters += [Caster(e, float(r), owner) for e, r in zip(ends, radii.max(1), strict=True)]
        middle = ends.mean(1)
        distance = np.linalg.norm(middle - self._eye, axis=1)
        front = (self._eye - middle) / distance[:, None]
        side = np.cross(ends[:, 1] - ends[:, 0], -front)
        width = np.linalg.norm(side, axis=1, keepdims=True)
        side = np.where(width > 1e-6, side / np.maximum(width, 1e-6), floats([1, 0, 0]))
        visible = ends[..., 2].min(1) >= NEAR
        safe = np.where(visible[:, None, None], ends, floats([0, 0, NEAR]))
        wide = np.maximum(radii * self.camera.focal * SUPERSAMPLE / safe[..., 2], 0.6)  # (n, 2) fine pixels
        outlines = self._to_fixed(_capsules(self.camera.project(safe), wide))  # (n, 14, 2)
        span = np.stack([safe[..., 2].min(1), safe[..., 2].max(1)], axis=1)
        materials = [t.material for t in tubes]
        face = self._register(front, safe[:, 0], materials, owner, span=span)
        flanks = []
        for sign in (-1.0, 1.0):
            edge, inner = (safe + sign * fraction * (radii[..., None] * side[:, None]) for fraction in (0.95, 0.38))
            strip = np.concatenate([edge, inner[:, ::-1]], axis=1)  # (n, 4, 3)
            shade = 0.85 * sign * side + 0.53 * front
            first = self._register(front, safe[:, 0], materials, owner, span=span, shade=shade)
            flanks.append((self._fixed(strip), first))
        jobs: list[Job] = []
        for i, tube in enumerate(tubes):
            polygons = [(outlines[i], face + i)] if visible[i] else []
            if visible[i] and wide[i].max() >= 2.5 and tube.a != tube.b:
                polygons += [(strips[i], first + i) for strips, first in flanks]
            jobs.append((float(distance[i]), polygons))
        return jobs

    def _blobs(self, blobs: Sequence[Blob], pose: Pose, owner: int) -> list[Job]:
        """One ragged polygon each; all outlines have as many corners as the first."""
        centres = self.camera.to_camera(pose.place(np.array([b.centre for b in blobs], np.float32)))  # (n, 3)
        radii = np.array([b.radius for b in blobs], np.float32)
        self.casters += [Caster(c[None], 0.9 * float(r), owner) for c, r in zip(centres, radii, strict=True)]
        visible = centres[:, 2] >= NEAR
        safe = np.where(visible[:, None], centres, floats([0, 0, NEAR]))
        reach = np.array([b.outline for b in blobs]) * (radii * self.camera.focal * SUPERSAMPLE / safe[:, 2])[:, None]
        angle = np.linspace(0, 2 * np.pi, reach.shape[1], endpoint=False)
        corners = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=-1)  # (n, corners, 2)
        pixels = self._to_fixed(self.camera.project(safe)[:, None] + corners)
        plane = np.tile(floats([0, 0, -1]), (len(blobs), 1))
        shade = np.array([b.normal for b in blobs], np.float32)
        first = self._register(plane, safe, [b.material for b in blobs], owner, span=safe[:, [2, 2]], shade=shade)
        distance = np.linalg.norm(centres - self._eye, axis=1)
        return [(float(distance[i]), [(pixels[i], first + i)] if visible[i] else []) for i in range(len(blobs))]

    def _register(
        self, plane: Array, point: Array, materials: Sequence[Material], owner: int,
        span: Array | None = None, shade: Array | None = None,
    ) -> int:  # fmt: skip
        """Number (f) faces from their plane normals and a point on each; returns the first number.

        `shade` is the normal that light sees, where it is another one; `span` the nearest and farthest depth.
        """
        away = point - self._eye
        offset = (plane * away).sum(1)  # plane . (ray * depth) = offset, so 1 / depth = plane . ray / offset
        offset = np.where(np.abs(offset) < 1e-6, 1e-6, offset)
        facing = np.maximum(-offset / np.maximum(np.linalg.norm(away, axis=1), 1e-6), 0)
        span = np.full((len(plane), 2), FAR, np.float32) if span is None else span
        normal = plane if shade is None else shade
        owners = np.full((len(plane), 1), owner, np.float32)
        block = np.hstack([plane / offset[:, None], span, normal, facing[:, None], owners])
        self._blocks.append(block.astype(np.float32))
        self._materials += materials
        self._count += len(plane)
        return self._count - len(plane)

    def _fixed(self, points: Array) -> NDArray[np.int32]:
        """Camera points (..., 3) -> OpenCV's fixed-point pixels (..., 2)."""
        return self._to_fixed(self.camera.project(points))

    @staticmethod
    def _to_fixed(pixels: Array) -> NDArray[np.int32]:
        return np.round(np.clip(pixels, -16000, 16000) * (1 << _SUBPIXEL_BITS)).astype(np.int32)

    def finish(self) -> Buffers:
        """Look up every pixel's face and compute its depth from the face's plane."""
        table = np.concatenate(self._blocks)
        column, row = self.camera.rays()
        a, b, c, near, far = (np.take(table[:, i], self.faces) for i in range(5))
        inverse = a * column + b * row[:, None] + c
        depth = np.clip(1 / np.where(inverse > 1e-9, inverse, 1e-9), near, far)
        position = np.stack([column * depth, row[:, None] * depth + self.camera.y, depth], axis=-1)
        columns = zip(*self._materials, strict=True)  # each field of all materials
        colour, texture, gloss, emission, beam = (np.array(column, np.float32) for column in columns)
        is_ground = np.zeros(self._count, bool)
        is_ground[self._grounds] = True
        return Buffers(
            faces=self.faces,
            grain=_grain(position, np.take(texture, self.faces)),
            position=position,
            ground=np.take(is_ground, self.faces),
            colour=colour,
            normals=table[:, 5:8],
            emission=emission * (table[:, 8] ** beam)[:, None],
            gloss=gloss,
            owner=table[:, 9].astype(np.int32),
        )


def _clip_near(points: Array) -> Array:
    """The part of a polygon (n, 3) with z >= NEAR; may be empty."""
    inside = points[:, 2] >= NEAR
    if inside.all():
        return points
    kept: list[Array] = []
    for i in range(len(points)):
        here, there = points[i - 1], points[i]
        if inside[i - 1] != inside[i]:
            kept.append(here + (there - here) * ((NEAR - here[2]) / (there[2] - here[2])))
        if inside[i]:
            kept.append(there)
    return np.array(kept, np.float32).reshape(-1, 3)


def _capsules(ends: Array, radii: Array) -> Array:
    """Outlines (n, 14, 2) around two circles each: ends (n, 2, 2) and radii (n, 2) in pixels."""
    along = ends[:, 1] - ends[:, 0]
    angle = np.arctan2(along[:, 1], along[:, 0])[:, None]
    half = np.linspace(-np.pi / 2, np.pi / 2, 7)
    turn = np.concatenate([angle + np.pi + half, angle + half], axis=1)  # (n, 14): round a, then round b
    centre, radius = np.repeat(ends, 7, axis=1), np.repeat(radii, 7, axis=1)
    return centre + radius[..., None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1)


def _grain(position: Array, strength: Array) -> Array:
    """Relative brightness of the surface texture at camera-frame positions (H, W, 3): mean 1, two scales of noise."""
    depth = position[..., 2]
    u = position[..., 0] + 0.37 * depth
    v = 1.7 * position[..., 1] + 0.61 * depth
    noise = noise_tile().ravel()
    total = np.zeros_like(depth)
    for cells, fraction in ((23.0, 0.55), (97.0, 0.45)):  # texels a metre: patches of 30 cm, grit of 4 cm
        fade = np.minimum(fraction, fraction * 300 / (cells * depth))  # what is finer than a pixel averages out
        column, row = ((x * cells).astype(np.int32) & 255 for x in (u, v))
        total += fade * np.take(noise, (row << 8) + column)
    return np.maximum(1 + strength * total, 0.1)


def label_rows(
    owners: Array, classes: Sequence[int], is_labelled: Callable[[int, int, int, int], bool]
) -> NDArray[np.float32]:
    """Labels (n, 5) of what an image (H, W) of object numbers shows: class, centre x, centre y, width, height, fractions.

    classes: of object 0, 1, ...; is_labelled(number, pixels, width, height) decides by what is seen of it.
    """
    return numbered_label_rows(owners, classes, is_labelled)[0]


def numbered_label_rows(
    owners: Array, classes: Sequence[int], is_labelled: Callable[[int, int, int, int], bool]
) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """The labels of `label_rows`, and the number of the object of each."""
    rows, numbers, (height, width) = [], [], owners.shape
    for number, label in enumerate(classes):
        mask = (owners == number).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(mask)
        if is_labelled(number, cv2.countNonZero(mask), w, h):
            rows.append((label, (x + w / 2) / width, (y + h / 2) / height, w / width, h / height))
            numbers.append(number)
    return np.array(rows, np.float32).reshape(-1, 5), tuple(numbers)


@lru_cache(maxsize=1)
def noise_tile() -> Array:
    """A fixed tile (256, 256) of smooth noise that repeats at its edges; mean 0, deviation 1."""
    rng = np.random.default_rng(20240)
    total = np.zeros((256, 256), np.float32)
    for blur, weight in ((1.0, 0.5), (3.0, 0.7), (8.0, 1.0)):
        white = np.pad(rng.standard_normal((256, 256)).astype(np.float32), 32, mode="wrap")
        layer = cv2.GaussianBlur(white, (0, 0), blur)[32:-32, 32:-32]
        total += weight * layer / layer.std()
    return total / total.std()
