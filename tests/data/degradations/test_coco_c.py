"""COCO-C's noises and digital corruptions: the published formulas written out, and what holds for all fifteen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from data.degradations.coco_c import COCO_C, pixelate
from data.degradations.common import RandomFields

CPU = torch.device("cpu")
GROUPS = {
    "noise": "gaussian_noise shot_noise impulse_noise",
    "blur": "defocus_blur glass_blur motion_blur zoom_blur",
    "weather": "snow frost fog brightness",
    "digital": "contrast elastic_transform pixelate jpeg_compression",
}


def plain(value: float, size: int = 120) -> torch.Tensor:
    return torch.full((1, 3, size, size), value)


def smooth(batch: int = 1, height: int = 64, width: int = 80) -> torch.Tensor:
    coarse = torch.rand(batch, 3, 5, 6, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def test_the_fifteen_in_their_published_order():
    assert list(COCO_C) == " ".join(GROUPS.values()).split()
    assert {name: entry.group for name, entry in COCO_C.items()} == {
        name: group for group, names in GROUPS.items() for name in names.split()
    }
    assert all(len(entry.settings) == 5 for entry in COCO_C.values())


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.08), (2, 0.12), (3, 0.18)])
def test_gaussian_noise(severity, sigma):
    """Cutting down to whole steps lowers the mean by half a step, 0.00196."""
    result, _ = COCO_C["gaussian_noise"](plain(0.5), [1], severity)
    assert result.std().item() == pytest.approx(sigma, rel=0.02)
    assert result.mean().item() == pytest.approx(0.5 - 0.5 / 255, abs=0.003)


@pytest.mark.parametrize(("severity", "photons"), [(1, 60), (3, 12)])
def test_shot_noise_counts_photons(severity, photons):
    """Poisson of mean 0.3 n over n: deviation sqrt(0.3 / n); values are whole counts (cut down to steps)."""
    result, _ = COCO_C["shot_noise"](plain(0.3), [1], severity)
    assert result.std().item() == pytest.approx(math.sqrt(0.3 / photons), rel=0.02)
    assert set((result * photons).sub((result * photons + 0.2).floor()).abs().gt(0.25).flatten().tolist()) == {False}


@pytest.mark.parametrize(("severity", "share"), [(1, 0.03), (5, 0.27)])
def test_impulse_noise(severity, share):
    result, _ = COCO_C["impulse_noise"](plain(0.4), [1], severity)
    assert (result == 0).float().mean().item() == pytest.approx(share / 2, abs=0.007)
    assert (result == 1).float().mean().item() == pytest.approx(share / 2, abs=0.007)


@pytest.mark.parametrize(
    ("colour", "severity", "expected"),
    [
        ((0.4, 0.2, 0.1), 3, (0.7, 0.35, 0.175)),  # V 0.4 -> 0.7: all channels times 7 / 4
        ((0.8, 0.4, 0.0), 5, (1.0, 0.5, 0.0)),  # V is cut at 1
        ((0.0, 0.0, 0.0), 2, (0.2, 0.2, 0.2)),  # black has no colour to keep
    ],
)
def test_brightness_by_hand(colour, severity, expected):
    image = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    result, _ = COCO_C["brightness"](image, [1], severity)
    assert result[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1 / 255 + 1e-6)


def test_contrast_by_hand():
    """Mean 0.4 of 0.2 and 0.6; severity 3 leaves 0.2 of the difference: 0.36 = 91.8 steps and 0.44 = 112.2, cut down."""
    image = torch.tensor([0.2, 0.6]).view(1, 1, 1, 2).expand(1, 3, 2, 2)
    result, _ = COCO_C["contrast"](image, [1], 3)
    assert (result[0, 0, 0] * 255).tolist() == pytest.approx([91, 112])


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_pixelate_is_what_pillow_does(severity):
    pixels = torch.randint(0, 256, (1, 3, 50, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    share = COCO_C["pixelate"].settings[severity - 1]
    image = Image.fromarray(pixels[0].permute(1, 2, 0).numpy())
    small = image.resize((int(70 * share), int(50 * share)), Image.Resampling.BOX)
    expected = np.asarray(small.resize((70, 50), Image.Resampling.NEAREST)).astype(int)
    ours = (pixelate(pixels.float() / 255, share, RandomFields([0], CPU)) * 255).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - expected).max() <= 1
    assert (ours != expected).mean() < 0.01


@pytest.mark.parametrize("name", COCO_C)
def test_an_image_depends_on_nothing_but_its_seed(name):
    image, entry = smooth(2), COCO_C[name]
    before, state = image.clone(), torch.get_rng_state()
    together, drawn = entry(image, [7, 8], 3)
    alone, _ = entry(image[1:], [8], 3)
    assert (together[1:] - alone).abs().max() <= 1.5 / 255  # a step may tip over by rounding
    assert torch.equal(image, before) and torch.equal(torch.get_rng_state(), state)
    assert drawn == [{"severity": 3, "setting": entry.settings[2]}] * 2


@pytest.mark.parametrize("name", COCO_C)
def test_steps_shape_and_severity(name):
    """Severity 5 is further from the image than severity 1; values are whole steps of bytes within [0, 1]."""
    image = (smooth() * 255).byte()
    mild, strong = (COCO_C[name](image, [3], severity)[0] for severity in (1, 5))
    assert mild.shape == image.shape and mild.dtype == torch.float32
    assert torch.allclose(strong * 255, (strong * 255).round(), atol=1e-3)
    assert strong.min() >= 0 and strong.max() <= 1
    assert (strong - image / 255).abs().mean() > (mild - image / 255).abs().mean()


@pytest.mark.parametrize("name", COCO_C)
@pytest.mark.parametrize("size", [(1, 1), (7, 33)])
def test_images_smaller_than_the_kernels(name, size):
    result, _ = COCO_C[name](torch.rand(1, 3, *size), [1], 5)
    assert result.shape == (1, 3, *size) and result.isfinite().all()


@pytest.mark.parametrize(
    ("image", "seeds", "severity", "match"),
    [
        (torch.zeros(1, 1, 8, 8), [1], 1, "grey"),
        (torch.zeros(1, 4, 8, 8), [1], 1, "RGBA"),
        (torch.zeros(1, 3, 8, 8), [1, 2], 1, "expected 1 seeds"),
        (torch.zeros(1, 3, 8, 8), [1], 0, "severity 1 to 5"),
        (torch.zeros(1, 3, 8, 8), [1], 0.5, "severity 1 to 5"),
    ],
)
def test_mistakes(image, seeds, severity, match):
    with pytest.raises(ValueError, match=match):
        COCO_C["fog"](image, seeds, severity)
