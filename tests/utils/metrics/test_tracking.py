"""IDF1 and HOTA by hand, and against a direct search over all assignments."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from ultralytics.utils.ops import linear_sum_assignment

from utils.metrics.tracking import ALPHAS, TrackedFrame, join, similarity, tracking_scores, without_small


def rows(*objects: tuple[float, ...]) -> np.ndarray:
    """(identity, x[, class]) each, as boxes of 10 x 10 px."""
    full = [(number, (more or [0])[0], x, 0, x + 10, 10) for number, x, *more in objects]
    return np.array(full, float).reshape(-1, 6)


def frames(*pairs) -> list[TrackedFrame]:
    return [TrackedFrame(rows(*truth), rows(*found)) for truth, found in pairs]


def scores(*pairs) -> dict[str, float]:
    found = tracking_scores(frames(*pairs), linear_sum_assignment)
    return {name: round(value, 6) for name, value in found.items()}


def test_perfect_tracks():
    same = [((1, 0), (2, 50))]
    assert set(scores(*[(same[0], ((8, 0), (9, 50)))] * 3).values()) == {1.0}


def test_one_switch_in_the_middle():
    # One object over 4 frames, found as track 1 twice and then as track 2 twice.
    # IDTP 2 of 4 and 4: IDF1 = 2 * 2 / 8. All 4 are true positives; A(c) = 2 / (4 + 2 - 2) = 1/2 for each.
    object_ = ((1, 0),)
    found = scores((object_, ((1, 0),)), (object_, ((1, 0),)), (object_, ((2, 0),)), (object_, ((2, 0),)))
    assert found == {"IDF1": 0.5, "IDP": 0.5, "IDR": 0.5, "HOTA": round(0.5**0.5, 6), "DetA": 1.0, "AssA": 0.5}


def test_a_miss_and_a_false_alarm():
    # 4 frames: found, found, missed, found + one false alarm of another track elsewhere.
    # IDTP 3, objects 4, detections 4. DetA = 3 / (3 + 1 + 1); A = 3 / (4 + 3 - 3) = 3/4 for each true positive.
    object_, track = ((1, 0),), ((5, 0),)
    found = scores((object_, track), (object_, track), (object_, ()), (object_, ((5, 0), (6, 90))))
    assert found["IDF1"] == 0.75 and found["DetA"] == 0.6 and found["AssA"] == 0.75
    assert found["HOTA"] == pytest.approx((0.6 * 0.75) ** 0.5, abs=1e-6)


def test_localisation_counts_in_hota_and_not_in_idf1():
    # Boxes moved by 2 of 10 px: IoU 8 / 12 = 2/3, which 13 of the 19 thresholds (0.05 to 0.65) accept.
    found = scores((((1, 0),), ((1, 2),)))
    assert found["IDF1"] == 1.0
    assert found["DetA"] == found["AssA"] == found["HOTA"] == round(13 / 19, 6)


def test_classes_do_not_match_each_other():
    found = scores((((1, 0, 0), (2, 50, 1)), ((1, 0, 1), (2, 50, 1))))
    assert found["IDF1"] == 0.5 and found["DetA"] == round(1 / 3, 6)


def test_crossing_objects_are_matched_by_the_whole_track():
    # In the middle frame both objects and both tracks lie on one place; the rest of the tracks decides who is who.
    found = scores(
        (((1, 0), (2, 60)), ((1, 0), (2, 60))), (((1, 30), (2, 30)), ((2, 30), (1, 30))), (((1, 60),), ((1, 60),))
    )
    assert found["AssA"] == found["IDF1"] == 1.0


def test_nothing_at_all_and_nothing_found():
    assert all(np.isnan(value) for value in tracking_scores(frames(((), ())), linear_sum_assignment).values())
    assert all(np.isnan(value) for value in tracking_scores([], linear_sum_assignment).values())
    assert set(scores((((1, 0),), ())).values()) == {0.0}
    assert set(scores(((), ((1, 0),))).values()) == {0.0}


def test_joined_sequences_share_no_identity():
    one = frames((((1, 0),), ((1, 0),)))
    both = join([one, one])
    assert [frame.truth[0, 0] for frame in both] == [1, 3]
    assert tracking_scores(both, linear_sum_assignment)["IDF1"] == 1.0
    assert tracking_scores([*one, *one], linear_sum_assignment)["AssA"] == 1.0
    switched = frames((((1, 0),), ((1, 0),)), (((1, 0),), ((2, 0),)))
    joined = tracking_scores(join([one, switched]), linear_sum_assignment)
    assert joined["IDF1"] == pytest.approx(2 / 3)  # IDTP 1 + 1 of 3
    assert joined["AssA"] == pytest.approx((1 + 0.5 + 0.5) / 3)  # weighted by true positives


@pytest.mark.parametrize("seed", range(6))
def test_idf1_equals_the_best_of_all_assignments(seed):
    rng = np.random.default_rng(seed)
    made = [
        (tuple((n, 7.0 * rng.integers(4)) for n in range(3)), tuple((n, 7.0 * rng.integers(4)) for n in range(3)))
        for _ in range(5)
    ]
    agree = np.zeros((3, 3))
    for frame in frames(*made):
        agree += similarity(frame.truth, frame.found) >= 0.5
    best = max(sum(agree[n, order[n]] for n in range(3)) for order in permutations(range(3)))
    assert scores(*made)["IDF1"] == pytest.approx(2 * best / 30, abs=1e-6)


def test_small_objects_and_whoever_finds_them_are_left_out():
    big, small, tiny = (1, 0, 0, 0, 40, 20), (2, 0, 100, 0, 112, 10), (3, 0, 200, 0, 208, 8)
    frame = TrackedFrame(np.array([big, small], float), np.array([big, small, tiny, (4, 0, 200, 0, 300, 90)], float))
    kept = without_small(frame, 24, linear_sum_assignment)
    assert kept.truth[:, 0].tolist() == [1]
    assert kept.found[:, 0].tolist() == [1, 4]  # the large false alarm stays
    empty = without_small(TrackedFrame(np.zeros((0, 6)), np.zeros((0, 6))), 24, linear_sum_assignment)
    assert len(empty.truth) == len(empty.found) == 0


def test_the_thresholds_are_those_of_hota():
    assert ALPHAS.tolist() == pytest.approx([0.05 * step for step in range(1, 20)])
