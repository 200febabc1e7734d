"""The numbers of the WiiD specification, computed by hand or by the original program."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine.training.module import TrainingModel
from methods.base import Forward, Run, Step
from methods.options.wiid import WiiDOptions
from methods.wiid import WiiD, byol_loss, mmd, unit_vectors
from models.classifier import ClassificationModel
from models.classifier import build as resnet
from models.detector import build
from models.graph import tapped
from models.normalize import IMAGENET
from utils.errors import UserError


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


def make_batch(size: int = 64, images: int = 2) -> dict:
    generator = torch.Generator().manual_seed(0)
    return {
        "img": torch.rand(images, 3, size, size, generator=generator),
        "pair": torch.rand(images, 3, size, size, generator=generator),
        "bboxes": torch.tensor([[0.5, 0.5, 0.25, 0.25]] * images),
        "cls": torch.zeros(images, 1),
        "batch_idx": torch.arange(images).float(),
        "seed": list(range(images)),
        "scenes": ["img", "pair"],
    }


def mask(method: Any, batch: dict) -> None:
    """What happens to a batch before the network sees it."""
    method.draw(batch)
    method.prepare(batch)


def test_both_members_lose_the_same_cells() -> None:
    batch = make_batch()
    before = batch["img"].clone()
    mask(WiiD(WiiDOptions(back_ratio=0.5)), batch)
    gone = (batch["img"] == 0).all(1)
    assert gone.any() and torch.equal(gone, (batch["pair"] == 0).all(1))
    assert torch.equal(batch["img"][:, :, 24:40, 24:40], before[:, :, 24:40, 24:40])  # cells on the object stay


def test_masks_depend_on_the_images_own_seed() -> None:
    first, second = make_batch(), make_batch()
    second["seed"] = [0, 7]
    for batch in (first, second):
        mask(WiiD(WiiDOptions(back_ratio=0.3)), batch)
    assert torch.equal(first["img"][0], second["img"][0])
    assert not torch.equal(first["img"][1], second["img"][1])


def test_highlighting_boxes_keeps_nothing_else() -> None:
    batch = make_batch()
    mask(WiiD(WiiDOptions(back_ratio=0.0, highlight="boxes")), batch)
    assert batch["pair"].abs().sum() == batch["pair"][:, :, 24:40, 24:40].abs().sum() > 0


def test_highlighting_by_saliency_removes_the_asked_share() -> None:
    batch = make_batch()
    mask(WiiD(WiiDOptions(back_ratio=0.0, highlight="saliency", highlight_quantile=0.75)), batch)
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
    k = method.target(torch.rand(2, 3, 64, 64))
    assert k.shape == (1, 3, 2, 128) and not k.requires_grad
    assert torch.allclose(k.norm(dim=-1), torch.ones(1, 3, 2), atol=1e-5)


def test_the_target_in_half_precision_is_autocasts(detector: torch.nn.Module) -> None:
    """Weights that are cast by one copy give the bits of those that autocast casts one by one; the target keeps its own."""
    target = attached(detector).target
    assert target is not None
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = (target(make_batch()["img"], cast=cast) for cast in (True, False))
    assert torch.equal(found, wanted) and all(weight.dtype == torch.float32 for weight in target.parameters())


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
    mask(method, batch)
    (batch["img"] - 1).square().sum().backward()
    gradient = method.token["rgb"].grad
    assert (
        gradient is not None and gradient.min() < 0 == gradient.max()
    )  # towards 1 where a cell is masked, 0 elsewhere


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


def test_levels_and_views_side_by_side_equal_one_call_each(detector: torch.nn.Module) -> None:
    """What predictors make of projectors, normalised, bit for bit; and their gradients."""
    method = attached(detector)
    step = make_step(detector, method, make_batch())
    views = [step.taps, step.forward(step.batch["pair"]).taps]
    found = unit_vectors(method.projectors, views, method.predictors)  # (2, 3, 2, 128)
    chained = [
        [F.normalize(method.predictors[name](head(taps[name])), dim=1) for name, head in method.projectors.items()]
        for taps in views
    ]
    wanted = torch.stack([torch.stack(levels) for levels in chained])
    assert torch.equal(found, wanted)
    weights = [*method.projectors.parameters(), *method.predictors.parameters()]
    for one, other in zip(*(torch.autograd.grad(q[..., 0].sum(), weights) for q in (found, wanted)), strict=True):
        assert torch.equal(one, other)


class Tiny(nn.Module):
    """Two convolutions and a head that is called as torchvision's ResNets call theirs."""

    def __init__(self, classes: int = 3, dims: int = 2) -> None:
        super().__init__()
        conv, norm = ((nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))[dims - 2]
        self.body = nn.Sequential(conv(3, 8, 1 + dims % 3, bias=False), norm(8), nn.ReLU(), conv(8, 16, 1))
        self.fc = nn.Linear(16, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) or (B, 3, T, H, W) to (B, classes)."""
        scores: torch.Tensor = self.fc(self.body(x).relu().flatten(2).mean(2))
        return scores


def data_of(task: str, **splits: tuple[()]) -> Any:
    return SimpleNamespace(task=task, splits=splits, file=Path("a.yaml"))


def classifier(task: str = "classify", network: nn.Module | None = None, **options: Any) -> TrainingModel:
    """A tiny classifier in training with WiiD, unmasked unless something else is said."""
    torch.manual_seed(0)
    unmasked = {"classify": {"mask_squares": 0.0, "mask_saliency": 0.0}, "action": {"back_ratio": 0.0}}[task]
    method = WiiD(WiiDOptions(**{"byol_weight": 0.13, **unmasked, **options}))
    method.resolve_options(1, data_of(task, unlabeled=()))
    network = network or Tiny(dims=2 + (task == "action"))
    model = TrainingModel(ClassificationModel(network), [method], SimpleNamespace())
    model.build_criterion()
    return model.train()


def images(count: int = 8, side: int = 16) -> dict[str, Any]:
    """Labelled images by day and darkened, and unlabelled ones by night."""
    generator = torch.Generator().manual_seed(1)
    views = {view: torch.rand(count, 3, side, side, generator=generator) for view in ("img", "pair", "unlabeled")}
    given = {"cls": torch.arange(count) % 3, "seed": list(range(count)), "draw": (0, 0), "scenes": ["img", "pair"]}
    return {**views, **given}


def clips(size: int = 20) -> dict[str, Any]:
    """Two pairs of clips; in the first something moves in the upper left 8 x 8 px."""
    motion = torch.zeros(2, size, size, dtype=torch.bool)
    motion[0, :8, :8] = True
    clip = torch.full((2, 3, 2, size, size), 1.0)
    labels = {"cls": torch.tensor([0, 1]), "seed": torch.tensor([1, 2]), "scenes": ["img", "pair"]}
    return {"img": clip, "pair": clip / 4, "motion": motion, **labels}


def test_sizes_of_the_classification_branch() -> None:
    """Two networks of 11,181,642, two projectors of 82,432 and a predictor of 33,280: 22,561,428, of which half train."""
    model = classifier(network=resnet("resnet18", 10))
    counts = [
        sum(p.numel() for p in model.parameters() if p.requires_grad in kinds) for kinds in ((True, False), (True,))
    ]
    assert counts == [22_561_428, 11_297_354]


def test_terms_of_a_classifier_and_their_weights() -> None:
    """Twice the weight, twice the term; without BYOL and MMD both cross-entropies stay as they were."""
    total, terms = classifier()(images())
    _, double = classifier(byol_weight=0.26, mmd_weight=0.2)(images())
    assert list(terms) == ["day", "night", "byol", "mmd"]
    torch.testing.assert_close(total.detach(), sum(terms.values()))
    for name in ("byol", "mmd"):
        torch.testing.assert_close(double[name], 2 * terms[name])
    assert 0 < terms["byol"].item() < 0.52  # 0.13 * [0, 4]
    _, bare = classifier(byol_weight=0.0, use_mmd=False)(images())
    assert list(bare) == ["day", "night"] and torch.equal(bare["day"], terms["day"])


@pytest.mark.parametrize("odds", [(1.0, 0.0), (0.0, 1.0)])
def test_a_classifiers_masks_are_equal_for_both_members_and_mean_colour(odds: tuple[float, float]) -> None:
    """The network sees zeros there; what is not masked stays, and so do unlabelled images."""
    batch, plain = images(), images()
    mask(classifier(mask_squares=odds[0], mask_saliency=odds[1]).methods["wiid"], batch)
    gone = [(IMAGENET(batch[view]) == 0).all(1) for view in ("img", "pair")]
    assert torch.equal(*gone) and 0.2 < gone[0].float().mean() < 0.9
    for view, lost in zip(("img", "pair"), gone, strict=True):
        assert torch.equal(batch[view].permute(0, 2, 3, 1)[~lost], plain[view].permute(0, 2, 3, 1)[~lost])
    assert torch.equal(batch["unlabeled"], plain["unlabeled"])


def test_mmd_pulls_a_classifier_and_byol_leaves_its_target_alone() -> None:
    model = classifier()
    step = Step(images(), model.detector, lambda image: model._pass(image, images()))
    terms = model.methods["wiid"].loss(step)
    gradient = torch.autograd.grad(terms["mmd"], list(model.detector.network.body.parameters()), retain_graph=True)
    assert all(part.abs().sum() > 0 for part in gradient)
    terms["byol"].backward()
    method = model.methods["wiid"]
    assert all(parameter.grad is None for parameter in method.target.parameters())
    assert method.projectors["pooled"][0].weight.grad.abs().sum() > 0
    assert model.detector.network.fc.weight.grad is None  # the contrast is of features


@pytest.mark.parametrize(
    ("options", "splits", "message"),
    [
        ({"use_mmd": True}, {}, "names no unlabelled night images"),
        ({"mask_squares": 0.8, "mask_saliency": 0.3}, {}, "sum to 1 at most"),
    ],
)
def test_what_a_classifier_is_refused(options: dict[str, Any], splits: dict[str, tuple[()]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        WiiD(WiiDOptions(**options)).resolve_options(1, data_of("classify", **splits))


@pytest.mark.parametrize(
    ("task", "options", "splits", "views", "mmd"),
    [
        ("classify", {}, {"unlabeled": ()}, {"pair", "unlabeled"}, True),
        ("classify", {}, {}, {"pair"}, False),  # MMD needs unlabelled night images
        ("classify", {"use_mmd": False}, {"unlabeled": ()}, {"pair"}, False),
        ("action", {}, {"unlabeled": ()}, {"pair", "motion"}, None),
        ("action", {"back_ratio": 0.0}, {}, {"pair"}, None),
        ("detect", {}, {"unlabeled": ()}, {"pair"}, False),
    ],
)
def test_views_follow_from_task_and_data(
    task: str, options: Any, splits: Any, views: set[str], mmd: bool | None
) -> None:
    method = WiiD(WiiDOptions(**options))
    assert method.resolve_options(1, data_of(task, **splits)).get("use_mmd") is mmd
    assert {view.name for view in method.views} == views and bool(method.options.use_mmd) is bool(mmd)


def test_both_clips_and_all_frames_lose_the_same_pixels() -> None:
    """Half of 4 moving cells of 4 px, 2, and 0.4 of 21 others, 8; where nothing moves 0.4 of 25, 10."""
    model, batch = classifier("action", front_ratio=0.5, back_ratio=0.4), clips()
    mask(model.methods["wiid"], batch)
    gone = [(batch[view] == 0).all(1) for view in ("img", "pair")]  # (B, T, S, S)
    assert torch.equal(gone[0], gone[1]) and torch.equal(gone[0][:, 0], gone[0][:, 1])
    assert [int(lost[0].sum()) for lost in gone[0]] == [16 * 10, 16 * 10]


def test_the_terms_of_clips() -> None:
    model = classifier("action", byol_weight=0.1)
    total, terms = model(clips())
    assert terms.keys() == {"day", "night", "byol"} and 0 <= float(terms["byol"]) <= 0.4
    total.backward()
    assert model.detector.network.body[0].weight.grad is not None
    assert classifier("action", byol_weight=0.0)(clips())[1].keys() == {"day", "night"}
