"""LCP in a whole training: what moves in which epoch, what is written, how it resumes, on one rank and on two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import engine
from engine.checkpoint import load_detector
from methods.base import Run
from methods.lcp import LCP, RECIPES, TrainingRecipe, schedule
from methods.options.lcp import RECIPES as NAMED
from methods.options.lcp import LCPOptions
from models.crux import find_split
from models.detector import build
from tests.engine.tiny import CRUX_NETWORK, NETWORK, write_crux_dataset
from tests.engine.training.test_distributed import run_ranks
from utils.errors import UserError
from utils.files import load_yaml
from utils.options import canonical, from_file
from utils.tables import read_csv

pytestmark = pytest.mark.slow

NAMES = {0: "square", 1: "bar"}
PARTS = {
    "crux": "model.0.",
    "shallow": ("model.1.", "model.2.", "model.3.", "model.4."),
    "catch-up": "model.6.catch_up",
}


def part_of(name: str) -> str:
    if name.startswith(PARTS["shallow"]) and "running" in name:
        return "statistics"
    return next((part for part, prefix in PARTS.items() if name.startswith(prefix)), "rest")


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_crux_dataset(tmp_path_factory.mktemp("lcp"), images=8)


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Parts of the network of which some tensor changed by a bit; the shallow layers' batch statistics apart."""
    return {
        part_of(name)
        for name, tensor in before.items()
        if not torch.equal(tensor, after[name]) and not name.endswith("num_batches_tracked")
    }


def epochs_moved(synthetic: dict[str, Any], **options: Any) -> list[set[str]]:
    """What moved in each epoch of a training."""
    states: list[dict[str, torch.Tensor]] = []

    class Watched(LCP):
        def on_epoch(self, run: Run) -> None:
            states.append({name: tensor.clone() for name, tensor in run.detector.state_dict().items()})
            super().on_epoch(run)

        def detach(self, detector: Any) -> None:
            states.append({name: tensor.clone() for name, tensor in detector.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("methods.lcp.LCP", Watched)
        engine.train(**synthetic, **options, weight_decay=0.01, noval=True)
    return [moved(a, b) for a, b in zip(states, states[1:], strict=False)]


def test_each_letter_moves_its_own_parts_and_nothing_else(synthetic: dict[str, Any]) -> None:
    """Weight decay and momentum are on; a frozen tensor stays as it is to the bit, statistics included."""
    steps = epochs_moved(synthetic, epochs=4, lcp_schedule="CUUC", name="moves")
    assert steps == [{"crux", "rest"}, {"catch-up"}, {"catch-up"}, {"crux", "rest"}]


@pytest.mark.parametrize(("recipe", "statistics"), [("fixed-bn", set()), ("unfrozen", {"statistics"})])
def test_shallow_layers_and_catch_up_learner_may_train_in_c(
    synthetic: dict[str, Any], recipe: str, statistics: set[str]
) -> None:
    """With fixed batch statistics the shallow layers train, but their statistics do not move."""
    (crux, catch_up) = epochs_moved(synthetic, epochs=2, lcp_schedule="CC", lcp_recipe=recipe, name=recipe)
    assert crux == catch_up == {"crux", "shallow", "catch-up", "rest"} | statistics


def test_both_learners_train_at_once_in_b(synthetic: dict[str, Any]) -> None:
    """The catch-up loss is there beside the detection loss, and the shallow layers' statistics do not see favoured images."""
    (moved,) = epochs_moved(synthetic, epochs=1, lcp_schedule="B", lcp_recipe="fixed-bn", name="both")
    assert moved == {"crux", "shallow", "catch-up", "rest"}
    result = engine.train(**synthetic, epochs=1, lcp_schedule="B", name="both-terms", noval=True)
    (row,) = result.rows
    assert row["train/catch_up"] > 0 and row["train/box_loss"] > 0


def test_epochs_that_are_not_validated_cost_no_patience(synthetic: dict[str, Any]) -> None:
    """The detector trains in the last epoch only, which is the first that is validated."""
    result = engine.train(**synthetic, epochs=4, lcp_schedule="UUUC", patience=1, name="patient")
    assert len(result.rows) == 4 and "val/mAP50" in result.rows[3] and "val/mAP50" not in result.rows[2]


def test_statistics_may_follow_the_low_quality_images_in_u(synthetic: dict[str, Any]) -> None:
    catch_up, crux = epochs_moved(synthetic, epochs=2, lcp_recipe="fixed-bn", name="follow")
    assert catch_up == {"catch-up", "statistics"} and crux == {"crux", "shallow", "catch-up", "rest"}


@pytest.fixture(scope="module")
def finished(synthetic: dict[str, Any]) -> Any:
    return engine.train(**synthetic, epochs=4, name="whole")


def test_letters_stand_in_the_files(finished: Any) -> None:
    assert load_yaml(finished.save_dir / "args.yaml")["lcp_schedule"] == "UCUC"
    rows = read_csv(finished.save_dir / "results.csv")
    assert [row["lcp"] for row in rows] == list("UCUC")
    assert [bool(row["train/catch_up"]) for row in rows] == [True, False, True, False]
    assert [bool(row["train/box_loss"]) for row in rows] == [False, True, False, True]


def test_maps_are_painted_at_the_end(synthetic: dict[str, Any]) -> None:
    result = engine.train(**synthetic | {"plots": True}, epochs=1, lcp_schedule="C", name="maps")
    assert (result.save_dir / "map.png").is_file()


def test_nothing_is_measured_before_the_first_crux_epoch(finished: Any) -> None:
    rows = read_csv(finished.save_dir / "results.csv")
    assert [bool(row["val/mAP50"]) for row in rows] == [False, True, True, True]
    detector, meta = load_detector(finished.best)
    assert find_split(detector) is not None


def test_resume_goes_on_with_the_right_letter(synthetic: dict[str, Any], finished: Any, monkeypatch: Any) -> None:
    original, seen = LCP.on_epoch, []

    def interrupting(self: LCP, run: Run) -> None:
        seen.append(self.letters[run.epoch])
        original(self, run)
        if run.epoch == 2 and len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(LCP, "on_epoch", interrupting)
    with pytest.raises(KeyboardInterrupt):
        engine.train(**synthetic, epochs=4, name="broken")
    result = engine.train(resume=str(Path(synthetic["project"]) / "broken"))
    assert seen == list("UCU") + list("UC")
    whole, resumed = (load_detector(run.save_dir / "weights" / "last.pt")[0].state_dict() for run in (finished, result))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


@pytest.mark.distributed
def test_two_ranks_train_through_both_letters(synthetic: dict[str, Any], tmp_path: Path) -> None:
    options = {**synthetic, "epochs": 2, "lcp_schedule": "UC", "noval": True, "project": tmp_path, "name": "two"}
    ((first, second),) = run_ranks([options], 2)
    assert first["model"].keys() == second["model"].keys()
    for name, tensor in first["model"].items():
        assert torch.equal(tensor, second["model"][name]), name


def test_a_plain_model_is_told_which_one_to_use() -> None:
    with pytest.raises(UserError, match=r"--method lcp: yolov8n has no crux layers.*--cfg models/yolov8n-crux.yaml"):
        LCP().attach(build("yolov8n", NAMES))


def test_a_crux_model_trains_plainly_and_says_so(synthetic: dict[str, Any], capsys: Any) -> None:
    engine.train(**synthetic | {"method": "none"}, epochs=1, name="plain", noval=True)
    assert "contains lcp layers but --method lcp is off" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "epochs", "letters"),
    [("", 4, "UCUC"), ("c", 3, "CCC"), ("UC", 6, "UCUCUC"), ("CUUC", 4, "CUUC"), ("UB", 2, "UB")],
)
def test_schedules(text: str, epochs: int, letters: str) -> None:
    assert schedule(text, epochs, TrainingRecipe()) == letters


@pytest.mark.parametrize(("epochs", "letters"), [(1, "C"), (2, "UC"), (12, "UCCCCCCCCCCC")])
def test_the_schedule_of_the_other_recipes(epochs: int, letters: str) -> None:
    assert {schedule("", epochs, RECIPES[name]) for name in ("unfrozen", "fixed-bn")} == {letters}


@pytest.mark.parametrize(("text", "epochs"), [("UX", 2), ("U", 3), ("UC", 3), ("UCC", 2)])
def test_impossible_schedules(text: str, epochs: int) -> None:
    with pytest.raises(UserError, match=f"--lcp-schedule {text}: expected up to {epochs} letters"):
        schedule(text, epochs, TrainingRecipe())


def test_without_catch_up_epochs_no_clear_images_are_asked_for() -> None:
    method = LCP(LCPOptions(lcp_schedule="C"))
    assert method.resolve_options(3)["lcp_schedule"] == "CCC" and method.views == ()
    assert LCP().resolve_options(4) == {"lcp_schedule": "UCUC", "catch_up_weight": 100.0, "crux_lr_gain": 1.0}


def test_every_recipe_is_offered_and_numbers_take_precedence() -> None:
    assert set(RECIPES) == set(NAMED)
    assert LCP(LCPOptions(lcp_recipe="unfrozen", catch_up_weight=5.0)).recipe == replace(
        RECIPES["unfrozen"], catch_up_weight=5.0
    )
    assert LCP(recipe=TrainingRecipe(shallow="train")).recipe.shallow == "train"


def test_options_of_older_runs_are_read_and_variants_that_left_are_answered() -> None:
    assert from_file({"lcp_turns": "UC", "lcp_shallow": "rest", "train_catch_up": False}, [LCPOptions]) == {
        "lcp_schedule": "UC"
    }
    with pytest.raises(UserError, match="option lcp_shallow: it is no longer there. --lcp-recipe chooses what trains"):
        canonical({"lcp_shallow": "steady"}, [LCPOptions])


def test_the_crux_learner_has_its_own_rate() -> None:
    detector = build(CRUX_NETWORK, NAMES)
    (part,) = LCP(LCPOptions(crux_lr_gain=100.0)).rates(detector)
    assert part is find_split(detector)
    assert LCP().rates(build(NETWORK, NAMES)) == {}


def test_the_map_learns_where_detection_fails(synthetic: dict[str, Any]) -> None:
    """The term stands in C epochs alone, and its loss falls: an untrained detector misses every object."""
    options = {"lcp_schedule": "UCCC", "failure_weight": 1.0, "name": "failures", "epochs": 4, "lr0": 0.02}
    rows = engine.train(**{**synthetic, **options, "noval": True}).rows
    assert "train/failure" not in rows[0] and rows[3]["train/failure"] < rows[1]["train/failure"]
