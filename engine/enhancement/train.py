"""`prepare.py train-enhancer`: Zero-DCE on dark images alone, without labels and without pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from data.io.images import Unreadable, read_rgb
from engine.enhancement.enhancer import load_zero_dce, save_zero_dce
from engine.options.prepare import TrainEnhancerOptions
from models.zero_dce import ZeroDCE, zero_reference_terms
from utils.devices import pick_device
from utils.errors import UserError
from utils.files import find_weights, free_file, list_images
from utils.log import LOGGER
from utils.progress import progress

DECAY, CLIP = 1e-4, 0.1  # weight decay, and the largest norm of a step's gradient, as published
MOST_BYTES = 2_000_000_000  # of images kept in memory
RECORDED = ("epochs", "batch_size", "imgsz", "lr", "scale", "level", "seed")  # options that the file's header repeats


@dataclass
class TrainedNetwork:
    """What a training did: the file, the weighted terms of each epoch of this run, images skipped with the reason, and
    whether it was stopped before its end.
    """

    out: Path
    epochs: list[dict[str, float]] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    interrupted: bool = False


class ResizedImages:
    """Images brought to squares of `side` px, whatever their shape was, as published; kept in memory while they fit."""

    def __init__(self, files: list[Path], side: int) -> None:
        self.side = side
        self.skipped: list[tuple[Path, str]] = []
        self._kept: dict[Path, Tensor] = {}
        self.files: list[Path] = []
        for file in progress(files, len(files), "reading"):
            try:
                image = self._read(file)
            except Unreadable as problem:
                self.skipped.append((file, str(problem)))
                continue
            self.files.append(file)
            if len(self._kept) < MOST_BYTES // (3 * side * side):
                self._kept[file] = image

    def __len__(self) -> int:
        return len(self.files)

    def _read(self, file: Path) -> Tensor:
        """(3, side, side) uint8 RGB."""
        image, _ = read_rgb(file)
        method = cv2.INTER_AREA if min(image.shape[:2]) >= self.side else cv2.INTER_LINEAR
        square = cv2.resize(image, (self.side, self.side), interpolation=method)
        return torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1)))

    def batch(self, places: Sequence[int] | Tensor) -> Tensor:
        """(B, 3, side, side) floats in [0, 1]."""
        files = [self.files[int(place)] for place in places]
        return torch.stack([self._kept[file] if file in self._kept else self._read(file) for file in files]) / 255


def read_resized(files: list[Path], side: int) -> ResizedImages:
    """The images at `side` px. Raises UserError where none can be read."""
    images = ResizedImages(files, side)
    if not len(images):
        path, reason = images.skipped[0]
        raise UserError(f"{path.parent}: none of its images can be read ({reason}). Check the folder.")
    return images


def train_enhancer(options: TrainEnhancerOptions) -> TrainedNetwork:
    """Train Zero-DCE on the images of --source and write its weights to --out after every epoch, whole each time.

    Adam with weight decay 1e-4, gradients clipped to a norm of 0.1. The same seed gives the same weights on one machine.
    Raises UserError where the source holds no readable image, --out is taken, and for unfit weights to start from.
    """
    if options.source is None:
        raise UserError("prepare.py train-enhancer: expected a folder of dark images, --source DIR.")
    free_file(options.out, ".safetensors")
    device = pick_device(options.device)
    network = _network(options).to(device)
    images = read_resized(list_images(options.source), options.imgsz)
    result = TrainedNetwork(options.out, skipped=images.skipped)
    optimiser = torch.optim.Adam(network.parameters(), lr=options.lr, weight_decay=DECAY)
    order = torch.Generator().manual_seed(options.seed)
    given = {name: getattr(options, name) for name in RECORDED} | {"scale": network.scale}
    for epoch in range(1, options.epochs + 1):
        places = torch.randperm(len(images), generator=order).split(options.batch_size)
        shown = progress(map(images.batch, places), len(places), f"epoch {epoch} of {options.epochs}")
        terms = means(_steps(network, optimiser, shown, device, options.level))
        check_finite(terms, options.lr, options.out)
        result.epochs.append(terms)
        save_zero_dce(options.out, network, training_facts("train-enhancer", given, epoch, len(images), terms))
        LOGGER.info(_line(epoch, options.epochs, terms))
    LOGGER.info(f"{result.out}: written, from {len(images)} images, {len(result.skipped)} skipped.")
    for path, reason in result.skipped:
        LOGGER.info(f"  skipped {path}: {reason}")
    LOGGER.info(f"next: python detect.py --enhance zero-dce --enhance-weights {result.out} --weights ... --source ...")
    return result


def _network(options: TrainEnhancerOptions) -> ZeroDCE:
    """The network to begin with: that of --weights, or a new one drawn from the seed."""
    if options.weights is not None:
        return load_zero_dce(find_weights(options.weights), options.scale)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return ZeroDCE(options.scale or 1)


def _steps(
    network: ZeroDCE, optimiser: torch.optim.Optimizer, batches: Iterable[Tensor], device: torch.device, level: float
) -> Iterator[dict[str, Tensor]]:
    """Once over the images. Yields each step's weighted terms, detached, and "grey", the mean of the enhanced images."""
    for batch in batches:
        images = batch.to(device)
        enhanced, curves = network(images)
        terms = zero_reference_terms(enhanced, images, curves, level)
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        yield {name: value.detach() for name, value in {**terms, "grey": enhanced.mean()}.items()}


def means(steps: Iterable[Mapping[str, Tensor]]) -> dict[str, float]:
    """The mean of each entry over the steps; at least one step."""
    taken = list(steps)
    return {name: float(sum(step[name] for step in taken)) / len(taken) for name in taken[0]}


def check_finite(terms: Mapping[str, float], lr: float, out: Path) -> None:
    """Raise UserError where a term of the loss is NaN or Inf."""
    if not all(map(math.isfinite, terms.values())):
        raise UserError(
            f"--lr {lr:g}: the loss is NaN. Lower the learning rate; the last good weights, if any, are in {out}."
        )


def training_facts(
    command: str, options: Mapping[str, Any], epoch: int, images: int | list[int], terms: Mapping[str, float]
) -> dict[str, object]:
    """What a file's header says about how its weights were made, by a command of prepare.py."""
    losses = {name: round(value, 6) for name, value in terms.items()}
    return {"made_by": f"prepare.py {command}", "options": options, "epoch": epoch, "images": images, "losses": losses}


def _line(epoch: int, epochs: int, terms: Mapping[str, float]) -> str:
    """'epoch 3/200: loss 1.234 (smooth 0.100, ...), grey 0.45'."""
    parts = {name: value for name, value in terms.items() if name != "grey"}
    listed = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
    return f"epoch {epoch}/{epochs}: loss {sum(parts.values()):.3f} ({listed}), grey {terms['grey']:.3f}"
