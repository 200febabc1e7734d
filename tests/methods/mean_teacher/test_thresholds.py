"""Thresholds that follow from counts, by hand."""

from __future__ import annotations

import pytest
import torch

from methods.mean_teacher.thresholds import MEMORY, ClassThresholds, confidences


def counted(low: float = 0.1, high: float = 0.9) -> ClassThresholds:
    """Two images with three objects of class 0 and one of class 1; detections of class 0 at 0.855, 0.755, ..., 0.355."""
    thresholds = ClassThresholds(2, low, high)
    scores = torch.tensor([[0.855, 0.655, 0.455], [0.755, 0.555, 0.355]])
    thresholds.update(scores, torch.zeros(2, 3, dtype=torch.long), torch.tensor([0, 0, 0, 1]))
    return thresholds


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (1.0, 0.56),  # three may stay: 0.855, 0.755, 0.655; the next bin from 0.55 on would add a fourth
        (2 / 3, 0.66),  # two
        (0.1, 0.86),  # none
        (5.0, 0.1),  # all: the lowest
    ],
)
def test_as_many_as_there_are_objects(fraction, expected):
    assert counted()(fraction)[0].item() == pytest.approx(expected, abs=0.005)


def test_a_class_without_detections_has_the_lowest():
    assert counted()(1.0)[1].item() == pytest.approx(0.1)
    assert ClassThresholds(3, 0.25, 0.6)(1.0).tolist() == pytest.approx([0.25] * 3)


def test_limits():
    assert counted(0.7, 0.8)(1.0)[0].item() == pytest.approx(0.7)
    assert counted(0.1, 0.3)(1.0)[0].item() == pytest.approx(0.3)


def test_counts_fade():
    thresholds = counted()
    thresholds.update(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long), torch.zeros(0, dtype=torch.long))
    assert thresholds.objects.tolist() == pytest.approx([3 * MEMORY, MEMORY])
    assert thresholds.detections.sum().item() == pytest.approx(6 * MEMORY)


def test_what_a_label_counts():
    """Below 0.3 nothing, between 0.3 and 0.6 its score, above all; the second class has other limits."""
    scores, classes = torch.tensor([[0.7, 0.5, 0.2, 0.5, 0.0]]), torch.tensor([[0, 0, 0, 1, 0]])
    result = confidences(scores, classes, torch.tensor([0.3, 0.1]), torch.tensor([0.6, 0.4]))
    assert result[0].tolist() == pytest.approx([1.0, 0.5, 0.0, 1.0, 0.0])
