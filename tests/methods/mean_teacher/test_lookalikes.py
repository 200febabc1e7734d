"""Copies of test images among target images, whatever their coding and size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from methods.mean_teacher.lookalikes import copies


def scene(number: int) -> np.ndarray:
    """A smooth dark image of 160 x 120 px."""
    small = np.random.default_rng(number).integers(0, 90, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC)


def test_copies(tmp_path: Path):
    """Of five target images two are copies: one as JPEG, one at half the size; the same scene with a lamp is another image."""
    files = {name: tmp_path / name for name in ("test0.png", "test1.png", "a.jpg", "b.png", "c.png", "d.png", "e.png")}
    lamp = scene(0).copy()
    lamp[40:70, 60:90] = 250
    images = [
        scene(0),
        scene(1),
        scene(0),
        cv2.resize(scene(1), (80, 60), interpolation=cv2.INTER_AREA),
        lamp,
        scene(2),
    ]
    for file, image in zip(files.values(), images, strict=False):
        cv2.imwrite(str(file), image, [cv2.IMWRITE_JPEG_QUALITY, 60] if file.suffix == ".jpg" else [])
    files["e.png"].write_bytes(b"no image")
    pool, tests = [*files.values()][2:], [*files.values()][:2]
    assert list(copies(pool, tests)) == [(files["a.jpg"], files["test0.png"]), (files["b.png"], files["test1.png"])]


def streets(number: int) -> np.ndarray:
    """An image of 224 x 168 px with sharp edges: fifty bright and dark rectangles."""
    draw = np.random.default_rng(number)
    image = np.full((168, 224, 3), 60, np.uint8)
    for _ in range(50):
        x, y = draw.integers(0, 200), draw.integers(0, 150)
        image[y : y + draw.integers(8, 60), x : x + draw.integers(8, 60)] = draw.integers(0, 256, 3)
    return image


@pytest.mark.parametrize(("scale", "quality"), [(1.0, 50), (1.0, 20), (0.6, 95), (0.5, 60), (1.7, 75)])
def test_sharp_images_coded_and_sized_anew(tmp_path: Path, scale: float, quality: int):
    """Edges move by a fraction of a cell; other images, and the same with one car more, are no copies."""
    test, again, car = tmp_path / "test.png", tmp_path / "again.jpg", streets(0)
    car[100:116, 60:84] = 128
    cv2.imwrite(str(test), streets(0))
    smaller = cv2.resize(streets(0), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(again), smaller, [cv2.IMWRITE_JPEG_QUALITY, quality])
    for number, image in enumerate([car, *map(streets, range(1, 20))]):
        cv2.imwrite(str(tmp_path / f"other{number}.png"), image)
    assert list(copies([again, *sorted(tmp_path.glob("other*.png"))], [test])) == [(again, test)]


def test_flat_images_tell_nothing(tmp_path: Path):
    for name in ("black.png", "test.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((48, 64, 3), np.uint8))
    assert list(copies([tmp_path / "black.png"], [tmp_path / "test.png"])) == []
    assert list(copies([tmp_path / "black.png"], [])) == []
