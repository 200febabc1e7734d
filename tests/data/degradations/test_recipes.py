"""Recipes for whole sets: repeatable, rounded to 8 bits, never written into the original."""

from __future__ import annotations

import numpy as np
import pytest

from data.degradations.recipes import RECIPES, find_recipe, image_seed
from data.degrade import COCO_C, DEGRADATIONS
from utils.errors import UserError

FAST = ("coco-d", "down2", "down4", "noise", "blur", "contrast", "jpeg", "brightness", "coco-c:contrast")


def image(height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", FAST)
def test_the_seed_makes_the_image(name):
    clean = image()
    recipe = find_recipe(name)
    once, again = recipe(clean, 3), recipe(clean, 3)
    assert once.pixels.dtype == np.uint8
    assert (once.pixels == again.pixels).all() and once.parameters == again.parameters
    assert any(recipe(clean, seed).parameters != once.parameters for seed in range(4, 12))
    assert (clean == image()).all()


def test_every_degradation_has_its_recipe():
    assert set(DEGRADATIONS) | {f"coco-c:{name}" for name in COCO_C} | set(COCO_C) <= set(RECIPES)


def test_a_shared_name_is_the_physical_one():
    """COCO-C's contrast has factors 0.4, 0.3, ...; the physical one draws between 0.06 and 0.95."""
    assert "factor" in find_recipe("contrast")(image(), 1).parameters
    assert find_recipe("coco-c:contrast")(image(), 1, 3).parameters == {"severity": 3, "setting": 0.2}


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("down2", (41, 57), (20, 28)),  # 41 // 2, 57 // 2
        ("down4", (41, 57), (10, 14)),
        ("down4", (3, 8), (1, 2)),  # never nothing
        ("noise", (41, 57), (41, 57)),
        ("blur", (41, 57), (41, 57)),
    ],
)
def test_sizes(name, shape, expected):
    assert find_recipe(name)(image(*shape), 0).pixels.shape[:2] == expected


def test_ratios_of_coco_d_are_tenths():
    """Sides of 400 px and a ratio of n / 10 give 4000 // n px, n from 10 to 40: 31 sizes, about as likely each."""
    sizes = {find_recipe("coco-d")(image(400, 40), seed).pixels.shape[0] for seed in range(40)}
    assert sizes <= {4000 // n for n in range(10, 41)}
    assert len(sizes) > 15  # 40 draws of 31


def test_noise_alone():
    """sigma is U(5, 50) / 255: grey 128 is nowhere near 0 or 255 for most pixels; the deviation shows it."""
    grey = np.full((96, 96, 3), 128, np.uint8)
    spoilt = find_recipe("noise")(grey, 5)
    sigma = spoilt.parameters["sigma"]
    assert spoilt.parameters["blur"] == "none"
    assert 5 / 255 <= sigma <= 50 / 255
    assert spoilt.pixels.astype(float).std() / 255 == pytest.approx(sigma, rel=0.05)


def test_blur_alone_keeps_a_flat_image():
    flat = np.full((40, 40, 3), 77, np.uint8)
    for seed in range(6):
        spoilt = find_recipe("blur")(flat, seed)
        assert spoilt.parameters["blur"] in ("iso", "aniso")
        assert (spoilt.pixels == 77).all()


def test_what_leaves_the_range_is_saturated():
    """White with noise: about half the values would be above 255."""
    pixels = find_recipe("noise")(np.full((64, 64, 3), 255, np.uint8), 0).pixels
    assert 0.4 < (pixels == 255).mean() < 0.6 and pixels.min() > 60


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("down4", (200, 100), ["25 px after resizing"]),
        ("down2", (200, 100), []),
        ("down4", (5, 5), ["1 px after resizing"]),
        ("blur", (6, 80), ["smaller than its blur kernel"]),  # kernels have 7 px at least
        ("noise", (6, 80), []),  # it was small before
    ],
)
def test_remarks(name, shape, words):
    remarks = find_recipe(name)(image(*shape), 0).remarks
    assert len(remarks) == len(words)
    assert all(word in remark for word, remark in zip(words, remarks, strict=True))


@pytest.mark.parametrize(
    ("name", "severity", "message"),
    [
        ("coco-d", 0.5, "leave it out"),
        ("fog", 1.5, "expected 0 to 1"),
        ("frost", 0.5, "expected 1, 2, 3, 4 or 5"),
        ("coco-c:fog", 0, "expected 1, 2"),
    ],
)
def test_severities_of_another_kind(name, severity, message):
    with pytest.raises(UserError, match=message):
        find_recipe(name)(image(), 0, severity)


@pytest.mark.parametrize(("name", "message"), [("foog", "mean 'fog'"), ("", r"\(none\).*Known are coco-d, down2")])
def test_unknown_recipes(name, message):
    with pytest.raises(UserError, match=message):
        find_recipe(name)


def test_seeds_come_from_names():
    names = [(name, seed) for name in ("a.png", "b.png", "d/a.png") for seed in (0, 1)]
    assert len({image_seed(*one) for one in names}) == 6
    assert all(0 <= image_seed(str(n), 0) < 2**63 for n in range(50))


def test_without_a_severity_each_image_draws_its_own():
    drawn = {find_recipe("brightness")(image(8, 8), seed).parameters["severity"] for seed in range(30)}
    assert drawn == {1, 2, 3, 4, 5}
