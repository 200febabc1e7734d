"""The device that --device names."""

from __future__ import annotations

import pytest
import torch

from utils.devices import pick_device
from utils.errors import UserError


def test_device_names() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="--device 99"):
        pick_device("99")
