"""Measure a classifier on a split: top-1 and top-5, by class too, and who is taken for whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.classification.dataset import ClassFolders
from engine.results import ClassificationStats, Report
from models.normalize import IMAGENET
from utils.dataloader import workers_that_fit
from utils.progress import progress
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.utils.metrics import ConfusionMatrix  # noqa: E402

METRICS = ("top1", "top5")
FIVE = 5
Enhance = Callable[[Tensor], Tensor]


def evaluate_classifier(
    network: nn.Module,
    dataset: ClassFolders,
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
    """Measure `network`, which lies on `device` and stays as it was. See `report_of` for the report.

    confusion_to: a folder for the confusion matrix, as counts and as shares. half: float16 on CUDA. enhance: brightens
    images (B, 3, S, S) in [0, 1] before the network sees them.
    """
    workers = workers_that_fit(workers, dataset, batch_size)
    loader: DataLoader = DataLoader(dataset, batch_size, num_workers=workers, collate_fn=dataset.collate_fn)
    return measured(
        partial(probabilities, network, enhance=enhance), network, loader, names, device=device, split=split,
        condition=condition, half=half, confusion_to=confusion_to, shown=shown,
    )  # fmt: skip


def probabilities(network: nn.Module, images: Tensor, enhance: Enhance | None = None) -> Tensor:
    """images: uint8 (B, 3, S, S). Returns (B, classes): softmax."""
    imgs = images.float() / 255
    logits: Tensor = network(IMAGENET(enhance(imgs) if enhance else imgs))
    return logits.float().softmax(1)


def measured(
    guess: Callable[[Tensor], Tensor],
    network: nn.Module,
    loader: DataLoader,
    names: Mapping[int, str],
    *,
    device: torch.device,
    split: str,
    condition: str,
    half: bool,
    confusion_to: Path | None,
    shown: bool,
) -> Report:
    """Every batch of `loader` through `guess`: its `img`, on the device, to probabilities (B, classes).

    `network`, which `guess` uses, is in evaluation mode meanwhile. The rest is as in `evaluate_classifier`.
    """
    training, files, scores, truth, seconds = network.training, [], [], [], 0.0
    network.eval()
    with torch.no_grad():
        for batch in progress(loader, len(loader), f"{condition} batches") if shown else loader:
            start = time.perf_counter()
            with torch.autocast(device.type, torch.float16, enabled=half and device.type == "cuda"):
                scores.append(guess(batch["img"].to(device)).cpu())  # (B, classes)
            seconds += time.perf_counter() - start
            truth.append(batch["cls"])
            files += batch["im_file"]
    network.train(training)
    probability, target = torch.cat(scores), torch.cat(truth)
    if confusion_to is not None:
        plot_confusion(probability, target, names, confusion_to)
    speed = {"inference": 1000 * seconds / len(files)}
    return report_of(probability, target, files, names, split=split, condition=condition, speed=speed)


def report_of(
    probability: Tensor,
    target: Tensor,
    files: Sequence[str],
    names: Mapping[int, str],
    *,
    split: str,
    condition: str,
    speed: Mapping[str, float],
) -> Report:
    """A report of (n, classes) probabilities and (n,) class numbers.

    metrics: top1, top5, fractions of 1.
    """
    ranked = probability.topk(min(FIVE, probability.shape[1]), dim=1).indices  # (n, 5)
    first, among = (ranked[:, 0] == target).numpy(), (ranked == target[:, None]).any(1).numpy()
    images = tuple(
        ClassificationStats(file, bool(right), bool(near))
        for file, right, near in zip(files, first, among, strict=True)
    )
    truth = target.numpy()
    rows = [{"class": name, **_shares(first, among, truth == number)} for number, name in names.items()]
    whole = {key: float(value) for key, value in _shares(first, among, truth >= 0).items() if key in METRICS}
    rows = [row for row in rows if row["images"]]
    return Report(condition, split, len(files), len(files), whole, rows, dict(speed), images)


def _shares(first: np.ndarray, among: np.ndarray, mine: np.ndarray) -> dict[str, Any]:
    """Images of a part, and its top-1 and top-5."""
    count = int(mine.sum())
    means = [float(right[mine].mean()) if count else 0.0 for right in (first, among)]
    return {"images": count, **dict(zip(METRICS, means, strict=True))}


def plot_confusion(probability: Tensor, target: Tensor, names: Mapping[int, str], folder: Path) -> None:
    """Draw confusion_matrix.png (counts) and confusion_matrix_normalized.png into a folder."""
    matrix = ConfusionMatrix(names=dict(names), task="classify")
    matrix.process_cls_preds([probability.argsort(1, descending=True)[:, :FIVE]], [target])
    folder.mkdir(parents=True, exist_ok=True)
    for normalize in (True, False):
        matrix.plot(save_dir=folder, normalize=normalize)


def table(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """The rows of metrics.csv: for each report one of all classes, then one per class."""
    rows = []
    for report in reports:
        head = {"condition": report.condition, "split": report.split}
        whole = {"class": "all", "images": report.images, **report.metrics}
        rows += [{**head, **row} for row in (whole, *report.per_class)]
    return rows
