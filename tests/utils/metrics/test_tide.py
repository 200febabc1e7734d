"""Error types: a hand-built case for each, their costs by hand, and that perfect detections have none."""

from __future__ import annotations

import numpy as np
import pytest

from utils.metrics.tide import KINDS, MISSED, TYPES, Errors, classify, costs, pooled

TARGET = (0.0, 0.0, 10.0, 10.0)
CAT, DOG = 0, 1
NEAR = 0.006  # the AP of perfect detections is 0.995


def at(iou: float) -> tuple[float, float, float, float]:
    """A box of that IoU with TARGET: 10 x h px inside it."""
    return (0.0, 0.0, 10.0, 10.0 * iou)


def image(detections, targets, hits=None) -> Errors:
    """detections: (box, score, class) each; targets: (box, class) each; hits: which detections are true positives."""
    boxes = np.array([row[0] for row in detections], float).reshape(-1, 4)
    truth = np.array([row[0] for row in targets], float).reshape(-1, 4)
    columns = [np.array([row[place] for row in detections], float) for place in (1, 2)]
    hit = np.zeros(len(boxes), bool) if hits is None else np.array(hits, bool)
    return classify(boxes, *columns, truth, np.array([row[1] for row in targets], float), hit)


def names(errors: Errors) -> list[str]:
    return ["hit" if kind < 0 else KINDS[kind] for kind in errors.kind]


@pytest.mark.parametrize(
    ("detections", "hits", "expected", "missed"),
    [
        ([(TARGET, 0.9, CAT)], [1], ["hit"], 0),
        ([(at(0.4), 0.9, CAT)], [0], ["localisation"], 0),
        ([(at(0.1), 0.9, CAT)], [0], ["localisation"], 0),  # 0.1 belongs to it
        ([(at(0.7), 0.9, DOG)], [0], ["classification"], 0),
        ([(at(0.4), 0.9, DOG)], [0], ["both"], 1),
        ([(TARGET, 0.9, CAT), (at(0.8), 0.8, CAT)], [1, 0], ["hit", "duplicate"], 0),
        ([((50, 50, 60, 60), 0.9, CAT)], [0], ["background"], 1),
        ([(at(0.09), 0.9, CAT)], [0], ["background"], 1),
        ([], [], [], 1),
    ],
)
def test_each_type(detections, hits, expected, missed):
    errors = image(detections, [(TARGET, CAT)], hits)
    assert names(errors) == expected and errors.missed.sum() == missed
    assert errors.counts()[MISSED] == missed


def test_an_image_without_objects_has_background_errors_only():
    assert names(image([(TARGET, 0.9, CAT)], [])) == ["background"]


def test_costs_of_nothing():
    empty = pooled([image([], [])])
    assert costs(empty) == dict.fromkeys(TYPES, 0.0)
    assert set(costs(pooled([])).values()) == {0.0}


def test_perfect_detections_have_no_error():
    targets = [(TARGET, CAT), ((20, 20, 40, 40), DOG)]
    errors = pooled([image([(box, 1.0, number) for box, number in targets], targets, [1, 1])] * 3)
    assert set(errors.counts().values()) == {0}
    assert costs(errors) == dict.fromkeys(TYPES, 0.0)


@pytest.mark.parametrize(
    ("detections", "hits", "kind", "cost"),
    [
        ([(at(0.4), 0.9, CAT)], [0], "localisation", 1.0),  # AP 0 -> 1
        ([(at(0.7), 0.9, DOG)], [0], "classification", 1.0),
        ([((50, 50, 60, 60), 0.9, CAT), (TARGET, 0.8, CAT)], [0, 1], "background", 0.5),  # precision 1/2 -> 1
        ([(at(0.4), 0.9, DOG), (TARGET, 0.8, CAT)], [0, 1], "both", 0.0),  # DOG has no object: it counts for no AP
        ([], [], MISSED, 1.0),
    ],
)
def test_costs_by_hand(detections, hits, kind, cost):
    found = costs(pooled([image(detections, [(TARGET, CAT)], hits)]))
    assert found[kind] == pytest.approx(cost, abs=NEAR)
    assert sum(found.values()) == pytest.approx(cost, abs=NEAR)  # no other type costs anything


def test_a_duplicate_costs_precision():
    """hit 0.9, duplicate 0.8, hit 0.7 of two objects: recall 0.5 at precision 1, recall 1 at precision 2/3."""
    second = (20.0, 0.0, 30.0, 10.0)
    detections = [(TARGET, 0.9, CAT), (at(0.8), 0.8, CAT), (second, 0.7, CAT)]
    errors = image(detections, [(TARGET, CAT), (second, CAT)], [1, 0, 1])
    assert names(errors) == ["hit", "duplicate", "hit"]
    assert costs(pooled([errors]))["duplicate"] == pytest.approx(0.5 * (1 - 2 / 3), abs=0.01)  # half of the curve


def test_a_mended_detection_does_not_count_twice():
    """Two localisation errors of one object: the more confident becomes the hit, the other disappears."""
    errors = pooled([image([(at(0.4), 0.9, CAT), (at(0.3), 0.8, CAT)], [(TARGET, CAT)])])
    assert costs(errors)["localisation"] == pytest.approx(1.0, abs=NEAR)


def test_the_more_confident_of_hit_and_mended_detection_stays():
    """A localisation error at 0.9 beside the hit at 0.5: mended it is the hit, and the other disappears: 1/2 -> 1."""
    errors = pooled([image([(at(0.4), 0.9, CAT), (TARGET, 0.5, CAT)], [(TARGET, CAT)], [0, 1])])
    assert costs(errors)["localisation"] == pytest.approx(0.5, abs=NEAR)


def test_missed_objects_of_many_images():
    """One of two objects is found: AP 0.5 (51 of 101 steps are reached); without the missed one it is 1."""
    found, lost = image([(TARGET, 0.9, CAT)], [(TARGET, CAT)], [1]), image([], [(TARGET, CAT)])
    errors = pooled([found, lost])
    assert errors.label.tolist() == [0] and errors.missed.tolist() == [False, True]
    assert costs(errors)[MISSED] == pytest.approx(0.5, abs=0.01)


def test_a_subset_counts_its_own():
    near, far = image([(at(0.4), 0.9, CAT)], [(TARGET, CAT)]), image([(TARGET, 0.9, CAT)], [(TARGET, CAT)], [1])
    errors = pooled([near, far])
    one = np.array([True, False])
    assert errors.counts(one, one)["localisation"] == 1 and errors.counts(~one, ~one)["localisation"] == 0
    assert costs(errors, one, one)["localisation"] == pytest.approx(1.0, abs=NEAR)
    assert set(costs(errors, ~one, ~one).values()) == {0.0}


def test_labels_are_those_of_the_whole():
    errors = pooled([image([], [(TARGET, CAT)]), image([(TARGET, 0.9, CAT)], [(TARGET, CAT)], [1])])
    assert errors.label.tolist() == [1] and errors.missed.tolist() == [True, False]
