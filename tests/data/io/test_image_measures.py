"""Image measures: hand-computed values, orders under known degradations, and the cache."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from data.io import image_measures
from data.io.image_measures import MEASURES, blur, colour_cast, haze, measure, measure_file, measure_images, noise


def plain(value: int | tuple[int, int, int], size: int = 64) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def scene(seed: int = 0, size: int = 256) -> np.ndarray:
    """Rectangles of many colours, as sharp as pixels allow; no noise."""
    rng, image = np.random.default_rng(seed), np.zeros((size, size, 3), np.uint8)
    for _ in range(60):
        x, y, w, h = rng.integers(0, (size, size, size // 3, size // 3))
        image[y : y + h + 4, x : x + w + 4] = rng.integers(0, 256, 3)
    return image


@pytest.mark.parametrize(
    ("image", "light", "contrast", "hazy", "cast"),
    [
        (plain(0), 0.0, 0.0, 0.0, 0.0),
        (plain(255), 1.0, 0.0, 1.0, 0.0),
        (plain(51), 0.2, 0.0, 1.0, 0.0),  # nothing but air: all of it haze
        (np.vstack((plain(0), plain(255))), 0.5, 0.5, (64 - 7) / 128, 0.0),  # 7 rows: half of the 15 px window
    ],
)
def test_uniform_images_by_hand(image, light, contrast, hazy, cast):
    found = measure(image)
    assert [found["light"], found["contrast"], found["noise"]] == pytest.approx([light, contrast, 0.0])
    assert found["haze"] == pytest.approx(hazy)
    assert found["cast"] == pytest.approx(cast, abs=0.01)


def test_light_is_luma():
    """Pure blue has a luma of 0.114 x 255 = 29 levels."""
    assert measure(plain((255, 0, 0)))["light"] == 29 / 255


def test_cast_of_pure_blue():
    """CIELAB of sRGB (0, 0, 255) is (32.3, 79.2, -107.9): sqrt(79.2^2 + 107.9^2) = 133.8; in 8 bits a level is 1."""
    assert colour_cast(plain((255, 0, 0))) == pytest.approx(133.8, abs=1)


def test_blur_of_a_step_by_hand():
    """One step of 90 between columns: a mean over 9 px spreads it over nine steps of 10, so at the step itself 10 of 90 stays."""
    image = np.zeros((20, 40), np.uint8)
    image[:, 20:] = 90
    assert image_measures._blur_along(image.astype(np.float32), 1) == pytest.approx(10 / 90)
    assert blur(image) == 1.0  # along the other direction there is no detail at all
    assert blur(np.full((1, 1), 7, np.uint8)) == 1.0


def test_blur_grows_with_blur_and_ignores_light():
    grey = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY)
    values = [blur(grey), *(blur(cv2.GaussianBlur(grey, (0, 0), sigma)) for sigma in (1, 2, 4))]
    assert values == sorted(values) and values[0] < 0.2 and values[-1] > 0.6
    assert blur(grey // 4 * 2) == pytest.approx(blur(grey // 4), abs=1e-6)


def test_haze_of_the_scattering_model():
    """I = J t + A (1 - t) with a scene J that has black in each window: the dark channel is 1 - t of the air."""
    checks = (np.indices((160, 160)).sum(0) % 2 * 200).astype(np.uint8)[..., None].repeat(3, 2)
    checks[:16] = 255  # sky: where the light of the air is taken from
    for transmission in (0.8, 0.5, 0.2):
        hazy = (checks * transmission + 255 * (1 - transmission)).round().astype(np.uint8)
        expected = ((16 - 7) + (160 - 9) * (1 - transmission)) / 160
        assert haze(hazy) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_is_its_standard_deviation(sigma):
    grey = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY).clip(40, 215).astype(float)
    assert noise(grey.astype(np.uint8)) == 0
    noisy = grey + np.random.default_rng(1).normal(0, sigma, grey.shape)
    assert noise(noisy.round().astype(np.uint8)) == pytest.approx(sigma, rel=0.1)


def test_large_images_are_scaled_down(tmp_path):
    """A JPEG of 2560 px is decoded at half its size; the measures are those of the image at 640 px."""
    small = cv2.GaussianBlur(scene(size=640), (0, 0), 2)
    large = cv2.resize(small, (2560, 2560), interpolation=cv2.INTER_LINEAR)
    file = tmp_path / "large.jpg"
    cv2.imwrite(str(file), large, [cv2.IMWRITE_JPEG_QUALITY, 98])
    found, expected = measure_file(file), measure(small)
    for name, tolerance in {"light": 0.01, "contrast": 0.01, "blur": 0.05, "haze": 0.02, "cast": 0.5}.items():
        assert found[name] == pytest.approx(expected[name], abs=tolerance), name


def files_in(folder: Path) -> list[Path]:
    for number, value in enumerate((10, 120, 240)):
        cv2.imwrite(str(folder / f"{number}.png"), plain(value))
    (folder / "3.png").write_bytes(b"not an image")
    return [folder / f"{number}.png" for number in range(5)]


def test_measures_of_files_are_cached(tmp_path, monkeypatch):
    files, cache = files_in(tmp_path), tmp_path / ".cache" / "measures.npz"
    first = measure_images(files, cache)
    assert first.shape == (5, len(MEASURES))
    assert first[:3, 0].tolist() == [10 / 255, 120 / 255, 240 / 255] and np.isnan(first[3:]).all()
    cv2.imwrite(str(files[1]), plain(200))
    seen: list[str] = []
    original = image_measures.measure_file
    monkeypatch.setattr(image_measures, "measure_file", lambda path: (seen.append(path.name), original(path))[1])
    second = measure_images(files, cache)
    assert sorted(seen) == ["1.png", "3.png", "4.png"]  # what changed, and what cannot be read
    assert second[:3, 0].tolist() == [10 / 255, 200 / 255, 240 / 255]
    assert (measure_images(files[:3]) == second[:3]).all()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"version"])
def test_a_damaged_cache_is_measured_again(tmp_path, content):
    files, cache = files_in(tmp_path), tmp_path / "measures.npz"
    cache.write_bytes(content)
    assert measure_images(files[:1], cache)[0, 0] == 10 / 255
    assert np.load(cache)["values"].shape == (1, len(MEASURES))


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert measure_images(files_in(tmp_path)[:1], tmp_path / "file" / "measures.npz")[0, 0] == 10 / 255


def test_no_images():
    assert measure_images([]).shape == (0, len(MEASURES))
