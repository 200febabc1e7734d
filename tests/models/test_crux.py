"""The numbers of the LCP specification for its blocks, and the identities of whole crux models."""

from __future__ import annotations

import io
import math
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.checkpoint import transfer
from engine.checkpoint.weights import Weights
from models.crux import (
    CatchUpFuse,
    CatchUpLearner,
    CruxLearner,
    CruxSplit,
    crux_features,
    find_layer,
    find_split,
    shallow_layers,
)
from models.detector import build, describe, parameters
from models.graph import backbone_taps, tap_channels, tapped
from utils.errors import UserError

NAMES = {number: str(number) for number in range(4)}
FAMILIES = ("yolov5", "yolov8", "yolo11", "yolo26")


def ramp(*shape: int) -> Tensor:
    return torch.cos(0.11 * torch.arange(math.prod(shape), dtype=torch.float64)).view(shape)


def filled(module: Any) -> Any:
    """The specification's fill: sin(0.37 i + 1) times sqrt(2 / fan in), biases a tenth of the sine."""
    module = module.double()
    with torch.no_grad():
        for tensor in module.parameters():
            wave = torch.sin(0.37 * torch.arange(tensor.numel(), dtype=torch.float64) + 1).view(tensor.shape)
            tensor.copy_(wave * (math.sqrt(2 / tensor[0].numel()) if tensor.dim() > 1 else 0.1))
    return module


def detector(name: str, seed: int = 0, **entries: Any) -> Any:
    """A model whose batch norms are not trivial, in evaluation."""
    torch.manual_seed(seed)
    model = build(describe(name) | entries, NAMES)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return model.eval()


def answer(model: Any, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images)[0]


def pair(name: str, **entries: Any) -> tuple[Any, Any]:
    """A plain model, and its crux model with the same weights."""
    plain, crux = detector(name), detector(f"{name}-crux", seed=1, **entries)
    copied, total = transfer(crux, Weights(plain.state_dict(), dict(NAMES), None, "test"))
    assert copied == len(plain.state_dict()) and total - copied == 26  # 18 crux, 6 catch-up, 2 fusion
    return plain, crux.eval()


@pytest.mark.parametrize(("blocks", "count"), [(3, 4479), (4, 6559), (5, 8639)])
def test_crux_parameters(blocks: int, count: int) -> None:
    """286 + 2080 per middle block + 2113."""
    assert sum(tensor.numel() for tensor in CruxLearner(blocks).parameters()) == count


@pytest.mark.parametrize(("c1", "c2", "count"), [(256, 512, 5_899_776), (4, 6, 882), (32, 64, 92_352)])
def test_catch_up_parameters(c1: int, c2: int, count: int) -> None:
    """9 c1 c2 + 18 c2^2 + 3 c2."""
    assert sum(tensor.numel() for tensor in CatchUpLearner(c1, c2).parameters()) == count


@pytest.mark.parametrize(
    ("sharpness", "heat", "mask", "slope"),
    [
        (10, -1.0, 3.059e-7, None),
        (10, 0.0, 0.0066928509, 0.0664805667),
        (10, 0.25, 0.0758581800, None),
        (10, 0.4, 0.2689414214, 1.9661193324),
        (10, 0.5, 0.5, 2.5),
        (10, 0.6, 0.7310585786, None),
        (10, 1.0, 0.9933071491, 0.0664805667),
        (1, 0.0, 0.377541, None),
        (20, 0.0, 4.53979e-5, None),
        (10, -20.0, 0.0, 0.0),
    ],
)
def test_mask_by_hand(sharpness: float, heat: float, mask: float, slope: float | None, monkeypatch: Any) -> None:
    """sigmoid(sharpness (h - 0.5)) and its slope, finite even where the map is zero."""
    learner = CruxLearner(sharpness=sharpness)
    monkeypatch.setattr(learner, "heat", lambda x: x)
    x = torch.tensor([heat], dtype=torch.float64, requires_grad=True)
    value = learner.mask(x)
    value.backward()
    assert value.item() == pytest.approx(mask, rel=2e-3 if mask < 1e-3 else 1e-6, abs=1e-12)
    assert x.grad is not None and math.isfinite(x.grad.item())
    if slope is not None:
        assert x.grad.item() == pytest.approx(slope, abs=1e-9)


def test_crux_learner_golden() -> None:
    learner, x = filled(CruxLearner()), ramp(2, 3, 8, 8)
    heat, crux = learner.heat(x), learner(x)
    assert heat.sum().item() == pytest.approx(66.4714704625, abs=1e-8)
    assert [heat.min().item(), heat.max().item()] == pytest.approx([0.3129547655, 0.8106572853], abs=1e-9)
    first = [0.3980013945, 0.4172339850, 0.4615119495, 0.4828488331]
    assert heat[0, 0, 0, :4].tolist() == pytest.approx(first, abs=1e-9)
    assert [crux.sum().item(), crux.abs().sum().item()] == pytest.approx([9.8510679332, 129.1089313976], abs=1e-8)
    assert crux[0, :, 3, 3].tolist() == pytest.approx([-0.7795116551, -0.6594777412, -0.1794042710], abs=1e-9)


@pytest.mark.parametrize(
    ("activations", "total", "absolute"), [(1, 16.0184431707, 20.6776864430), (2, 15.9590993266, 23.3516622626)]
)
def test_catch_up_golden(activations: int, total: float, absolute: float) -> None:
    out = filled(CatchUpLearner(4, 6, activations))(ramp(2, 4, 8, 8))
    assert out.shape == (2, 6, 4, 4)
    assert [out.sum().item(), out.abs().sum().item()] == pytest.approx([total, absolute], abs=1e-8)
    if activations == 1:
        corner = [0.1317891502, -0.0002731467, -0.0328417525, 0.0720434435, 0.1811133627, 0.1445418243]
        assert out[0, :, 0, 0].tolist() == pytest.approx(corner, abs=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CruxLearner(2), "at least 3 blocks, not 2"),
        (lambda: CatchUpLearner(4, 6, 3), "1 or 2 activations, not 3"),
        (lambda: CruxSplit("tiny"), "crux: tiny is none of published, half, cheap"),
    ],
)
def test_wrong_arguments(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_a_wrong_entry_of_the_yaml_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match=r"cannot be built \(crux: tiny is none of"):
        build(describe("yolov8n-crux") | {"crux": "tiny"}, NAMES)


ADDED = {  # c1, c2 of the published sizes: 4,479 + catch-up + fusion
    "n": 105_087, "s": 406_399, "m": 908_415, "l": 1_611_135, "x": 2_514_559,
}  # fmt: skip
ADDED_11 = {"n": 406_399, "s": 1_611_135, "m": 6_429_055, "l": 6_429_055, "x": 14_458_239}


@pytest.mark.slow
@pytest.mark.parametrize("scale", "nsmlx")
@pytest.mark.parametrize("family", FAMILIES)
def test_added_parameters_of_every_model(family: str, scale: str) -> None:
    plain, crux = build(f"{family}{scale}", NAMES), build(f"{family}{scale}-crux", NAMES)
    expected = (ADDED if family in ("yolov5", "yolov8") else ADDED_11)[scale]
    assert parameters(crux) - parameters(plain) == expected
    assert crux.stride.tolist() == plain.stride.tolist() and len(crux.model) == len(plain.model) + 3


@pytest.mark.parametrize("family", FAMILIES)
def test_identity_fusion_is_the_plain_detector_bit_for_bit(family: str) -> None:
    """Weights of the plain model go into the rows that were its own, whatever lies between them."""
    plain, crux = pair(f"{family}n", identity_start=True)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    assert torch.equal(answer(crux, images), answer(plain, images))


def test_without_corrections_the_crux_pass_is_the_plain_one_on_the_crux() -> None:
    plain, crux = pair("yolov8n")
    fuse, images = find_layer(crux, CatchUpFuse), torch.rand(1, 3, 64, 64)
    nn.init.zeros_(fuse.catch_up.conv3.weight)
    nn.init.zeros_(fuse.catch_up.conv3.bias)
    with torch.no_grad():
        _, deep = crux_features(crux, images)
        with tapped(plain, {"deep": 4}) as taps:
            plain(find_split(crux).crux(images))
    assert torch.equal(deep, taps["deep"])


def test_the_answer_does_not_depend_on_the_batch() -> None:
    model = detector("yolov8n-crux")
    images = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(answer(model, images)[5:6], answer(model, images[5:6]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["published", "half", "cheap"])
def test_map_lies_on_the_image(form: str) -> None:
    split = CruxSplit(form)
    images = torch.rand(2, 3, 32, 64)
    mask = split.mask_of(images)
    assert mask.shape == (2, 1, 32, 64) and 0 <= mask.min() <= mask.max() <= 1
    assert torch.equal(split(images), torch.cat([images, images * mask]))


def test_a_smaller_image_gives_the_map_of_a_flat_one_exactly() -> None:
    """An image of one colour is the same at every size, away from the border that padding reaches (4 px, and 4 times)."""
    torch.manual_seed(0)
    published = CruxSplit("published")
    cheap = CruxSplit("cheap")
    cheap.load_state_dict(published.state_dict())
    flat = torch.full((1, 3, 64, 64), 0.7)
    torch.testing.assert_close(cheap.mask_of(flat)[..., 28:36, 28:36], published.mask_of(flat)[..., 28:36, 28:36])


def test_normalisation_reaches_the_learner_only() -> None:
    """An image of ImageNet's mean colour is zero to the learner."""
    split = CruxSplit("published", normalize=True)
    images = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    assert torch.equal(split.mask_of(images), split.learner.mask(torch.zeros(1, 3, 16, 16)))
    assert torch.equal(split(images)[:1], images)


@pytest.mark.parametrize(("start", "low", "high"), [(0.0, 0.0, 0.1), (0.5, 0.2, 0.8), (1.0, 0.9, 1.0)])
def test_the_heat_to_start_with(start: float, low: float, high: float) -> None:
    """sigmoid(10 (start - 0.5)) is 0.007, 0.5 and 0.993; an untrained heat scatters by 0.09 around it."""
    torch.manual_seed(0)
    assert low < CruxSplit(start=start).mask_of(torch.rand(1, 3, 32, 32)).mean().item() < high


def test_gradient_reaches_the_crux_learner_through_frozen_layers() -> None:
    """Specification 7.8: after a C backward, all 18 crux tensors have a gradient, the shallow layers none."""
    model = detector("yolov8n-crux")
    for part in (*shallow_layers(model), find_layer(model, CatchUpFuse).catch_up):
        part.requires_grad_(False)
    with tapped(model, {"fused": 7}) as taps:
        model(torch.rand(1, 3, 64, 64))
    taps["fused"].square().sum().backward()
    grads = [tensor.grad for tensor in find_split(model).parameters()]
    assert len(grads) == 18 and all(grad is not None and grad.isfinite().all() for grad in grads)
    assert [layer.i for layer in shallow_layers(model)] == [1, 2, 3, 4, 5]
    assert all(tensor.grad is None for layer in shallow_layers(model) for tensor in layer.parameters())


def test_taps_of_a_crux_model_take_the_fused_level() -> None:
    """Row 7 is the last one of stride 8 before the network goes down to 16; it has c2 channels."""
    model = detector("yolov8n-crux")
    taps = backbone_taps(model)
    assert taps == {"P3": 7, "P4": 9, "P5": 12} and tap_channels(model, taps)["P3"] == 64


def test_fused_lateral_is_one_number_in_the_yaml() -> None:
    """Reading row 7 in place of 6 builds, and answers differently."""
    rows = describe("yolov8n-crux")
    (lateral,) = [row for row in rows["head"] if row[0] == [-1, 6]]
    lateral[0] = [-1, 7]
    variant, usual = build(rows, NAMES).eval(), detector("yolov8n-crux")
    variant.load_state_dict(usual.state_dict())
    images = torch.rand(1, 3, 64, 64)
    assert answer(variant, images).shape == answer(usual, images).shape
    assert not torch.equal(answer(variant, images), answer(usual, images))


@pytest.mark.parametrize("change", [deepcopy, lambda model: deepcopy(model).fuse(verbose=False)])
def test_copies_and_fused_models_answer_alike(change: Any) -> None:
    model = detector("yolov8n-crux")
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(answer(change(model), images), answer(model, images), rtol=1e-4, atol=1e-4)


def test_plain_weights_of_another_shape_are_not_moved_about() -> None:
    """A state of a crux model goes in under its own names."""
    model = detector("yolov8n-crux")
    again = build("yolov8n-crux", NAMES)
    copied, total = transfer(again, Weights(model.state_dict(), dict(NAMES), None, "test"))
    assert copied == total and torch.equal(again.state_dict()["model.7.fusion.weight"], model.model[7].fusion.weight)


@pytest.mark.parametrize("form", ["published", "cheap"])
def test_onnx_agrees(form: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model = detector("yolov8n-crux", crux=form).fuse(verbose=False)
    images, file = torch.rand(2, 3, 64, 64), io.BytesIO()
    torch.onnx.export(
        model, (images,), file, dynamo=False, input_names=["images"], dynamic_axes={"images": {0: "batch"}}
    )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for batch in (images, images[:1]):
        (out,) = session.run(None, {"images": batch.numpy()})[:1]
        torch.testing.assert_close(torch.from_numpy(out), answer(model, batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("supervised", [False, True])
def test_a_supervised_map_takes_no_gradient_from_what_comes_after(supervised: bool) -> None:
    split = CruxSplit(start=0.5)
    split.supervised = supervised
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    split(images).sum().backward()
    weight = next(split.learner.parameters())
    assert (weight.grad is None) == supervised and images.grad is not None
