"""Two ranks of B images are one process of 2B: same batches, same losses to fp32 noise, equal weights on both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import engine
from engine.training import distributed
from engine.training.distributed import World, average, listed_devices, shared_value
from engine.training.resume import NEEDED, save_resume
from tests.engine.classification.tiny_classes import write_classes
from tests.engine.tiny import write_dataset
from utils.errors import UserError

HERE = Path(__file__).resolve().parent


Notes = list[dict[str, Any]]
"""What each rank wrote down."""


def run_ranks(trainings: Sequence[dict[str, Any]], ranks: int) -> list[Notes]:
    """Train with each of these options, one after the other, on as many ranks; per training, what each rank saw."""
    launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={ranks}", f"--master_port={distributed.free_port()}"]
    command = [sys.executable, *(launcher if ranks > 1 else []), str(HERE / "rank_worker.py")]
    done = subprocess.run([*command, json.dumps(trainings, default=str)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    folders = [Path(options["project"]) for options in trainings]
    return [[torch.load(f / f"rank{r}of{ranks}.pt", weights_only=True) for r in range(ranks)] for f in folders]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, Any], Notes]]:
    """(one process, two ranks) of a detector with weather and WiiD, and of a classifier with WiiD.

    Of the classifier the first step counts, without masks or MMD: the one belongs to a batch and the other looks at a whole one.
    """
    detect, classify = (tmp_path_factory.mktemp(name) for name in ("ranks", "classes"))
    detector = {**write_dataset(detect, images=8), "warmup_epochs": 0, "project": detect}
    detector |= {"method": "weather+wiid", "weather": "low_light=0.3 fog+read_noise=0.4 rain=0.2"}
    classifier = {**write_classes(classify / "set"), "lr0": 0.0, "batch_size": 12, "ema": True, "project": classify}
    classifier |= {"use_mmd": False, "mask_squares": 0.0, "mask_saliency": 0.0}
    trainings = [{**options, "epochs": 1, "noval": True} for options in (detector, classifier)]
    alone, two = (run_ranks([{**options, "name": str(ranks)} for options in trainings], ranks) for ranks in (1, 2))
    return [(one, ranks) for (one,), ranks in zip(alone, two, strict=True)]


@pytest.fixture(scope="module")
def runs(trained: list[tuple[dict[str, Any], Notes]]) -> tuple[dict[str, Any], Notes]:
    return trained[0]


@pytest.mark.distributed
def test_ranks_see_the_batches_of_one_process(runs: Any) -> None:
    alone, ranks = runs
    for whole, first, second in zip(alone["seen"], ranks[0]["seen"], ranks[1]["seen"], strict=True):
        assert whole == first + second


@pytest.mark.distributed
def test_images_are_degraded_and_masked_alike_to_the_byte(runs: Any) -> None:
    """Draws belong to an image, not to a batch or rank."""
    alone, ranks = runs
    for whole, first, second in zip(alone["bytes"], ranks[0]["bytes"], ranks[1]["bytes"], strict=True):
        assert whole == [own + other for own, other in zip(first, second, strict=True)]


@pytest.mark.distributed
def test_losses_equal_the_double_batch(runs: Any) -> None:
    alone, ranks = runs
    assert ranks[0]["losses"] == ranks[1]["losses"]
    assert len(alone["losses"]) == 2
    for one, two in zip(alone["losses"], ranks[0]["losses"], strict=True):
        assert two == pytest.approx(one, rel=2e-4)


@pytest.mark.distributed
@pytest.mark.parametrize("part", ["model", "ema", "target"])
def test_weights_are_equal_across_ranks_and_to_one_process(runs: Any, part: str) -> None:
    alone, ranks = runs
    for name, expected in alone[part].items():
        first, second = ranks[0][part][name], ranks[1][part][name]
        if "running" not in name or part != "target":
            assert torch.equal(first, second) or torch.allclose(first, second, atol=1e-6), name
        assert torch.allclose(first.float(), expected.float(), atol=2e-4, rtol=1e-3), name


@pytest.mark.distributed
def test_two_ranks_train_a_classifier_as_one_process_does(trained: Any) -> None:
    """Same images, same losses to the noise of fp32, the same weights and momentum target on both."""
    alone, ranks = trained[1]
    assert alone["seen"][0] == ranks[0]["seen"][0] + ranks[1]["seen"][0]
    assert alone["losses"][0].keys() == {"day", "night", "byol"}
    assert ranks[0]["losses"][0] == pytest.approx(alone["losses"][0], rel=2e-4)
    for part in ("model", "ema", "target"):
        for name, expected in alone[part].items():
            first, second = (rank[part][name] for rank in ranks)
            assert torch.allclose(first.float(), second.float(), atol=1e-6), name
            assert torch.allclose(first.float(), expected.float(), atol=1e-4, rtol=1e-3), name


def test_one_device_needs_no_launch() -> None:
    assert listed_devices("") == [] and listed_devices("0") == ["0"] and listed_devices("0, 1") == ["0", "1"]


def test_alone_everything_is_local() -> None:
    assert World().main
    assert average({"a": 1.0}, torch.device("cpu")) == {"a": 1.0}
    assert shared_value(lambda: 5) == 5


@pytest.mark.distributed
def test_listing_devices_starts_the_processes(tmp_path: Path) -> None:
    options = {**write_dataset(tmp_path, images=8), "device": "cpu,cpu", "epochs": 1, "noval": True}
    result = engine.train(**options)
    assert result.best.exists() and result.save_dir == tmp_path / "runs" / "exp"


@pytest.mark.distributed
def test_a_batch_that_does_not_divide_is_named(tmp_path: Path) -> None:
    options = {**write_dataset(tmp_path, images=4), "device": "cpu,cpu", "batch_size": 3}
    with pytest.raises(UserError, match="ended with code"):
        engine.train(**options)


def test_several_devices_go_on_in_the_run_that_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank is given the state alone: a run that goes on takes no other name, and no second folder is made."""
    run = tmp_path / "exp"
    (run / "weights").mkdir(parents=True)
    whole = {
        **dict.fromkeys(NEEDED),
        "epoch": 0,
        "batch": 0,
        "network": {"nc": 1},
        "options": {"task": "detect", "save_dir": str(run)},
    }
    state = save_resume(run / "weights", whole)
    started: list[list[str]] = []
    monkeypatch.setattr(distributed, "launch", lambda devices, argv: started.append(argv) or 0)
    result = engine.train(resume=str(run), device="cpu,cpu", project=tmp_path, workers=0)
    assert result.save_dir.resolve() == run.resolve() and [path.name for path in tmp_path.iterdir()] == ["exp"]
    assert started[0][1:] == [f"resume={state}", "workers=0"]
    monkeypatch.setattr(distributed, "launch", lambda devices, argv: 1)
    with pytest.raises(UserError, match="ended with code 1.*Its state is kept; resume with --resume .*exp"):
        engine.train(resume=str(run), device="cpu,cpu")
