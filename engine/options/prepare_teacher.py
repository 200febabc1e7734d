"""Options of `prepare.py teacher`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import Group, option
from utils.options.shared import device_option, trust_option

INPUT, EMBEDDING, RUNTIME = Group("Input and output"), Group("Embedding"), Group("Runtime")


@dataclass(frozen=True)
class TeacherOptions:
    """Which CLIP embeds the objects of which data set, how, and where the embeddings go."""

    data: str = option(
        "", "data YAML of the labelled data set, or the name of one in data/", group=INPUT, shown="required"
    )
    split: str = option("train", "split whose objects are embedded: the training split", group=INPUT)
    extra: bool = option(
        False, "also embed the images of the data YAML's 'extra', for training with --extra-ratio", group=INPUT
    )
    model: str = option("RN50-quickgelu", "open_clip model (published: RN50-quickgelu)", group=INPUT)
    checkpoint: Path | None = option(
        None, "file of the model's weights; nothing is downloaded", group=INPUT, shown="required without --train-demo"
    )
    out: Path | None = option(None, "output folder of the cache", group=INPUT, shown="runs/teacher/DATA-MODEL-MODE")
    trust: bool = trust_option(INPUT, "; OpenAI's own files need it")

    train_demo: bool = option(
        False, "without --checkpoint: train a very small CLIP on synthetic objects, for demo-longtail", group=INPUT
    )
    seed: int = option(0, "random seed of --train-demo", group=INPUT, low=0)

    mode: str = option(
        "auto",
        "roi: the whole image, then RoIAlign (CLIPs with a ResNet, as published); crop: each box by itself (any CLIP); "
        "auto: roi if possible",
        group=EMBEDDING,
        choices=("auto", "roi", "crop"),
    )
    short: int = option(
        800, "with roi: shorter side of the image, px; the longer is at most 1.67 times that", group=EMBEDDING, low=32
    )
    spaces: bool = option(False, "replace underscores of class names with spaces (published: no)", group=EMBEDDING)

    workers: int = option(4, "dataloader workers", group=RUNTIME, low=0)
    device: str = device_option(RUNTIME)
