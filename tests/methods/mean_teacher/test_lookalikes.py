"""Copies of test images among target images, whatever their coding and size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

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


def test_flat_images_tell_nothing(tmp_path: Path):
    for name in ("black.png", "test.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((48, 64, 3), np.uint8))
    assert list(copies([tmp_path / "black.png"], [tmp_path / "test.png"])) == []
    assert list(copies([tmp_path / "black.png"], [])) == []
