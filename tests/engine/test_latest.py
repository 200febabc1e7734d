"""engine.latest: the newest run is taken where no weights are named, and what is said of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.latest import BUNDLED, latest_run, to_detect, to_measure
from utils.errors import UserError
from utils.files import save_yaml


def write_run(runs: Path, name: str, when: int, **options: object) -> Path:
    """A run folder with an empty checkpoint that is as old as `when` says."""
    best = runs / name / "weights/best.pt"
    best.parent.mkdir(parents=True)
    best.write_bytes(b"")
    os.utime(best, (when, when))
    save_yaml(runs / name / "args.yaml", {"data": "demo-night", "imgsz": 96, **options})
    return best


def test_the_newest_best_checkpoint_is_found(tmp_path: Path) -> None:
    assert latest_run(tmp_path) is None
    write_run(tmp_path, "exp", 200)
    newest = write_run(tmp_path, "exp2", 300, data="other.yaml", task="classify")
    write_run(tmp_path, "exp3", 100)
    run = latest_run(tmp_path)
    assert run is not None and (run.weights, run.data, run.imgsz, run.task) == (newest, "other.yaml", 96, "classify")


def test_a_folder_without_its_options_is_no_run(tmp_path: Path) -> None:
    write_run(tmp_path, "exp", 1)
    (tmp_path / "exp/args.yaml").unlink()
    assert latest_run(tmp_path) is None


def test_a_folder_of_another_tool_is_passed_over(tmp_path: Path) -> None:
    ours = write_run(tmp_path, "exp", 1)
    write_run(tmp_path, "exp2", 2, imgsz=[96, 64])
    run = latest_run(tmp_path)
    assert run is not None and run.weights == ours


def test_a_damaged_run_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = write_run(tmp_path, "exp", 1)
    write_run(tmp_path, "exp2", 2)
    (tmp_path / "exp2/args.yaml").write_text("data: [")
    run = latest_run(tmp_path)
    assert run is not None and run.weights == ours
    assert "The run is passed over." in "".join(capsys.readouterr())


def test_detection_takes_no_run_that_it_cannot_use(tmp_path: Path) -> None:
    write_run(tmp_path, "exp", 2, task="classify")
    assert to_detect({}, tmp_path) == {"weights": BUNDLED}
    clips = write_run(tmp_path, "exp2", 1, task="action")
    assert to_detect({}, tmp_path) == {"weights": clips}


def test_a_checkpoint_is_named_from_the_project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """val.py finds `runs/...` in the project from any folder, and so its data."""
    monkeypatch.setattr("engine.latest.REPOSITORY", tmp_path)
    best = write_run(tmp_path / "runs", "exp", 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert to_measure({"weights": "runs/exp/weights/best.pt"}) == {"data": "demo-night", "imgsz": 96, "weights": best}


def test_val_takes_weights_data_and_size_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = write_run(tmp_path, "exp", 1)
    assert to_measure({"task": "test"}, tmp_path) == {
        "task": "test",
        "weights": best,
        "data": "demo-night",
        "imgsz": 96,
    }
    assert f"no --weights: the newest run, {best}, on demo-night" in capsys.readouterr().out
    assert to_measure({"data": ""}, tmp_path)["data"] == "demo-night"
    assert to_measure({"data": "x.yaml", "imgsz": 64}, tmp_path) == {"data": "x.yaml", "imgsz": 64, "weights": best}


def test_the_root_lies_in_no_run() -> None:
    assert to_measure({"weights": "/", "data": "x"}) == {"weights": "/", "data": "x"}


def test_named_weights_stay(tmp_path: Path) -> None:
    write_run(tmp_path, "exp", 1)
    for function in (to_measure, to_detect):
        assert function({"weights": "a.pt"}, tmp_path) == {"weights": "a.pt"}


def test_a_classifier_is_measured_at_its_own_size(tmp_path: Path) -> None:
    write_run(tmp_path, "exp", 1, task="classify")
    assert "imgsz" not in to_measure({}, tmp_path)


def test_without_a_run_val_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Train first, such as python train.py"):
        to_measure({}, tmp_path / "runs")


def test_a_data_set_that_has_moved_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, "exp", 1, data=str(tmp_path / "gone.yaml"))
    with pytest.raises(UserError, match=r"exp, was trained on .*gone.yaml, which no longer exists.*--data FILE"):
        to_measure({}, tmp_path)


def test_detect_takes_the_newest_run_or_the_bundled_detector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert to_detect({"source": "a.mp4"}, tmp_path) == {"source": "a.mp4", "weights": BUNDLED}
    assert "the bundled demo detector" in capsys.readouterr().out and BUNDLED.is_file()
    best = write_run(tmp_path, "exp", 1)
    assert to_detect({"source": "a.mp4"}, tmp_path) == {"source": "a.mp4", "weights": best, "imgsz": 96}
