"""Options of the federated class loss. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from data.detection.sampling_options import GROUP
from utils.options import option


@dataclass(frozen=True)
class LongTailOptions:
    """The class loss of many classes of which few are labelled in an image. See docs/longtail.md."""

    federated: int = option(
        0, "classes that an image's class loss looks at: its labelled ones, those known to be absent, others drawn "
        "(published 50); 0: all, and 50 for extra images", group=GROUP, low=0,
    )  # fmt: skip
    federated_batch: bool = option(
        False, "with --federated: all images look at the classes of the whole batch, as published", group=GROUP
    )
