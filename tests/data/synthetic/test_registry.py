"""The table of made-up worlds, against the data YAMLs that name them."""

from __future__ import annotations

import cv2
import pytest

from data.io.labels import label_path
from data.synthetic.generate import make_world
from data.synthetic.registry import LOWRES, WORLDS, find_world
from data.synthetic.street.scene import NAMES
from utils.files import UserError, load_yaml


def test_a_world_is_found_by_its_name() -> None:
    assert find_world("demo-sea").name == "demo-sea"
    with pytest.raises(UserError, match="'demo-see': there is no such world.*demo-sea"):
        find_world("demo-see")


@pytest.mark.parametrize("name", WORLDS)
def test_every_row_has_one_way_to_be_drawn(name):
    world = WORLDS[name]
    assert world.name == name and (world.scene is None) != (world.writer is None)


def test_the_data_yaml_names_this_world(root):
    content = load_yaml(root / "data" / "demo-night.yaml")
    assert tuple(content["names"].values()) == NAMES == WORLDS[content["demo"]].names
    folders = {folder for split in WORLDS[content["demo"]].splits.values() for folder in split.folders}
    assert {content[key] for key in ("train", "pair", "val", "val2", "test", "test2")} == {
        f"images/{f}" for f in folders
    }


@pytest.mark.parametrize("name", [name for name, world in WORLDS.items() if world.writer is None])
def test_every_world_is_drawn_as_its_data_yaml_says(name, tmp_path, root):
    counts = dict.fromkeys(WORLDS[name].splits, 1)
    make_world(name, tmp_path / name, size=(96, 72), counts=counts, workers=1, progress=False)
    said = load_yaml(root / "data" / f"{name}.yaml")
    assert list(said["names"].values()) == list(WORLDS[name].names)
    for split in ("train", "val", "test"):
        (picture,) = (tmp_path / name / said[split]).iterdir()
        small = LOWRES in WORLDS[name].splits[split].folders.values()
        height, width, _ = cv2.imread(str(picture)).shape
        assert (height, width) == (72, 96) or (small and 18 <= height < 72 and 24 <= width < 96)
        assert label_path(picture).is_file()
