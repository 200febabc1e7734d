"""Task classify end to end: train.py, val.py, compare.py, resume, and what is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import engine
import train as train_script
import val as val_script
from data.config import DataConfig
from data.video.dataset import ClipShape
from engine.action.api import ACTION
from engine.checkpoint.classifier import LoadedClassifier
from engine.checkpoint.weights import load_weights
from engine.classification import api as classification_api
from engine.classification import evaluation as classification_evaluation
from engine.classification.api import CLASSIFY
from engine.comparison import report as comparison_tables
from engine.evaluation.session import check_names
from engine.tasks import TASKS, resolve
from engine.training.trainer import Trainer
from methods.base import Method
from methods.registry import create
from models.classifier import ClassificationModel
from tests.engine.classification.tiny_classes import NAMES, TinyNetwork, same, use_tiny_network, write_classes
from utils.errors import UserError
from utils.files import load_yaml, save_yaml
from utils.tables import read_csv


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options that train the tiny network on the tiny set; nothing is drawn."""
    use_tiny_network(monkeypatch)
    monkeypatch.setattr(classification_evaluation, "plot_confusion", lambda *given: None)
    return write_classes(tmp_path / "set")


def words(options: dict[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in options.items()]


def test_the_scripts(given, capsys):
    assert train_script.main(words(given)) == 0
    folder = given["project"] / "exp"
    said = capsys.readouterr().out
    assert "method wiid" in said and "12 train, 6 val, 6 val2 images" in said
    rows = read_csv(folder / "results.csv")
    wanted = {"train/day", "train/night", "train/byol", "train/mmd", "night/top1", "night/top5", "day/top1", "day/top5"}
    assert len(rows) == 2 and wanted < rows[0].keys()
    args = load_yaml(folder / "args.yaml")
    assert (args["task"], args["method"], args["imgsz"], args["optimizer"]) == ("classify", "wiid", 32, "Adam")
    plain = torch.load(folder / "weights" / "best.pt", weights_only=True)
    assert plain.keys() == TinyNetwork(3).state_dict().keys()
    assert val_script.main(["--data", given["data"], "--weights", str(folder / "weights/best.safetensors"), "--task", "test",
                          "--enhance", "gamma", "--project", str(given["project"])]) == 0  # fmt: skip
    found = read_csv(given["project"] / "exp2" / "metrics.csv")
    assert [row["class"] for row in found if row["condition"] == "night"] == ["all", *NAMES]
    assert "at 32 px, enhanced by gamma" in capsys.readouterr().out


def test_a_safetensors_file_says_what_it_is(given):
    result = engine.train(**given, method="none")
    meta = load_weights(result.best).meta
    assert (meta["task"], meta["network"], meta["imgsz"], meta["method"]) == ("classify", "resnet18", 32, "none")
    assert "train/night" not in result.rows[0] and len(result.reports) == 2


@pytest.mark.parametrize("method", ["none", "wiid"])
def test_a_run_stopped_inside_an_epoch_ends_as_an_unbroken_one(given, monkeypatch, method):
    """Stop after the first of two batches of the second epoch, by SIGTERM: equal to the last bit."""
    options = given | {"epochs": 3, "method": method, "ema": True}
    whole = engine.train(**options)
    real, stopped = Trainer._step, []

    def interrupt(self: Trainer, run: Any, batch: Any) -> Any:
        if run.iteration == 2 and not stopped:
            stopped.append(os.kill(os.getpid(), signal.SIGTERM))
        return real(self, run, batch)

    monkeypatch.setattr(Trainer, "_step", interrupt)
    broken = engine.train(**options)
    state = torch.load(broken.save_dir / "weights" / "resume.pt", weights_only=True)
    assert broken.interrupted and (state["epoch"], state["batch"]) == (1, 1)
    resumed = engine.train(resume=str(broken.save_dir))
    states = [torch.load(run.save_dir / "weights" / "last.pt", weights_only=True) for run in (whole, resumed)]
    assert same(*states) and resumed.save_dir == broken.save_dir and len(resumed.rows) == 3
    final = [
        {k: v for k, v in run.rows[-1].items() if k.startswith(("night", "day", "lr"))} for run in (whole, resumed)
    ]
    assert final[0] == final[1]


class Probe(Method):
    """A method of nobody's: a scale that trains, and a term that reads the pooled features of both members."""

    name = "probe"
    tasks = ("classify",)

    def attach(self, detector: Any) -> None:
        self.scale = torch.nn.Parameter(torch.ones(detector.width))

    def taps(self, detector: Any) -> dict[str, str]:
        return {"pooled": "features"}

    def loss(self, step: Any) -> dict[str, torch.Tensor]:
        return {"probe": 0.01 * (step.taps["pooled"] * self.scale).square().mean()}


def test_wiid_composes_with_another_method(given, monkeypatch):
    from engine.training import plan

    monkeypatch.setattr(plan, "create", lambda names, options: [*create("wiid", options), Probe()])
    result = engine.train(**given, save_steps=1)
    assert {"train/day", "train/night", "train/byol", "train/mmd", "train/probe"} < result.rows[0].keys()
    state = torch.load(result.save_dir / "weights" / "resume.pt", weights_only=True)
    assert "probe.scale" in state["methods"] and not torch.equal(state["methods"]["probe.scale"], torch.ones(16))
    plain = torch.load(result.save_dir / "weights" / "best.pt", weights_only=True)
    assert plain.keys() == TinyNetwork(3).state_dict().keys()


def test_selection_on_test_is_labelled(given, capsys):
    result = engine.train(**given, select="test")
    assert [report.split for report in result.reports] == ["test", "test2"]
    assert "chosen on test, as published" in capsys.readouterr().out


def test_a_start_from_weights_of_other_classes_leaves_the_head_out(given, tmp_path, capsys):
    network = TinyNetwork(5)
    torch.save(network.state_dict(), tmp_path / "five.pt")
    engine.train(**given | {"epochs": 1}, weights=str(tmp_path / "five.pt"), cfg="resnet18", lr0=0.0)
    assert "its head of 5 classes is skipped" in capsys.readouterr().out
    trained = torch.load(given["project"] / "exp" / "weights" / "last.pt", weights_only=True)
    assert torch.equal(trained["body.0.weight"], network.state_dict()["body.0.weight"])


def test_compare_looks_at_top1_over_seeds_and_images(given, monkeypatch):
    monkeypatch.setattr(comparison_tables, "plot_comparison", lambda *given: None)
    options = {key: value for key, value in given.items() if key != "project"} | {"epochs": 1}
    pair = "wiid byol_weight=0 use_mmd=false mask_squares=0 mask_saliency=0"
    result = engine.compare(**options, run=("none", pair), seeds=2, resamples=100, project=given["project"])
    assert [row["condition"] for row in result.summary] == ["night", "day"] * 2 and "top5 sd" in result.summary[0]
    row = result.differences[0]
    assert (row["metric"], row["condition"], row["resampled"]) == ("top1", "night", "2 seeds x 6 images")
    top1 = [outcome.reports[0].metrics["top1"] for outcome in result.outcomes]
    assert row["difference"] == pytest.approx((top1[1] + top1[3] - top1[0] - top1[2]) / 2)


def edit(old: str, new: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        text = (root / "data.yaml").read_text()
        assert old in text
        (root / "data.yaml").write_text(text.replace(old, new))

    return spoil


def without_val(root: Path) -> None:
    data = load_yaml(root / "data.yaml")
    data["conditions"].pop("val")
    save_yaml(root / "data.yaml", {key: value for key, value in data.items() if key != "val"})


def nothing(root: Path) -> None:
    """The set is as it should be."""


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (nothing, {"method": "lcp"}, "--method lcp: does not serve task 'classify'"),
        (nothing, {"mosaic": 1.0}, "--mosaic: does not apply to task 'classify'"),
        (nothing, {"batch_size": 1}, "batch norm needs at least 2"),
        (nothing, {"mask_squares": 0.8, "mask_saliency": 0.3}, "sum to 1 at most"),
        (nothing, {"weights": "there-is-none.pt"}, "there is no such file"),
        (edit("unlabeled: unlabeled\n", ""), {"use_mmd": True}, "names no unlabelled night images"),
        (edit("unlabeled: unlabeled\n", "unlabeled: test\n"), {}, "also an image of the test split"),
        (without_val, {}, "there is no 'val' split to choose the best epoch with"),
        (edit("task: classify", "task: clasify"), {}, "'task: clasify' is not known"),
    ],
)
def test_what_is_refused(given, spoil, options, message):
    spoil(Path(given["data"]).parent)
    with pytest.raises(UserError, match=message):
        engine.train(**given | options)


def test_a_cosine_replaces_the_steps_of_the_task(given):
    """Halfway through the run it is 0.55 of lr0 with the final 0.1; a step would be at 0.1."""
    result = engine.train(**given | {"method": "none", "epochs": 2, "cos_lr": True, "lr0": 0.002})
    assert [row["lr/weight"] for row in result.rows] == pytest.approx([0.002, 0.0011])
    assert load_yaml(result.save_dir / "args.yaml")["lr_schedule"] == "linear"


def test_without_night_images_wiid_trains_without_mmd(given, capsys):
    edit("unlabeled: unlabeled\n", "")(Path(given["data"]).parent)
    result = engine.train(**given | {"epochs": 1})
    assert "WiiD trains without MMD" in capsys.readouterr().out and "train/mmd" not in result.rows[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "speed"}, "--task speed: does not apply to task classify"),
        ({"iou_thres": 0.5}, "--iou-thres: does not apply to task 'classify'"),
        ({"weights": None}, "there is no finished epoch below .* name a checkpoint"),
        ({"data": "demo-codan.yaml"}, "has 3 classes"),
    ],
)
def test_what_validation_refuses(given, options, message, monkeypatch, tmp_path):
    best = engine.train(**given | {"epochs": 1}).best
    monkeypatch.chdir(tmp_path)  # where there is no newest run
    monkeypatch.setattr("engine.classification.api.load_data", _without_demo)
    monkeypatch.chdir(given["project"])  # where no run is below runs/train
    with pytest.raises(UserError, match=message):
        engine.validate(**{"data": given["data"], "weights": best, "project": given["project"], **options})


def _without_demo(source: Any, **choices: Any) -> Any:
    from data.config import load_data

    return load_data(source, need=())


CONFIG = DataConfig(Path("a.yaml"), Path(), {0: "a", 1: "b"}, {}, conditions={"test": "night"})


def loaded(classes: int, names: dict[int, str] | None) -> LoadedClassifier:
    return LoadedClassifier(ClassificationModel(TinyNetwork(classes)), "resnet18", names, ClipShape(size=32))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({0: "a", 1: "b"}, ""),
        (None, ""),  # the file does not say
        ({0: "a", 1: "z"}, "note: classes are matched by number, but names differ (weights / data): 1: z / b\n"),
    ],
)
def test_names_that_differ_are_a_note(names, said, capsys):
    check_names(names, 2, CONFIG, Path("w.pt"))
    assert capsys.readouterr().out == said


def test_another_number_of_classes_is_an_error():
    with pytest.raises(UserError, match="w.pt: has 3 classes, but a.yaml has 2"):
        check_names(None, 3, CONFIG, Path("w.pt"))


def test_one_report_per_split(capsys, monkeypatch):
    """Confusion matrices go to val, named as its condition, and to test-night."""
    seen: list[dict[str, Any]] = []
    what = replace(
        CLASSIFY,
        dataset=lambda config, split, network: SimpleNamespace(
            split=split, left_out=lambda: [(f"{split}.png", "is empty")]
        ),
    )
    monkeypatch.setattr(
        classification_api, "evaluate_classifier", lambda model, data, names, **how: seen.append(how) or data.split
    )
    classifier = loaded(2, None)
    assert what._measure(classifier, CONFIG, ["val", "test"], torch.device("cpu"), Path("x")) == ["val", "test"]
    assert [how["confusion_to"] for how in seen] == [Path("x/val"), Path("x/test-night")]
    assert [how["condition"] for how in seen] == ["val", "night"] and seen[0]["batch_size"] == 32
    assert "note: skipped val.png: is empty" in capsys.readouterr().out
    what._measure(classifier, CONFIG, ["val"], torch.device("cpu"))
    assert seen[-1]["confusion_to"] is None


def test_the_last_line_names_the_size():
    assert CLASSIFY.described(loaded(2, None)) == "resnet18 at 32 px"


@pytest.mark.parametrize("what", [CLASSIFY, ACTION])
def test_the_table_of_tasks_leads_here(what):
    assert what.task in TASKS and all(
        resolve(script, what.task).__self__ is what for script in ("validate", "evaluate")
    )
