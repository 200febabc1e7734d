"""Day to night, for `prepare.py darken`: the physical model and a learned translator (CUT) behind one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.degrade import low_light_bytes, to_bytes
from engine.checkpoint.state_dict import as_safetensors, load_strict, refuse_others
from engine.checkpoint.weights import load_weights
from models.cut import Generator, translate
from utils.files import atomic_write, file_digest

Images = NDArray[np.uint8]  # (B, H, W, 3), RGB


@dataclass(frozen=True)
class DayToNight:
    """name: what outputs say. recipe: what decides the bytes. most: px of an image above which it is not tried.

    work: images of one size and their seeds to the dark images, same shape, and a row of facts for each.
    """

    name: str
    recipe: dict[str, Any]
    most: float
    work: Callable[[Images, Sequence[int]], tuple[Images, list[dict[str, Any]]]]


def physical_model(severity: float | None, device: torch.device) -> DayToNight:
    """A camera that gets too little light (data/degradations/low_light.py). severity: 0 to 1, or each its own."""

    def work(images: Images, seeds: Sequence[int]) -> tuple[Images, list[dict[str, Any]]]:
        dark, drawn = low_light_bytes(torch.from_numpy(images).to(device), seeds, severity)
        rows = [{key: f"{value:.6g}" for key, value in row.items()} for row in drawn]
        return dark.cpu().numpy(), [{"seed": seed, **row} for seed, row in zip(seeds, rows, strict=True)]

    return DayToNight("the physical model", {"model": "physical"}, float("inf"), work)


def cut_model(path: Path, most: float, device: torch.device) -> DayToNight:
    """CUT's generator of a file. most: px. Raises UserError as `load_generator` does."""
    generator = load_generator(path).to(device).eval().requires_grad_(False)
    digest = file_digest(path)

    def work(images: Images, seeds: Sequence[int]) -> tuple[Images, list[dict[str, Any]]]:
        dark = [translate_image(generator, image, device) for image in images]  # one by one: no batch, no trace
        pairs = zip(images, dark, strict=True)
        rows = [{"mean_before": f"{light.mean():.2f}", "mean": f"{made.mean():.2f}"} for light, made in pairs]
        return np.stack(dark), rows

    return DayToNight(f"CUT ({path.stem})", {"model": "cut", "sha256 of the weights": digest}, most, work)


@torch.no_grad()
def translate_image(
    generator: Generator, image: NDArray[np.uint8], device: torch.device | str = "cpu"
) -> NDArray[np.uint8]:
    """One image (H, W, 3) uint8 RGB to the same, pixel on pixel, whatever its size."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].float() / 255
    return to_bytes(translate(generator, pixels))[0].permute(1, 2, 0).cpu().numpy()


def load_generator(path: Path) -> Generator:
    """The generator of a file: ours, or a state dict of `resnet_9blocks` as published, which has the same names.

    Its width and its blocks are read off the tensors. Raises UserError for what `load_weights` refuses, and names the
    tensors of another architecture that differ.
    """
    state = load_weights(path).state
    blocks = sum(name.endswith(".conv_block.1.weight") for name in state)
    first = state.get("model.1.weight")
    width = len(first) if first is not None and first.ndim == 4 else 0
    size = (blocks, width) if blocks and width else (9, 64)  # the published ones by default
    remedy = (
        "Name a file that prepare.py train-translator wrote, or the state dict of a resnet generator of CUT with its blurred "
        "resampling."
    )
    with torch.device("meta"):  # shapes cost no memory, whatever the file claims
        refuse_others(Generator(*size), state, path, "CUT's generator", remedy)
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and thrown away
        generator = Generator(*size)
    load_strict(generator, state, path, "CUT's generator", remedy)
    return generator


def save_generator(path: Path, generator: Generator, facts: Mapping[str, Any]) -> None:
    """Write the weights as safetensors with a JSON header of `facts`, whole or not at all; 46 MB as published."""
    atomic_write(path, as_safetensors(generator.state_dict(), {"network": "cut"}, facts))
