"""The tables of a comparison: means, spreads, intervals, verdicts, files."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.comparison.report import Comparison, RunOutcome, markdown, matches_of, notes_of, raw_rows, save_report
from engine.evaluation.evaluator import average
from engine.results import DetectionStats, Report
from utils.metrics.bootstrap import resampled_map
from utils.tables import read_csv


def images(quality: float, seed: int = 0, count: int = 40) -> tuple[DetectionStats, ...]:
    """Images of two objects; a detector of this quality finds so many of them, and is wrong once per image."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        right = np.append(rng.random(2) < quality, False)
        conf = np.append(rng.uniform(0.5, 1.0, 2), rng.uniform(0.0, 0.7))
        tp = np.repeat(right[:, None], 10, 1)
        made.append(DetectionStats(f"{number}.png", tp, conf, np.array([0.0, 1, 0]), np.array([0.0, 1])))
    return tuple(made)


def outcome(run: str, seed: int, night: float, day: float = 0.9, raw: bool = True) -> RunOutcome:
    """An outcome measured by night and by day; with `raw`, the numbers belong to the images."""
    reports = []
    for condition, split, quality in (("night", "test", night), ("day", "test2", day)):
        seen = images(quality, seed) if raw else ()
        value = float(average(list(seen), {0: "cat", 1: "dog"}).box.map50) if raw else quality
        metrics = {"precision": 0.5, "recall": 0.5, "mAP50": value, "mAP50-95": value / 2}
        reports.append(Report(condition, split, 40, 80, metrics, [], {}, seen))
    return RunOutcome(run, seed, reports, train_seconds=60.0 + seed)


def study(*outcomes: RunOutcome, runs: tuple[str, ...] = ("none", "wiid"), metric: str = "mAP50") -> Comparison:
    return Comparison(list(runs), ["night", "day"], list(outcomes), [metric], 200)


def test_summary_by_hand():
    """Means of 0.2, 0.4 and of 60 s, 61 s; the sd of two values is their distance over the root of two."""
    rows = study(outcome("none", 0, 0.2, raw=False), outcome("none", 1, 0.4, raw=False)).summary()
    assert [(row["run"], row["condition"], row["seeds"]) for row in rows] == [
        ("none", "night", 2),
        ("none", "day", 2),
        ("wiid", "night", 0),
        ("wiid", "day", 0),
    ]
    assert rows[0]["mAP50"] == pytest.approx(0.3)
    assert rows[0]["mAP50 sd"] == pytest.approx(0.2 / math.sqrt(2))
    assert rows[0]["mAP50-95"] == pytest.approx(0.15)
    assert rows[0]["train s"] == 60  # 60.5, to the even second
    assert rows[2]["train s"] is None
    assert math.isnan(rows[2]["mAP50"])


def test_one_seed_has_no_spread():
    row = study(outcome("none", 0, 0.2, raw=False)).summary()[0]
    assert row["mAP50"] == pytest.approx(0.2)
    assert math.isnan(row["mAP50 sd"])


def test_differences_go_to_the_first_and_to_the_one_before():
    runs = ("none", "pair", "wiid")
    outcomes = [outcome(run, seed, 0.5, raw=False) for run in runs for seed in (0, 1)]
    rows = study(*outcomes, runs=runs).differences()
    assert [(row["run"], row["against"]) for row in rows if row["condition"] == "day"] == [
        ("pair", "none"),
        ("wiid", "none"),
        ("wiid", "pair"),
    ]


def test_only_seeds_that_both_finished_are_compared():
    outcomes = [
        outcome("none", 0, 0.5, raw=False),
        outcome("none", 1, 0.1, raw=False),
        outcome("wiid", 0, 0.6, raw=False),
    ]
    failed = RunOutcome("wiid", 1, error="out of memory")
    rows = study(*outcomes, failed).differences()
    assert rows[0]["difference"] == pytest.approx(0.1)
    assert rows[0]["seeds ahead"] == "1 of 1"
    assert rows[0]["verdict"] == "no difference shown"  # one pair shows nothing
    assert study(outcome("none", 0, 0.5), failed).differences() == []
    assert "out of memory" in study(*outcomes, failed).summary()[2]["failed"]


def test_a_clear_difference_by_night_and_none_by_day():
    outcomes = [outcome("none", seed, 0.3) for seed in range(3)] + [outcome("wiid", seed, 0.8) for seed in range(3)]
    night, day = study(*outcomes).differences()
    assert night["verdict"] == "better"
    assert 0.1 < night["low"] < night["difference"] < night["high"]
    assert night["resampled"] == "3 seeds x 40 images"
    assert (day["difference"], day["verdict"]) == (0.0, "no difference shown")  # the same detections
    assert day["seeds ahead"] == "0 of 3"


def test_one_seed_is_resampled_over_images_alone():
    rows = study(outcome("none", 0, 0.3), outcome("wiid", 0, 0.8)).differences()
    assert (rows[0]["resampled"], rows[0]["verdict"]) == ("40 images", "better")


def test_without_matches_seeds_alone_are_resampled():
    outcomes = [
        outcome(run, seed, value, raw=False) for run, value in (("none", 0.3), ("wiid", 0.4)) for seed in range(3)
    ]
    row = study(*outcomes).differences()[0]
    assert (row["resampled"], row["verdict"]) == ("3 seeds", "better")
    assert (row["low"], row["high"]) == pytest.approx((0.1, 0.1))


def test_the_stricter_metric_is_the_mean_over_levels():
    outcomes = [outcome(run, seed, quality) for run, quality in (("none", 0.3), ("wiid", 0.8)) for seed in (0, 1)]
    row = study(*outcomes, metric="mAP50-95").differences()[0]
    assert row["metric"] == "mAP50-95"
    assert row["verdict"] == "better"


def test_matches_give_back_the_metric_of_the_report():
    seen = images(0.6)
    whole = resampled_map(matches_of(seen, 0), np.ones((1, len(seen)), int))
    assert whole == pytest.approx([average(list(seen), {0: "cat", 1: "dog"}).box.map50])


def test_files(tmp_path, capsys):
    outcomes = [outcome("none", 0, 0.3), outcome("wiid", 0, 0.8), RunOutcome("wiid", 1, error="no memory | left")]
    summary, differences = save_report(
        study(*outcomes), tmp_path / "run", tmp_path / "bench", "demo", {"split": "test"}
    )
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    endings = (".csv", ".md", ".png", "-summary.csv", "-differences.csv")
    assert names == {f"run/compare{end}" for end in endings} | {f"bench/compare-demo{end}" for end in endings}
    raw = read_csv(tmp_path / "bench" / "compare-demo.csv")
    assert [(row["run"], row["condition"], row["error"]) for row in raw] == [
        ("none", "night", ""),
        ("none", "day", ""),
        ("wiid", "night", ""),
        ("wiid", "day", ""),
        ("wiid", "", "no memory | left"),
    ]
    page = (tmp_path / "bench" / "compare-demo.md").read_text()
    assert "](compare-demo.png)" in page
    assert "no memory \\| left" in page
    assert "no difference shown" in page
    assert "better" in capsys.readouterr().out
    assert (len(summary), len(differences)) == (4, 2)


def test_notes_warn_of_few_seeds_and_of_val():
    outcomes = [outcome("none", seed, 0.3, raw=False) for seed in range(3)]
    notes = " ".join(notes_of(study(*outcomes), {"split": "val"}))
    assert "one time in 4" in notes  # three seeds: two of eight sign patterns are pure
    assert "chose the best epoch" in notes
    many = study(*[outcome("none", seed, 0.3, raw=False) for seed in range(5)])
    assert "few" not in " ".join(notes_of(many, {"split": "test"}))


def test_a_single_run_is_a_table_without_differences():
    alone = study(outcome("none", 0, 0.3), runs=("none",))
    page = markdown(alone, alone.summary(), alone.differences(), ["note"])
    assert "Differences" not in page
    assert raw_rows(alone)[0]["mAP50"] == alone.summary()[0]["mAP50"]


def test_line_of_an_outcome():
    assert "night mAP50 0.300" in outcome("none", 0, 0.3, raw=False).line()
    assert RunOutcome("none", 2, error="why").line() == "none, seed 2: failed: why"


def test_a_metric_over_some_classes_and_one_that_images_do_not_give():
    """APr is the mAP over class 1 alone, resampled by images; APs is not in the matches, so only seeds are drawn."""
    outcomes = []
    for run, quality in (("none", 0.3), ("wiid", 0.8)):
        for seed in (0, 1):
            made = outcome(run, seed, quality)
            for report in made.reports:
                ones = np.ones((1, len(report.per_image)), int)
                levels = [resampled_map(matches_of(report.per_image, level, [1]), ones)[0] for level in range(10)]
                report.metrics.update(APr=float(np.mean(levels)), APs=quality)
            outcomes.append(made)
    made = Comparison(["none", "wiid"], ["night", "day"], outcomes, ["APr", "APs"], 200, {"APr": [1]})
    rare, small = (next(row for row in made.differences() if row["metric"] == name) for name in ("APr", "APs"))
    assert (rare["verdict"], rare["resampled"]) == ("better", "2 seeds x 40 images")
    assert rare["low"] < rare["difference"] < rare["high"]
    assert (small["difference"], small["resampled"]) == (pytest.approx(0.5), "2 seeds")
    assert {"mAP50", "mAP50-95", "APr", "APs"} <= made.summary()[0].keys()


def test_matches_of_one_class():
    """A detector that finds class 0 only is perfect over class 0 and worth nothing over class 1."""
    right = np.array([True, False])
    seen = (
        DetectionStats(
            "a.png", np.repeat(right[:, None], 10, 1), np.array([0.9, 0.8]), np.array([0.0, 1]), np.array([0.0, 1])
        ),
    )
    ones = np.ones((1, 1), int)
    assert [resampled_map(matches_of(seen, 0, only), ones)[0] for only in ([0], [1], None)] == pytest.approx(
        [1, 0, 0.5], abs=0.01
    )
