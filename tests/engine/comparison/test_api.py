"""compare.py: runs, seeds, failures, resuming; with a trainer that only pretends."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import compare as script
from engine.checkpoint import save_checkpoint
from engine.comparison.api import RunSpec, choose_folder, compare, parse_run
from engine.options.compare import CompareOptions
from models.detector import build
from tests.engine.comparison.conftest import DATA
from tests.engine.comparison.pretended import PretendedTrainer, evaluate
from utils.errors import UserError
from utils.tables import read_csv

pytestmark = pytest.mark.usefixtures("no_images")


def test_every_run_gets_the_same_options_and_its_own_folder(given):
    trainer = PretendedTrainer()
    result = compare(**given, imgsz=64, train=trainer, evaluate=evaluate)
    assert [(call["method"], call["seed"]) for call in trainer.calls] == [
        ("none", 0),
        ("wiid", 0),
        ("none", 1),
        ("wiid", 1),
    ]
    assert {(call["epochs"], call["imgsz"], call["data"]) for call in trainer.calls} == {(2, 64, str(given["data"]))}
    assert len({call["name"] for call in trainer.calls}) == 4
    night = result.summary[2]
    assert (night["run"], night["condition"], night["seeds"]) == ("wiid", "night", 2)
    assert night["mAP50"] == pytest.approx((0.50 + 0.51) / 2)
    assert night["train s"] == 4  # the epochs' own seconds
    assert result.differences[0]["difference"] == pytest.approx(0.2)
    assert len(read_csv(result.save_dir / "compare.csv")) == 8
    assert not list(result.save_dir.rglob("resume.pt"))  # of what is measured nothing is left to resume


def test_options_of_a_run_win_over_shared_ones_and_seeds_start_where_asked(given):
    trainer = PretendedTrainer()
    given["run"] = ("none", "wiid byol_weight=0 epochs=5")
    compare(**given, seed=7, train=trainer, evaluate=evaluate)
    assert [call["epochs"] for call in trainer.calls] == [2, 5, 2, 5]
    assert [call["seed"] for call in trainer.calls] == [7, 7, 8, 8]
    assert trainer.calls[1]["byol_weight"] == 0.0


def test_what_every_run_has_of_its_own_is_no_common_option(given):
    given["run"] = ("none epochs=3", "wiid epochs=5")
    result = compare(**given, imgsz=64, train=PretendedTrainer(), evaluate=evaluate)
    page = (result.save_dir / "compare.md").read_text()
    assert "- options of every run: imgsz=64" in page


def test_the_same_command_goes_on_and_trains_nothing_twice(given, capsys):
    first = compare(**given, train=PretendedTrainer(), evaluate=evaluate)
    again = PretendedTrainer()
    given["seeds"], given["run"] = 3, ("none", "wiid", "wiid byol_weight=0")
    second = compare(**given, train=again, evaluate=evaluate)
    assert second.save_dir == first.save_dir
    assert [(call["method"], call["seed"]) for call in again.calls] == [
        ("wiid", 0),
        ("wiid", 1),
        ("none", 2),
        ("wiid", 2),
        ("wiid", 2),
    ]
    assert "already done" in capsys.readouterr().out
    kept = next(outcome for outcome in second.outcomes if (outcome.run, outcome.seed) == ("wiid", 1))
    assert kept.reports == first.outcomes[3].reports
    assert [p.file for p in kept.reports[0].per_image] == ["0.png", "1.png", "2.png"]
    assert kept.reports[0].per_image[2].tp.shape == (2, 10)
    assert second.differences[0]["resampled"] == "3 seeds x 3 images"


def test_rows_of_a_version_that_named_an_option_otherwise_are_taken_up(given):
    first = compare(**given, lcp_schedule="C", train=PretendedTrainer(), evaluate=evaluate)
    facts = first.save_dir / "compare.yaml"
    facts.write_text(facts.read_text().replace("lcp_schedule", "lcp_turns"))
    for row in (first.save_dir / "rows").glob("*.json"):
        content = json.loads(row.read_text())
        options = {"data": str(given["data"]), "epochs": 2, "lcp_turns": "C", "method": content["run"]}
        text = json.dumps({**options, "seed": content["seed"]})
        row.write_text(json.dumps({**content, "fingerprint": hashlib.sha256(text.encode()).hexdigest()}))
    again = PretendedTrainer()
    assert compare(**given, lcp_turns="C", train=again, evaluate=evaluate).save_dir == first.save_dir
    assert again.calls == []


@pytest.mark.parametrize("change", [{"epochs": 3}, {"restart": True}, {"split": "val"}])
def test_other_options_are_another_comparison(given, change):
    first = compare(**given, train=PretendedTrainer(), evaluate=evaluate)
    again = PretendedTrainer()
    second = compare(**{**given, **change}, train=again, evaluate=evaluate)
    assert second.save_dir != first.save_dir
    assert len(again.calls) == 4


def test_where_it_runs_changes_no_result(given):
    first = compare(**given, train=PretendedTrainer(), evaluate=evaluate)
    again = PretendedTrainer()
    folder = {"project": first.save_dir.parent, "name": first.save_dir.name, "exist_ok": True}
    compare(**{**given, **folder}, workers=0, device="cpu", train=again, evaluate=evaluate)
    assert again.calls == []


def test_a_failing_run_does_not_lose_the_others(given, capsys):
    result = compare(**given, train=PretendedTrainer(fails=("wiid", 0)), evaluate=evaluate)
    assert result.summary[2]["seeds"] == 1
    assert "the loss is not a number" in result.summary[2]["failed"]
    assert result.differences[0]["seeds ahead"] == "1 of 1"
    assert "wiid, seed 0: failed" in capsys.readouterr().out
    again = PretendedTrainer()
    compare(**given, train=again, evaluate=evaluate)
    assert [(call["method"], call["seed"]) for call in again.calls] == [("wiid", 0)]  # tried once more


def test_nothing_but_failures_is_an_error(given):
    with pytest.raises(UserError, match="every run failed; .* not a number"):
        compare(**{**given, "run": ("wiid",), "seeds": 1}, train=PretendedTrainer(fails=("wiid", 0)), evaluate=evaluate)


def test_a_comparison_of_an_older_version_goes_on(given):
    """Its file names options as they were then."""
    first = compare(**given, lcp_schedule="C", rfla_tiny=16.0, train=PretendedTrainer(), evaluate=evaluate)
    facts = first.save_dir / "compare.yaml"
    assert "lcp_schedule: C" in facts.read_text()
    facts.write_text(facts.read_text().replace("lcp_schedule: C", "lcp_turns: C\n  rfla_box: null"))
    again = PretendedTrainer()
    second = compare(**given, lcp_schedule="C", rfla_tiny=16.0, train=again, evaluate=evaluate)
    assert second.save_dir == first.save_dir and again.calls == []


def test_ctrl_c_stops_and_the_half_trained_run_goes_on(given):
    with pytest.raises(KeyboardInterrupt):
        compare(**given, train=PretendedTrainer(stops_at=2), evaluate=evaluate)
    again = PretendedTrainer()
    result = compare(**given, workers=0, train=again, evaluate=evaluate)
    first, *rest = again.calls
    assert set(first) == {"resume", "workers"}
    assert Path(first["resume"]).name.startswith("wiid-")
    assert [(call["method"], call["seed"]) for call in rest] == [("none", 1), ("wiid", 1)]
    assert [row["seeds"] for row in result.summary] == [2, 2, 2, 2]


def test_tables_also_go_where_asked(given, tmp_path):
    compare(**given, out=tmp_path / "bench", train=PretendedTrainer(), evaluate=evaluate)
    assert (tmp_path / "bench" / "compare-data.md").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": ()}, "name at least one run"),
        ({"run": ("none", "none")}, "given twice"),
        ({"run": ("wiid seed=3",)}, "seed is the same for every run"),
        ({"run": ("wiid byol_wieght=0",)}, "byol-weight"),
        ({"run": ("wid",)}, "Did you mean 'wiid'"),
        ({"run": ("wiid byol_weight=-1",)}, "byol_weight"),
        ({"run": (" ",)}, "expected methods"),
        ({"epochs": 0}, "epochs"),
        ({"epcohs": 3}, "epochs"),
        ({"resume": "newest"}, "resumes by itself"),
        ({"data": "nowhere"}, "no such file"),
        ({"metric": ("APr",)}, "--metric APr: expected mAP50, mAP50-95. Others need --protocol"),
        ({"metric": ("APr",), "protocol": "coco"}, "--metric APr: expected mAP50, .*APl"),
    ],
)
def test_mistakes_come_before_the_first_training(given, tmp_path, change, message):
    trainer = PretendedTrainer()
    with pytest.raises(UserError, match=message):
        compare(**{**given, **change}, train=trainer, evaluate=evaluate)
    assert trainer.calls == []
    assert not (tmp_path / "runs").exists()


def test_data_without_a_test_split(given, tiny_set):
    (tiny_set / "data.yaml").write_text(
        DATA.replace("test: images/night\ntest2: images/val\n", "") + "names: [cat, dog]\n"
    )
    with pytest.raises(UserError, match="no 'test' split"):
        compare(**given, train=PretendedTrainer(), evaluate=evaluate)
    result = compare(**given, split="val", train=PretendedTrainer(), evaluate=evaluate)
    assert "chose the best epoch" in (result.save_dir / "compare.md").read_text()


def test_parse_run():
    assert parse_run("wiid  byol_weight=0") == RunSpec("wiid byol_weight=0", {"method": "wiid", "byol_weight": 0.0})
    assert parse_run("epochs=3").own == {"epochs": 3}
    assert parse_run("--byol-weight 0.5").own == {"byol_weight": 0.5}


def test_slugs_are_folders_and_differ():
    slugs = [parse_run(text).slug for text in ("wiid", "wiid byol_weight=0", "wiid byol_weight=0.0")]
    assert len(set(slugs)) == 3
    assert all("/" not in slug and " " not in slug for slug in slugs)


def test_a_real_checkpoint_is_measured_on_the_test_splits(given, tmp_path):
    """The trainer pretends, the measurement does not."""
    torch.manual_seed(0)

    def trainer(**options: Any) -> SimpleNamespace:
        best = options["project"] / options["name"] / "best.pt"
        save_checkpoint(best, build("yolov5n.yaml", {0: "cat", 1: "dog"}), epoch=0, options={}, metrics={})
        return SimpleNamespace(best=best, rows=[], interrupted=False)

    result = compare(**{**given, "seeds": 1}, imgsz=32, device="cpu", train=trainer)
    reports = result.outcomes[0].reports
    assert [(report.condition, report.split, report.images) for report in reports] == [
        ("night", "test", 4),
        ("day", "test2", 2),
    ]
    row = json.loads(next((result.save_dir / "rows").glob("none*.json")).read_text())
    assert row["reports"][0]["metrics"] == reports[0].metrics
    assert row["train_seconds"] > 0


def test_script(given, capsys):
    assert script.main(["--run", "wid", f"--data={given['data']}"]) == 2
    assert "wiid" in capsys.readouterr().err


def test_help_does_not_load_torch():
    code = "import sys, compare\ntry: compare.main(['--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    root = Path(script.__file__).parent
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith("False")
    assert "--seeds" in answer.stdout


@pytest.mark.parametrize("harm", ["lost matches", "broken matches", "broken row", "another row"])
def test_what_cannot_be_read_any_more_is_trained_again(given, capsys, harm):
    result = compare(**given, train=PretendedTrainer(), evaluate=evaluate)
    before = read_csv(result.save_dir / "compare.csv")
    row = next((result.save_dir / "rows").glob("wiid*-seed1.json"))
    matches = next((result.save_dir / "rows").glob("wiid*-seed1-test.npz"))
    if harm == "lost matches":
        matches.unlink()
    elif harm == "broken matches":
        matches.write_bytes(b"torn")
    else:
        row.write_text("{" if harm == "broken row" else "{}")
    again = PretendedTrainer()
    compare(**given, train=again, evaluate=evaluate)
    assert [(call["method"], call["seed"]) for call in again.calls] == [("wiid", 1)]
    assert "trained again" in capsys.readouterr().out
    assert read_csv(result.save_dir / "compare.csv") == before


def test_official_weights_that_are_missing_are_told_before_anything_is_made(given, monkeypatch):
    monkeypatch.setattr("engine.comparison.api.load_data", lambda *given, **named: pytest.fail("too late"))
    given |= {"data": "demo-night", "run": ("none", "none weights=yolov8x.pt")}
    with pytest.raises(UserError, match="prepare.py weights yolov8x"):
        compare(**given, train=PretendedTrainer(), evaluate=evaluate)


@pytest.mark.parametrize("content", ["", "shared: 3\n", "other: 1\n"])
def test_a_folder_of_something_else_is_not_resumed(tmp_path, content):
    """Nor does its name make a pattern: a[1] is no a1."""
    (tmp_path / "a[1]").mkdir()
    (tmp_path / "a[1]" / "compare.yaml").write_text(content or "shared: {}\n")
    found = choose_folder(CompareOptions(project=tmp_path, name="a[1]"), {"shared": {}})
    assert found.name == ("a[1]2" if content else "a[1]")
    (tmp_path / "a[1]3").mkdir()
    (tmp_path / "a[1]3" / "compare.yaml").write_text("shared: {}\n")
    assert choose_folder(CompareOptions(project=tmp_path, name="a[1]"), {"shared": {}}).name == "a[1]3"


@pytest.mark.parametrize("name", ["/tmp", "../x", "x" * 5000, "a\0b", ""])
def test_a_comparison_stays_in_its_project(tmp_path, name):
    with pytest.raises(UserError, match="--name|cannot be a path"):
        choose_folder(CompareOptions(project=tmp_path / "new", name=name), {"shared": {}})
