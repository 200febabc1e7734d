"""The resume file: atomic, two kept, read without running code."""

from __future__ import annotations

import os
import pickle
import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import engine
from engine.training.module import TrainingModel
from engine.training.resume import (
    NEEDED,
    can_resume,
    find_resume,
    forget_resume,
    load_resume,
    methods_state,
    random_state,
    restore_random_state,
    resumed,
    run_of,
    save_resume,
    upgraded,
)
from methods.aeris import AERIS
from methods.options.wiid import WiiDOptions
from methods.wiid import WiiD
from models.detector import build
from tests.engine.classification.tiny_classes import same, use_tiny_network, write_classes
from tests.engine.tiny import NETWORK, write_dataset
from utils.errors import UserError
from utils.files import save_yaml


@pytest.fixture
def synthetic_options(tmp_path: Path) -> dict[str, Any]:
    """Options of a tiny training, as plain values."""
    return {
        key: str(value) if isinstance(value, Path) else value for key, value in write_dataset(tmp_path / "set").items()
    }


def state_of(epoch: int, **more: Any) -> dict[str, Any]:
    """All that a state needs, and nothing in it."""
    return {**dict.fromkeys(NEEDED), "options": {}, "network": {"nc": 1}, "epoch": epoch, "batch": 0, **more}


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    save_resume(tmp_path, state_of(3, model={"w": torch.arange(3.0)}, names=["a"]))
    state = load_resume(tmp_path / "resume.pt")
    assert state["epoch"] == 3 and state["names"] == ["a"]
    assert torch.equal(state["model"]["w"], torch.arange(3.0))


def test_the_methods_of_an_earlier_file_find_their_places() -> None:
    """`resume_methods.pt` holds the two entries of a run of wiid+aeris from before; tensor i holds i."""
    old = torch.load(Path(__file__).with_name("resume_methods.pt"), weights_only=True)
    methods = [WiiD(WiiDOptions(mask_token="learned")), AERIS()]
    model = TrainingModel(build(NETWORK, {0: "square", 1: "bar"}), methods, SimpleNamespace())
    model.methods.load_state_dict(methods_state(old, model.methods.state_dict()))
    for new, value in {
        "wiid.token.rgb": old["extras"]["wiid.token.rgb"],
        "aeris.branch.adapter.0.weight": old["extras"]["aeris.adapter.0.weight"],
        "wiid.target.0.conv.weight": old["methods"]["wiid"]["target"]["0.conv.weight"],
    }.items():
        assert torch.equal(model.methods.state_dict()[new], value)
    assert methods_state({"methods": old["extras"]}, []) == old["extras"], "a file of today is taken as it is"


def test_the_last_two_are_kept_and_the_older_one_stands_in(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save_resume(tmp_path, state_of(epoch))
    assert load_resume(tmp_path / "resume.pt")["epoch"] == 3
    (tmp_path / "resume.pt").write_bytes(b"torn")
    assert load_resume(tmp_path / "resume.pt")["epoch"] == 2


def test_nothing_readable_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "resume.pt").write_bytes(b"torn")
    with pytest.raises(UserError, match="no readable resume state.*start a new run"):
        load_resume(tmp_path / "resume.pt")


@pytest.mark.parametrize(
    "content",
    [
        [1],
        torch.ones(2),
        {},
        {"epoch": 3},
        state_of(1, options=[]),
        state_of(1, network=None),
        *(state_of(1) | {name: value} for name in ("epoch", "batch") for value in (-5, 1.5, float("nan"), True, "1")),
    ],
)
def test_what_is_no_state_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "resume.pt")
    with pytest.raises(UserError, match="no readable resume state"):
        load_resume(tmp_path / "resume.pt")


def test_trust_never_comes_from_a_file(tmp_path: Path, synthetic_options: dict[str, Any]) -> None:
    """A run folder from a stranger: its state says `trust` and names weights that hold code."""

    class Trap:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    run = tmp_path / "run" / "weights"
    run.mkdir(parents=True)
    torch.save({"model": Trap()}, run / "start.pt")
    options = {
        **synthetic_options,
        "weights": str(run / "start.pt"),
        "trust": True,
        "method": "none",
        "save_dir": str(run),
    }
    for network in (None, NETWORK):
        torch.save(state_of(0, options=options, network=network), run / "resume.pt")
        with pytest.raises(UserError, match="no readable resume state|state is damaged, or of another version"):
            engine.train(resume=str(tmp_path / "run"))
        assert not (tmp_path / "ran").exists()
    assert "trust" not in resumed({"trust": True, **options}, {}, (), run / "resume.pt")


def test_code_in_a_resume_file_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    (tmp_path / "resume.pt").write_bytes(pickle.dumps(Trap()))
    torch.save({"epoch": Trap()}, tmp_path / "resume.previous.pt")
    with pytest.raises(UserError):
        load_resume(tmp_path / "resume.pt")
    assert not (tmp_path / "ran").exists()


def test_the_newest_run_is_found(tmp_path: Path) -> None:
    for number, run in enumerate(("exp", "exp2")):
        (tmp_path / run / "weights").mkdir(parents=True)
        path = save_resume(tmp_path / run / "weights", state_of(number))
        os.utime(path, (number, number))
    assert find_resume("newest", tmp_path) == tmp_path / "exp2" / "weights" / "resume.pt"
    assert find_resume(str(tmp_path / "exp"), tmp_path) == tmp_path / "exp" / "weights" / "resume.pt"


@pytest.mark.parametrize("wanted", ["newest", "nowhere", "x" * 5000, "\ud800", "a\0b"])
def test_a_missing_run_is_named(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(UserError, match="--resume|cannot be a path"):
        find_resume(wanted, tmp_path)


def test_generators_come_back(tmp_path: Path) -> None:
    random.gauss(0, 1)
    save_resume(tmp_path, state_of(0, random=random_state()))
    expected = (random.random(), random.gauss(0, 1), np.random.rand(), torch.rand(1).item())
    restore_random_state(load_resume(tmp_path / "resume.pt")["random"])
    assert (random.random(), random.gauss(0, 1), np.random.rand(), torch.rand(1).item()) == expected


@pytest.mark.slow
def test_on_a_full_disk_both_stay(tmp_path: Path, full_disk) -> None:
    for epoch in (1, 2):
        save_resume(tmp_path, state_of(epoch))
    full_disk(100_000)
    with pytest.raises(UserError, match="cannot be written"):
        save_resume(tmp_path, {"epoch": 3, "model": torch.zeros(1_000_000)})
    assert {path.name for path in tmp_path.iterdir()} == {"resume.pt", "resume.previous.pt"}
    assert load_resume(tmp_path / "resume.pt")["epoch"] == 2
    assert load_resume(tmp_path / "resume.previous.pt")["epoch"] == 1


def test_the_older_one_alone_serves_and_both_can_be_forgotten(tmp_path: Path) -> None:
    run = tmp_path / "exp"
    (run / "weights").mkdir(parents=True)
    for epoch in (1, 2):
        save_resume(run / "weights", state_of(epoch))
    (run / "weights" / "resume.pt").unlink()  # the power failed between two renamings
    assert can_resume(run)
    for wanted in ("newest", str(run), str(run / "weights")):
        assert load_resume(find_resume(wanted, tmp_path))["epoch"] == 1
    forget_resume(run)
    assert not can_resume(run)
    with pytest.raises(UserError, match="neither a resume file nor a run folder"):
        find_resume(str(run), tmp_path)


def test_a_checkpoint_stands_for_the_state_beside_it(tmp_path: Path) -> None:
    weights = tmp_path / "exp" / "weights"
    weights.mkdir(parents=True)
    torch.save({"w": torch.ones(1)}, weights / "last.pt")
    with pytest.raises(UserError, match="neither a resume file nor a run folder"):
        find_resume(str(weights / "last.pt"), tmp_path)
    save_resume(weights, state_of(1))
    assert find_resume(str(weights / "last.pt"), tmp_path) == weights / "resume.pt"
    torch.save({"epoch": 7}, weights / "resume.mine.pt")
    assert find_resume(str(weights / "resume.mine.pt"), tmp_path) == weights / "resume.mine.pt"


def test_a_run_goes_on_where_its_state_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied, renamed, or named from another folder: what the state says of its place is of the time that it began."""
    monkeypatch.chdir(tmp_path)
    began = Path("runs/train/exp")
    assert run_of(Path("runs/train/copy/weights/resume.pt"), began) == Path("runs/train/copy")
    assert run_of(tmp_path / "runs/train/copy/weights/resume.pt", began) == Path("runs/train/copy")
    assert run_of(Path("/else/exp/weights/resume.pt"), began) == Path("/else/exp")
    assert run_of(Path("taken/resume.pt"), began) == began
    monkeypatch.chdir("/")
    assert run_of(tmp_path / "exp/weights/resume.pt", began) == (tmp_path / "exp").relative_to("/")


@pytest.mark.parametrize("began", ["/somewhere/exp", "runs/../../exp", ".."])
def test_a_file_in_no_run_names_no_place_outside(began: str) -> None:
    with pytest.raises(UserError, match="outside this folder. Put it into RUN/weights/"):
        resumed({"save_dir": began}, {}, (), Path("taken/resume.pt"))


def test_a_file_starts_no_more_processes_than_there_are_cores() -> None:
    file, cores = Path("runs/exp/weights/resume.pt"), os.cpu_count() or 1
    assert resumed({"workers": cores}, {}, (), file)["workers"] == cores
    assert "workers" not in resumed({"workers": 100_000}, {}, (), file)
    assert resumed({"workers": 100_000}, {"workers": cores + 1}, ("workers",), file)["workers"] == cores + 1


@pytest.mark.parametrize(
    ("saved", "given", "expected"),
    [
        (["wandb"], {}, ()),
        (["tensorboard", "mlflow"], {}, ("tensorboard",)),
        ("wandb", {}, ()),
        ([], {}, ()),
        (["wandb"], {"logger": ("wandb",)}, ("wandb",)),
        (["wandb"], {"logger": ()}, ()),
    ],
)
def test_a_state_turns_on_no_service(saved: Any, given: dict, expected: Any, caplog: Any) -> None:
    options = resumed({"logger": saved}, given, ("logger",), Path("runs/exp/weights/resume.pt"))
    assert options["logger"] == expected
    assert ("which a state does not turn on; add --logger" in caplog.text) == bool(saved and not given)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"batch_size": 10**9}, "option batch_size: 1000000000 does not fit; expected a whole number from -1 to 65536"),
        ({"epochs": 10**12}, "option epochs: 1000000000000 does not fit; expected a whole number from 1 to 1000000"),
        ({"epochs": float("inf")}, "option epochs: inf does not fit"),
        *(({"logger": names}, "option logger: .* does not fit") for names in ("sender", [["mlflow", 3]], {"a": 1}, 7)),
        ({"no_such": 1}, "option no_such: there is no such option"),
    ],
)
def test_a_state_of_options_beyond_any_use_is_refused(saved: dict[str, Any], message: str) -> None:
    with pytest.raises(
        UserError, match=f"--resume runs/exp/weights/resume.pt: its state holds .* no run has: {message}"
    ):
        resumed(saved, {}, ("logger",), Path("runs/exp/weights/resume.pt"))


def test_a_resumed_run_goes_on_in_its_folder() -> None:
    saved = {
        "epochs": 9,
        "device": "0",
        "save_dir": "runs/exp7",
        "task": "classify",
        "project": "elsewhere",
        "name": "",
    }
    given = {"resume": "newest", "project": Path("runs"), "device": "cpu"}
    assert resumed(saved, given, ("device", "workers"), Path("runs/exp8/weights/resume.pt")) == {
        "epochs": 9, "device": "cpu", "project": Path("runs"), "name": "exp8", "exist_ok": True, "resume": "",
    }  # fmt: skip


def test_options_of_an_older_version() -> None:
    """An option that is gone is left out at its default, and answered for where it was not."""
    saved = {"save_dir": "runs/exp", "rfla_tiny": 16.0, "rfla_box": None, "rfla_inside": False}
    options = resumed(saved, {}, (), Path("runs/exp/weights/resume.pt"))
    assert options["rfla_tiny"] == 16.0 and not {"rfla_box", "rfla_inside"} & options.keys()
    with pytest.raises(UserError, match="option rfla_box: it is no longer there"):
        resumed(saved | {"rfla_box": "cap"}, {}, (), Path("resume.pt"))


@pytest.mark.parametrize(("schedule", "cosine"), [("step", {}), ("linear", {"cos_lr": True})])
def test_a_cosine_that_did_nothing_stays_so(schedule: str, cosine: dict[str, Any]) -> None:
    """Classifiers of earlier versions kept their steps beside --cos-lr; two schedules are refused now."""
    saved = {"save_dir": "runs/exp", "lr_schedule": schedule, "cos_lr": True}
    options = resumed(saved, {}, (), Path("runs/exp/weights/resume.pt"))
    assert {key: value for key, value in options.items() if key == "cos_lr"} == cosine


def old_parts(size: dict[str, int]) -> dict[str, torch.Tensor]:
    return {key: torch.full((1,), float(value)) for key, value in size.items()}


def test_targets_of_classifiers_from_a_loop_of_their_own() -> None:
    """Projector and predictor had no level, and the target was a list of the network and the projector."""
    old = {
        "task": "classify", "epoch": 2, "optimiser": {}, "scaler": {}, "options": {"method": "wiid", "cfg": "resnet18"},
        "learner": old_parts({"network.fc.bias": 1, "projector.0.weight": 2, "predictor.3.bias": 3}),
        "target": old_parts({"0.fc.bias": 4, "1.1.running_mean": 5}), "rows": [{"seconds": 7.0}], "best": [0.5, 1],
    }  # fmt: skip
    state = upgraded(old)
    assert {key: value.item() for key, value in state["model"].items()} == {"network.fc.bias": 1}
    assert {key: value.item() for key, value in state["methods"].items()} == {
        "wiid.projectors.pooled.0.weight": 2, "wiid.predictors.pooled.3.bias": 3,
        "wiid.target.0.network.fc.bias": 4, "wiid.target.1.pooled.1.running_mean": 5,
    }  # fmt: skip
    assert (state["epoch"], state["batch"], state["network"], state["random"]) == (2, 0, "resnet18", None)
    assert state["records"] == {"rows": [{"seconds": 7.0}], "best": 0.5, "best_epoch": 1, "seconds": 7.0}
    assert upgraded(state) == state


@pytest.mark.slow
def test_a_classifier_of_the_earlier_loop_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """resume_classifier.pt was written after the first of three epochs. It ends as a run that was never stopped."""
    use_tiny_network(monkeypatch)
    options = write_classes(tmp_path / "set") | {"epochs": 3, "byol_weight": 0.0}
    whole = engine.train(**options, name="whole")
    state = load_resume(Path(__file__).with_name("resume_classifier.pt"))
    state["options"] |= {"data": options["data"], "save_dir": str(tmp_path / "run")}
    shutil.copytree(whole.save_dir, tmp_path / "run")  # for a best checkpoint, should no later epoch be better
    save_yaml(tmp_path / "run" / "args.yaml", state["options"])
    save_resume(tmp_path / "run" / "weights", state)
    continued = engine.train(resume=str(tmp_path / "run"))
    states = [torch.load(run.save_dir / "weights" / "last.pt", weights_only=True) for run in (whole, continued)]
    assert len(continued.rows) == 3 and same(*states)


def test_a_finished_run_leaves_no_state_and_no_temporaries(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    gone = ["weights/resume.pt", "weights/resume.new.pt", "weights/.last.0123456789ab.pt", ".args.0123456789ab.yaml"]
    kept = ["weights/last.pt", "args.yaml", ".mine.pt"]
    for name in gone + kept:
        (tmp_path / name).touch()
    forget_resume(tmp_path)
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert left == set(kept)
