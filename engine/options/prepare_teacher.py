"""Options of `prepare.py teacher`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import option


@dataclass(frozen=True)
class TeacherOptions:
    """Which CLIP looks at which set, how, and where its embeddings go."""

    data: str = option("", "data YAML of the labelled set (needed), or the name of one in data/", group="What")
    split: str = option("train", "split whose objects are embedded: the one that is trained on", group="What")
    extra: bool = option(
        False,
        "also embed the images of the data YAML's 'extra' split, for a training with --extra-ratio",
        group="What",
    )
    model: str = option("RN50-quickgelu", "name of the model in open_clip; the published teacher", group="What")
    checkpoint: Path | None = option(
        None, "file with the model's weights (needed, but for --train-demo); nothing is downloaded", group="What"
    )
    out: Path | None = option(None, "new folder for the cache; left out: runs/teacher/DATA-MODEL-MODE", group="What")
    trust: bool = option(
        False,
        "load the checkpoint the ordinary way, which runs the code inside it; OpenAI's own files need it",
        group="What",
    )

    train_demo: bool = option(
        False,
        "without --model and --checkpoint: train a very small CLIP on synthetic objects first, for demo-longtail",
        group="What",
    )
    seed: int = option(0, "--train-demo: of the things that it learns from, and of its weights", group="What", low=0)

    mode: str = option(
        "auto", "roi: the whole image, then ROIAlign (CLIPs with a ResNet, as published); crop: each box by itself (any CLIP); "
        "auto: roi where it is possible", group="How", choices=("auto", "roi", "crop"),
    )  # fmt: skip
    short: int = option(
        800, "roi: shorter side of the image in pixels, the longer one at most 1.67 times that", group="How", low=32
    )
    spaces: bool = option(False, "read underscores of class names as spaces; published: no", group="How")

    workers: int = option(4, "processes that read images; 0: none beside the main one", group="Run", low=0)
    device: str = option("", "cpu, or a GPU's number; empty takes the first GPU if there is one", group="Run")
