"""Options of `prepare.py enhance` and `prepare.py train-enhancer`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.options.enhance import ENHANCERS, SCALES, enhance_option, scale_option, weights_option
from utils.options import option

_WHAT, _LIGHT, _TRAINING, _RUN = "What", "Light", "Training", "Run"


@dataclass(frozen=True)
class EnhanceOptions:
    """Which images are brightened, how, and where the results go."""

    source: Path | None = option(None, "folder of images, of any depth, or a .txt list of them (needed)", group=_WHAT)
    out: Path | None = option(None, "folder for the brightened copies, same names inside (needed)", group=_WHAT)
    labels: bool = option(True, "copy label files along where there are any", group=_WHAT)
    quality: int = option(95, "of JPEG and WebP files", group=_WHAT, low=1, high=100)

    method: str = enhance_option(_LIGHT, "zero-dce", ENHANCERS[1:])
    weights: Path | None = weights_option(_LIGHT)
    scale: int | None = scale_option(_LIGHT)

    device: str = option("cpu", "cpu, or a GPU's number", group=_RUN)


@dataclass(frozen=True)
class TrainEnhancerOptions:
    """Which dark images the enhancer learns from, how long, and where its weights go."""

    source: Path | None = option(
        None, "folder of dark images, of any depth, or a .txt list of them (needed); no labels, no pairs", group=_WHAT
    )
    out: Path = option(Path("runs/enhancer/zero-dce.safetensors"), "new file for the weights", group=_WHAT)
    weights: Path | None = option(None, "weights to start from; left out, from nothing", group=_WHAT)

    epochs: int = option(200, "passes over the images; 200 is published, small sets need more", group=_TRAINING, low=1)
    batch_size: int = option(8, "images per step", group=_TRAINING, low=1, aliases=("batch",))
    imgsz: int = option(
        256, "side of the square that images are brought to, px", group=_TRAINING, low=32, aliases=("img",)
    )
    lr: float = option(1e-4, "learning rate of Adam", group=_TRAINING, low=1e-7, high=1.0)
    scale: int = option(
        1, "estimate curves on an image so many times smaller, in training and in use; faster, and calmer in noise",
        group=_TRAINING, choices=SCALES,
    )  # fmt: skip
    level: float = option(
        0.6, "mean grey that parts of an image are drawn to; 0.6 is published", group=_TRAINING, low=0.1, high=0.9
    )
    seed: int = option(0, "of the first weights and of the images' order", group=_TRAINING, low=0)

    device: str = option("", "cpu, or a GPU's number; empty takes the first GPU if there is one", group=_RUN)
