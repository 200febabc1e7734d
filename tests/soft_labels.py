"""A teacher cache of synthetic embeddings, to time RichSem's step and to test what does not depend on their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.io.labels import Label
from data.soft_labels.cache import CacheWriter, Meta, label_hash
from data.soft_labels.prompts import prompt_hash


def write_cache(folder: Path, labels: Sequence[Label], names: Sequence[str], dimensions: int = 1024) -> Path:
    """A finished cache for these labels and class names in a new folder; random unit vectors."""
    generator = np.random.default_rng(0)

    def normal(rows: int) -> NDArray[np.float32]:
        return generator.normal(size=(rows, dimensions)).astype(np.float32)

    meta = Meta(label_hash(labels), prompt_hash(names), "synthetic", "0", "crop", 0, False, 100.0)
    with CacheWriter(folder, meta, labels, lambda: normal(len(names))) as writer:
        for place in writer.missing():
            writer.put(place, normal(len(labels[place].classes)))
        return writer.finish().folder
