"""Whether decoded images fit into memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data.detection.memory import decoded_bytes, images_that_fit, keeps
from data.io.labels import Label

LABELS = [Label(Path(f"{number}.jpg"), (480, 640), np.zeros((0, 1)), np.zeros((0, 4))) for number in range(2)]


def test_bytes_by_hand() -> None:
    """320 * 240 * 3 per image; at their own size four times that."""
    assert decoded_bytes(LABELS, 320, 1) == 2 * 230_400
    assert decoded_bytes(LABELS, 320, 3) == 6 * 230_400
    assert decoded_bytes(LABELS, None, 1) == 2 * 921_600


@pytest.mark.parametrize(("room", "fits"), [(459_000, False), (462_000, True)])
def test_auto_keeps_what_fits_into_an_eighth(monkeypatch: pytest.MonkeyPatch, room: int, fits: bool) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=8 * room))
    assert keeps("auto", LABELS, 320, 1) == fits and images_that_fit(LABELS, 320, 1) == room / 230_400
    assert keeps("ram", LABELS, 320, 1) and not keeps("none", LABELS, 320, 1)
