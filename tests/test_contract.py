"""Names and signatures that callers outside the project rely on. A change here is a breaking change: announce it."""

from __future__ import annotations

import importlib
import inspect
from inspect import Parameter

import pytest
from ultralytics.utils.tal import TaskAlignedAssigner

# Dotted name -> its parameters and, after the arrow, what it returns. A type that is not stated here is not promised.
CONTRACT = {
    # Label assignment (RFLA)
    "methods.rfla.receptive_field_distance": "(gt: Tensor, rf: Tensor, metric: str = 'kl') -> Tensor",
    "methods.rfla.hierarchical_assign": (
        "(rfd: Tensor, rfd_shrunk: Tensor, topk: tuple[int, int] = (3, 1), ignore_above: float | None = 0.8) -> Tensor"
    ),
    "models.receptive_field.trace": "(model: nn.Module, imgsz: int = 640) -> dict[int, int]",
    # Crux and catch-up learners (LCP)
    "models.crux.CruxLearner": "(num_blocks: int = 3, threshold: float = 0.5, sharpness: float = 10.0)",
    "models.crux.CatchUpLearner": "(c1: int, c2: int, activations: int = 1)",
    "methods.lcp.catch_up_loss": "(low_quality: Tensor, favoured: Tensor, weight: float = 100.0) -> Tensor",
    "methods.lcp.alternation": "(epochs: int) -> str",
    # Degradation and restoration (AERIS)
    "data.degrade.gaussian_kernel": "(size: int, variances: tuple[float, float], angle: float = 0.0) -> Tensor",
    "data.degrade.blur_resize_noise": (
        "(image: Tensor, kernel: Tensor | None, size: tuple[int, int], mode: str, sigma: float,"
        " generator: torch.Generator | None = None) -> Tensor"
    ),
    "models.restore.RestorationDecoder": "(c1: int = 16, size: tuple[int, int] = (512, 512))",
    # Long tail (RichSem)
    "methods.richsem.semantic_loss": "(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor",
    "methods.federated.federated_classes": "(labels: Tensor, frequency: Tensor, k: int = 50, generator=None) -> Tensor",
    "methods.richsem.federated_classes": "(labels: Tensor, frequency: Tensor, k: int = 50, generator=None) -> Tensor",
    "data.sampling.repeat_factors": (
        "(classes_per_image: Sequence[Collection[int]], threshold: float = 0.001) -> Tensor"
    ),
    # Seeing in the dark (WiiD)
    "methods.wiid.byol_loss": "(q: Sequence[Tensor], k: Sequence[Tensor], weight: float = 0.1) -> Tensor",
    "methods.wiid.mmd": (
        "(a: Tensor, b: Tensor, kernels: int = 5, multiplier: float = 2.0, bandwidth: float | None = None) -> Tensor"
    ),
    "methods.wiid.occlusion_cells": (
        "(height: int, width: int, boxes, grid: int = 5, front_ratio: float = 0.0, back_ratio: float = 0.0,"
        " rng: random.Random | None = None) -> list[tuple[int, int]]"
    ),
    "models.byol.Projector": "(c1: int, hidden: int = 64, out: int = 128)",
    "models.byol.Predictor": "(dim: int = 128)",
    "models.zero_dce.ZeroDCE": "()",
    "models.cut.Generator": "(blocks: int = 9, width: int = 64)",
    "data.motion.foreground": "(frames)",
    "models.classifier.build": "(name: str, classes: int) -> nn.Module",
    "models.action.build": "(name: str, classes: int) -> nn.Module",
    # Evaluation and checkpoints
    "utils.metrics.evaluate": "(ground_truth, predictions, protocol='coco') -> dict[str, float]",
    "engine.checkpoint.load_weights": "(path, trust: bool = False) -> Weights",
    "engine.checkpoint.Weights": (
        "(state: dict[str, Tensor], names: dict[int, str] | None, yaml: dict[str, Any] | None, source: str)"
    ),
    # The Python API behind the scripts
    "engine.train": "(**options)",
    "engine.validate": "(**options)",
    "engine.detect": "(**options)",
    "engine.export": "(**options)",
}


def resolve(dotted: str) -> object:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def promised(text: str) -> inspect.Signature:
    """The signature that a row states, its types as text."""
    scope: dict[str, object] = {}
    exec(f"from __future__ import annotations\ndef row{text}: ...", scope)
    return inspect.signature(scope["row"])


@pytest.mark.parametrize(("name", "row"), CONTRACT.items(), ids=CONTRACT)
def test_contract(name, row):
    expected, found = promised(row), inspect.signature(resolve(name))
    parameters = list(found.parameters.values())
    for position, parameter in enumerate(expected.parameters.values()):
        ours = found.parameters[parameter.name]
        assert (ours.kind, ours.default) == (parameter.kind, parameter.default)
        assert parameter.annotation in (Parameter.empty, ours.annotation)
        assert parameter.kind is Parameter.VAR_KEYWORD or parameters.index(ours) == position
    assert expected.return_annotation in (inspect.Signature.empty, found.return_annotation)
    needed = [parameter.name for parameter in parameters if parameter.default is Parameter.empty]
    assert needed == [key for key, value in expected.parameters.items() if value.default is Parameter.empty]


def test_the_assigner_is_a_drop_in():
    assigner = resolve("methods.rfla.RFLAssigner")
    assert inspect.signature(assigner).parameters["mode"].default == "hybrid"
    ours, theirs = (inspect.signature(kind.forward).parameters for kind in (assigner, TaskAlignedAssigner))
    assert list(ours) == list(theirs)


def test_the_crux_learner_names_its_steps():
    learner = resolve("models.crux.CruxLearner")
    assert all(list(inspect.signature(getattr(learner, step)).parameters) == ["self", "x"] for step in ("heat", "mask"))
