"""What an image is like, in numbers: light, contrast, blur, haze, noise, colour cast. Measured once per image, cached.

All are measured on the image scaled down (area averaging) so that its longer side is at most 640 px, about what a
detector sees: images of any resolution can be compared. Pixel values are fractions of 255, as stored (gamma-encoded).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.io.images import Pixels, decode, reduction
from utils.disk.archives import stored_arrays
from utils.errors import UserError
from utils.files import atomic_write, cores
from utils.log import LOGGER
from utils.progress import progress

Floats = NDArray[np.float64]
Luma = NDArray[np.uint8]  # (H, W)
Stamp = tuple[int, int]  # bytes, time of change in ns; (-1, -1) where there is no file
Variation = NDArray[np.float32]  # (H, W)

WHITE = 255
SIDE = 640  # px: larger images are scaled down to it
PATCH = 15  # px: the window of the dark channel, as published for images of about this size
BRIGHTEST = 0.001  # fraction of the pixels from which the light of the air is taken, as published
WINDOW = 9  # px: the length of the low-pass filter of the blur measure, as published
NEUTRAL = 128  # of a* and b* in 8 bits
VERSION = 1  # of the formulas: a cache of another one is measured again
_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # the difference of two Laplacians
_OF_NORMAL = 0.6744897501960817  # median of |x| for a normal x of standard deviation 1


class Measure(NamedTuple):
    """One measure in words: what it is, its unit, and what images at its low and its high end are called."""

    about: str
    unit: str
    low: str
    high: str


MEASURES: dict[str, Measure] = {
    "light": Measure("mean brightness", "fraction of white", "dark", "bright"),
    "contrast": Measure("spread of the brightness", "fraction of white", "flat", "contrasty"),
    "blur": Measure("fraction of detail that blurring again leaves", "0 to 1", "sharp", "blurred"),
    "haze": Measure("mean dark channel over the light of the air", "0 to 1", "clear", "hazy"),
    "noise": Measure("standard deviation of the noise", "levels of 255", "clean", "noisy"),
    "cast": Measure("distance of the mean colour from grey", "CIELAB units", "neutral", "tinted"),
}


def measure(image: Pixels) -> dict[str, float]:
    """All measures of an image (H, W, 3) uint8, blue-green-red: name of `MEASURES` -> value."""
    small = _scaled(image)
    luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)  # (H, W), weights of ITU-R BT.601
    mean, deviation = cv2.meanStdDev(luma)
    return {
        "light": float(mean[0, 0]) / WHITE,
        "contrast": float(deviation[0, 0]) / WHITE,
        "blur": blur(luma),
        "haze": haze(small),
        "noise": noise(luma),
        "cast": colour_cast(small),
    }


def blur(luma: Luma) -> float:
    """How little of the variation between neighbouring pixels a further blur removes: 0 sharp, 1 blurred (or uniform).

    luma: (H, W). The variation is compared with that after a mean over 9 pixels in the same direction; the more blurred of
    the two directions counts. A factor on all values changes nothing, so dark images are not called blurred; noise
    counts as detail.
    Source: Crété et al., The Blur Effect: Perception and Estimation with a New No-Reference Perceptual Blur Metric (2007).
    """
    values = luma.astype(np.float32)
    return max(_blur_along(values, 0), _blur_along(values, 1))


def _blur_along(luma: Variation, axis: int) -> float:
    kernel = (1, WINDOW) if axis == 0 else (WINDOW, 1)  # OpenCV: (width, height)
    low_pass = cv2.blur(luma, kernel, borderType=cv2.BORDER_REFLECT_101)
    variation, left = _steps(luma, axis), _steps(np.asarray(low_pass, np.float32), axis)
    total = cv2.sumElems(variation)[0]
    kept = cv2.sumElems(cv2.min(variation, left))[0]
    return kept / total if total else 1.0


def _steps(values: Variation, axis: int) -> Variation:
    """Absolute differences of neighbours."""
    pair = (values[1:], values[:-1]) if axis == 0 else (values[:, 1:], values[:, :-1])
    return np.asarray(cv2.absdiff(*pair), np.float32) if min(pair[0].shape) else np.zeros((1, 1), np.float32)


def haze(image: Pixels) -> float:
    """The mean of the dark channel over the light of the air, in [0, 1]: 1 minus the mean estimated transmission.

    image: (H, W, 3) uint8. The dark channel is the smallest value of any colour within 15 x 15 px; the light of the air is
    the mean colour of the 0.1 % of pixels whose dark channel is brightest. Uniform grey areas and snow count as haze; a
    black image has none.
    Source: He, Sun and Tang, Single Image Haze Removal Using Dark Channel Prior (CVPR 2009), with omega = 1.
    """
    dark = _dark_channel(image)  # (H, W)
    brightest = max(1, round(BRIGHTEST * dark.size))
    places = np.argpartition(dark.ravel(), dark.size - brightest)[-brightest:]
    air = image.reshape(-1, 3)[places].mean(0)  # (3,)
    if not air.all():
        return 0.0
    shades = np.arange(WHITE + 1)[:, None] * (WHITE / air)  # (256, 3) each value over the light of the air
    table = np.minimum(shades.round(), WHITE).astype(np.uint8)[None]  # (1, 256, 3)
    return float(cv2.mean(_dark_channel(np.asarray(cv2.LUT(image, table), np.uint8)))[0]) / WHITE


def _dark_channel(image: Pixels) -> Luma:
    """The smallest value of any colour in the window around each pixel: (H, W)."""
    blue, green, red = cv2.split(image)
    return np.asarray(cv2.erode(cv2.min(cv2.min(blue, green), red), np.ones((PATCH, PATCH), np.uint8)), np.uint8)


def noise(luma: Luma) -> float:
    """The standard deviation of white noise, in levels of 255. luma: (H, W).

    The median of the absolute response to a mask that ignores planes and straight edges, so that objects hardly count;
    fine texture over more than half of the image does. Noise that compression has removed is not seen.
    Source: Immerkaer, Fast Noise Variance Estimation (1996), with the median in place of the mean (Donoho and
    Johnstone, 1994).
    """
    if min(luma.shape) < len(_MASK):
        return 0.0
    response = np.abs(cv2.filter2D(luma, cv2.CV_16S, _MASK)[1:-1, 1:-1])  # (H - 2, W - 2), 0 to 2040
    below = np.bincount(response.ravel()).cumsum()
    return int(np.searchsorted(below, (response.size + 1) // 2)) / (_OF_NORMAL * float(np.linalg.norm(_MASK)))


def colour_cast(image: Pixels) -> float:
    """The distance of the mean colour from grey, sqrt(a*^2 + b*^2) in CIELAB units.

    image: (H, W, 3) uint8, blue-green-red.
    Source: Gasparini and Schettini, Color Correction for Digital Photographs (2003), who call it mu.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    _, a, b, _ = cv2.mean(lab)
    return float(np.hypot(a - NEUTRAL, b - NEUTRAL))


def _scaled(image: Pixels) -> Pixels:
    """The image with a longer side of at most `SIDE` px."""
    scale = SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def measure_file(path: Path) -> dict[str, float]:
    """All measures of an image file; NaN where it cannot be decoded."""
    try:
        with Image.open(path) as header:
            fraction = reduction(max(header.size) / SIDE)
        image = decode(path.read_bytes(), fraction)
    except (OSError, ValueError, SyntaxError, ImportError, Image.DecompressionBombError):
        image = None
    return dict.fromkeys(MEASURES, float("nan")) if image is None else measure(image)


def measure_images(files: Sequence[Path], cache: Path | None = None, what: str = "measuring images") -> Floats:
    """The measures of images: (images, measures), columns in the order of `MEASURES`; NaN for unreadable images.

    cache: a file that spares unchanged images the next time (by size and time of change); it may serve any number of
    data sets. what: the name on the progress line.
    """
    known = _load(cache)
    stamps = [stamp_of(file) for file in files]
    fresh = [
        place for place, (file, stamp) in enumerate(zip(files, stamps, strict=True)) if (str(file), *stamp) not in known
    ]
    values = np.array([known.get((str(file), *stamp), _UNKNOWN) for file, stamp in zip(files, stamps, strict=True)])
    values = values.reshape(len(files), len(MEASURES))
    for place, found in zip(fresh, _measured([files[place] for place in fresh], what), strict=True):
        values[place] = [found[name] for name in MEASURES]
    if fresh and cache is not None:
        _save(cache, known, files, stamps, values)
    return values


_UNKNOWN = (float("nan"),) * len(MEASURES)
Key = tuple[str, int, int]  # file, bytes, time of change in ns


def _measured(files: Sequence[Path], what: str) -> Iterator[dict[str, float]]:
    """The measures in order, on all cores: decoding and filters leave the interpreter free."""
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        yield from progress(pool.map(measure_file, files), len(files), what)


def stamp_of(file: Path) -> Stamp:
    """Size and time of change of a file."""
    try:
        facts = file.stat()
    except OSError:
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def _load(cache: Path | None) -> dict[Key, Sequence[float]]:
    """What a cache file knows; nothing where it is missing, damaged or of other formulas."""
    if cache is None or not cache.is_file():
        return {}
    try:
        with stored_arrays(cache) as content:
            if content["version"].tolist() != [VERSION]:
                return {}
            rows = zip(content["files"].tolist(), content["stamps"].tolist(), content["values"], strict=True)
            return {(file, *stamp): list(map(float, row)) for file, stamp, row in rows if len(row) == len(MEASURES)}
    except (OSError, ValueError):
        LOGGER.warning("%s: not a cache of image measures, or damaged; measuring again", cache)
        return {}


def _save(
    cache: Path,
    known: dict[Key, Sequence[float]],
    files: Sequence[Path],
    stamps: Sequence[Stamp],
    values: Floats,
) -> None:
    """Write what is known now; a place that cannot be written to is no error."""
    now = {str(file) for file in files}
    rows = {key: row for key, row in known.items() if key[0] not in now}  # former states of a file are forgotten
    rows |= {
        (str(file), *stamp): row.tolist()
        for file, stamp, row in zip(files, stamps, values, strict=True)
        if not np.isnan(row).any()
    }

    def write(path: Path) -> None:
        with path.open("wb") as stream:
            np.savez(
                stream,
                version=np.array([VERSION]),
                files=np.array([key[0] for key in rows], dtype=str),
                stamps=np.array([key[1:] for key in rows], np.int64).reshape(len(rows), 2),
                values=np.array(list(rows.values()), float).reshape(len(rows), len(MEASURES)),
            )

    try:
        atomic_write(cache, write)
    except (UserError, OSError) as problem:
        LOGGER.warning("image measures are not cached: %s", problem)
