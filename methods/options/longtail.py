"""Options of the federated class loss. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from data.detection.options import LONG_TAIL


@dataclass(frozen=True)
class LongTailOptions:
    """The class loss for many classes of which few are annotated in an image. See docs/longtail.md."""

    federated: int = LONG_TAIL.option(
        0,
        "federated loss: number of classes in an image's class loss, namely its positives, its negatives and sampled ones "
        "(published 50); 0: all, and 50 for extra images",
        low=0,
    )
    federated_batch: bool = LONG_TAIL.option(
        False, "with --federated: sample one set of classes for the whole batch (as published)"
    )
