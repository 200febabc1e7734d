"""How long a comparison will take."""

from __future__ import annotations

import pytest

from data.config import load_data
from engine.comparison import estimate as timing
from engine.comparison.estimate import Speed, cost_of, estimate, measure_speed, network_of
from engine.comparison.runner import RunSpec
from tests.data.checks.sets import write_clean_set


def test_a_step_takes_longer_than_a_forward_pass():
    speed = measure_speed("yolov5n", {0: "cat"}, 64, 16, "cpu")
    assert speed.step > speed.forward > 0


def test_a_batch_that_is_chosen_later_is_timed_too():
    assert measure_speed("yolov5n", {0: "cat"}, 64, -1, "cpu").step > 0


def test_time_of_all_runs_by_hand(tmp_path, monkeypatch):
    """Plain: 3 epochs of 8 x 2 s and 5 x 1 s, then 4 x 1 s of test: 67. The other steps take 2.5 times: 139. Two seeds."""
    config = load_data(write_clean_set(tmp_path, train=8, val=5, test=4))
    seen = []
    monkeypatch.setattr(timing, "measure_speed", lambda *given: seen.append(given) or Speed(2, 1))
    specs = [RunSpec("none", {"method": "none"}), RunSpec("wiid", {"method": "wiid"})]
    assert estimate(config, specs, {"epochs": 3}, seeds=2, split="test") == pytest.approx(2 * (67 + 139))
    assert len(seen) == 1  # one network is timed once


@pytest.mark.parametrize(("method", "cost"), [("none", 1), ("wiid", 2.5), ("wiid+rfla", 2.5), ("wiid+lcp", 3.5)])
def test_costs_of_methods_multiply(method, cost):
    assert cost_of(method) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("weights", "network"),
    [
        ("weights/yolov5n-demo-days.safetensors", "yolov5n"),
        ("YOLOv8m.pt", "yolov8m"),
        ("best.pt", "models/yolov5s.yaml"),
        ("", "models/yolov5s.yaml"),
    ],
)
def test_network_of_a_checkpoint_by_its_name(weights, network):
    assert network_of(weights) == network
