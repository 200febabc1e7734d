"""Methods train together, in any order, and nothing but the detector is left."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import engine
from data.io.labels import scan
from engine.checkpoint import load_detector
from methods.options.lcp import LCPOptions
from methods.options.wiid import WiiDOptions
from methods.registry import METHODS, create
from models.detector import build, parameters
from tests.engine.tiny import CRUX_NETWORK, write_dataset
from tests.soft_labels import write_cache
from utils.files import list_images, load_yaml, save_yaml

pytestmark = pytest.mark.slow

OWN = {
    "lcp": {"lcp_schedule": "UC"},
    "longtail": {"federated": 2},
    "weather": {"weather": "low_light=0.3 fog=0.3", "weather_consistency": 1.0},
    "mean-teacher": {"target_burn_in": 0.0, "target_threshold": "0.01-0.5"},
}  # options that a method needs to do anything in an epoch
TERMS = {
    "weather": "agreement",
    "wiid": "byol",
    "aeris": "restore",
    "richsem": "semantic",
}  # column of results.csv that shows it at work
PAIRS = ["+".join(pair) for pair in combinations(METHODS, 2)]
TRIPLES = ["+".join(triple) for triple in combinations(METHODS, 3)][::4] + ["+".join(METHODS)]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of a tiny set that has what each method asks for."""
    root = tmp_path_factory.mktemp("pairs")
    options = write_dataset(root, images=8)
    save_yaml(root / "tiny8n-crux.yaml", CRUX_NETWORK)
    data = load_yaml(root / "world.yaml")
    clear = root / "images" / "reference"  # in no other split
    clear.mkdir()
    for image in list_images(root / "images" / "val_day", root):
        cv2.imwrite(str(clear / f"clear{image.stem}.png"), 255 - cv2.imread(str(image)))
    target = root / "images" / "target"
    target.mkdir()
    for image in list_images(root / "images" / "val_day", root):
        cv2.imwrite(str(target / image.name), cv2.flip(cv2.imread(str(image)), 1) // 4)
    save_yaml(root / "world.yaml", data | {"reference": "images/reference", "target": "images/target"})
    labels = scan(list_images(root / "images" / "train", root), 2, what="train").labels
    cache = write_cache(root / "cache", labels, ["square", "bar"], dimensions=8)
    return {**options, "teacher": cache, "epochs": 2, "noval": True, "plots": False}


def train(synthetic: dict[str, Any], composition: str) -> tuple[engine.TrainResult, Path]:
    """A run of two epochs, U and C with LCP, and the file of its network."""
    own = {key: value for name in composition.split("+") for key, value in OWN.get(name, {}).items()}
    cfg = Path(synthetic["cfg"]).with_name("tiny8n-crux.yaml" if "lcp" in composition.split("+") else "tiny8n.yaml")
    return engine.train(**{**synthetic, **own, "cfg": str(cfg), "method": composition, "name": composition}), cfg


@pytest.mark.parametrize("composition", [*PAIRS, *TRIPLES])
def test_methods_train_together_and_leave_a_plain_detector(synthetic: dict[str, Any], composition: str) -> None:
    """In U, LCP's term alone counts; in C, all others do."""
    names = composition.split("+")
    result, cfg = train(synthetic, composition)
    first, last = result.rows
    terms = {f"train/{TERMS[name]}" for name in names if name in TERMS}
    assert all(np.isfinite(value) for row in result.rows for key, value in row.items() if key.startswith("train/"))
    assert terms <= last.keys() and {key.replace("train", "share") for key in terms} <= last.keys()
    if "lcp" in names:
        assert [key for key in first if key.startswith(("train/", "share/"))] == ["train/catch_up"]
    detector, _ = load_detector(result.best)
    plain = build(load_yaml(cfg), {0: "square", 1: "bar"})
    assert parameters(detector) == parameters(plain)
    assert detector.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("composition", [*PAIRS, "wiid+lcp+aeris"])
def test_the_order_of_names_changes_nothing(composition: str) -> None:
    """Methods are called in the registry's order, whatever was typed."""
    turned = "+".join(reversed(composition.split("+")))
    assert [method.name for method in create(turned, {})] == [method.name for method in create(composition, {})]


def test_every_view_arrives_as_its_owner_made_it() -> None:
    """`clean` and `reference` are as they were loaded; image and dark image are degraded alike, then masked at the same cells."""
    methods = create(
        "aeris+lcp+wiid", {WiiDOptions: WiiDOptions(back_ratio=1.0), LCPOptions: LCPOptions(lcp_schedule="UC")}
    )
    for method in methods:
        method.resolve_options(2, None)
    batch: dict[str, Any] = {
        "img": torch.full((2, 3, 64, 64), 0.5),
        "reference": torch.rand(2, 3, 64, 64),
        "bboxes": torch.tensor([[0.5, 0.5, 0.3, 0.3]] * 2),
        "cls": torch.zeros(2, 1),
        "batch_idx": torch.arange(2).float(),
        "seed": [0, 1],
        "scenes": ["img", "pair"],
    }
    batch["pair"] = batch["img"].clone()
    loaded = {name: batch[name].clone() for name in ("img", "reference")}
    for hook in ("draw", "degrade", "prepare"):
        for method in methods:
            getattr(method, hook)(batch)
    assert torch.equal(batch["clean"], loaded["img"]) and torch.equal(batch["reference"], loaded["reference"])
    masked = (batch["img"] == 0).all(1)
    assert torch.equal(masked, (batch["pair"] == 0).all(1)) and 0.5 < masked.float().mean() < 1
    assert torch.equal(batch["img"], batch["pair"])  # equal images, one draw


def test_both_orders_are_one_run(synthetic: dict[str, Any]) -> None:
    rows = [train(synthetic, name)[0].rows for name in ("wiid+lcp+aeris", "aeris+lcp+wiid")]
    for one, other in zip(*rows, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize("name", [name for name in METHODS if name != "lcp"])
def test_ultralytics_alone_reads_what_a_method_leaves(synthetic: dict[str, Any], name: str) -> None:
    from ultralytics import YOLO

    options = {**synthetic, **OWN.get(name, {}), "method": name, "name": f"alone-{name}"}
    model = YOLO(engine.train(**options).best)
    assert type(model.model).__module__.startswith("ultralytics.")
    assert all(type(part).__module__.split(".")[0] in {"ultralytics", "torch"} for part in model.model.modules())
