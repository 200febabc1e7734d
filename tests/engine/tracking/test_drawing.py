"""Trails on images."""

from __future__ import annotations

import numpy as np

from engine.tracking.drawing import REGION, count_text, draw_tracking
from engine.tracking.result import PlacedRegion, TrackingResult
from utils.draw import colour

BOXES = np.array([[10, 10, 20, 20, 0.9, 2], [60, 60, 80, 80, 0.9, 0]])


def test_a_trail_has_the_colour_of_its_class():
    image = np.zeros((100, 640, 3), np.uint8)
    seen = TrackingResult(np.array([4, 0]), {4: ((15.0, 15.0), (15.0, 60.0))})
    drawn = draw_tracking(image, BOXES, seen)
    assert tuple(drawn[40, 15].tolist()) == colour(2)
    assert not drawn[:, 40:].any()
    assert not image.any()


def test_nothing_to_draw_changes_nothing():
    image = np.zeros((100, 100, 3), np.uint8)
    assert draw_tracking(image, BOXES, TrackingResult()) is image
    assert not draw_tracking(image, BOXES[:1], TrackingResult(np.array([4]), {4: ((15.0, 15.0),)})).any()


LINE, ZONE = (
    PlacedRegion("line", "gate", ((100, 50), (500, 50))),
    PlacedRegion("zone", "yard", ((0, 0), (90, 0), (90, 90))),
)
COUNTS = {"car": {"in": 2, "out": 1}, "bus": {"in": 1, "out": 0}}
SEEN = TrackingResult(
    np.zeros(2, np.int64),
    lines={"gate": COUNTS},
    zones={"yard": {"car": {"inside": 2, "entered": 3, "left": 1, "dwell": 1.0}}},
    regions=(LINE, ZONE),
)


def test_regions_are_drawn_with_their_counts():
    drawn = draw_tracking(np.zeros((100, 640, 3), np.uint8), BOXES, SEEN)
    assert tuple(drawn[50, 400].tolist()) == REGION
    assert drawn[70, 300].any() and not drawn[30, 300].any()  # the arrow points to the `in` side, which is below
    assert drawn[20, 70].any() and not drawn[80, 20].any()  # inside the zone and outside
    assert (count_text(LINE, SEEN), count_text(ZONE, SEEN)) == ("in 3 out 1", "2 inside")
