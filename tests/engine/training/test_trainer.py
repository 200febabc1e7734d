"""Training end to end on a synthetic data set of 16 images at 64 px: what it leaves, how it stops and goes on."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

import engine
from engine.checkpoint import load_detector, load_weights
from engine.training.detection import DETECTION, multi_scale_size
from engine.training.plan import make_plan
from engine.training.run_log import RunLog
from engine.training.step import CLIP_NORM
from engine.training.trainer import Trainer
from methods.base import Method, Run
from tests.data.io.test_damaged import damage
from tests.engine.tiny import write_dataset
from utils.errors import UserError


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_dataset(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def finished(synthetic: dict[str, Any]) -> Any:
    return engine.train(**{**synthetic, "plots": True}, epochs=2, name="finished")


def read_rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "results.csv") as file:
        return list(csv.DictReader(file))


def same_weights(first: Path, second: Path) -> bool:
    a, b = load_weights(first).state, load_weights(second).state
    return a.keys() == b.keys() and all(torch.equal(a[key].float(), b[key].float()) for key in a)


def test_a_run_leaves_its_files(finished: Any) -> None:
    files = {path.relative_to(finished.save_dir).as_posix() for path in finished.save_dir.rglob("*") if path.is_file()}
    assert {"args.yaml", "results.csv", "results.png", "predictions.jpg", "weights/best.pt", "weights/last.pt"} <= files
    assert {"weights/best.safetensors", "weights/resume.pt", "weights/resume.previous.pt"} <= files
    assert not [file for file in files if "tmp" in file]


def test_the_data_yaml_names_the_method(finished: Any) -> None:
    args = yaml.safe_load((finished.save_dir / "args.yaml").read_text())
    assert args["method"] == "wiid" and args["byol_weight"] == 0.1 and args["epochs"] == 2
    assert {"train/box_loss", "train/pair", "train/byol", "val/mAP50", "lr/weight"} <= set(
        read_rows(finished.save_dir)[0]
    )


def test_reports_name_their_condition(finished: Any) -> None:
    assert [report.condition for report in finished.reports] == ["night", "day"]


def test_a_protocol_adds_columns(finished: Any, synthetic: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    result = engine.train(**synthetic, epochs=1, protocol="aitod", name="protocol")
    (row,) = read_rows(result.save_dir)
    names = ["AP", "AP50", "AP75", "APvt", "APt", "APs", "APm"]
    assert [name.removeprefix("val/") for name in row if name.startswith("val/AP")] == names
    assert not any(name.startswith("val/AP") for name in read_rows(finished.save_dir)[0])
    assert list(result.reports[0].metrics)[4:] == names
    assert "mAP50-95" in (printed := capsys.readouterr().out) and "APvt" in printed and "nan" not in printed


def test_the_saved_detector_is_plain(finished: Any, synthetic: dict[str, Any]) -> None:
    plain = engine.train(**synthetic, epochs=1, method="none", name="plain")
    with_method, without = load_weights(finished.best).state, load_weights(plain.best).state
    assert list(with_method) == list(without)
    assert sum(t.numel() for t in with_method.values()) == sum(t.numel() for t in without.values())


def test_safetensors_and_pt_agree(finished: Any) -> None:
    assert same_weights(finished.best, finished.best.with_suffix(".safetensors"))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(finished: Any, synthetic: dict[str, Any]) -> None:
    again = engine.train(**synthetic, epochs=2, name="again")
    other = engine.train(**{**synthetic, "seed": 1}, epochs=2, name="other")
    last = Path("weights/last.pt")
    assert same_weights(finished.save_dir / last, again.save_dir / last)
    assert not same_weights(finished.save_dir / last, other.save_dir / last)


@pytest.mark.slow
def test_workers_change_nothing(finished: Any, synthetic: dict[str, Any]) -> None:
    two = engine.train(**{**synthetic, "workers": 2}, epochs=2, name="workers")
    assert same_weights(finished.save_dir / "weights/last.pt", two.save_dir / "weights/last.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "problem", "code", "said"),
    [
        (
            "data.detection.dataset.read_image",
            "UserError('a.png: is gone. Restore it.')",
            2,
            "error: a.png: is gone. Restore it.\n",
        ),
        (
            "engine.training.trainer.Trainer._save_resume",
            "ZeroDivisionError('no such luck')",
            1,
            "ZeroDivisionError: no such luck",
        ),
    ],
)
def test_a_run_that_fails_ends(
    synthetic: dict[str, Any], root: Path, where: str, problem: str, code: int, said: str
) -> None:
    """Python waits at its end for the loader's processes, which leave signals to the run as long as there is one."""
    words = [f"{key}={value}" for key, value in {**synthetic, "workers": 2, "epochs": 1, "name": "failing"}.items()]
    failing = (
        "import sys, train; from unittest.mock import patch; from utils.errors import UserError\n"
        f"with patch({where!r}, side_effect={problem}): sys.exit(train.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", failing, *words], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code
    assert done.stderr.endswith(said) if code == 2 else said in done.stderr


def test_a_run_that_diverges_is_stopped_and_spoils_nothing(synthetic: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match="--lr0: training has diverged in epoch 1: model.* contains NaN or Inf.*lower --lr0"
    ):
        engine.train(**{**synthetic, "lr0": 1e20}, epochs=2, warmup_epochs=0, name="diverging")
    assert not list((synthetic["project"] / "diverging").rglob("*.pt"))


@pytest.mark.parametrize(
    "batch", [3, 4]
)  # in the middle of the first of two epochs of four batches; after its last one
def test_a_stopped_run_goes_on_from_the_same_batch(
    batch: int, finished: Any, synthetic: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second half must end where an unbroken run ends, bit for bit, with the same rows in results.csv."""
    original = Trainer._step

    def stopping(self: Trainer, run: Any, prepared: Any) -> Any:
        items = original(self, run, prepared)
        if run.iteration == batch - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return items

    monkeypatch.setattr(Trainer, "_step", stopping)
    first = engine.train(**synthetic, epochs=2, name=f"broken{batch}")
    assert first.interrupted
    monkeypatch.setattr(Trainer, "_step", original)
    state = torch.load(first.save_dir / "weights/resume.pt", weights_only=True)
    assert (state["epoch"], state["batch"]) == (0, batch)
    second = engine.train(resume=str(first.save_dir))
    assert second.save_dir == first.save_dir and len(second.rows) == 2
    assert same_weights(second.save_dir / "weights/last.pt", finished.save_dir / "weights/last.pt")
    rows, unbroken = ([list(row.items()) for row in read_rows(run.save_dir)] for run in (second, finished))
    timeless = [[cell for cell in row if cell[0] != "seconds"] for row in rows]  # in the order of columns
    assert timeless == [[cell for cell in row if cell[0] != "seconds"] for row in unbroken]


@pytest.mark.slow
def test_a_copied_run_goes_on_and_the_original_stays(synthetic: dict[str, Any], tmp_path: Path) -> None:
    first = engine.train(**synthetic, epochs=2, patience=1, name="original", hyp=_hyper(tmp_path))
    (tmp_path / "hyper.yaml").unlink()  # the state holds what it said
    state = torch.load(first.save_dir / "weights/resume.pt", weights_only=True)
    state["options"]["epochs"], state["options"]["patience"] = 3, 0
    copied = tmp_path / "copied"
    shutil.copytree(first.save_dir, copied)
    torch.save(state, copied / "weights/resume.pt")
    before = {path: path.read_bytes() for path in first.save_dir.rglob("*") if path.is_file()}
    second = engine.train(resume=str(copied / "weights/last.pt"))
    assert second.save_dir.resolve() == copied and len(second.rows) == len(first.rows) + 1
    assert {path: path.read_bytes() for path in first.save_dir.rglob("*") if path.is_file()} == before


def _hyper(folder: Path) -> str:
    (folder / "hyper.yaml").write_text("momentum: 0.9\n")
    return str(folder / "hyper.yaml")


@pytest.mark.slow
def test_a_run_that_lost_patience_does_not_go_on(synthetic: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.run_log.fitness", lambda weights, metrics: 0.0)
    first = engine.train(**synthetic, epochs=4, patience=1, name="patient")
    assert len(first.rows) == 2
    assert len(engine.train(resume=str(first.save_dir)).rows) == 2
    assert len(engine.train(resume=str(first.save_dir), patience=2).rows) == 3


def test_without_validation_the_newest_epoch_is_kept_and_time_stays_over(
    synthetic: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunLog, "out_of_time", lambda log: len(log.rows) >= 2)
    first = engine.train(**synthetic, epochs=9, noval=True, time=1.0, name="over")
    assert len(first.rows) == 2 and first.reports
    assert same_weights(first.best, first.save_dir / "weights/last.pt")
    assert len(engine.train(resume=str(first.save_dir)).rows) == 2


@pytest.mark.parametrize(("epoch", "batch", "trained"), [(0, 0, [0]), (1, 0, []), (1, 3, [1])])
def test_time_that_is_over_ends_epochs_that_have_begun(epoch: int, batch: int, trained: list[int]) -> None:
    """A run has one at least, and trains one that was interrupted to its end."""
    trainer = Trainer.__new__(Trainer)
    trainer.start_epoch, trainer.start_batch, trainer.over = epoch, batch, SimpleNamespace()
    trainer.options = SimpleNamespace(epochs=9, time=1.0)  # type: ignore[assignment]
    log = {"out_of_patience": lambda: False, "out_of_time": lambda: True, "log": lambda text: None}
    trainer.log = SimpleNamespace(**log)  # type: ignore[assignment]
    seen: list[int] = []

    def train(run: Any, number: int) -> None:
        seen.append(number)
        trainer.start_batch = 0

    trainer._epoch, trainer._finish = train, list  # type: ignore[method-assign]
    assert trainer._all_epochs(Run(None)) == [] and seen == trained  # type: ignore[arg-type]


def test_a_refused_run_leaves_no_folder(synthetic: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise UserError("labels.txt:1: no such class")

    monkeypatch.setattr("engine.training.plan.train_task", lambda name: replace(DETECTION, build_datasets=refuse))
    with pytest.raises(UserError, match="no such class"):
        engine.train(**synthetic, epochs=1, name="refused")
    assert not (synthetic["project"] / "refused").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on(synthetic: dict[str, Any], tmp_path: Path) -> None:
    """SIGKILL gives no warning: the run goes on from the last resume.pt."""
    words = [
        f"{key}={value}" for key, value in {**synthetic, "project": tmp_path, "epochs": 50, "save_steps": 1}.items()
    ]
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen([sys.executable, str(root / "train.py"), *words], stdout=subprocess.DEVNULL, cwd=root)
    resume = tmp_path / "exp" / "weights" / "resume.previous.pt"
    deadline = time.monotonic() + 120
    while not resume.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert resume.exists()
    state = torch.load(resume, weights_only=True)
    state["options"]["epochs"] = state["epoch"] + 1  # enough to see that it goes on
    torch.save(state, resume.with_name("resume.pt"))
    result = engine.train(resume=str(tmp_path / "exp"))
    assert len(result.rows) == state["epoch"] + 1 and result.best.exists()


def test_resuming_keeps_the_options(finished: Any) -> None:
    with pytest.raises(UserError, match="--epochs cannot change"):
        engine.train(resume=str(finished.save_dir), epochs=9)


def test_a_finished_run_says_where_its_results_are(finished: Any) -> None:
    with pytest.raises(UserError, match="all 2 epochs are trained and evaluated; .*results.csv"):
        engine.train(resume=str(finished.save_dir))


def test_fine_tuning_starts_from_a_checkpoint(
    finished: Any, synthetic: dict[str, Any], capsys: pytest.CaptureFixture
) -> None:
    options = {key: value for key, value in synthetic.items() if key != "cfg"}
    engine.train(**options, epochs=1, weights=str(finished.best), name="tuned")
    tensors = len(load_weights(finished.best).state)
    assert f"best.pt: {tensors} of {tensors} tensors transferred" in capsys.readouterr().out


def test_frozen_layers_do_not_move(finished: Any, synthetic: dict[str, Any]) -> None:
    options = {key: value for key, value in synthetic.items() if key != "cfg"}
    frozen = engine.train(**options, epochs=1, weights=str(finished.best), freeze=(3,), name="frozen")
    before, after = load_weights(finished.best).state, load_weights(frozen.save_dir / "weights/last.pt").state
    rows = {key: int(key.split(".")[1]) for key in before}
    moved = {
        row for key, row in rows.items() if before[key].is_floating_point() and not torch.equal(before[key], after[key])
    }
    assert moved and min(moved) == 3


def test_hyper_parameters_from_a_file_and_flags_on_top(synthetic: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "hyp.yaml").write_text("lr0: 0.02\nlrf: 0.5\nobj: 1.0\nanchor_t: 4.0\n")
    result = engine.train(**{**synthetic, "lr0": 0.003}, epochs=1, hyp=str(tmp_path / "hyp.yaml"), name="hyp")
    args = yaml.safe_load((result.save_dir / "args.yaml").read_text())
    assert (args["lr0"], args["lrf"]) == (0.003, 0.5)


@pytest.mark.slow
def test_patience_ends_a_run(synthetic: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.run_log.fitness", lambda weights, metrics: 0.5)
    result = engine.train(**synthetic, epochs=9, patience=2, name="patient")
    assert len(result.rows) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"multi_scale": True}, {"noval": True}, {"optimizer": "AdamW", "cos_lr": True}, {"single_cls": True}]
)
def test_other_ways_to_train(synthetic: dict[str, Any], options: dict[str, Any]) -> None:
    assert engine.train(**synthetic, **options, epochs=1, name="other").best.exists()


@pytest.mark.slow
@pytest.mark.parametrize("cfg", ["yolov5n", "yolov8n", "yolo11n", "yolo26n"])
def test_wiid_trains_on_every_family(synthetic: dict[str, Any], cfg: str) -> None:
    result = engine.train(**{**synthetic, "cfg": cfg}, epochs=1, name=cfg)
    detector, _ = load_detector(result.best)
    assert type(detector).__module__.startswith("ultralytics.")
    assert float(result.rows[0]["train/byol"]) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "wid"}, "Did you mean 'wiid'"),
        ({"byol_wieght": 0.1}, "byol.weight"),
        ({"back_ratio": 1.5}, "back_ratio"),
        ({"epochs": 0}, "epochs"),
        ({"data": "no_such.yaml"}, "no_such.yaml"),
        ({"weights": "no_such.pt"}, "no_such.pt"),
        ({"cfg": "yolov9q.yaml"}, "yolov9q"),
        ({"device": "7"}, "--device"),
        ({"resume": "no_such_run"}, "--resume"),
    ],
)
def test_mistakes_get_one_paragraph(synthetic: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        engine.train(**{**synthetic, **options})
    assert "\n\n" not in str(caught.value)


def test_an_occupied_project_is_named(synthetic: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="taken"):
        engine.train(**{**synthetic, "project": tmp_path / "taken"}, epochs=1)


def test_sizes_of_multi_scale_are_multiples_in_range() -> None:
    sizes = {multi_scale_size(128, 32, 0, iteration) for iteration in range(60)}
    assert sizes <= {64, 96, 128, 160, 192, 224} and len(sizes) > 3


def test_the_clip_norm_is_yolov5s() -> None:
    assert CLIP_NORM == 10.0


def test_images_that_cannot_be_read_are_listed_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    synthetic = write_dataset(tmp_path, images=6)
    (tmp_path / "images" / "train" / "002.png").write_bytes(b"not an image")
    engine.train(**synthetic, epochs=1)
    said = capsys.readouterr().out
    assert "1 images cannot be read" in said and "skipped" in said.splitlines()[-2] and "002.png" in said


def test_the_first_batch_is_painted(finished: Any) -> None:
    """Two views of four images of 64 px."""
    import cv2

    assert cv2.imread(str(finished.save_dir / "train_batch0.jpg")).shape == (128, 256, 3)


class FirstLayerOnly(Method):
    """Every layer but the first is frozen; nothing is worth measuring."""

    name = "first"

    def on_epoch(self, run: Run) -> None:
        run.frozen, run.skip_validation = list(run.detector.model[1:]), True


def test_frozen_parts_do_not_move_at_all(synthetic: dict[str, Any]) -> None:
    """Tensor by tensor: no step, no momentum, no weight decay, and batch norms keep their statistics."""
    plan = make_plan({**synthetic, "method": "none", "epochs": 2, "weight_decay": 0.1, "name": "frozen-parts"})
    plan.methods.append(FirstLayerOnly())
    trainer = Trainer(plan, torch.device("cpu"))
    before = {name: value.clone() for name, value in trainer.detector.state_dict().items()}
    result = trainer.run()
    moved = {name for name, value in trainer.detector.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("model.0.") for name in moved)
    assert ["val/mAP50" in row for row in result.rows] == [False, True], "only the last epoch is measured"


def test_what_rested_trains_again(synthetic: dict[str, Any]) -> None:
    class Alternating(FirstLayerOnly):
        def on_epoch(self, run: Run) -> None:
            if run.epoch == 0:
                super().on_epoch(run)

    plan = make_plan({**synthetic, "method": "none", "epochs": 2, "name": "alternating"})
    plan.methods.append(Alternating())
    trainer = Trainer(plan, torch.device("cpu"))
    before = {name: value.clone() for name, value in trainer.detector.state_dict().items()}
    trainer.run()
    moved = {
        name.split(".")[1]
        for name, value in trainer.detector.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert len(moved) > 5


@pytest.mark.slow
def test_damaged_images_are_left_out_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of each set, whole at its header and end."""
    options = write_dataset(tmp_path / "set", images=4)
    images = [tmp_path / "set" / "images" / split / "001.png" for split in ("train", "train_night", "val")]
    for image in images[1:]:
        damage(image)
    result = engine.train(**options, epochs=1, name="damaged")
    assert [report.images for report in result.reports] == [3, 4]
    printed = capsys.readouterr().out
    assert printed.count("skipped: ") == 2
    assert all(f"skipped: {image} (cannot be decoded: it is damaged)" in printed for image in (images[0], images[2]))
