"""Loader processes and shared memory: never more than there is room for."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.evaluation.sliced import Tiles
from utils import dataloader as loading
from utils.dataloader import tensor_bytes, workers_that_fit

IMAGE = {"img": torch.zeros(3, 100, 100, dtype=torch.uint8), "im_file": "a.png"}  # 30,000 bytes


@pytest.mark.parametrize(
    ("room", "wanted", "fitting"),
    [
        (5 << 30, 8, 8),  # plenty
        (17 * 120_000, 8, 8),  # 16 batches of 4 images ahead, and the one in use
        (17 * 120_000 - 1, 8, 7),
        (3 * 120_000, 8, 1),
        (64, 8, 0),
        (64, 0, 0),
    ],
)
def test_two_batches_a_process_and_the_one_in_use_must_fit(monkeypatch, tmp_path, room, wanted, fitting):
    monkeypatch.setattr(loading, "SHARED", tmp_path)
    monkeypatch.setattr(loading.shutil, "disk_usage", lambda place: SimpleNamespace(free=room))
    assert workers_that_fit(wanted, [IMAGE], batch_size=4) == fitting


def test_fewer_are_said(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(loading, "SHARED", tmp_path)
    monkeypatch.setattr(loading.shutil, "disk_usage", lambda place: SimpleNamespace(free=2**20))
    with caplog.at_level(logging.WARNING, "hardsight"):
        assert workers_that_fit(30, [IMAGE], batch_size=4) == 3
    assert "3 loader processes instead of 30" in caplog.text and "room for 1 MB" in caplog.text


def test_other_systems_and_empty_sets_are_left_alone(monkeypatch):
    monkeypatch.setattr(loading, "SHARED", Path("/nowhere/at/all"))
    assert workers_that_fit(8, [IMAGE]) == 8
    assert workers_that_fit(8, []) == 8


def test_tensors_are_counted_wherever_they_lie():
    tiles = Tiles(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), np.zeros((2, 4)), None)
    assert tensor_bytes(tiles) == 96
    assert tensor_bytes((1, [torch.zeros(5), {"x": torch.zeros(2, dtype=torch.float64)}], "text")) == 36
