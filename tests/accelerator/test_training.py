"""Whole trainings on a device: resuming, memory, a process group of one. On a GPU where there is one, always on the CPU.

python -m pytest -m gpu tests/accelerator/test_training.py      the half that needs a GPU
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

import engine
from engine.callbacks import Callback
from engine.checkpoint import load_weights
from engine.training import distributed
from engine.training.plan import make_plan
from engine.training.trainer import Trainer
from methods.base import Run
from tests.engine.tiny import write_dataset

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("0", marks=[pytest.mark.gpu, NO_GPU], id="gpu")]
LEAK = 64 * 2**10  # bytes by which a device may hold more after the same work
ROUNDING = 1e-4  # of a weight: sums on a GPU depend on the order in which its blocks end


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two epochs of WiiD: momentum target, EMA, on a GPU in half precision with its scaler."""
    return {**write_dataset(tmp_path_factory.mktemp("device"), images=8), "epochs": 2, "noval": True}


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    """Kernels of cuDNN that sum in one order."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = before


class StopAt(Callback):
    """Asks for a stop in a batch, as Ctrl-C does."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.when = epoch, batch

    def on_batch(self, epoch: int, batch: int, losses: Any) -> None:
        if (epoch, batch) == self.when:
            os.kill(os.getpid(), signal.SIGTERM)


def weights_of(run: Path) -> dict[str, Tensor]:
    """The last weights of a run."""
    return load_weights(run / "weights/last.pt").state


def distance(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """The largest difference of two weights."""
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


def held(device: torch.device) -> int:
    """Bytes in living tensors: on a GPU by its allocator, on the CPU by the objects that there are."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated(device)
    tensors = [thing for thing in gc.get_objects() if type(thing) in (Tensor, torch.nn.Parameter)]
    found = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_a_resumed_run_equals_an_unbroken_one(device: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Stopped inside the second epoch. On a GPU two unbroken runs differ too; a resumed one by no more of that kind."""
    given = {**options, "device": device, "project": tmp_path, "save_steps": 1}
    whole = engine.train(**given, name="whole")
    broken = engine.train(**given, name="broken", callbacks=[StopAt(1, 0)])
    assert broken.interrupted and not whole.interrupted
    resumed = engine.train(resume=str(broken.save_dir), device=device)
    apart = distance(weights_of(whole.save_dir), weights_of(resumed.save_dir))
    if device == "cpu":
        assert apart == 0
        return
    again = engine.train(**given, name="again")
    assert apart <= 4 * distance(weights_of(whole.save_dir), weights_of(again.save_dir)) + ROUNDING


def trained(options: dict[str, Any], device: torch.device, looks: tuple[int, ...] = ()) -> tuple[int, list[int]]:
    """Train on the batches of an epoch. Returns the peak of the last step, and the bytes held after the batches `looks`."""
    trainer, found = Trainer(make_plan(options), device), list[int]()
    run = Run(trainer.detector, epochs=1)
    trainer.step.begin_epoch(run, 0)
    for run.iteration, batch in enumerate(trainer.loader):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        trainer._step(run, trainer._prepare(batch, run.iteration))
        del batch
        if run.iteration in looks:
            found.append(held(device))
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else max(found, default=0), found


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_memory_comes_back(device: str, options: dict[str, Any], tmp_path: Path) -> None:
    """A step leaves nothing behind, nor does a run. The first run makes what a process keeps: anchors, workspaces."""
    where = torch.device("cuda", 0) if device == "0" else torch.device("cpu")
    given = {**options, "device": device, "project": tmp_path, "batch_size": 2}
    trained({**given, "name": "first"}, where)
    before = held(where)
    peak, (early, late) = trained({**given, "name": "second"}, where, looks=(1, 3))
    print(
        f"{before / 2**20:.1f} MiB before, {late / 2**20:.1f} between steps, {peak / 2**20:.1f} at the peak of a step"
    )
    assert before < late <= peak
    assert abs(late - early) <= LEAK, "a step leaves memory behind"  # labels, of which a batch has more or fewer
    assert abs(held(where) - before) <= LEAK, "a run leaves memory behind"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["none", "wiid"])
def test_a_run_in_bfloat16(
    method: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU --amp bf16 is float32, bit for bit; taken for a GPU it trains in bfloat16 there too, and keeps float32 weights."""
    given = {**options, "device": "cpu", "project": tmp_path, "epochs": 1, "method": method}
    plain, same = (engine.train(**given, amp=amp, name=amp) for amp in ("off", "bf16"))
    assert distance(weights_of(plain.save_dir), weights_of(same.save_dir)) == 0
    monkeypatch.setattr("engine.training.step.on_gpu", lambda device: True)
    fine, coarse = (engine.train(**given, amp=amp, name=f"gpu {amp}") for amp in ("off", "bf16"))
    weights = weights_of(coarse.save_dir)
    assert all(value.isfinite().all() for value in weights.values() if value.is_floating_point())
    assert 1e-5 < distance(weights, weights_of(fine.save_dir)) < 0.1
    assert coarse.rows[0]["train/box_loss"] == pytest.approx(fine.rows[0]["train/box_loss"], rel=0.05)


@pytest.fixture
def grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts a single process."""
    place = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1"}
    for name, value in (place | {"MASTER_PORT": distributed.free_port(), "TORCHELASTIC_RUN_ID": "one"}).items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_a_process_group_of_one_trains_as_a_process_alone(
    device: str, options: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """NCCL on a GPU, gloo on the CPU: batch norms, loss and gradients go through the group, and come back the same."""
    given = {**options, "device": device, "project": tmp_path, "epochs": 1, "ema": False, "amp": "off"}
    alone = engine.train(**given, name="alone")
    request.getfixturevalue("grouped")
    seen: list[tuple[str, bool]] = []

    class Watching(Callback):
        def on_batch(self, epoch: int, batch: int, losses: Any) -> None:
            seen.append((dist.get_backend(), distributed.WORLD.grouped))

    together = engine.train(**given, name="group", callbacks=[Watching()])
    assert set(seen) == {("nccl" if device == "0" else "gloo", True)}
    assert not dist.is_initialized() and not distributed.WORLD.grouped
    assert together.rows[0]["train/box_loss"] == pytest.approx(alone.rows[0]["train/box_loss"], rel=1e-3)
    apart = distance(weights_of(alone.save_dir), weights_of(together.save_dir))
    assert apart < 1e-3
