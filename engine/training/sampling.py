"""What an epoch trains on, in which order, and the loader that brings it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from data.detection.coarse import MixedImages
from data.detection.dataset import ViewDataset
from data.sampling import EpochSampler, MixedSampler, repeat_factors
from engine.training.distributed import WORLD
from engine.training.plan import Notes, TrainPlan
from utils.dataloader import ignore_signals, workers_that_fit
from utils.devices import on_gpu
from utils.errors import UserError


def training_images(plan: TrainPlan, datasets: Mapping[str, Any]) -> tuple[Any, EpochSampler | MixedSampler, Notes]:
    """What an epoch trains on, and in which order, by the sampling options."""
    train, sampling, wanted = datasets["train"], plan.sampling, plan.train.batch_size
    factors, notes = None, []
    if sampling.repeat_threshold:
        classes = [set(label.classes.ravel().astype(int).tolist()) for label in train.source]
        factors = repeat_factors(classes, sampling.repeat_threshold)
        notes = [f"repeat factors: {len(factors)} images are seen {float(factors.sum()):.0f} times per epoch"]
    extra = extra_images(plan) if "extra" in datasets else 0
    size = wanted if sampling.extra_alternate else wanted - extra
    sampler = EpochSampler(len(train), size, plan.train.seed, WORLD.rank, WORLD.size, factors)
    if isinstance(train, ViewDataset):
        train.mix_in_order(sampler)
    if not extra:
        return train, sampler, notes
    mixed = MixedImages(train, datasets["extra"])
    return mixed, MixedSampler(sampler, len(mixed.extra), extra, sampling.extra_alternate), notes


def extra_images(plan: TrainPlan) -> int:
    """Extra images per batch: at least one per rank, and so that both parts divide among ranks. Raises UserError."""
    wanted, ratio = plan.train.batch_size, plan.sampling.extra_ratio
    if plan.sampling.extra_alternate:
        return wanted
    extra = max(WORLD.size, round(ratio * wanted / WORLD.size) * WORLD.size)
    if extra >= wanted:
        raise UserError(
            f"--extra-ratio {ratio}: a batch of {wanted} has no room for ordinary images beside {extra} extra ones. "
            "Raise --batch-size, or give --extra-alternate."
        )
    return extra


def build_loader(plan: TrainPlan, images: Any, sampler: Any, device: torch.device, over: Any) -> DataLoader:
    """The loader of a run, whose workers live as long as it. over: as in `ignore_signals`."""
    workers = workers_that_fit(plan.workers(device), images, plan.train.batch_size // WORLD.size)
    return DataLoader(
        images, batch_sampler=sampler, num_workers=workers, collate_fn=images.collate_fn,
        pin_memory=on_gpu(device), persistent_workers=workers > 0, worker_init_fn=partial(ignore_signals, over),
    )  # fmt: skip
