"""One sentence, no stronger than the intervals."""

from __future__ import annotations

import math

import pytest

from engine.comparison.advice import advise


def row(run, condition, low, high, against="none", metric="mAP50"):
    verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
    facts = {"run": run, "against": against, "condition": condition, "metric": metric}
    return {**facts, "difference": (low + high) / 2, "low": low, "high": high, "verdict": verdict}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [row("a", "night", 0.1, 0.3), row("a", "day", -0.02, 0.01)],
            "Use a: better than none in night by 0.100 to 0.300 mAP50, no difference is shown in day.",
        ),
        (
            [row("a", "night", 0.1, 0.3), row("b", "night", 0.2, 0.4)],
            "Use b: better than none in night by 0.200 to 0.400 mAP50; a is better than none too, which is best is not shown.",
        ),
        (
            [row("a", "night", 0.1, 0.3), row("a", "day", -0.3, -0.1)],
            "a is a trade: better than none in night by 0.100 to 0.300 mAP50, worse than none in day by 0.100 to 0.300 mAP50; "
            "use it only where the gain counts more.",
        ),
        (
            [row("a", "night", -0.3, -0.1), row("b", "night", -0.1, 0.1)],
            "Stay with none: no run is shown to be better, and a is worse.",
        ),
        (
            [row("a", "night", -0.05, 0.07), row("a", "night", 0.5, 0.7, metric="mAP50-95")],
            "Stay with none: no difference in mAP50 is shown; the intervals reach 0.060 to either side, so smaller gains may "
            "have been missed, which more seeds or test images would show.",
        ),
        (
            [row("a", "night", -math.inf, math.inf, metric="AP75"), row("a", "day", -0.1, 0.1, metric="AP75")],
            "Stay with none: no difference in AP75 is shown, and more seeds are needed to show one.",
        ),
        ([row("b", "night", 0.2, 0.3, against="a")], ""),  # nothing against the baseline
        ([], ""),
    ],
)
def test_advice(rows, sentence):
    assert advise(["none", "a", "b"], rows) == sentence


def test_a_run_alone_needs_no_advice():
    assert advise(["none"], []) == ""
