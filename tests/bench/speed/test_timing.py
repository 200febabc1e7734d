"""The timing contract: alternation, warm-up, medians, ratios within a round. The clock is pretended."""

from __future__ import annotations

import pytest

from bench.speed.timing import Timing, alternate, machine, report, table


class Clock:
    """Stands still until a candidate moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: list[float]):
        """A candidate that takes these seconds, one after another."""
        waiting = iter(seconds)

        def run() -> None:
            self.calls.append(name)
            self.now += next(waiting)

        return run


def test_rounds_alternate_and_turn_round_and_the_warm_up_does_not_count():
    clock = Clock()
    candidates = {"a": clock.work("a", [9, 1, 2]), "b": clock.work("b", [9, 3, 4])}
    timings = alternate(candidates, rounds=2, warm_up=1, clock=clock)
    assert clock.calls == ["a", "b", "b", "a", "a", "b"]
    assert (timings["a"].seconds, timings["b"].seconds) == ((1.0, 2.0), (3.0, 4.0))


def test_ratio_is_within_rounds():
    """b takes twice as long in every round; one disturbed round makes both ten times slower."""
    a, b = Timing("a", (1.0, 10.0, 1.2)), Timing("b", (2.0, 20.0, 2.4))
    assert b.ratio_to(a) == pytest.approx(2.0)
    assert a.median == pytest.approx(1.2)


def test_table_in_milliseconds():
    timings = {"plain": Timing("plain", (0.001,) * 5), "wiid": Timing("wiid", (0.002,) * 5)}
    rows = table(timings, "plain")
    assert [(row["candidate"], row["median ms"], row["ratio to plain"]) for row in rows] == [
        ("plain", pytest.approx(1.0), 1.0),
        ("wiid", pytest.approx(2.0), pytest.approx(2.0)),
    ]
    assert (rows[1]["p10 ms"], rows[1]["p90 ms"], rows[1]["rounds"]) == (pytest.approx(2.0), pytest.approx(2.0), 5)
    with pytest.raises(KeyError):
        table(timings, "other")


@pytest.mark.parametrize(("candidates", "rounds"), [({}, 5), ({"a": int}, 0)])
def test_nothing_to_time(candidates, rounds):
    with pytest.raises(ValueError, match="at least one round"):
        alternate(candidates, rounds=rounds)


def test_report_names_the_machine():
    assert {"cores", "threads", "torch", "gpu"} <= machine().keys()
    page = report("Step", [{"candidate": "a", "median ms": 1.0}])
    assert page.startswith("# Step\n")
    assert "| a | 1.00 |" in page
    assert "- torch: " in page
