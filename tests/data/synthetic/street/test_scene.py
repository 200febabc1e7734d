"""The synthetic street: what stands where, what is labelled, what moves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from data.synthetic.render.camera import SUPERSAMPLE, Camera, Pose
from data.synthetic.street.scene import HABITS, LOOP, NAMES, Actor, Street, _circles, _free, draw, make_street

CAMERA = Camera(width=96, height=72, focal=80.0, horizon=30.0, x=0.0, y=1.8, z=0.0, yaw=0.0)


def stage(*actors: Actor) -> Street:
    """A street with nothing but these actors."""
    return Street(seed=0, camera=CAMERA, road=4.0, verge=7.0, surfaces=(), standing=(), actors=actors)


def actor(name: str, x: float, z: float, heading: float = math.pi / 2, **more) -> Actor:
    return Actor(name, looks=3, pose=Pose(x, z, heading), speed=0.0, lit=False, manner="stand", **more)


@pytest.mark.parametrize("seed", range(6))
def test_streets_are_filled_and_labelled(seed):
    street = make_street(seed, (96, 72))
    assert 2 <= len(street.actors) <= 7
    labels = draw(street).labels
    assert labels.dtype == np.float32
    assert labels.shape[1] == 5
    assert set(labels[:, 0]) <= set(range(len(NAMES)))
    left, top = labels[:, 1] - labels[:, 3] / 2, labels[:, 2] - labels[:, 4] / 2
    assert min(left.min(), top.min()) >= -1e-6
    assert max((left + labels[:, 3]).max(), (top + labels[:, 4]).max()) <= 1 + 1e-6
    assert (np.maximum(labels[:, 3] * 96, labels[:, 4] * 72) >= 8).all()


def test_a_seed_is_a_street():
    first, again, other = (draw(make_street(seed, (96, 72))) for seed in (4, 4, 5))
    assert (first.buffers.faces == again.buffers.faces).all()
    assert (first.labels == again.labels).all()
    assert first.labels.shape != other.labels.shape or (first.labels != other.labels).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_box_is_what_is_visible(name):
    distance = {"bus": 20.0, "car": 12.0}.get(name, 7.0)
    frame = draw(stage(actor(name, 0.3, distance)))
    (row,) = frame.labels
    mine = np.take(frame.buffers.owner, frame.buffers.faces) == 0
    rows, columns = np.nonzero(mine)
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / SUPERSAMPLE
    centre, size = row[1:3] * [96, 72], row[3:5] * [96, 72]
    assert np.concatenate([centre - size / 2, centre + size / 2]) == pytest.approx(box, abs=1e-3)
    assert NAMES[int(row[0])] == name


def test_what_is_hidden_has_no_label():
    """A dog 2 m behind a bus that stands across the street."""
    bus, dog = actor("bus", 0.0, 12.0), actor("dog", 0.0, 15.0)
    assert [NAMES[int(row[0])] for row in draw(stage(bus, dog)).labels] == ["bus"]
    assert [NAMES[int(row[0])] for row in draw(stage(dog)).labels] == ["dog"]


@pytest.mark.parametrize(("x", "labelled"), [(0.0, True), (2.4, True), (3.3, False), (6.0, False)])
def test_what_hardly_reaches_into_the_image_has_no_label(x, labelled):
    """At 5 m the image ends 3 m aside (48 px * 5 / 80); a person, 0.6 m wide, is a quarter visible up to about 3.1 m."""
    assert (len(draw(stage(actor("people", x, 5.0, heading=0.0))).labels) == 1) is labelled


def test_what_is_too_small_has_no_label():
    assert len(draw(stage(actor("dog", 0.0, 60.0))).labels) == 0


def test_riders_have_a_label_of_their_own():
    """Whoever rides sits on the machine: one place, two labels, the rider's box higher."""
    bike = replace(actor("motorbike", 0.0, 6.0), speed=5.0)
    rider = replace(bike, name="people", manner="motorbike")
    labels = draw(stage(bike, rider)).labels
    assert [NAMES[int(row[0])] for row in labels] == ["motorbike", "people"]
    assert labels[1, 2] < labels[0, 2]
    assert labels[1, 1] == pytest.approx(labels[0, 1], abs=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_moving_two_wheelers_are_ridden(seed):
    actors = make_street(seed, (96, 72)).actors
    for one in actors:
        if one.name in ("bicycle", "motorbike") and one.speed:
            assert any(a.name == "people" and a.pose == one.pose for a in actors)


def test_lit_vehicles_bring_their_lamps():
    dark, lit = (draw(stage(replace(actor("car", 0.0, 10.0), lit=on))).lamps for on in (False, True))
    assert (len(dark), len(lit)) == (0, 2)
    assert lit[0].place[2] == pytest.approx(10.0, abs=0.1)  # heading along x: lamps as far away as the car
    assert lit[0].aim == pytest.approx((1.0, -0.05, 0.0), abs=0.01)


def test_actors_move_ahead_and_come_round_again():
    walker = replace(actor("people", 1.0, 10.0, heading=0.0), speed=2.0)
    assert walker.at(0.0) == walker.pose
    assert walker.at(3.0).z == pytest.approx(16.0)
    assert walker.at(3.0).x == pytest.approx(1.0)
    lap = (LOOP[1] - LOOP[0]) / 2.0
    assert walker.at(lap).z == pytest.approx(10.0)


def test_a_clip_moves_and_its_street_does_not():
    street = make_street(2, (96, 72), moving=True)
    first, later = draw(street, 0.0), draw(street, 0.5)
    owners = [np.take(frame.buffers.owner, frame.buffers.faces) for frame in (first, later)]
    assert (owners[0] != owners[1]).any()
    scenery = (owners[0] < 0) & (owners[1] < 0)
    assert scenery.mean() > 0.5
    assert first.buffers.depth[scenery] == pytest.approx(later.buffers.depth[scenery])


def test_clip_traffic_keeps_to_its_lanes():
    street = make_street(3, (96, 72), moving=True)
    for one in street.actors:
        if one.name in ("car", "bus"):
            assert abs(one.pose.x) < street.road
            assert one.speed > 0
            assert math.cos(one.pose.heading) == pytest.approx(1 if one.pose.x > 0 else -1)
    assert abs(street.camera.x) > street.road


def test_ground_taken_by_circles():
    """A car of 4.5 m and radius 1.2 takes two circles, 1.05 m ahead of and behind its middle."""
    circles = _circles("car", Pose(1.0, 10.0, 0.0))
    assert circles == [(1.0, pytest.approx(8.95), 1.2), (1.0, pytest.approx(11.05), 1.2)]
    assert not _free([(1.0, 12.0, 0.3)], circles)
    assert _free([(3.0, 12.0, 0.3)], circles)


def test_every_class_has_its_habits():
    assert set(HABITS) == set(NAMES)


@pytest.mark.slow
def test_classes_are_balanced_enough():
    """Over 150 streets every class takes at least a twelfth of the objects, and people, riders among them, the most."""
    names = [one.name for seed in range(150) for one in make_street(seed, (96, 72)).actors]
    shares = {name: names.count(name) / len(names) for name in NAMES}
    assert min(shares.values()) > 1 / 12
    assert max(shares, key=lambda name: shares[name]) == "people"


def test_sizes_suit_a_small_detector():
    """At a width of 320 px the longer side of most boxes is between 20 and 130 px."""
    sides = np.concatenate([
        np.maximum(labels[:, 3] * 320, labels[:, 4] * 240)
        for labels in (draw(make_street(seed, (96, 72))).labels for seed in range(14))
    ])  # fmt: skip
    assert np.mean((sides > 20) & (sides < 130)) > 0.85
