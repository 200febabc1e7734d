"""The table of synthetic data sets, against the data YAMLs that name them."""

from __future__ import annotations

import cv2
import pytest

from data.io.labels import label_path
from data.synthetic.generate import make_synthetic
from data.synthetic.registry import DARK, LOWRES, SYNTHETIC, find_synthetic
from data.synthetic.street.scene import NAMES
from utils.errors import UserError
from utils.files import load_yaml


def test_a_synthetic_is_found_by_its_name() -> None:
    assert find_synthetic("demo-sea").name == "demo-sea"
    with pytest.raises(UserError, match="'demo-see': there is no such set.*demo-sea"):
        find_synthetic("demo-see")


@pytest.mark.parametrize("name", SYNTHETIC)
def test_every_row_has_one_way_to_be_drawn(name):
    synthetic = SYNTHETIC[name]
    looks = {look for split in synthetic.splits.values() for look in split.folders.values()} - {DARK, LOWRES}
    _, labels = synthetic.scene(0, (64, 64), looks)
    assert synthetic.name == name and isinstance(labels, int) == synthetic.by_class


def test_the_data_yaml_names_this_synthetic(root):
    content = load_yaml(root / "data" / "demo-night.yaml")
    assert tuple(content["names"].values()) == NAMES == SYNTHETIC[content["demo"]].names
    folders = {folder for split in SYNTHETIC[content["demo"]].splits.values() for folder in split.folders}
    assert {content[key] for key in ("train", "pair", "val", "val2", "test", "test2")} == {
        f"images/{f}" for f in folders
    }


@pytest.mark.parametrize("name", [name for name, synthetic in SYNTHETIC.items() if not synthetic.by_class])
def test_every_synthetic_is_drawn_as_its_data_yaml_says(name, tmp_path, root):
    counts = dict.fromkeys(SYNTHETIC[name].splits, 1)
    make_synthetic(name, tmp_path / name, size=(96, 72), counts=counts, workers=1, progress=False)
    said = load_yaml(root / "data" / f"{name}.yaml")
    assert list(said["names"].values()) == list(SYNTHETIC[name].names)
    for split in ("train", "val", "test"):
        (image,) = (tmp_path / name / said[split]).iterdir()
        small = LOWRES in SYNTHETIC[name].splits[split].folders.values()
        height, width, _ = cv2.imread(str(image)).shape
        assert (height, width) == (72, 96) or (small and 18 <= height < 72 and 24 <= width < 96)
        assert label_path(image).is_file()
