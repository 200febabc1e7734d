"""Options of how often images are seen. Kept apart from the samplers so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group, option

GROUP = Group("Long tail", tasks=("detect",))


@dataclass(frozen=True)
class SamplingOptions:
    """Rare classes more often, and images of the data YAML's `extra` folder. See docs/longtail.md."""

    repeat_threshold: float = option(
        0.0, "see images of classes more often that are in less than this share of them (published 0.001); 0: never",
        group=GROUP, low=0.0, high=1.0,
    )  # fmt: skip
    extra_ratio: float = option(
        0.0, "share of each batch that comes from the data YAML's 'extra': images with one label each, no box; 0: none",
        group=GROUP, low=0.0, high=0.9,
    )  # fmt: skip
    extra_alternate: bool = option(
        False, "a batch of extra images after each ordinary one, as published, in place of --extra-ratio", group=GROUP
    )

    @property
    def extra(self) -> bool:
        """Whether extra images are asked for."""
        return self.extra_alternate or self.extra_ratio > 0
