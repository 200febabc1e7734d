"""A CLIP of our own: its loss by hand, what it learns from, and the way from training to a teacher cache."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import engine.clip.train_demo as module
from data.synthetic.shelf.objects import NAMES
from engine.clip.load import DEMO, load_clip
from engine.clip.train_demo import (
    BORDER,
    EVERY_NAME,
    SIDE,
    ObjectImages,
    clip_loss,
    crop,
    draw_objects,
    train_demo_clip,
)
from engine.options.prepare import TeacherOptions
from engine.preparation.soft_labels import teacher
from tests.engine.tiny import write_dataset

FULL = SIDE + 2 * BORDER


def open_clip_or_skip() -> None:
    pytest.importorskip("open_clip", reason="open_clip is not installed (pip install open_clip_torch)")


@pytest.mark.parametrize(
    ("names", "scale", "expected"),
    [
        ([0, 1], 0.0, math.log(2)),  # nothing is told apart
        ([0, 1], 1.0, math.log(1 + math.exp(-1))),  # logits 1 for the right one, 0 for the other
        ([5, 5], 1.0, 0.5 * math.log(1 + math.exp(-1)) + 0.5 * math.log(1 + math.exp(1))),  # both are right, in halves
    ],
)
def test_contrast_by_hand(names: list[int], scale: float, expected: float) -> None:
    one = torch.eye(2)
    assert clip_loss(one, one, torch.tensor(names), torch.tensor(scale)).item() == pytest.approx(expected, abs=1e-6)


def test_cut_stretches_the_box_to_the_middle() -> None:
    """A white bar of 16 x 32 px: the inner 64 px of the cut are white, the border is black but for the smoothing."""
    image = np.zeros((120, 160, 3), np.uint8)
    image[40:72, 60:76] = 255
    found = crop(image, (68 / 160, 56 / 120, 16 / 160, 32 / 120)).float()
    assert found.shape == (3, FULL, FULL)
    assert found[:, BORDER + 6 : -BORDER - 6, BORDER + 6 : -BORDER - 6].min() > 250
    assert found[:, :1].max() < 128 and found[:, :, :1].max() < 128


def test_cut_at_the_border_of_the_image() -> None:
    assert crop(np.full((40, 50, 3), 9, np.uint8), (0.5, 0.5, 1.0, 1.0)).unique().tolist() == [9]


def test_what_it_learns_from() -> None:
    """Words of the classes, and more: forms and colours that are in no class. The same seed shows the same."""
    assert set(NAMES) < set(EVERY_NAME) and len(EVERY_NAME) == 12 * 11
    first, again, other = draw_objects(1, 1, 2), draw_objects(1, 1, 2), draw_objects(2, 1, 2)
    assert first.images.dtype == torch.uint8 and first.images.shape[1:] == (3, FULL, FULL)
    assert len(first.names) == len(first.images) >= 8 + 2
    assert torch.equal(first.images, again.images) and torch.equal(first.names, again.names)
    assert not torch.equal(first.names, other.names)


def test_varied_views() -> None:
    views = module._varied(np.random.default_rng(0), torch.full((4, 3, FULL, FULL), 128, dtype=torch.uint8))
    assert views.shape == (4, 3, SIDE, SIDE)
    assert len(views[:, 0, 0, 0].unique()) == 4  # each as bright as it likes


def test_sentences_are_written_both_ways() -> None:
    rng = np.random.default_rng(0)
    sentences = [module._sentence(rng, "red_jug") for _ in range(40)]
    assert {"red_jug" in sentence for sentence in sentences} == {"red jug" in sentence for sentence in sentences}
    assert len(set(sentences)) > 20


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> ObjectImages:
    open_clip_or_skip()
    monkeypatch.setattr(module, "BATCH", 4)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 3, FULL, FULL), dtype=torch.uint8, generator=generator)
    return ObjectImages(images, torch.arange(8))


def test_the_same_seed_gives_the_same_weights(shown: ObjectImages, tmp_path: Path) -> None:
    """Whatever the global state is, which stays as it was."""
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(ord(name))
        state = torch.get_rng_state()
        train_demo_clip(tmp_path / name, seed=seed, shown=shown, steps=2)
        assert torch.equal(state, torch.get_rng_state())
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again != other


def test_its_weights_go_the_way_of_any_checkpoint(shown: ObjectImages, tmp_path: Path) -> None:
    """Trained, written, loaded by its name, and used as a teacher in both modes."""
    train_demo_clip(tmp_path / "clip.safetensors", shown=shown, steps=1)
    clip = load_clip(DEMO, tmp_path / "clip.safetensors")
    assert (clip.side, clip.model.visual.attnpool.positional_embedding.shape[0]) == (SIDE, (SIDE // 32) ** 2 + 1)
    write_dataset(tmp_path, images=2)
    for mode in ("roi", "crop"):
        options = TeacherOptions(
            data=str(tmp_path / "world.yaml"), model=DEMO, checkpoint=tmp_path / "clip.safetensors",
            out=tmp_path / mode, mode=mode, short=96, workers=0, device="cpu",
        )  # fmt: skip
        cache = teacher(options)
        assert (cache.meta.mode, cache.meta.model, cache.embeddings.shape) == (mode, DEMO, (4, 96))
