"""Distances between what a detector says of a degraded image and of the clean one, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from methods.weather.consistency import dense, feature_distance, prediction_distance


def views(scores: float, boxes: list[float]) -> dict[str, torch.Tensor]:
    """One image, one class, one point."""
    return {"scores": torch.tensor([[[scores]]]), "boxes": torch.tensor(boxes).view(1, -1, 1)}


def test_predictions_by_hand():
    """Clean p = 0.75, degraded q = 0.5: KL = 0.75 ln 1.5 + 0.25 ln 0.5; one side of two bins (3:1 against 1:1) the same."""
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    degraded = views(0.0, [0.0] * 8)
    assert prediction_distance(degraded, views(math.log(3), [0.0] * 8)).item() == pytest.approx(kl, abs=1e-6)
    tilted = [math.log(3), 0.0] + [0.0] * 6
    assert prediction_distance(degraded, views(0.0, tilted)).item() == pytest.approx(kl, abs=1e-6)


def test_plain_distances():
    """Heads without bins: |1 - 3| on one side."""
    assert prediction_distance(views(0.0, [1.0, 0, 0, 0]), views(0.0, [3.0, 0, 0, 0])).item() == pytest.approx(2.0)


def test_what_the_clean_image_does_not_show_counts_little():
    """Two points, of clean scores 0.5 and about 0; the second differs in its box only."""
    clean = {"scores": torch.tensor([[[0.0, -30.0]]]), "boxes": torch.zeros(1, 4, 2)}
    degraded = {"scores": clean["scores"], "boxes": torch.tensor([0.0, 5.0]).expand(1, 4, 2)}
    assert prediction_distance(degraded, clean).item() == pytest.approx(0, abs=1e-6)


def test_features_by_hand():
    """Equal at one level, orthogonal at the other: (0 + 1) / 2."""
    x, y = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    assert feature_distance({"a": x, "b": x}, {"a": x, "b": y}).item() == pytest.approx(0.5)


def test_only_the_degraded_side_learns():
    degraded, clean = views(0.3, [0.1] * 8), views(1.0, [0.2] * 8)
    for part in (*degraded.values(), *clean.values()):
        part.requires_grad_()
    prediction_distance(degraded, clean).backward()
    assert degraded["scores"].grad is not None and clean["scores"].grad is None and clean["boxes"].grad is None


def test_heads_of_two_branches():
    one = {"scores": torch.zeros(1)}
    assert dense({"one2many": one, "one2one": {}}) is one and dense(one) is one
