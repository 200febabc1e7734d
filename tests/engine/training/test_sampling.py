"""What an epoch trains on, and in which order."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from data.sampling import MixedSampler
from engine.training.detection import build_datasets
from engine.training.plan import make_plan
from engine.training.sampling import training_images
from tests.engine.tiny import write_dataset
from utils.files import load_yaml, save_yaml


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Any]:
    """Options of a run on 64 images without a cache."""
    return write_dataset(
        tmp_path,
        images=64,
    ) | {"method": "none", "cache": "none"}


@pytest.mark.parametrize(("size", "kept"), [(1, 64), (2, None)])
def test_long_epochs_mix_what_was_loaded_lately(run: dict[str, Any], size: int, kept: int | None) -> None:
    """64 batches of one, 32 batches of two."""
    plan = make_plan({**run, "batch_size": size})
    images, sampler, _ = training_images(plan, build_datasets(plan))
    assert images.earlier.sampler is sampler and len(sampler) == 64 // size
    assert (images.recent and images.recent.images) == kept


def test_repeated_images_count(run: dict[str, Any]) -> None:
    """One of 64 images has the second class alone in a 32nd of them: it is seen more often, which makes the epoch long."""
    labels = Path(run["data"]).parent / "labels" / "train"
    for number in range(63):
        label = labels / f"{number:03}.txt"
        label.write_text(label.read_text().splitlines()[0])
    plan = make_plan({**run, "batch_size": 1, "repeat_threshold": 1.0})
    images, sampler, _ = training_images(plan, build_datasets(plan))
    assert len(sampler) == 63 + 8 and images.earlier.sampler is sampler  # sqrt(1 / (1 / 64)) = 8


@pytest.mark.parametrize("alternate", [False, True])
def test_extra_images_have_no_place_in_the_order_of_the_others(run: dict[str, Any], alternate: bool) -> None:
    root = Path(run["data"]).parent
    for number in range(2):
        for kind, suffix in (("images", "png"), ("labels", "txt")):
            (root / kind / "extra").mkdir(exist_ok=True)
            copyfile(root / kind / "train" / f"{number:03}.{suffix}", root / kind / "extra" / f"{number}.{suffix}")
        (root / "labels" / "extra" / f"{number}.txt").write_text("0 0.5 0.5 1 1")
    save_yaml(root / "world.yaml", load_yaml(root / "world.yaml") | {"extra": "images/extra"})
    plan = make_plan({**run, "batch_size": 2, "extra_ratio": 0.5, "extra_alternate": alternate})
    images, sampler, _ = training_images(plan, build_datasets(plan))
    assert isinstance(sampler, MixedSampler) and images.main.earlier.sampler is sampler.main
    assert images.extra.earlier is None and images.extra.recent is None
