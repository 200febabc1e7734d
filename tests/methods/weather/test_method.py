"""Weather in a training: what the detector sees, what stays clean, and that nothing is left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import engine
from engine.checkpoint import load_detector
from engine.training.module import TrainingModel
from engine.training.step import may_freeze
from engine.training.trainer import Trainer
from methods.aeris import AERIS
from methods.base import Run
from methods.lcp import LCP
from methods.options.weather import WeatherOptions
from methods.weather.method import Weather
from models.detector import build, parameters
from tests.engine.tiny import NETWORK, write_dataset
from utils.errors import UserError
from utils.files import load_yaml
from utils.tables import read_csv

NAMES = {0: "square", 1: "bar"}
GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=1)


def batch_of(images: int = 4, side: int = 64) -> dict[str, Any]:
    return {
        "img": torch.rand(images, 3, side, side, generator=torch.Generator().manual_seed(0)),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]] * images),
        "cls": torch.zeros(images, 1),
        "batch_idx": torch.arange(images).float(),
        "seed": list(range(images)),
        "scenes": ["img"],
    }


def paired(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A batch with two equal views before and after the weather."""
    batch = batch_of()
    batch |= {"pair": batch["img"].clone(), "scenes": ["img", "pair"]}
    before = {name: batch[name].clone() for name in ("img", "pair")}
    Weather(WeatherOptions(weather="low_light=1", **options)).degrade(batch)
    return before, batch


def test_the_detector_sees_weather_and_the_clean_image_is_kept():
    batch = batch_of()
    before = batch["img"].clone()
    Weather(WeatherOptions(weather="low_light=1")).degrade(batch)
    assert torch.equal(batch["clean"], before) and batch["img"].mean() < 0.4 * before.mean()


def test_pairs():
    """The same draw gives equal images; their own do not; clean stays as it was."""
    _, same = paired()
    assert torch.equal(same["img"], same["pair"])
    _, own = paired(weather_pair="own")
    assert not torch.equal(own["img"], own["pair"]) and torch.equal(own["img"], same["img"])
    before, clean = paired(weather_pair="clean")
    assert torch.equal(clean["pair"], before["pair"]) and torch.equal(clean["img"], same["img"])


def test_aeris_restores_what_was_there_before_the_weather():
    batch = batch_of()
    before = batch["img"].clone()
    for method in (Weather(WeatherOptions(weather="fog=1")), AERIS()):
        method.draw(batch)
        method.degrade(batch)
    assert torch.equal(batch["clean"], before)


def test_the_curriculum():
    """Half of four epochs: reach 0.5, then 1; severities of fog grow with it."""
    method = Weather(WeatherOptions(weather="fog=1", weather_curriculum=0.5))
    run = Run(build(NETWORK, NAMES), epochs=4)
    reaches = []
    for epoch in range(4):
        run.begin(epoch)
        method.on_epoch(run)
        reaches.append(method.law.reach)
    assert reaches == [0.5, 1.0, 1.0, 1.0] and run.log["weather"] == 1.0


def test_a_curriculum_costs_several_ranks_no_search():
    assert not may_freeze(Weather()) and may_freeze(LCP()) and not may_freeze(AERIS())


@pytest.mark.parametrize("of", ["predictions", "features"])
def test_agreement_is_nought_where_nothing_is_degraded_and_teaches_otherwise(of):
    """Scaled with the batch in the sum, as it is in the log; with fixed batch statistics equal images agree exactly."""
    options = {"weather_consistency": 2.0, "weather_consistency_of": of}
    for mix, degraded in (("infrared=1", True), ("infrared=1e-9", False)):
        torch.manual_seed(0)
        detector = build(NETWORK, NAMES)
        model = TrainingModel(detector, [Weather(WeatherOptions(weather=mix, **options))], GAINS)
        model.build_criterion()
        model.train()
        loss, items = model(batch_of())
        plain = sum(float(value) for name, value in items.items() if name != "agreement")
        assert loss.item() == pytest.approx(4 * (plain + items["agreement"].item()), rel=1e-5)
        assert items["agreement"].item() > 1e-4 if degraded else items["agreement"].item() == pytest.approx(0, abs=1e-5)
        loss.backward()
        assert detector.model[0].conv.weight.grad.abs().sum() > 0


def test_mistakes_come_before_anything_is_written(tmp_path: Path):
    options = write_dataset(tmp_path, images=4)
    with pytest.raises(UserError, match="Did you mean 'rain'"):
        engine.train(**options, method="weather", weather="rian=0.1", epochs=1)
    assert not (tmp_path / "runs").exists()


def test_a_resumed_run_draws_the_same_weather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stopped after the third of four batches: the last weights and all losses are those of an unbroken run, bit for bit."""
    options = {**write_dataset(tmp_path, images=8), "method": "weather", "weather": "fog+read_noise=0.5 low_light=0.3"}
    options |= {"epochs": 2, "weather_curriculum": 1.0, "noval": True, "plots": False}
    original = Trainer._step

    def stopping(self: Trainer, run: Any, batch: Any) -> Any:
        items = original(self, run, batch)
        self.stop_requested |= run.iteration == 2
        return items

    whole = engine.train(**options, name="whole")
    monkeypatch.setattr(Trainer, "_step", stopping)
    assert engine.train(**options, name="stopped").interrupted
    monkeypatch.setattr(Trainer, "_step", original)
    resumed = engine.train(resume=str(whole.save_dir.with_name("stopped")))
    last = (run.save_dir / "weights" / "last.pt" for run in (resumed, whole))
    ours, theirs = (load_detector(file)[0].state_dict() for file in last)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    timeless = [[{**row, "seconds": 0} for row in run.rows] for run in (resumed, whole)]
    assert timeless[0] == timeless[1]


def test_training_leaves_a_plain_detector(tmp_path: Path):
    """--weather alone calls for the method; args.yaml holds the mix written out."""
    options = {**write_dataset(tmp_path, images=8), "method": "none", "epochs": 1, "weather": "sea=0.7"}
    result = engine.train(**options, weather_consistency=1.0, weather_curriculum=1.0)
    (row,) = read_csv(result.save_dir / "results.csv")
    assert float(row["train/agreement"]) >= 0 and float(row["weather"]) == 1
    saved = load_yaml(result.save_dir / "args.yaml")
    assert saved["method"] == "weather" and saved["weather"].startswith("underwater=0.5 underwater+defocus_blur=0.1")
    detector, _ = load_detector(result.best)
    plain = build(NETWORK, NAMES)
    assert parameters(detector) == parameters(plain) and detector.state_dict().keys() == plain.state_dict().keys()
