"""Images as data: addresses: within their allowance, and together within the page's."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from engine.reporting.images import BUDGET, MOST, allowance, data_address


@pytest.mark.parametrize(("images", "most"), [(0, MOST), (10, MOST), (120, BUDGET // 120), (5000, BUDGET // 5000)])
def test_allowance(images, most):
    assert allowance(images) == most


def test_noise_becomes_smaller_until_it_fits():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    address = data_address(noise, allowance(120))
    assert len(address) <= BUDGET // 120
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape[1] in (720, 560, 420, 320)


def test_small_images_stay_as_they_are():
    address = data_address(np.zeros((20, 30, 3), np.uint8), MOST)
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (20, 30, 3)
