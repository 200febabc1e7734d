"""What a step learns from: masks, BYOL, MMD that reaches the network, and the sizes of the specification."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.classification.learners import DayLearner, PairLearner, salient, square_count, squares
from engine.options.classify import DEFAULTS, ClassifyOptions
from methods.options.wiid import WiiDOptions
from models.classifier import build
from tests.engine.classification.tiny_classes import TinyNetwork

WIID = WiiDOptions(byol_weight=DEFAULTS["byol_weight"], use_mmd=True)
NO_MASKS = ClassifyOptions(mask_squares=0, mask_saliency=0)


def learner(own: ClassifyOptions = NO_MASKS, wiid: WiiDOptions = WIID) -> PairLearner:
    torch.manual_seed(0)
    return PairLearner(TinyNetwork(3), own, wiid).train()


def batch(count: int = 8, side: int = 16) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    views = {
        view: torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
        for view in ("img", "pair", "favoured")
    }
    return {**views, "cls": torch.arange(count) % 3, "seed": list(range(count))}


def test_sizes_of_the_specification():
    """Two networks of 11,181,642, two projectors of 82,432 and a predictor of 33,280: 22,561,428, of which half train."""
    pair = PairLearner(build("resnet18", 10), ClassifyOptions(), WIID)
    assert pair.target is not None
    copied = sum(parameter.numel() for parameter in pair.target.copy.parameters())
    trained = sum(parameter.numel() for parameter in pair.parameters() if parameter.requires_grad)
    assert (trained + copied, trained) == (22_561_428, 11_297_354)
    assert len(pair.state_dict()) + len(pair.target_state()) == 271


@pytest.mark.parametrize(
    ("side", "share", "count"), [(32, 0.5, 24), (32, 0.6, 29), (48, 0.5, 10), (48, 0.6, 13), (63, 0.5, 6), (63, 0.6, 7)]
)
def test_number_of_squares(side: int, share: float, count: int):
    """int(224^2 * share / side^2), such as 50176 * .5 / 1024 = 24.5."""
    assert square_count(224, side, share) == count


def test_squares_are_of_their_side_and_belong_to_the_image():
    """One square of 8 px on 16 px covers 64 pixels: int(256 * .25 / 64) = 1."""
    keep = squares([5, 6, 5], 16, 8, 0.25)
    assert keep.shape == (3, 1, 16, 16) and [int((1 - image).sum()) for image in keep] == [64, 64, 64]
    assert torch.equal(keep[0], keep[2]) and not torch.equal(keep[0], keep[1])


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.75])
def test_saliency_removes_its_share(quantile: float):
    """A quantile of the pixels, not of a percent: half means half."""
    keep = salient(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)), quantile)
    assert keep.mean().item() == pytest.approx(1 - quantile, abs=0.02)


@pytest.mark.parametrize(
    "own", [ClassifyOptions(mask_squares=1, mask_saliency=0), ClassifyOptions(mask_squares=0, mask_saliency=1)]
)
def test_masks_are_equal_for_both_members_and_mean_colour(own: ClassifyOptions):
    masked, plain = learner(own).prepare(batch(), 0), learner().prepare(batch(), 0)
    gone = [(masked[view] == 0).all(1) for view in ("img", "pair")]
    assert torch.equal(*gone) and 0.2 < gone[0].float().mean() < 0.9
    for view, lost in zip(("img", "pair"), gone, strict=True):
        assert torch.equal(masked[view].permute(0, 2, 3, 1)[~lost], plain[view].permute(0, 2, 3, 1)[~lost])
    assert torch.equal(masked["favoured"], plain["favoured"])


def test_shares_of_masks():
    """Of 200 batches about 60 % squares, 10 % saliency and 30 % none: within three standard deviations, 21 and 13."""
    pair, kinds = learner(ClassifyOptions()), {"none": 0, "squares": 0, "saliency": 0}
    day = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for iteration in range(200):
        keep = pair._keep(day, [iteration], np.random.default_rng([0, iteration]))
        kinds["none" if keep is None else "saliency" if keep.mean() == 0.5 else "squares"] += 1
    assert abs(kinds["squares"] - 120) < 24 and abs(kinds["none"] - 60) < 20 and 5 <= kinds["saliency"] <= 35


def test_draws_depend_on_seed_and_iteration_alone():
    first, again, later = (learner(ClassifyOptions()).prepare(batch(), n)["img"] for n in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, later)
    assert not torch.equal(PairLearner(TinyNetwork(3), NO_MASKS, WIID, seed=1).prepare(batch(), 3)["img"], first)


def test_terms_and_their_weights():
    """Twice the weight, twice the term; without BYOL and MMD both cross-entropies stay as they were."""
    ready = learner().prepare(batch(), 0)
    terms = learner()(ready)
    double = learner(wiid=replace(WIID, byol_weight=0.26, mmd_weight=0.2))(ready)
    assert list(terms) == ["day", "night", "byol", "mmd"]
    for name in ("byol", "mmd"):
        torch.testing.assert_close(double[name], 2 * terms[name])
    assert 0 < terms["byol"].item() < 0.52  # 0.13 * [0, 4]
    bare = learner(wiid=replace(WIID, byol_weight=0))({key: ready[key] for key in ready if key != "favoured"})
    assert list(bare) == ["day", "night"] and torch.equal(bare["day"], terms["day"])
    assert torch.equal(DayLearner(learner().network, NO_MASKS)(ready)["day"], terms["day"])


def test_mmd_pulls_the_network_and_byol_leaves_its_target_alone():
    pair = learner()
    terms = pair(pair.prepare(batch(), 0))
    gradient = torch.autograd.grad(terms["mmd"], list(pair.network.body.parameters()), retain_graph=True)
    assert all(part.abs().sum() > 0 for part in gradient)
    terms["byol"].backward()
    assert pair.target is not None and all(parameter.grad is None for parameter in pair.target.copy.parameters())
    assert pair.projector[0].weight.grad.abs().sum() > 0 and pair.predictor[0].weight.grad.abs().sum() > 0


def test_only_a_share_of_the_nights_is_looked_at():
    """A quarter of 8, and never fewer than 2."""
    shares = [(0.25, 2), (0.5, 4), (0.0, 2), (1.0, 8)]
    found = [len(learner(replace(NO_MASKS, mmd_share=s)).prepare(batch(), 0)["favoured"]) for s, _ in shares]
    assert found == [count for _, count in shares]


def test_the_target_follows_slowly():
    """Adding 1 to every parameter moves the target's by 1 - 0.99."""
    pair = learner()
    assert pair.target is not None
    before = [parameter.clone() for parameter in pair.target.copy.parameters()]
    with torch.no_grad():
        for parameter in pair.target.online.parameters():
            parameter += 1
    pair.after_step()
    moved = [after - then for after, then in zip(pair.target.copy.parameters(), before, strict=True)]
    assert all(torch.allclose(part, torch.full_like(part, 0.01), atol=1e-6) for part in moved)


def test_the_target_moves_with_the_learner_and_other_heads_are_refused():
    pair = learner().to(torch.float64)
    assert pair.target is not None and next(pair.target.copy.parameters()).dtype == torch.float64
    network = TinyNetwork(3)
    network.fc = nn.Sequential(nn.Dropout(), nn.Linear(16, 3))  # type: ignore[assignment]
    with pytest.raises(ValueError, match="linear head"):
        PairLearner(network, NO_MASKS, WIID)
