"""People and dogs of the synthetic street, posed: walking, standing, or riding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from data.synthetic.render.primitives import Model, Spot, ball, limb, pick, srgb, times
from data.synthetic.render.rasterizer import Material, Tube

SKINS = [srgb(240, 200, 170), srgb(205, 150, 110), srgb(140, 90, 60), srgb(85, 55, 40)]
HAIR = [srgb(30, 25, 22), srgb(85, 55, 30), srgb(190, 150, 85), srgb(150, 150, 150)]
TOPS = [
    srgb(215, 40, 45), srgb(40, 90, 200), srgb(240, 240, 235), srgb(245, 200, 40), srgb(40, 140, 80),
    srgb(60, 60, 70), srgb(235, 120, 40), srgb(150, 70, 160), srgb(120, 190, 225), srgb(230, 130, 170),
]  # fmt: skip
BOTTOMS = [srgb(40, 55, 100), srgb(45, 45, 50), srgb(150, 130, 95), srgb(95, 105, 120), srgb(120, 45, 45)]
COATS = [srgb(120, 75, 40), srgb(45, 38, 34), srgb(215, 200, 175), srgb(170, 110, 55), srgb(95, 90, 88)]

Joints = dict[str, Spot]


def _walking(phase: float, stride: float) -> Joints:
    """Joints of a body 1.75 m tall; `phase` in radians is the place in the step, `stride` 0 stands still."""
    joints: Joints = {}
    for name, side in (("left", -1.0), ("right", 1.0)):
        step = phase + (0 if side > 0 else math.pi)
        swing, lift = math.sin(step) * stride, max(0.0, math.cos(step)) * stride * 0.35
        joints[f"{name}_hip"] = (0.0, 0.92, 0.09 * side)
        joints[f"{name}_knee"] = (0.55 * swing + 0.06 + lift * 0.5, 0.49 + lift * 0.4, 0.10 * side)
        joints[f"{name}_foot"] = (swing, 0.06 + lift, 0.11 * side)
        joints[f"{name}_elbow"] = (-0.45 * swing - 0.03, 1.14, 0.27 * side)
        joints[f"{name}_hand"] = (-0.95 * swing + 0.10, 0.90 + abs(swing) * 0.15, 0.28 * side)
    return joints | {"waist": (0.0, 0.95, 0.0), "neck": (0.02, 1.44, 0.0), "head": (0.04, 1.63, 0.0)}


def _riding(seat: float, reach: float, grip: float, pedal: float, phase: float) -> Joints:
    """Joints of a rider: height of the seat, forward place and height of the grips, height of the feet."""
    joints: Joints = {}
    for name, side in (("left", -1.0), ("right", 1.0)):
        turn = phase + (0 if side > 0 else math.pi)
        joints[f"{name}_hip"] = (-0.22, seat + 0.05, 0.10 * side)
        joints[f"{name}_knee"] = (0.20 + 0.1 * math.cos(turn), seat - 0.16 + 0.10 * math.sin(turn), 0.16 * side)
        joints[f"{name}_foot"] = (-0.02 + 0.14 * math.cos(turn), pedal + 0.14 * math.sin(turn), 0.14 * side)
        joints[f"{name}_elbow"] = ((reach - 0.1) / 2, grip + 0.16, 0.27 * side)
        joints[f"{name}_hand"] = (reach, grip, 0.27 * side)
    top = seat + 0.55
    return joints | {"waist": (-0.2, seat + 0.06, 0.0), "neck": (0.02, top, 0.0), "head": (0.08, top + 0.2, 0.0)}


def pose(kind: str, phase: float = 0.0) -> Joints:
    """Joints for `kind`: stand, walk, bicycle or motorbike; `phase` in radians moves the limbs."""
    if kind == "bicycle":
        return _riding(0.97, 0.28, 1.08, 0.33, phase)
    if kind == "motorbike":
        return _riding(0.82, 0.34, 1.06, 0.34, 0.6)
    return _walking(phase, 0.34 if kind == "walk" else 0.05)


def person(rng: np.random.Generator, kind: str = "walk", phase: float = 0.0) -> Model:
    """A person, 1.55-1.9 m tall (a child now and then), in trousers, skirt or coat, with hair, hat or helmet."""
    joints = pose(kind, phase)
    skin, top = Material(pick(rng, SKINS), 0.02), Material(pick(rng, TOPS), 0.12)
    bottom, shoe = Material(pick(rng, BOTTOMS), 0.10), Material(pick(rng, HAIR), 0.05)
    dress = str(rng.choice(["plain", "plain", "coat", "skirt"]))
    size = float(rng.uniform(0.9, 1.08) * rng.choice([1, 1, 1, 0.78]))
    bag, bulk = rng.random() < 0.3, rng.uniform(0.95, 1.2)
    hair = Material(pick(rng, PAINTED_HATS if kind == "motorbike" else HAIR), 0.06)
    if kind in ("bicycle", "motorbike"):
        size, dress = 1.0, "plain"
    if dress == "coat":
        top = Material(pick(rng, COATS), 0.12)
    shapes = _legs(joints, skin if dress == "skirt" else bottom, shoe, bulk)
    shapes += _trunk(joints, top, bottom if dress == "skirt" else top, dress, bulk)
    shapes += _arms(joints, top, skin, bulk) + _head(joints, skin, hair, helmet=kind == "motorbike")
    if bag and kind in ("walk", "stand"):
        shapes += limb([(-0.20, 1.05, 0.0), (-0.20, 1.35, 0.0)], [0.13, 0.12], Material(pick(rng, TOPS), 0.15))
    return Model(_scaled(shapes, size), (0.5, (joints["head"][1] + 0.14) * size, 0.6), sort=True)


PAINTED_HATS = [srgb(235, 235, 235), srgb(200, 30, 30), srgb(35, 35, 40), srgb(35, 80, 180), srgb(245, 200, 40)]


def _scaled(tubes: Sequence[Tube], size: float) -> tuple[Tube, ...]:
    """The same tubes, `size` times as large."""
    return tuple(
        Tube(times(a, size), times(b, size), ra * size, rb * size, material) for a, b, ra, rb, material in tubes
    )


def _legs(joints: Joints, cloth: Material, shoe: Material, bulk: float) -> list[Tube]:
    shapes: list[Tube] = []
    for side in ("left", "right"):
        hip, knee, foot = (joints[f"{side}_{part}"] for part in ("hip", "knee", "foot"))
        shapes += limb([hip, knee, foot], [0.100 * bulk, 0.072 * bulk, 0.055 * bulk], cloth)
        heel, toe = (foot[0] - 0.05, foot[1] - 0.01, foot[2]), (foot[0] + 0.15, foot[1] - 0.02, foot[2])
        shapes += limb([heel, toe], [0.055, 0.045], shoe)
    return shapes


def _trunk(joints: Joints, top: Material, lower: Material, dress: str, bulk: float) -> list[Tube]:
    """Two thick tubes side by side make a chest that is broader than deep; coat and skirt hang below the waist."""
    waist, neck = joints["waist"], joints["neck"]
    shapes: list[Tube] = []
    for side in (-1.0, 1.0):
        low, high = (waist[0], waist[1], 0.05 * side), (neck[0], neck[1] - 0.07, 0.095 * side * bulk)
        shapes += limb([low, high], 0.115 * bulk, top)
    if dress in ("coat", "skirt"):
        hem = 0.52 if dress == "coat" else 0.6
        shapes += limb([(waist[0], 0.98, 0.0), (waist[0], hem, 0.0)], [0.14, 0.17 if dress == "coat" else 0.21], lower)
    return shapes


def _arms(joints: Joints, sleeve: Material, skin: Material, bulk: float) -> list[Tube]:
    shapes: list[Tube] = []
    neck = joints["neck"]
    for side, sign in (("left", -1.0), ("right", 1.0)):
        shoulder = (neck[0], neck[1] - 0.06, 0.20 * sign * bulk)
        elbow, hand = joints[f"{side}_elbow"], joints[f"{side}_hand"]
        shapes += limb([shoulder, elbow, hand], [0.065 * bulk, 0.052, 0.045], sleeve)
        shapes.append(ball(hand, 0.05, skin))
    return shapes


def _head(joints: Joints, skin: Material, hair: Material, helmet: bool) -> list[Tube]:
    x, y, z = joints["head"]
    neck = joints["neck"]
    if helmet:
        return [ball((x, y + 0.01, z), 0.155, hair), ball((x + 0.08, y, z), 0.10, Material(srgb(25, 28, 32), 0.0, 0.3))]
    face = limb([(x, y - 0.03, z), (x, y + 0.04, z)], [0.095, 0.105], skin)
    crown = limb([(x - 0.06, y - 0.01, z), (x - 0.02, y + 0.09, z)], [0.10, 0.105], hair)
    return [*limb([neck, (x, y, z)], 0.06, skin), *crown, *face, ball((x - 0.01, y + 0.12, z), 0.085, hair)]


COATS_OF_DOGS = [srgb(150, 95, 45), srgb(45, 38, 34), srgb(225, 210, 180), srgb(190, 130, 70), srgb(235, 235, 230)]


def dog(rng: np.random.Generator, phase: float = 0.0) -> Model:
    """A dog, 0.55-0.8 m tall: level body on four legs, raised head with snout and ears, tail up."""
    fur = Material(pick(rng, COATS_OF_DOGS), 0.18)
    other = Material(pick(rng, COATS_OF_DOGS), 0.18) if rng.random() < 0.5 else fur
    nose, size = Material(srgb(22, 20, 20), 0.0), float(rng.uniform(0.95, 1.3))
    floppy, swing = rng.random() < 0.5, 0.13 * math.sin(phase)
    shapes = list(limb([(-0.30, 0.47, 0.0), (0.0, 0.46, 0.0), (0.27, 0.50, 0.0)], [0.13, 0.135, 0.165], fur))
    legs = ((0.25, -0.09, 1, other), (0.25, 0.09, -1, fur), (-0.30, -0.09, -1, fur), (-0.30, 0.09, 1, other))
    for forward, side, sign, coat in legs:
        foot = (forward + sign * swing, 0.03, side)
        bend = (forward + sign * swing * 0.5 - (0.05 if forward < 0 else 0), 0.24, side)
        shapes += limb([(forward, 0.44, side), bend, foot], [0.085, 0.055, 0.04], coat)
        shapes.append(ball((foot[0] + 0.03, 0.03, side), 0.045, coat))
    shapes += limb([(0.30, 0.56, 0.0), (0.43, 0.74, 0.0)], [0.115, 0.095], other)
    shapes += [ball((0.47, 0.78, 0.0), 0.115, other), *limb([(0.50, 0.76, 0.0), (0.66, 0.72, 0.0)], [0.075, 0.05], fur)]
    shapes.append(ball((0.70, 0.735, 0.0), 0.032, nose))
    for side in (-0.08, 0.08):
        tip = (0.42, 0.68, side * 1.5) if floppy else (0.42, 0.95, side)
        shapes += limb([(0.43, 0.84, side), tip], [0.045, 0.03 if floppy else 0.015], fur)
    shapes += limb([(-0.38, 0.53, 0.0), (-0.52, 0.72, 0.03), (-0.50, 0.84, 0.05)], [0.045, 0.035, 0.02], fur)
    return Model(_scaled(shapes, size), (1.2 * size, 0.95 * size, 0.35 * size), sort=True)
