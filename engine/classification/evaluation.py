"""Evaluate a classifier of images or clips on a split: top-1 and top-5, by class too, and the confusion matrix."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from engine.results import ClassificationStats, Report
from utils.dataloader import workers_that_fit
from utils.devices import on_gpu
from utils.errors import UserError
from utils.progress import progress
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.utils.metrics import ConfusionMatrix  # noqa: E402

METRICS = ("top1", "top5")
FIVE = 5
Enhance = Callable[[Tensor], Tensor]


@torch.no_grad()
def evaluate_classifier(
    model: nn.Module, dataset: Any, names: Mapping[int, str], *, batch_size: int, device: torch.device,
    split: str = "val", condition: str = "val", half: bool = False, half_type: torch.dtype = torch.float16,
    workers: int = 0, confusion_to: Path | None = None, enhance: Enhance | None = None, shown: bool = False,
) -> Report:  # fmt: skip
    """Evaluate `model`, which takes views in [0, 1], lies on `device` and stays as it was. See `report_of` for the report.

    batch_size: images or clips that go through it together, at least the clips of one video. confusion_to: a folder for the
    confusion matrix, as counts and as fractions. half: `half_type` on CUDA. enhance: brightens images, or the frames of clips,
    (B, 3, S, S) in [0, 1] before the model sees them. Speed is ms per image or video.
    """
    items = max(1, batch_size // getattr(dataset, "tests", 1))
    workers = workers_that_fit(workers, dataset, items)
    loader: DataLoader = DataLoader(dataset, items, num_workers=workers, collate_fn=dataset.collate_fn)
    training, files, scores, truth, seconds = model.training, [], [], [], 0.0
    model.eval()
    for batch in progress(loader, len(loader), f"{condition} batches") if shown else loader:
        if not batch:  # all of its images are damaged
            continue
        start = time.perf_counter()
        with torch.autocast(device.type, half_type, enabled=half and on_gpu(device)):
            scores.append(probabilities(model, batch["img"].to(device), enhance).cpu())  # (B, classes)
        seconds += time.perf_counter() - start
        truth.append(batch["cls"])
        files += batch["im_file"]
    model.train(training)
    if not files:
        raise UserError(f"none of the {len(dataset)} items of '{split}' can be decoded. Replace them.")
    probability, target = torch.cat(scores), torch.cat(truth)
    if confusion_to is not None:
        plot_confusion(probability, target, names, confusion_to)
    speed = {"inference": 1000 * seconds / len(files)}
    return report_of(probability, target, files, names, split=split, condition=condition, speed=speed)


def probabilities(model: nn.Module, views: Tensor, enhance: Enhance | None = None) -> Tensor:
    """views: uint8 images (B, 3, S, S), or clips (B, K, 3, T, S, S), K of each video. Returns (B, classes): softmax.

    Those of a video are the mean over its clips.
    """
    clips = views.ndim == 6
    inputs = (views.flatten(0, 1) if clips else views).float() / 255  # (B, 3, S, S) or (B*K, 3, T, S, S)
    if enhance is not None:
        inputs = brightened(inputs, enhance) if clips else enhance(inputs)
    scores: Tensor = model(inputs).float().softmax(1)
    return scores.unflatten(0, views.shape[:2]).mean(1) if clips else scores


def brightened(clips: Tensor, enhance: Enhance) -> Tensor:
    """Every frame of clips (B, 3, T, S, S) in [0, 1] through a function of images."""
    frames = clips.transpose(1, 2)  # (B, T, 3, S, S)
    return enhance(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)


def report_of(
    probability: Tensor, target: Tensor, files: Sequence[str], names: Mapping[int, str], *, split: str, condition: str,
    speed: Mapping[str, float],
) -> Report:  # fmt: skip
    """A report of (n, classes) probabilities and (n,) class numbers.

    metrics: top1, top5, fractions of 1.
    """
    ranked = probability.topk(min(FIVE, probability.shape[1]), dim=1).indices  # (n, 5)
    hits = torch.stack([ranked[:, 0] == target, (ranked == target[:, None]).any(1)], 1).numpy()  # (n, 2)
    images = tuple(ClassificationStats(file, *hit) for file, hit in zip(files, hits.tolist(), strict=True))
    parts = [(name, hits[target.numpy() == number]) for number, name in names.items()]
    rows = [{"class": name, "images": len(part), **_metrics(part)} for name, part in parts if len(part)]
    return Report(condition, split, len(files), len(files), _metrics(hits), rows, dict(speed), images)


def _metrics(hits: np.ndarray) -> dict[str, float]:
    """top1 and top5 of (n, 2) hits."""
    return dict(zip(METRICS, hits.mean(0).tolist(), strict=True))


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
