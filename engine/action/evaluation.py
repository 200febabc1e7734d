"""Measure a clip classifier on a split: top-1 and top-5 over the mean of several clips of each video."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.video.dataset import ClipSet
from engine.classification.evaluation import Enhance, measured
from engine.results import Report
from models.action import INPUTS
from utils.dataloader import workers_that_fit


def evaluate_clips(
    network: nn.Module,
    name: str,
    dataset: ClipSet,
    names: Mapping[int, str],
    *,
    batch_size: int,
    device: torch.device,
    split: str = "val",
    condition: str = "val",
    half: bool = False,
    workers: int = 0,
    confusion_to: Path | None = None,
    enhance: Enhance | None = None,
    shown: bool = False,
) -> Report:
    """Measure `network`, one of models.action called `name`, which lies on `device` and stays as it was.

    batch_size: clips that go through it together, at least the clips of one video. enhance: brightens frames (B, 3, S, S)
    in [0, 1] before. confusion_to: a folder for the confusion matrix. half: float16 on CUDA. The probabilities of a
    video are the mean over its clips; speed is ms per video.
    """
    videos = max(1, batch_size // dataset.tests)
    workers = workers_that_fit(workers, dataset, videos)
    loader: DataLoader = DataLoader(dataset, videos, num_workers=workers, collate_fn=dataset.collate_fn)
    return measured(
        partial(probabilities, network, name, enhance=enhance), network, loader, names, device=device, split=split,
        condition=condition, half=half, confusion_to=confusion_to, shown=shown,
    )  # fmt: skip


def probabilities(network: nn.Module, name: str, clips: Tensor, enhance: Enhance | None = None) -> Tensor:
    """clips: uint8 (B, K, 3, T, S, S), K clips per video. Returns (B, classes): softmax, averaged over the clips."""
    every = clips.flatten(0, 1).float() / 255  # (B*K, 3, T, S, S)
    if enhance is not None:
        every = brightened(every, enhance)
    logits = network(INPUTS[name].normalize(every))
    return logits.float().softmax(1).unflatten(0, clips.shape[:2]).mean(1)


def brightened(clips: Tensor, enhance: Enhance) -> Tensor:
    """Every frame of clips (B, 3, T, S, S) in [0, 1] through a function of images."""
    frames = clips.transpose(1, 2)  # (B, T, 3, S, S)
    return enhance(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)
