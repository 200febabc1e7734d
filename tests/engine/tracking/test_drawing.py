"""Trails on images."""

from __future__ import annotations

import numpy as np

from engine.tracking.drawing import draw_trails
from engine.tracking.result import TrackingResult
from utils.draw import colour

BOXES = np.array([[10, 10, 20, 20, 0.9, 2], [60, 60, 80, 80, 0.9, 0]])


def test_a_trail_has_the_colour_of_its_class():
    image = np.zeros((100, 640, 3), np.uint8)
    seen = TrackingResult(np.array([4, 0]), {4: ((15.0, 15.0), (15.0, 60.0))})
    drawn = draw_trails(image, BOXES, seen)
    assert tuple(drawn[40, 15].tolist()) == colour(2)
    assert not drawn[:, 40:].any()
    assert not image.any()


def test_nothing_to_draw_changes_nothing():
    image = np.zeros((100, 100, 3), np.uint8)
    assert draw_trails(image, BOXES, TrackingResult()) is image
    assert not draw_trails(image, BOXES[:1], TrackingResult(np.array([4]), {4: ((15.0, 15.0),)})).any()
