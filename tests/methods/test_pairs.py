"""Any two methods train together, and nothing but the detector is left."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from data.io.labels import scan
from engine.checkpoint import load_detector
from methods.registry import METHODS
from models.detector import build, parameters
from tests.engine.tiny import CRUX_NETWORK, write_dataset
from tests.soft_labels import write_cache
from utils.files import list_images, load_yaml, save_yaml

pytestmark = pytest.mark.slow

OWN = {
    "lcp": {"lcp_turns": "C"},
    "longtail": {"federated": 2},
}  # options that a method needs to do anything in an epoch
TERMS = {"wiid": "byol", "aeris": "restore", "richsem": "semantic"}  # column of results.csv that shows it at work
PAIRS = ["+".join(pair) for pair in combinations(METHODS, 2)]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of a tiny set that has what each method asks for."""
    root = tmp_path_factory.mktemp("pairs")
    options = write_dataset(root, images=8)
    save_yaml(root / "tiny8n-crux.yaml", CRUX_NETWORK)
    data = load_yaml(root / "world.yaml")
    save_yaml(root / "world.yaml", data | {"reference": "images/val_day"})
    labels = scan(list_images(root / "images" / "train", root), 2, what="train").labels
    cache = write_cache(root / "cache", labels, ["square", "bar"], dimensions=8)
    return {**options, "teacher": cache, "epochs": 1, "noval": True, "plots": True}


@pytest.mark.parametrize("composition", PAIRS)
def test_two_methods_train_and_leave_a_plain_detector(synthetic: dict[str, Any], composition: str) -> None:
    names = composition.split("+")
    own = {key: value for name in names for key, value in OWN.get(name, {}).items()}
    crux = "lcp" in names
    cfg = str(Path(synthetic["cfg"]).with_name("tiny8n-crux.yaml" if crux else "tiny8n.yaml"))
    result = engine.train(**{**synthetic, **own, "cfg": cfg, "method": composition, "name": composition})
    (row,) = result.rows
    assert all(np.isfinite(value) for key, value in row.items() if key.startswith("train/"))
    assert {f"train/{TERMS[name]}" for name in names if name in TERMS} <= row.keys()
    detector, _ = load_detector(result.best)
    plain = build(load_yaml(Path(cfg)), {0: "square", 1: "bar"})
    assert parameters(detector) == parameters(plain)
    assert detector.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("name", [name for name in METHODS if name != "lcp"])
def test_ultralytics_alone_reads_what_a_method_leaves(synthetic: dict[str, Any], name: str) -> None:
    from ultralytics import YOLO

    options = {**synthetic, **OWN.get(name, {}), "method": name, "name": f"alone-{name}"}
    model = YOLO(engine.train(**options).best)
    assert type(model.model).__module__.startswith("ultralytics.")
    assert all(type(part).__module__.split(".")[0] in {"ultralytics", "torch"} for part in model.model.modules())
