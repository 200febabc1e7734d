"""What is known of an image goes with it through mosaic and mixup."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ultralytics.utils.instance import Instances

import methods.registry  # noqa: F401 - declares the lines of data YAMLs that methods read
from data.config import load_data
from data.detection.dataset import ViewDataset, build_dataset
from data.detection.federated import FederatedLabels, federated_labels, merged
from data.detection.options import AugmentOptions
from data.detection.transforms import ViewCutMix, stacked, unstacked
from data.detection.views import View
from tests.engine.tiny import write_dataset
from utils.files import load_yaml, save_yaml

VIEWS = (View("verified", "per_image", load=federated_labels, merge=merged),)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four images: in the first class 0 is known to be absent, in the second class 1 is labelled in part."""
    write_dataset(tmp_path, images=4)
    known = {"images/train/000.png": {"absent": [0]}, "images/train/001.png": {"partial": [1]}}
    (tmp_path / "federated.json").write_text(json.dumps(known))
    content = {key: value for key, value in load_yaml(tmp_path / "world.yaml").items() if key != "pair"}
    save_yaml(tmp_path / "world.yaml", content | {"federated": "federated.json"})
    return tmp_path / "world.yaml"


def items(data: Path, **augment: float) -> list[FederatedLabels]:
    options = AugmentOptions(**augment)  # type: ignore[arg-type]
    dataset = build_dataset(load_data(data), "train", imgsz=64, augment=True, options=options, views=VIEWS)
    batch = ViewDataset.collate_fn([dataset[(epoch, index)] for epoch in range(8) for index in range(4)])
    return list(batch["verified"])


def test_an_image_alone(data: Path) -> None:
    assert items(data, mosaic=0)[:4] == [
        FederatedLabels(absent=(0,)),
        FederatedLabels(partial=(1,)),
        FederatedLabels(),
        FederatedLabels(),
    ]


@pytest.mark.parametrize("augment", [{"mosaic": 1.0}, {"mosaic": 0.0, "mixup": 1.0}, {"mosaic": 1.0, "cutmix": 1.0}])
def test_images_that_are_joined(data: Path, augment: dict[str, float]) -> None:
    """Each item knows at least what its first image knows, and some know both."""
    found = items(data, **augment)
    assert all(0 in known.absent for known in found[::4]) and all(1 in known.partial for known in found[1::4])
    assert FederatedLabels((0,), (1,)) in found


def test_cutmix_takes_a_rectangle_with_its_boxes(data: Path) -> None:
    """A canvas of 20 x 20 px with one box, another with a box that the rectangle (10, 10, 20, 20) holds to a quarter."""
    source: Any = SimpleNamespace()
    mixing = ViewCutMix(source, {"known": sum}, p=1.0)
    first, second = (canvas([box]) for box in ([0, 0, 4, 4], [8, 8, 12, 12]))
    first |= {"img": np.zeros((20, 20, 3), np.uint8), "known": 1, "mix_labels": [second]}
    second |= {"img": np.full((20, 20, 3), 9, np.uint8), "known": 2}
    params = {"area": np.array([10, 10, 20, 20], np.float32), "indexes2": np.array([0]), "w": 20, "h": 20}
    mixed = mixing.apply_instances(mixing.apply_image(first, params), params)
    assert mixed["img"][..., 0].sum() == 9 * 100 and mixed["known"] == 3
    assert mixed["instances"].bboxes.tolist() == [[0, 0, 4, 4], [10, 10, 12, 12]]
    assert mixed["cls"][:, 2].tolist() == [1.0, 0.25]


def canvas(boxes: list[list[int]]) -> dict[str, Any]:
    instances = Instances(np.array(boxes, np.float32), bbox_format="xyxy", normalized=False)
    return {"instances": instances, "cls": np.array([[0, number, 1] for number in range(len(boxes))], np.float32)}


def test_cutmix_changes_items_and_off_changes_no_draw(data: Path) -> None:
    def drawn(**augment: float) -> list[torch.Tensor]:
        options = AugmentOptions(**augment)  # type: ignore[arg-type]
        dataset = build_dataset(load_data(data), "train", imgsz=64, augment=True, options=options, epochs=100)
        return [dataset[(epoch, 0)]["img"] for epoch in range(6)]

    plain = drawn(mosaic=0)
    assert all(torch.equal(*pair) for pair in zip(plain, drawn(mosaic=0, cutmix=0), strict=True))
    assert not all(torch.equal(*pair) for pair in zip(plain, drawn(mosaic=0, cutmix=1.0), strict=True))


def test_without_the_file_nothing_is_said(data: Path) -> None:
    save_yaml(data, {key: value for key, value in load_yaml(data).items() if key != "federated"})
    dataset = build_dataset(load_data(data), "train", imgsz=64, augment=True, views=VIEWS)
    assert "verified" not in ViewDataset.collate_fn([dataset[0]])


@pytest.mark.parametrize(
    "options", [{}, {"mosaic": 0.0}, {"mixup": 1.0}, {"cutmix": 1.0, "degrees": 20.0, "flipud": 0.5}]
)
def test_a_pair_is_augmented_as_a_single_image_is(tmp_path: Path, options: dict[str, float]) -> None:
    """A paired image that is the same stays so, bit for bit; a single one differs by how OpenCV rounds six channels."""
    write_dataset(tmp_path, images=4)
    content = load_yaml(tmp_path / "world.yaml")
    shutil.copytree(tmp_path / "images" / "train", tmp_path / "images" / "copies")
    save_yaml(tmp_path / "same.yaml", content | {"pair": "images/copies"})
    chosen = AugmentOptions(**options)  # type: ignore[arg-type]
    common: dict[str, Any] = {"imgsz": 64, "augment": True, "options": chosen}
    alone = build_dataset(load_data(tmp_path / "world.yaml"), "train", **common)
    pairs = build_dataset(load_data(tmp_path / "same.yaml"), "train", views=(View("pair", "paired"),), **common)
    for key in ((epoch, index) for epoch in range(3) for index in range(4)):
        single, both = alone[key], pairs[key]
        assert torch.equal(both["img"], both["pair"])
        assert (single["img"].float() - both["img"].float()).abs().mean() < 2  # of 255
        assert torch.equal(single["bboxes"], both["bboxes"])


@pytest.mark.parametrize("members", [1, 2, 3])
def test_images_are_stacked_as_numpy_would_and_come_back(members: int) -> None:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (5, 7, 3), np.uint8) for _ in range(members)]
    stack = stacked(images)
    assert np.array_equal(stack, np.concatenate(images, 2))
    assert all(np.array_equal(back, image) for back, image in zip(unstacked(stack), images, strict=True))
