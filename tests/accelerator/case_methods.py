"""Every method on the simulated accelerator: no mixed devices, no waits in a step, channels last, finite in float16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import _api

import engine.training.trainer
import methods.rfla_assigner
import methods.wiid
from data.degrade import COCO_C, DEGRADATIONS
from engine.enhancement.enhancer import open_enhancer
from engine.inference.backends.pytorch import TorchBackend
from engine.inference.predictor import Predictor
from engine.training.plan import make_plan
from engine.training.trainer import Trainer
from methods.base import Run
from methods.registry import OURS
from models.action import INPUTS, KINETICS, ClipInput
from models.detector import build
from tests import golden
from tests.accelerator.device import KIND, STOPS, simulated
from tests.engine.tiny import NETWORK
from utils.files import load_yaml, save_yaml

Options = dict[str, dict[str, Any]]
ONE_SIZE = {"wiid, saliency": {"multi_scale": False}}  # a new size is made known to the device once
RESHAPED = {  # Ultralytics' attention, its DFL in evaluation, and a blur of all images' colours as channels of one
    "rfla, yolo26": ("conv.py",),
    "mean-teacher": ("convolution (4, 16, 4, ", "degradations/kernels.py"),
}


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Options]:
    """Options of tiny trainings by name, as in the golden runs, and some more."""
    root = tmp_path_factory.mktemp("accelerator")
    clips = {"small": golden.SmallClipNetwork}
    with mock.patch.dict(_api.BUILTIN_MODELS, clips), mock.patch.dict(INPUTS, small=ClipInput(32, KINETICS)):
        found = golden.runs(root)
        more = {
            "wiid+richsem": found["richsem"] | {"method": "wiid+richsem"},
            "aeris+rfla": found["aeris"] | {"method": "aeris+rfla"},
            "weather": found["aeris"] | {"method": "weather", "weather": "street", "weather_consistency": 1.0},
            "mean-teacher": mean_teacher(found["none"], root),
            "wiid+aeris, boxes": found["aeris"] | {"method": "wiid+aeris", "highlight": "boxes"},
        }
        shared = {"project": root / "runs", "plots": False}
        yield {name: one | shared for name, one in (found | more).items()}


def mean_teacher(plain: dict[str, Any], root: Path) -> dict[str, Any]:
    """Options of a training whose averaged detector labels the night images from the first epoch on.

    Without JPEG, which the host codes. At 128 px, so that the student's last features are larger than 1 x 1.
    """
    data = load_yaml(Path(plain["data"])) | {"target": "images/train_night"}
    save_yaml(root / "target.yaml", data)
    early = {
        "target_burn_in": 0.0,
        "target_ramp": 0.0,
        "target_weather": "low_light=0.5 defocus_blur=0.5",
        "imgsz": 128,
    }
    return plain | early | {"data": str(root / "target.yaml"), "method": "mean-teacher"}


def problems(options: dict[str, Any], epoch: int = 0) -> list[str]:
    """What is wrong with the second batch of an epoch; the first makes what is kept."""
    with simulated() as trace:
        trainer = Trainer(make_plan(options), torch.device(KIND, 0))
        run, items = Run(trainer.detector, epochs=2), dict[str, Tensor]()
        trainer.step.model.gauge.acts = False  # it waits, in the batches that it measures
        trainer.step.begin_epoch(run, epoch)
        for number, batch in zip(range(2), trainer.loader, strict=False):
            run.iteration = number + epoch * len(trainer.sampler)
            trace.clear()
            items = trainer._step(run, trainer._prepare(batch, run.iteration))
        found = [*trace.lines(*STOPS), *trace.refused]
        found += [f"contiguous: {line}" for line in trace.lines("contiguous")]
        return found + [f"{name} is not finite" for name, value in items.items() if not np.isfinite(float(value))]


RUNS = [
    "none", "wiid", "wiid, saliency", "rfla", "rfla, paper", "rfla, yolo26", "aeris, consistency", "richsem", "longtail",
    "mean-teacher", "wiid+rfla", "wiid+richsem", "aeris+rfla", "wiid+aeris, boxes", "weather", "lcp, UC, U", "lcp, UC, C",
    "classify, wiid", "action, wiid",
]  # fmt: skip


def test_every_method_is_among_them() -> None:
    assert {method for name in RUNS for method in name.split(", ")[0].split("+")} >= OURS


@pytest.mark.parametrize("name", RUNS)
def test_a_step_waits_for_nothing(name: str, options: Options) -> None:
    """Neither in the methods nor in the loss, the optimiser and its scaler; copies start in pinned memory."""
    run, epoch = (name[:-3], "UC".index(name[-1])) if name.startswith("lcp") else (name, 0)
    found = problems(options[run] | ONE_SIZE.get(run, {}), epoch)
    assert [line for line in found if not any(words in line for words in RESHAPED.get(name, ()))] == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", RUNS)
def test_a_step_on_a_gpu_does_not_wait(name: str, options: Options) -> None:
    """CUDA itself raises where the host would wait, in the second batch of an epoch."""
    run, epoch = (name[:-3], "UC".index(name[-1])) if name.startswith("lcp") else (name, 0)
    trainer = Trainer(make_plan(options[run] | ONE_SIZE.get(run, {})), torch.device("cuda", 0))
    state = Run(trainer.detector, epochs=2)
    trainer.step.model.gauge.acts = False
    trainer.step.begin_epoch(state, epoch)
    for number, batch in zip(range(2), trainer.loader, strict=False):
        state.iteration = number + epoch * len(trainer.sampler)
        torch.cuda.set_sync_debug_mode("error" if number else "default")
        try:
            items = trainer._step(state, trainer._prepare(batch, state.iteration))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert items and all(value.isfinite() for value in items.values())


def wait(mask: Tensor) -> bool:
    return bool(mask.any())


def left_behind(cells: Tensor, height: int, width: int) -> Tensor:
    return torch.zeros(len(cells), 1, height, width, dtype=torch.bool)


def blocking(value: Any, device: torch.device) -> Any:
    return {name: part.to(device) if isinstance(part, Tensor) else part for name, part in value.items()}


def overflowing(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2) * 1e7).square().mean((-1, -2))


MISTAKES: dict[str, tuple[str, Any, str, Callable[..., Any], str]] = {
    "a CPU tensor": ("wiid", methods.wiid, "spread", left_behind, "same device"),
    "a wait": ("rfla", methods.rfla_assigner, "_may_hold", wait, "_local_scalar_dense"),
    "a copy": ("none", engine.training.trainer, "moved", blocking, "_to_copy"),
    "half precision": ("wiid", methods.wiid, "byol_distance", overflowing, "byol is not finite"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(mistake: str, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    run, module, name, wrong, words = MISTAKES[mistake]
    monkeypatch.setattr(module, name, wrong)
    try:
        found = problems(options[run])
    except RuntimeError as refused:
        found = [str(refused)]
    assert any(words in line for line in found), found


def test_a_whole_run_with_validation(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loader, training, validation with its loss, checkpoints; validation takes no times, for which it would wait."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: pytest.fail("waited between stages"))
    with simulated() as trace:
        result = Trainer(make_plan(options["rfla"] | {"epochs": 1}), torch.device(KIND, 0)).run()
    (row,) = result.rows
    assert trace.refused == [] and result.best.exists() and np.isfinite(row["val/box_loss"])


@pytest.mark.parametrize("half", [False, True])
def test_detections_equal_the_cpus(half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Any = TorchBackend.__call__
    monkeypatch.setattr(
        TorchBackend, "__call__", torch.no_grad()(plain.__wrapped__)
    )  # the device knows no inference mode
    torch.manual_seed(0)
    network = build(NETWORK, {0: "a", 1: "b"})
    again = deepcopy(network)  # a backend changes its network
    images = [np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8) for seed in range(2)]
    wanted = TorchBackend(network)(images)
    with simulated() as trace:
        backend = TorchBackend(again, KIND, half=half)
        found = backend(images).cpu()
        assert len(Predictor(backend, imgsz=(64, 64), conf=0.001)(images)) == 2
    assert trace.refused == [] and found.isfinite().all()
    if not half:
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["zero-dce", "clahe", "gamma"])
def test_enhancers(name: str) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    (wanted,) = [enhancer(images) for enhancer in [open_enhancer(name)] if enhancer]
    with simulated() as trace:
        enhancer = open_enhancer(name, device=KIND)
        assert enhancer is not None
        found = enhancer(images.to(KIND))
        assert found.device.type == KIND and torch.allclose(found.cpu(), wanted, atol=1e-4)
    assert trace.refused == []


@pytest.mark.parametrize(("table", "severity"), [(DEGRADATIONS, 0.7), (COCO_C, 3)])
def test_corruptions(table: Any, severity: float) -> None:
    """All of them run there, and draw the same parameters; noise is the device's own."""
    images = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with simulated() as trace:
        for entry in table.values():
            found, drawn = entry(images.to(KIND), [3], severity)
            assert found.device.type == KIND and drawn[0]["severity"] == severity, entry.name
    assert trace.refused == []
