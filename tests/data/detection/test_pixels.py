"""Files of pixel transforms: what is read, what is refused and how, one draw for both images of a pair."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.detection import pixels
from data.detection.pixels import PixelTransforms, make, read
from utils.errors import UserError


def written(folder: Path, text: str) -> Path:
    path = folder / "pixels.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- Blur: {p: 0.1}\n- CLAHE", [("Blur", {"p": 0.1}), ("CLAHE", {})]),
        ('[{"Blur": {"blur_limit": [3, 5]}}]', [("Blur", {"blur_limit": [3, 5]})]),
        ("- Blur:", [("Blur", {})]),
    ],
)
def test_yaml_and_json(tmp_path: Path, text: str, expected: list[Any]) -> None:
    assert read(written(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Blur: {p: 1}", "expected a list"),
        ("[]", "expected a list"),
        ("- [Blur, CLAHE]", "no transform"),
        ("- {Blur: {}, CLAHE: {}}", "no transform"),
        ("- Blur: 3", "expected arguments by name"),
        ("- !!python/object/apply:os.system [ls]", "--albumentations .*:1: not valid YAML"),
        ("- {", "not valid YAML"),
        ("- Blur: {p: 2001-99-99}", "holds a value that cannot be read"),
        ("[" * 3000, "nests too deeply"),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(written(tmp_path, text))


class ImageOnlyTransform:
    def __init__(self, p: float = 0.5) -> None:
        self.p = p


class DualTransform:
    """Moves boxes."""


class Blur(ImageOnlyTransform):
    """A pixel transform."""


class Rotate(DualTransform):
    """A transform that moves boxes."""


class Compose:
    """Neither."""


LIBRARY = SimpleNamespace(
    **{kind.__name__: kind for kind in (ImageOnlyTransform, DualTransform, Blur, Rotate, Compose)}
)
LIBRARY.load = lambda path: path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Rotate", "Rotate moves boxes"),
        ("Blurr", "no pixel transform.*Did you mean 'Blur'"),
        ("Compose", "no pixel transform"),
        ("ImageOnlyTransform", "no pixel transform"),
        ("load", "no pixel transform"),
        ("os.system", "no pixel transform"),
    ],
)
def test_only_pixel_transforms_are_admitted(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(LIBRARY, Path("a.yaml"), (name, {}))


def test_arguments_are_checked() -> None:
    assert make(LIBRARY, Path("a.yaml"), ("Blur", {"p": 1.0})).p == 1
    with pytest.raises(UserError, match="a.yaml: Blur: .*size"):
        make(LIBRARY, Path("a.yaml"), ("Blur", {"size": 3}))


def test_a_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install albumentations"):
        PixelTransforms(written(tmp_path, "- Blur"))


class TestWithThePackage:
    """With albumentations itself."""

    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("albumentations", reason="the optional package albumentations is not installed")

    def test_the_same_draw_is_the_same_change(self, tmp_path: Path) -> None:
        transforms = PixelTransforms(written(tmp_path, "- GaussNoise: {p: 1.0}\n- RandomBrightnessContrast: {p: 0.5}"))
        image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
        first, again, other = (transforms(image, draw) for draw in (7, 7, 8))
        assert (first == again).all() and (first != other).any() and (first != image).any()
        assert first.dtype == np.uint8 and first.shape == image.shape

    def test_channels_are_rgb_for_the_transform(self, tmp_path: Path) -> None:
        """Grey of pure blue is 0.114 * 255 = 29, of pure red 0.299 * 255 = 76."""
        transforms = PixelTransforms(written(tmp_path, "- ToGray: {p: 1.0}"))
        blue = np.zeros((8, 8, 3), np.uint8)
        blue[..., 0] = 255
        assert abs(int(transforms(blue, 0)[0, 0, 0]) - 29) <= 1

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("- HorizontalFlip: {p: 1}", "HorizontalFlip moves boxes"),
            ("- Blur: {sigma_limits: 1}", "Blur"),
            ("- Blur: {blur_limit: x}", "Blur"),
        ],
    )
    def test_what_it_refuses(self, tmp_path: Path, text: str, words: str) -> None:
        with pytest.raises(UserError, match=words):
            PixelTransforms(written(tmp_path, text))
