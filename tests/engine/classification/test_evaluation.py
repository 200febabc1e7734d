"""Top-1, top-5, per class and the confusion matrix, by hand."""

from __future__ import annotations

import torch

from engine.classification.evaluation import plot_confusion, report_of, table
from engine.comparison.report import Comparison, RunOutcome

NAMES = dict(enumerate("abcdefg"))


def probabilities(*first: list[int]) -> torch.Tensor:
    """(n, 7) probabilities that rank the named classes first, in that order, then the rest by number."""
    rows = []
    for wanted in first:
        order = [*wanted, *(number for number in range(7) if number not in wanted)]
        rows.append([0.4 / (1 + order.index(number)) for number in range(7)])
    return torch.tensor(rows)


def test_by_hand():
    """Truth a, a, b, g: the first guess is right for the first only; g comes last of seven for the fourth.

    top-1 1/4; top-5 3/4. Class a: 1/2 and 1; b: 0 and 1; g: 0 and 0. No other class has images.
    """
    found = probabilities([0], [1, 0], [0, 1], [0, 1, 2, 3, 4, 5])
    report = report_of(
        found, torch.tensor([0, 0, 1, 6]), list("1234"), NAMES, split="test", condition="night", speed={}
    )
    assert report.metrics == {"top1": 0.25, "top5": 0.75}
    assert [(row["class"], row["images"], row["top1"], row["top5"]) for row in report.per_class] == [
        ("a", 2, 0.5, 1.0),
        ("b", 1, 0.0, 1.0),
        ("g", 1, 0.0, 0.0),
    ]
    assert [image.top1 for image in report.per_image] == [True, False, False, False]
    assert [row["class"] for row in table([report])] == ["all", "a", "b", "g"]
    assert RunOutcome("none", 0, [report]).line().startswith("none, seed 0: night top1 0.250")


def test_resampled_shares():
    """One run right on every image, one on none: every resample differs by 1."""
    truth, reports = torch.tensor([0, 1, 2]), {}
    for run, shift in (("none", 1), ("wiid", 0)):
        guessed = probabilities(*([(number + shift) % 3] for number in range(3)))
        reports[run] = report_of(guessed, truth, list("123"), NAMES, split="test", condition="night", speed={})
    outcomes = [RunOutcome(run, 0, [report]) for run, report in reports.items()]
    (row,) = Comparison(["none", "wiid"], ["night"], outcomes, ["top1"], 100, standard=("top1", "top5")).differences()
    assert (row["difference"], row["low"], row["high"], row["resampled"]) == (1.0, 1.0, 1.0, "3 images")


def test_confusion_images(tmp_path):
    plot_confusion(torch.eye(2), torch.tensor([0, 0]), {0: "a", 1: "b"}, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "confusion_matrix.png",
        "confusion_matrix_normalized.png",
    ]
