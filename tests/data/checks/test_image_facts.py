"""One image file, read once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.checks.image_facts import THUMB, read_image_facts
from tests.data.checks.sets import scene


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), scene(np.random.default_rng(1)))
    return path


def test_a_whole_image(image):
    facts = read_image_facts(image)
    assert facts.usable and facts.format == "JPEG" and facts.shape == (48, 64) and facts.orientation == 1
    assert facts.thumb is not None and facts.thumb.shape == (THUMB, THUMB)
    assert facts.measures["light"] == pytest.approx(cv2.imread(str(image), cv2.IMREAD_GRAYSCALE).mean() / 255, abs=0.01)
    assert len(facts.digest) == 16


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda b: b"", "image-unreadable"),
        (lambda b: b[: len(b) // 2], "image-truncated"),
        (lambda b: b"<html>", "image-unreadable"),
        (lambda b: bytes(100) + b[100:], "image-unreadable"),
    ],
)
def test_damaged_images(image, change, kind):
    image.write_bytes(change(image.read_bytes()))
    facts = read_image_facts(image)
    assert (facts.kind, facts.usable) == (kind, False) and facts.reason


def test_a_missing_image_and_a_folder_named_like_one(tmp_path):
    assert read_image_facts(tmp_path / "none.jpg").kind == "image-missing"
    (tmp_path / "folder.jpg").mkdir()
    assert read_image_facts(tmp_path / "folder.jpg").kind == "image-unreadable"


def test_exif_turns_shape_and_pixels(image):
    exif = Image.Exif()
    exif[274] = 6
    Image.open(image).save(image, exif=exif)
    facts = read_image_facts(image)
    assert facts.orientation == 6 and facts.shape == (64, 48)


def test_large_jpegs_are_decoded_at_a_fraction_and_keep_their_size(tmp_path):
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), cv2.resize(scene(np.random.default_rng(2)), (2600, 1950)))
    facts = read_image_facts(path)
    assert facts.shape == (1950, 2600) and facts.measures["light"] > 0
