"""Synthetic people in motion: joints of a body over time, for six actions.

A body is 1.75 m tall; joints are (forward, up, right) in metres, as in street.people. What it does also moves it along and
turns it. Speeds, rhythms, sides and beginnings are drawn, so that no two clips of a class are alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data.synthetic.render.camera import triple
from data.synthetic.street.people import Joints, pose

NAMES = ("Jump", "Push", "Sit", "Turn", "Walk", "Wave")
FACING = math.pi / 2  # the yaw of someone who looks at the camera


class Moment(NamedTuple):
    """A body at one time: its joints, metres along its way and above the ground, and its yaw: 0 looks to the right.

    crate: metres before the body of the near side of what it pushes; None where it pushes nothing.
    """

    joints: Joints
    along: float = 0.0
    yaw: float = 0.0
    crate: float | None = None


class Manner(NamedTuple):
    """How someone does it. rate: of the rhythm, cycles a second; phase: radians; begin: s; reach and yaw vary by kind."""

    rate: float
    phase: float
    begin: float
    reach: float
    yaw: float
    left: bool


def draw_manner(rng: np.random.Generator, name: str) -> Manner:
    """Someone's way of doing `name`, one of NAMES."""
    to_camera = name in {"Jump", "Turn", "Wave"}
    yaw = FACING + rng.uniform(-0.9, 0.9) if to_camera else rng.choice([0, math.pi]) + rng.uniform(-0.5, 0.5)
    rate, phase, begin, reach = (rng.uniform(*span) for span in ((0.8, 1.3), (0, 2 * math.pi), (0.1, 0.6), (0.8, 1.15)))
    return Manner(rate, phase, begin, reach, float(yaw), left=bool(rng.random() < 0.5))


def _walk(t: float, how: Manner) -> Moment:
    speed = 0.75 * how.rate * how.reach
    return Moment(pose("walk", 2 * math.pi * how.rate * t + how.phase), speed * (t - 1.2), how.yaw)


def _turn(t: float, how: Manner) -> Moment:
    """Round on the spot, with small steps."""
    turned = 2.2 * how.rate * t * (-1 if how.left else 1)
    return Moment(_mixed(pose("stand"), pose("walk", 9 * how.rate * t), 0.35), yaw=how.yaw + how.phase + turned)


def _wave(t: float, how: Manner) -> Moment:
    """One arm up, to and fro."""
    swing = 0.30 * how.reach * math.sin(2 * math.pi * 1.6 * how.rate * t + how.phase)
    name, side = ("left", -1) if how.left else ("right", 1)
    joints = pose("stand")
    joints[f"{name}_elbow"] = (0.05, 1.47, side * 0.46)
    joints[f"{name}_hand"] = (0.08, 1.80 - 0.4 * abs(swing), side * 0.50 + swing)
    return Moment(joints, yaw=how.yaw)


def _jump(t: float, how: Manner) -> Moment:
    """Up and down again and again: crouch, flight with the arms up, landing."""
    beat = math.sin(2 * math.pi * how.rate * t + how.phase)
    flight, crouch = 0.42 * how.reach * max(0.0, beat), 0.22 * max(0.0, -beat)
    joints = _lowered(pose("stand"), crouch)
    for name, side in (("left", -1), ("right", 1)):
        joints[f"{name}_elbow"] = (0.0, 1.14 + 0.3 * max(0.0, beat) - crouch, side * 0.40)
        joints[f"{name}_hand"] = (0.05, 0.9 + 0.85 * max(0.0, beat) - crouch, side * 0.45)
    return Moment({name: (x, y + flight, z) for name, (x, y, z) in joints.items()}, yaw=how.yaw)


def _sit(t: float, how: Manner) -> Moment:
    """Down once, and stay."""
    fraction = _eased((t - how.begin) * 1.1 * how.rate)
    return Moment(_lowered(pose("stand"), 0.48 * fraction, back=0.38 * fraction), yaw=how.yaw)


def _push(t: float, how: Manner) -> Moment:
    """A crate, push by push: the arms stretch and it slides, then the body follows it."""
    cycle, first = how.rate * t + how.phase / (2 * math.pi), how.phase // (2 * math.pi)
    within, stride = cycle % 1, 0.32 * how.reach
    stretch, follow = _eased(2 * within), _eased(2 * within - 1)
    hands = 0.36 + stride * (stretch - follow)
    joints = _leaning(pose("stand"), 0.12 + 0.16 * (stretch - follow))
    for name, side in (("left", -1), ("right", 1)):
        joints[f"{name}_elbow"] = (hands - 0.26, 1.10, side * 0.26)
        joints[f"{name}_hand"] = (hands, 1.14, side * 0.16)
    return Moment(joints, stride * (cycle // 1 - first + follow) - 0.5, how.yaw, hands + 0.04)


MOTIONS: dict[str, Callable[[float, Manner], Moment]] = dict(
    zip(NAMES, (_jump, _push, _sit, _turn, _walk, _wave), strict=True)
)
"""Action -> the body that does it so many seconds after the film began, in someone's manner."""


def _eased(fraction: float) -> float:
    """0 to 1, with a soft start and end."""
    x = min(1.0, max(0.0, fraction))
    return x * x * (3 - 2 * x)


def _mixed(a: Joints, b: Joints, fraction: float) -> Joints:
    """Joints between two poses."""
    return {name: triple(p + fraction * (q - p) for p, q in zip(a[name], b[name], strict=True)) for name in a}


def _lowered(joints: Joints, drop: float, back: float = 0.0) -> Joints:
    """Knees bent so that everything above them is `drop` m lower, and the hips `back` m behind the feet."""
    lower = {name: (x - back, y - drop, z) for name, (x, y, z) in joints.items()}
    for name in ("left", "right"):
        x, y, z = joints[f"{name}_knee"]
        lower[f"{name}_knee"] = (x + 0.35 * drop - 0.1 * back, y - 0.06 * drop, z)
        lower[f"{name}_foot"] = joints[f"{name}_foot"]
    return lower


def _leaning(joints: Joints, lean: float) -> Joints:
    """Everything above the hips tipped forward by `lean` radians."""
    return {name: (x + lean * max(0.0, y - 0.92), y, z) for name, (x, y, z) in joints.items()}
