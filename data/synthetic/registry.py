"""Synthetic data sets: labelled image sets drawn from a seed, to try everything where nothing can be downloaded.

A synthetic data set is a table: which splits it has, how many scenes each, and which look of a scene goes to which folder.
Adding a synthetic data set is adding a row to SYNTHETIC; data/synthetic/generate.py makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.synthetic.actions import scene as actions
from data.synthetic.aerial import scene as aerial
from data.synthetic.aerial import specks
from data.synthetic.render.lighting import day, night
from data.synthetic.shelf import scene as shelf
from data.synthetic.street import classification
from data.synthetic.street.fog import foggy
from data.synthetic.street.infrared import infrared
from data.synthetic.street.scene import NAMES, draw, make_street
from data.synthetic.underwater import scene as sea
from data.synthetic.underwater import water
from utils.errors import UserError, suggestion

DARK = "dark"  # a look that is made afterwards, from the day image or film, by data.degrade or data.video.low_light
LOWRES = "lowres"  # another one: small, blurred and noisy, by the recipe coco-d of data.degradations.recipes

Image = NDArray[np.uint8]
Labels = NDArray[np.float32]  # (n, 5) class, centre x, centre y, width, height as fractions of the image
Scene = Callable[[int, tuple[int, int], Collection[str]], tuple[dict[str, Image], Labels | int]]
"""Draws scene number `seed` of (width, height) px in some looks: look -> image or film, and the labels or class of all."""


def _street_scene(seed: int, size: tuple[int, int], looks: Collection[str]) -> tuple[dict[str, Image], Labels]:
    """A street by day, by night, in infrared, in fog, or several of them."""
    lights = {"day": day, "night": night, "infrared": infrared, "fog": foggy}
    frame = draw(make_street(seed, size))
    return {look: lights[look](frame, seed) for look in looks}, frame.labels


def _sea_scene(seed: int, size: tuple[int, int], looks: Collection[str]) -> tuple[dict[str, Image], Labels]:
    """A sea floor in clear water, in murky water, or both."""
    floor, waters = sea.draw_sea(seed, size), {"clear": water.clear, "murky": water.murky}
    return {look: waters[look](floor, seed) for look in looks}, floor.labels


def _one_look(draw: Callable[[int, tuple[int, int]], tuple[Image, Labels]]) -> Scene:
    """Scenes that have one look only."""

    def scene(seed: int, size: tuple[int, int], looks: Collection[str]) -> tuple[dict[str, Image], Labels]:
        image, labels = draw(seed, size)
        return dict.fromkeys(looks, image), labels

    return scene


class Split(NamedTuple):
    """`scenes` scenes, each written once a folder; `folders`: a folder's name -> a look of the set's, DARK or LOWRES.

    scene, size: how its scenes are drawn and their (width, height) px, where they differ from the set's; such a size
    stands whatever size is asked for.
    """

    scenes: int
    folders: Mapping[str, str]
    scene: Scene | None = None
    size: tuple[int, int] | None = None


class SyntheticSet(NamedTuple):
    """A synthetic data set: class names in label order, image size (width, height), its splits in seed order, its scenes.

    by_class: a scene has one class, and its files lie in FOLDER/CLASS instead of images/FOLDER and labels/FOLDER.
    """

    name: str
    names: tuple[str, ...]
    size: tuple[int, int]
    splits: Mapping[str, Split]
    scene: Scene
    by_class: bool = False


def _degraded(bad: str, good: str) -> dict[str, Split]:
    """Splits of a synthetic data set of bad images, and reference images of other scenes, labelled."""
    return {
        "train": Split(240, {"train": bad}),
        "favoured": Split(240, {"favoured": good}),  # reference images; renamed, rendered sets would not be recognised
        "val": Split(60, {"val": bad, "val_clear": good}),
        "test": Split(120, {"test": bad, "test_clear": good}),
    }


def _day_only() -> dict[str, Split]:
    """Splits of a synthetic data set of day images alone."""
    return {split: Split(scenes, {split: "day"}) for split, scenes in (("train", 320), ("val", 60), ("test", 120))}


def _day_and_night(train: int, val: int, test: int, unlabeled: int = 0) -> dict[str, Split]:
    """Splits of a synthetic data set of day scenes and their darkened copies, `unlabeled` others at night, and val and test."""
    return {
        "train": Split(train, {"train": "day", "train_night": DARK}),
        # "nights" stays: renamed, rendered sets would not be recognised
        **({"nights": Split(unlabeled, {"nights": "night"})} if unlabeled else {}),
        "val": Split(val, {"val": "night", "val_day": "day"}),
        "test": Split(test, {"test": "night", "test_day": "day"}),
    }


_LOWRES_SPLITS = {
    "train": Split(240, {"train": "day"}),
    "val": Split(60, {"val": LOWRES, "val_clear": "day"}),
    "test": Split(120, {"test": LOWRES, "test_clear": "day"}),
}
_SHELF_SPLITS = {
    "train": Split(360, {"train": "day"}, _one_look(shelf.train_shelf)),
    "val": Split(60, {"val": "day"}),
    "test": Split(160, {"test": "day"}),
    "extra": Split(25 * len(shelf.SCARCE), {"extra": "day"}, _one_look(shelf.close_up), (160, 160)),
}
_CLASSES = _day_and_night(600, 150, 300, unlabeled=300)
_ROWS = (
    SyntheticSet("demo-night", NAMES, (320, 240), _day_and_night(360, 60, 120), _street_scene),
    SyntheticSet("demo-fog", NAMES, (320, 240), _degraded("fog", "day"), _street_scene),
    SyntheticSet("demo-infrared", NAMES, (320, 240), _degraded("infrared", "day"), _street_scene),
    SyntheticSet("demo-sea", sea.NAMES, (320, 240), _degraded("murky", "clear"), _sea_scene),
    SyntheticSet("demo-lowres", NAMES, (320, 240), _LOWRES_SPLITS, _street_scene),
    SyntheticSet("demo-tiny", aerial.NAMES, (160, 160), _day_only(), _one_look(aerial.image_from_above)),
    SyntheticSet("demo-specks", specks.NAMES, (160, 160), _day_only(), _one_look(specks.specks)),
    SyntheticSet("demo-longtail", shelf.NAMES, (320, 240), _SHELF_SPLITS, _one_look(shelf.even_shelf)),
    SyntheticSet(
        "demo-codan", classification.NAMES, (96, 96), _CLASSES, classification.object_in_street, by_class=True
    ),
    SyntheticSet("demo-arid", actions.NAMES, (64, 64), _day_and_night(240, 48, 96), actions.film, by_class=True),
)
SYNTHETIC: dict[str, SyntheticSet] = {row.name: row for row in _ROWS}


def find_synthetic(name: str) -> SyntheticSet:
    """A synthetic data set by its name. Raises UserError with the nearest one where there is none."""
    if name not in SYNTHETIC:
        raise UserError(
            f"synthetic data set {name!r}: there is no such set; known are {', '.join(SYNTHETIC)}.{suggestion(name, SYNTHETIC)}"
        )
    return SYNTHETIC[name]
