"""The numbers of the WiiD specification, computed by hand or by the original program."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from methods.base import Forward, Run, Step
from methods.options.wiid import WiiDOptions
from methods.wiid import WiiD, byol_loss, cell_mask, mmd, occlusion_cells, pixel_boxes, spectral_saliency
from models.detector import build, tapped

BOX = np.array([[200, 150, 400, 300]])


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize(("angle", "expected"), [(0.0, 0.0), (math.pi / 2, 0.2), (math.pi, 0.4)])
def test_byol_loss_by_hand(levels: int, angle: float, expected: float) -> None:
    """2 - 2 cos(angle), times 0.1, whatever the number of levels."""
    q = torch.tensor([[1.0, 0.0]] * 4)
    k = torch.tensor([[math.cos(angle), math.sin(angle)]] * 4)
    assert byol_loss([q] * levels, [k] * levels).item() == pytest.approx(expected, abs=1e-6)


def test_byol_loss_averages_levels_of_unequal_value() -> None:
    """Levels at 0 and at 4 average to 2; times 0.5 is 1."""
    a = torch.tensor([[1.0, 0.0]])
    assert byol_loss([a, a], [a, -a], weight=0.5).item() == pytest.approx(1.0)


def test_byol_loss_wants_equal_levels() -> None:
    with pytest.raises(ValueError, match="equally many levels"):
        byol_loss([torch.ones(1, 2)], [])


@pytest.mark.parametrize(
    ("a", "b", "bandwidth", "expected"),
    [
        ([[0.0], [1.0]], [[2.0], [3.0]], None, 4.579796),
        ([[0.0], [1.0]], [[2.0], [3.0]], 4.0, 4.375165),
        ([[0.0], [1.0]], [[2.0], [3.0], [4.0]], None, 4.459883),
        (torch.arange(12.0).view(3, 4).tolist(), (torch.arange(12.0).view(3, 4) + 1).tolist(), None, 0.108778),
        (
            (0.1 * torch.arange(12.0).view(3, 4)).tolist(),
            (0.1 * torch.arange(12.0).view(3, 4) + 0.1).tolist(),
            1.0,
            0.114396,
        ),
    ],
)
def test_mmd_numbers_of_the_original(a: list, b: list, bandwidth: float | None, expected: float) -> None:
    assert mmd(torch.tensor(a), torch.tensor(b), bandwidth=bandwidth).item() == pytest.approx(expected, abs=2e-6)


def test_mmd_of_equal_samples_is_zero() -> None:
    a = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert mmd(a, a).item() == pytest.approx(0.0, abs=1e-6)
    assert mmd(torch.zeros(3, 2), torch.zeros(3, 2)).item() == 0.0


def test_mmd_has_a_gradient() -> None:
    a = torch.zeros(2, 3, requires_grad=True)
    mmd(a, torch.ones(2, 3)).backward()
    assert a.grad is not None and a.grad.abs().sum() > 0


def test_cells_of_the_background_as_in_the_original() -> None:
    """480 x 640, grid 5: cells of 128 x 96; nine on the box, sixteen behind it; int(0.3 * 16) = 4 of them."""
    cells = occlusion_cells(480, 640, BOX, 5, 0.0, 0.3, random.Random(0))
    assert cells == [(4, 1), (4, 4), (1, 4), (0, 0)]
    assert cell_mask([cells], 5, 480, 640).sum().item() == 49_152


def test_cells_of_both_kinds_as_in_the_original() -> None:
    cells = occlusion_cells(480, 640, BOX, 5, 0.5, 0.4, random.Random(0))
    assert cells[:4] == [(3, 1), (3, 3), (1, 1), (1, 3)]
    assert cells[4:] == [(4, 4), (1, 4), (4, 1), (0, 4), (2, 0), (1, 0)]


def test_front_is_the_box_grown_to_cells() -> None:
    front = occlusion_cells(480, 640, BOX, 5, 1.0, 0.0, random.Random(0))
    assert set(front) == {(column, row) for column in (1, 2, 3) for row in (1, 2, 3)}


def test_the_remainder_is_never_masked() -> None:
    """333 = 5 * 66 + 3 rows, 500 = 5 * 100 columns."""
    cells = occlusion_cells(333, 500, BOX, 5, 1.0, 1.0, random.Random(0))
    mask = cell_mask([cells], 5, 333, 500)[0, 0]
    assert len(cells) == 25
    assert mask[:330].all() and not mask[330:].any()


def test_touching_edges_do_not_count() -> None:
    front = occlusion_cells(480, 640, np.array([[128, 0, 200, 96]]), 5, 1.0, 0.0, random.Random(0))
    assert front == [(1, 0)]


def test_no_boxes_means_all_background() -> None:
    assert len(occlusion_cells(100, 100, np.zeros((0, 4)), 5, 1.0, 1.0)) == 25


def test_saliency_finds_the_odd_one_out() -> None:
    ramp = torch.linspace(0, 0.3, 64)
    noise = 0.05 * torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    image = (ramp[None, None, None] + noise).repeat(1, 3, 1, 1)
    image[..., 20:28, 36:44] += 0.6
    peak = int(spectral_saliency(image)[0, 0].argmax())
    assert 16 <= peak // 64 <= 32 and 32 <= peak % 64 <= 48


def make_batch(size: int = 64, images: int = 2) -> dict:
    generator = torch.Generator().manual_seed(0)
    return {
        "img": torch.rand(images, 3, size, size, generator=generator),
        "pair": torch.rand(images, 3, size, size, generator=generator),
        "bboxes": torch.tensor([[0.5, 0.5, 0.25, 0.25]] * images),
        "cls": torch.zeros(images, 1),
        "batch_idx": torch.arange(images).float(),
        "seed": list(range(images)),
    }


def test_pixel_boxes_by_hand() -> None:
    """Centre 0.5, size 0.25 of 64 px: 32 -+ 8."""
    assert pixel_boxes(make_batch())[0].tolist() == [[24.0, 24.0, 40.0, 40.0]]


def test_both_members_lose_the_same_cells() -> None:
    batch = make_batch()
    before = batch["img"].clone()
    WiiD(WiiDOptions(back_ratio=0.5)).prepare(batch)
    gone = (batch["img"] == 0).all(1)
    assert gone.any() and torch.equal(gone, (batch["pair"] == 0).all(1))
    assert torch.equal(batch["img"][:, :, 24:40, 24:40], before[:, :, 24:40, 24:40])  # cells on the object stay


def test_masks_depend_on_the_images_own_seed() -> None:
    first, second = make_batch(), make_batch()
    second["seed"] = [0, 7]
    for batch in (first, second):
        WiiD(WiiDOptions(back_ratio=0.3)).prepare(batch)
    assert torch.equal(first["img"][0], second["img"][0])
    assert not torch.equal(first["img"][1], second["img"][1])


def test_highlighting_boxes_keeps_nothing_else() -> None:
    batch = make_batch()
    WiiD(WiiDOptions(back_ratio=0.0, highlight="boxes")).prepare(batch)
    assert batch["pair"].abs().sum() == batch["pair"][:, :, 24:40, 24:40].abs().sum() > 0


def test_highlighting_by_saliency_removes_the_asked_share() -> None:
    batch = make_batch()
    WiiD(WiiDOptions(back_ratio=0.0, highlight="saliency", highlight_quantile=0.75)).prepare(batch)
    kept = (batch["img"] != 0).any(1).float().mean().item()
    assert kept == pytest.approx(0.25, abs=0.01)


@pytest.fixture(scope="module")
def detector() -> torch.nn.Module:
    torch.manual_seed(0)
    return build("yolov5n", {0: "thing"})


def make_step(detector: torch.nn.Module, method: WiiD, batch: dict) -> Step:
    def forward(image: torch.Tensor) -> Forward:
        with tapped(detector, method.taps(detector)) as taps:
            predictions = detector(image)
        return Forward(predictions["scores"].sum() * 0, {}, dict(taps), predictions)

    return Step(batch, detector, forward)


def attached(detector: torch.nn.Module, **options: object) -> WiiD:
    method = WiiD(WiiDOptions(**options))  # type: ignore[arg-type]
    method.attach(detector)
    return method


def test_byol_alone_reaches_layers_0_to_10_only(detector: torch.nn.Module) -> None:
    method = attached(detector, byol_weight=1.0)
    detector.zero_grad()
    terms = method.loss(make_step(detector, method, make_batch()))
    terms["byol"].backward()
    touched = {
        int(name.split(".")[1])
        for name, p in detector.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }
    assert touched == set(range(11))


def test_fresh_heads_disagree(detector: torch.nn.Module) -> None:
    """A fresh net on identical images is not at 0: predictor and target differ. Both directions, weight 1: about 2 * 2."""
    method = attached(detector, byol_weight=1.0)
    batch = make_batch()
    batch["pair"] = batch["img"].clone()
    assert 2.0 < method.loss(make_step(detector, method, batch))["byol"].item() < 6.0


def test_the_target_has_no_graph_and_unit_norm(detector: torch.nn.Module) -> None:
    method = attached(detector)
    assert method.target is not None
    for k in method.target(torch.rand(2, 3, 64, 64)):
        assert k.shape == (2, 128) and not k.requires_grad
        assert torch.allclose(k.norm(dim=1), torch.ones(2), atol=1e-5)


def test_the_target_follows_at_one_percent(detector: torch.nn.Module) -> None:
    """Adding 1 to every online parameter moves every target parameter by 0.01."""
    method = attached(detector)
    assert method.target is not None
    before = [p.clone() for p in method.target.parameters()]
    with torch.no_grad():
        for parameter in torch.nn.ModuleList(method.target.online).parameters():
            parameter.add_(1.0)
    method.on_step(Run(detector))
    moved = [after - b for after, b in zip(method.target.parameters(), before, strict=True)]
    with torch.no_grad():
        for parameter in torch.nn.ModuleList(method.target.online).parameters():
            parameter.sub_(1.0)
    assert all(torch.allclose(m, torch.full_like(m, 0.01), atol=1e-5) for m in moved)


def test_state_brings_the_target_back(detector: torch.nn.Module) -> None:
    first, second = attached(detector), attached(detector)
    assert first.target is not None and second.target is not None
    with torch.no_grad():
        next(first.target.parameters()).fill_(0.5)
    second.load_state_dict(first.state_dict())
    assert torch.equal(next(second.target.parameters()), next(first.target.parameters()))


def test_without_weight_there_are_no_heads(detector: torch.nn.Module) -> None:
    method = attached(detector, byol_weight=0.0)
    assert not list(method.parameters()) and method.target is None and not method.taps(detector)
    assert set(method.loss(make_step(detector, method, make_batch()))) == {"pair"}


def test_mmd_term_pulls_on_the_network(detector: torch.nn.Module) -> None:
    method = attached(detector, byol_weight=0.0, use_mmd=True)
    detector.zero_grad()
    method.loss(make_step(detector, method, make_batch()))["mmd"].backward()
    gradient = detector.model[0].conv.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_learned_token_takes_a_gradient_through_the_image(detector: torch.nn.Module) -> None:
    method = attached(detector, byol_weight=0.0, mask_token="learned", back_ratio=0.5)
    batch = make_batch()
    method.prepare(batch)
    batch["img"].square().sum().backward()  # zero tokens: gradient 0, but there is one
    assert method.token["rgb"].grad is not None


def test_detaching_changes_no_output_bit() -> None:
    torch.manual_seed(0)
    plain = build("yolov5n", {0: "thing"})
    keys = list(plain.state_dict())
    image = torch.rand(1, 3, 64, 64)
    expected = plain.eval()(image)[0]
    method = attached(plain)
    method.detach(plain)
    assert list(plain.state_dict()) == keys
    assert torch.equal(plain.eval()(image)[0], expected)


def test_normalised_features_are_what_the_loss_gets(detector: torch.nn.Module) -> None:
    method = attached(detector)
    step = make_step(detector, method, make_batch())
    for q in method._predict(step.taps):
        assert torch.allclose(q, F.normalize(q, dim=1), atol=1e-6)
