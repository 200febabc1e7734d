"""From options to a plan."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data.io.labels import Label
from engine.options.train import TrainOptions
from engine.training.detection import build_datasets, build_detector, fit_stride, size_hints
from engine.training.plan import make_plan, splits_to_select, with_hyp
from tests.engine.tiny import write_dataset
from utils.errors import UserError
from utils.files import load_yaml, save_yaml


@pytest.fixture
def synthetic(tmp_path: Path) -> dict[str, Any]:
    return write_dataset(tmp_path, images=4)


def test_flags_win_over_the_hyp_file(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("lr0: 0.5\nmosaic: 0.25\nobj: 0.7\n")
    merged, notes = with_hyp({"hyp": str(tmp_path / "my.yaml"), "mosaic": 0.5})
    assert merged["lr0"] == 0.5 and merged["mosaic"] == 0.5
    assert any("'obj' is ignored" in note for note in notes)


def test_shipped_hyps_are_found_by_name_and_known() -> None:
    for name in (
        "hyp.scratch-low.yaml",
        "hyp.scratch-med.yaml",
        "hyp.scratch-high.yaml",
        "hyp.demo.yaml",
        "hyp.demo-tiny.yaml",
        "hyp.lcp-urpc.yaml",
        "hyp.lcp-city.yaml",
    ):
        merged, notes = with_hyp({"hyp": name})
        assert merged["lr0"] > 0 and not notes


def test_a_recipe_may_hold_any_option_of_the_optimiser_and_of_methods(synthetic: dict[str, Any]) -> None:
    plan = make_plan({**synthetic, "method": "none", "hyp": "hyp.lcp-urpc.yaml", "epochs": 24})
    assert (plan.hyper.optimizer, plan.hyper.lr_steps, plan.hyper.momentum) == ("SGD", (16, 22), 0.9)


def test_training_needs_no_test_split(synthetic: dict[str, Any], tmp_path: Path) -> None:
    """One that is named and missing is left out; where it is to choose the best epoch, it must be there."""
    file = Path(synthetic["data"])
    save_yaml(file, {**load_yaml(file), "test": "images/gone"})
    plan = make_plan({**synthetic, "method": "none"})
    assert "test" not in plan.data.splits and "val" in plan.data.splits
    with pytest.raises(UserError, match="'test' is .*gone, which is missing"):
        splits_to_select(plan.data, "test")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"lr_steps": (2, 5), "epochs": 5}, "--lr-steps 2,5: the run ends after 5 epochs .* step 5 does nothing"),
        ({"lr_steps": (2,), "epochs": 5, "cos_lr": True}, "--lr-steps and --cos-lr"),
        ({"lr_schedule": "step", "cos_lr": True}, "--lr-schedule step and --cos-lr"),
    ],
)
def test_a_schedule_that_cannot_be(synthetic: dict[str, Any], more: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        make_plan({**synthetic, **more})


@pytest.mark.parametrize("more", [{"method": "wiid"}, {"method": ""}, {"method": "rfla+wiid", "byol_weight": 0.01}])
def test_a_batch_that_is_too_small_for_a_method(synthetic: dict[str, Any], more: dict[str, Any]) -> None:
    """The data YAML names WiiD where no option does; without BYOL one image is enough."""
    with pytest.raises(
        UserError, match="--batch-size 1: batch norm needs at least 2 images per process with --method wiid"
    ):
        make_plan({**synthetic, **more, "batch_size": 1})
    assert make_plan({**synthetic, **more, "batch_size": 1, "byol_weight": 0.0}).methods


def test_the_published_recipe_is_in_the_high_file() -> None:
    merged, _ = with_hyp({"hyp": "hyp.scratch-high.yaml"})
    expected = {"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4, "translate": 0.1, "scale": 0.9, "fliplr": 0.5, "mixup": 0.1}
    assert {key: merged[key] for key in expected} == expected


def test_a_plan_takes_the_method_of_the_data(synthetic: dict[str, Any]) -> None:
    plan = make_plan(synthetic)
    assert plan.composition == "wiid" and [view.name for view in plan.views] == ["pair"] and plan.save_dir.name == "exp"
    assert make_plan({**synthetic, "method": "none"}).composition == "none"
    assert plan.options["imgsz"] == 64


def test_a_method_that_does_not_serve_the_task_is_told_before_a_data_set_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--method rfla: does not serve task 'classify'"):
        make_plan({"data": "demo-codan", "method": "rfla"})
    assert not any(tmp_path.iterdir())


def test_a_word_that_a_method_cannot_read_is_told_before_a_data_set_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--weather genral.* Did you mean 'general'"):
        make_plan({"data": "demo-night", "weather": "genral"})
    assert not any(tmp_path.iterdir())


def test_mistakes_make_no_folder(synthetic: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        make_plan({**synthetic, "method": "nope"})
    assert not Path(synthetic["project"]).exists()


def test_sizes_that_do_not_fit_the_stride_are_rounded_up(synthetic: dict[str, Any]) -> None:
    """And args.yaml says so."""
    plan, notes = fit_stride(make_plan({**synthetic, "imgsz": 70}), SimpleNamespace(stride=torch.tensor([8.0, 32.0])))
    assert plan.train.imgsz == plan.options["imgsz"] == 96 and "70" in notes[0] and "96" in notes[0]
    datasets = build_datasets(plan)
    assert datasets["train"].imgsz == 96 and set(datasets) == {"train", "val", "val2"}


def test_native_is_for_validation_only(synthetic: dict[str, Any]) -> None:
    datasets = build_datasets(make_plan({**synthetic, "native": True}).fitted(32))
    assert {name: part.native for name, part in datasets.items()} == {"train": False, "val": True, "val2": True}


def test_the_network_of_a_resumed_run_wins(synthetic: dict[str, Any]) -> None:
    detector, _ = build_detector(make_plan(synthetic))
    again, notes = build_detector(make_plan({**synthetic, "weights": "gone.pt"}, detector.yaml))
    assert again.state_dict().keys() == detector.state_dict().keys() and not notes


@pytest.mark.parametrize(("workers", "expected"), [(0, 0), (3, 3)])
def test_workers_as_asked(synthetic: dict[str, Any], workers: int, expected: int) -> None:
    assert make_plan({**synthetic, "workers": workers}).workers(torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("cores", "expected"), [(1, 0), (2, 2), (3, 4), (4, 4), (5, 4), (6, 8), (7, 8), (8, 8), (96, 8)]
)
def test_as_many_workers_as_share_what_they_decode(
    synthetic: dict[str, Any], monkeypatch: pytest.MonkeyPatch, cores: int, expected: int
) -> None:
    monkeypatch.setattr("engine.training.plan.os.cpu_count", lambda: cores)
    plan = make_plan({**synthetic, "workers": -1})
    assert plan.workers(torch.device("cuda")) == expected and plan.workers(torch.device("cpu")) == min(1, expected)


def labels(tiny: int, large: int) -> list[Label]:
    """One image of 640 px with objects of 8 px and of 80 px."""
    sides = np.array([8 / 640] * tiny + [80 / 640] * large)
    boxes = np.stack([np.full(len(sides), 0.5)] * 2 + [sides] * 2, 1)
    return [Label(Path("a.png"), (640, 640), np.zeros((len(sides), 1)), boxes)]


@pytest.mark.parametrize(
    ("tiny", "large", "finest", "composition", "expected"),
    [
        (3, 7, 8, "none", ["30% of the objects", "stride 8", "yolov8n-p2", "--method rfla"]),
        (3, 7, 8, "wiid+rfla", ["30% of the objects"]),
        (2, 8, 8, "none", None),  # a fifth is not more than a fifth
        (9, 1, 4, "none", None),  # there is a stride-4 level
        (0, 0, 8, "none", None),
    ],
)
def test_hints(tiny: int, large: int, finest: int, composition: str, expected: list[str] | None) -> None:
    detector = SimpleNamespace(stride=torch.tensor([finest, 32.0]))
    found = size_hints(labels(tiny, large), detector, TrainOptions(imgsz=640), composition)
    assert (found == []) == (expected is None)
    for part in expected or []:
        assert part in found[0]
    assert composition == "none" or not found or "--method rfla" not in found[0]


def test_sizes_are_those_in_training() -> None:
    """80 px of 640 are 10 px at 80."""
    detector = SimpleNamespace(stride=torch.tensor([8.0]))
    assert size_hints(labels(0, 4), detector, TrainOptions(imgsz=80), "none")


def test_the_data_yaml_may_name_the_teacher(synthetic: dict[str, Any], tmp_path: Path) -> None:
    """`teacher: cache` stands for --teacher; the flag wins. The cache is missing, so the plan fails at reading it."""
    save_yaml(tmp_path / "world.yaml", load_yaml(tmp_path / "world.yaml") | {"teacher": "cache"})
    for own, folder in (({}, "cache"), ({"teacher": tmp_path / "other"}, "other")):
        with pytest.raises(UserError, match=f"{folder}: is not a teacher cache"):
            make_plan({**synthetic, "method": "richsem", **own})


def test_options_bring_the_long_tail_along(synthetic: dict[str, Any]) -> None:
    assert make_plan({**synthetic, "method": "none", "federated": 2}).composition == "longtail"
    assert make_plan({**synthetic, "federated": 2}).composition == "wiid+longtail"


def test_a_view_that_nothing_provides_is_found_before_the_run_folder_is_made(tmp_path: Path) -> None:
    given = write_dataset(tmp_path)
    save_yaml(tmp_path / "world.yaml", {k: v for k, v in load_yaml(tmp_path / "world.yaml").items() if k != "pair"})
    with pytest.raises(UserError, match=r"the method trains with paired images 'pair'.*has no 'pair' line"):
        make_plan({**given, "data": str(tmp_path / "world.yaml"), "method": "wiid"})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("split", "expected"), [("val", "that were learned"), ("test2", "learned"), ("pair", "its own pair")]
)
def test_splits_that_are_one_folder(synthetic: dict[str, Any], tmp_path: Path, split: str, expected: str) -> None:
    data = load_yaml(Path(synthetic["data"]))
    save_yaml(tmp_path / "same.yaml", data | {split: data["train"]})
    with pytest.raises(UserError, match=f"'train' and '{split}' are both .*{expected}"):
        make_plan({**synthetic, "data": str(tmp_path / "same.yaml")})


@pytest.mark.parametrize("split", ["val", "pair"])
@pytest.mark.parametrize("way", ["link", "list", "list and folder", "longer list"])
def test_splits_that_are_one_folder_by_another_name(
    synthetic: dict[str, Any], tmp_path: Path, split: str, way: str
) -> None:
    data, file = load_yaml(Path(synthetic["data"])), tmp_path / "same.yaml"
    train = Path(synthetic["data"]).parent / data["path"] / data["train"]
    images = sorted(train.iterdir())
    (tmp_path / "linked").symlink_to(train)
    (tmp_path / "all.txt").write_text("\n".join(map(str, images)))
    (tmp_path / "some.txt").write_text("\n".join(map(str, images[1:])))
    ours, theirs = {"link": (train, "linked"), "list": (train, "all.txt"), "list and folder": ("all.txt", "linked"),
                    "longer list": ("all.txt", "some.txt")}[way]  # fmt: skip
    save_yaml(file, data | {"train": str(tmp_path / ours), split: str(tmp_path / theirs)})
    with pytest.raises(UserError, match=f"'train' and '{split}' are both .*/{theirs}, so"):
        make_plan({**synthetic, "data": str(file)})
    assert not (tmp_path / "runs").exists()
