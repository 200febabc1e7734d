"""Synthetic data sets: labelled image sets drawn from a seed, to try everything where nothing can be downloaded.

A synthetic data set is a table: which splits it has, how many scenes each, and which look of a scene goes to which folder.
Adding a synthetic data set is adding a row to WORLDS; data/synthetic/generate.py makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.synthetic.actions import poses as motions
from data.synthetic.actions import scene as motion_scenes
from data.synthetic.aerial import scene as aerial
from data.synthetic.aerial import specks
from data.synthetic.render.lighting import day, night
from data.synthetic.shelf import scene as shelf
from data.synthetic.street import classification as codan_scenes
from data.synthetic.street.fog import foggy
from data.synthetic.street.scene import NAMES, draw, make_street
from data.synthetic.underwater import scene as sea
from data.synthetic.underwater import water
from utils.errors import UserError, suggestion

DARK = "dark"  # a look that is made afterwards, from the day image, by data.degrade.low_light
LOWRES = "lowres"  # another one: small, blurred and noisy, by the recipe coco-d of data.degradations.recipes

Image = NDArray[np.uint8]
Labels = NDArray[np.float32]  # (n, 5) class, centre x, centre y, width, height as fractions of the image
Scene = Callable[[int, tuple[int, int], Collection[str]], tuple[dict[str, Image], Labels]]
"""Draws scene number `seed` for an image of (width, height) in some looks: look -> image, and the labels of all."""
Writer = Callable[[Path, int, tuple[int, int], str, Mapping[str, str]], None]
"""Writes scene number `seed` of (width, height) px under a stem into the folders (name -> look) below a path."""


def _street_scene(seed: int, size: tuple[int, int], looks: Collection[str]) -> tuple[dict[str, Image], Labels]:
    """A street by day, by night, in fog, or several of them."""
    frame, lights = draw(make_street(seed, size)), {"day": day, "night": night, "fog": foggy}
    return {look: lights[look](frame, seed) for look in looks}, frame.labels


def _sea_scene(seed: int, size: tuple[int, int], looks: Collection[str]) -> tuple[dict[str, Image], Labels]:
    """A sea floor in clear water, in murky water, or both."""
    floor, waters = sea.draw_sea(seed, size), {"clear": water.clear, "murky": water.murky}
    return {look: waters[look](floor, seed) for look in looks}, floor.labels


def _plain(draw: Callable[[int, tuple[int, int]], tuple[Image, Labels]]) -> Scene:
    """Scenes that have one look only."""

    def scene(seed: int, size: tuple[int, int], looks: Collection[str]) -> tuple[dict[str, Image], Labels]:
        image, labels = draw(seed, size)
        return dict.fromkeys(looks, image), labels

    return scene


class Split(NamedTuple):
    """`scenes` scenes, each written once a folder; `folders`: a folder's name -> a look of the world's, DARK or LOWRES.

    scene, size: how its scenes are drawn and their (width, height) px, where they differ from the world's; such a size
    stands whatever size is asked for.
    """

    scenes: int
    folders: Mapping[str, str]
    scene: Scene | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class SyntheticSet:
    """A synthetic data set: class names in label order, image size (width, height), and its splits in seed order.

    `scene` draws one scene of it. Other sets have a `writer` instead: it draws a scene and writes it,
    below FOLDER/NAME for each folder.
    """

    name: str
    names: tuple[str, ...]
    size: tuple[int, int]
    splits: Mapping[str, Split]
    scene: Scene | None = None
    writer: Writer | None = None


def _degraded(bad: str, good: str) -> dict[str, Split]:
    """Splits of a synthetic data set of bad images: `favoured` are the reference images, other scenes, labelled."""
    return {
        "train": Split(240, {"train": bad}),
        "favoured": Split(240, {"favoured": good}),
        "val": Split(60, {"val": bad, "val_clear": good}),
        "test": Split(120, {"test": bad, "test_clear": good}),
    }


SYNTHETIC: dict[str, SyntheticSet] = {
    "demo-night": SyntheticSet(
        name="demo-night",
        names=NAMES,
        size=(320, 240),
        splits={
            "train": Split(360, {"train": "day", "train_night": "dark"}),
            "val": Split(60, {"val": "night", "val_day": "day"}),
            "test": Split(120, {"test": "night", "test_day": "day"}),
        },
        scene=_street_scene,
    ),
    "demo-fog": SyntheticSet(
        name="demo-fog", names=NAMES, size=(320, 240), splits=_degraded("fog", "day"), scene=_street_scene
    ),
    "demo-sea": SyntheticSet(
        name="demo-sea", names=sea.NAMES, size=(320, 240), splits=_degraded("murky", "clear"), scene=_sea_scene
    ),
    "demo-lowres": SyntheticSet(
        name="demo-lowres",
        names=NAMES,
        size=(320, 240),
        splits={
            "train": Split(240, {"train": "day"}),
            "val": Split(60, {"val": LOWRES, "val_clear": "day"}),
            "test": Split(120, {"test": LOWRES, "test_clear": "day"}),
        },
        scene=_street_scene,
    ),
    "demo-tiny": SyntheticSet(
        name="demo-tiny",
        names=aerial.NAMES,
        size=(160, 160),
        splits={split: Split(scenes, {split: "day"}) for split, scenes in (("train", 320), ("val", 60), ("test", 120))},
        scene=_plain(aerial.image_from_above),
    ),
    "demo-specks": SyntheticSet(
        name="demo-specks",
        names=specks.NAMES,
        size=(160, 160),
        splits={split: Split(scenes, {split: "day"}) for split, scenes in (("train", 320), ("val", 60), ("test", 120))},
        scene=_plain(specks.specks),
    ),
    "demo-longtail": SyntheticSet(
        name="demo-longtail",
        names=shelf.NAMES,
        size=(320, 240),
        splits={
            "train": Split(360, {"train": "day"}, _plain(shelf.train_shelf)),
            "val": Split(60, {"val": "day"}),
            "test": Split(160, {"test": "day"}),
            "extra": Split(25 * len(shelf.SCARCE), {"extra": "day"}, _plain(shelf.close_up), (160, 160)),
        },
        scene=_plain(shelf.even_shelf),
    ),
    "demo-codan": SyntheticSet(
        name="demo-codan",
        names=codan_scenes.NAMES,
        size=(96, 96),
        splits={
            "train": Split(600, {"train": "day", "train_night": codan_scenes.DARKENED}),
            "nights": Split(300, {"nights": "night"}),
            "val": Split(150, {"val": "night", "val_day": "day"}),
            "test": Split(300, {"test": "night", "test_day": "day"}),
        },
        writer=codan_scenes.write_images,
    ),
    "demo-arid": SyntheticSet(
        name="demo-arid",
        names=motions.NAMES,
        size=(64, 64),
        splits={
            "train": Split(240, {"train": "day", "train_night": motion_scenes.DARKENED}),
            "val": Split(48, {"val": "night", "val_day": "day"}),
            "test": Split(96, {"test": "night", "test_day": "day"}),
        },
        writer=motion_scenes.write_films,
    ),
}


def find_synthetic(name: str) -> SyntheticSet:
    """A synthetic data set by its name. Raises UserError with the nearest one where there is none."""
    if name not in SYNTHETIC:
        raise UserError(
            f"synthetic data set {name!r}: there is no such set; known are {', '.join(SYNTHETIC)}.{suggestion(name, SYNTHETIC)}"
        )
    return SYNTHETIC[name]
