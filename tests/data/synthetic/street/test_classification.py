"""data.synthetic.street.classification: classes in turn, registered day and night images, files by class."""

from __future__ import annotations

import numpy as np
import pytest

from data.classification.dataset import labelled
from data.config import load_data
from data.synthetic import generate
from data.synthetic.generate import make_synthetic
from data.synthetic.registry import SYNTHETIC
from data.synthetic.street.classification import NAMES, object_in_street
from utils.files import list_images


def test_the_same_seed_gives_the_same_image_and_night_images_are_dark():
    looks, label = object_in_street(14, (64, 64), {"day", "night"})
    again, _ = object_in_street(14, (64, 64), {"day"})
    assert label == 4 and NAMES[label] == "Car"
    assert np.array_equal(looks["day"], again["day"])
    assert looks["night"].mean() < 0.6 * looks["day"].mean()


@pytest.mark.parametrize("label", range(len(NAMES)))
def test_the_object_is_large_and_in_the_middle(label: int, monkeypatch):
    """Against the same street without it, at least a twentieth of the middle half differs clearly."""
    from data.synthetic.render.primitives import Model
    from data.synthetic.street import classification as classification

    seen, _ = object_in_street(20 + label, (64, 64), {"day"})
    real = classification.OBJECTS[NAMES[label]]
    monkeypatch.setitem(classification.OBJECTS, NAMES[label], lambda rng, lit: Model((), real(rng, lit).size))
    empty, _ = object_in_street(20 + label, (64, 64), {"day"})
    middle = np.abs(seen["day"].astype(int) - empty["day"].astype(int)).max(2)[16:48, 16:48]
    assert (middle > 20).mean() > 0.05


def test_files_lie_in_class_folders(tmp_path):
    folders = {"train": "day", "train_night": "dark"}
    for name in folders:
        (tmp_path / name).mkdir()
    generate._draw_scenes((tmp_path, [generate._Job("demo-codan", "train", 7, (64, 64), "one", folders)]))
    assert sorted(str(path.relative_to(tmp_path)) for path in list_images(tmp_path)) == [
        "train/Person/one.jpg",
        "train_night/Person/one.jpg",
    ]


def test_the_synthetic_and_its_yaml_agree(tmp_path):
    config = load_data("demo-codan", need=())
    assert tuple(config.names.values()) == NAMES == SYNTHETIC["demo-codan"].names and config.task == "classify"
    counts = {"train": 10, "nights": 1, "val": 1, "test": 1}
    make_synthetic("demo-codan", tmp_path / "w", size=(64, 64), counts=counts, workers=1, progress=False)
    text = (
        config.file.read_text().replace("path: demo-codan", f"path: {tmp_path / 'w'}").replace("demo: demo-codan", "")
    )
    (tmp_path / "data.yaml").write_text(text)
    drawn = load_data(tmp_path / "data.yaml")
    for split, count in {"train": 10, "pair": 10, "val": 1, "test2": 1}.items():
        assert [image.number for image in labelled(drawn, split)] == list(range(count))
