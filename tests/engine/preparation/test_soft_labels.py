"""`prepare.py teacher` with a tiny CLIP: the right object has the right row, and a broken run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import engine.preparation.soft_labels as module
from data.config import load_data
from data.io.images import read_image
from data.io.labels import Label
from data.soft_labels.cache import TeacherCache
from data.soft_labels.prompts import prompts
from engine.clip.load import DEMO, Clip
from engine.options.prepare import TeacherOptions
from engine.preparation.soft_labels import corners, teacher, with_demo, zero_shot
from models.clip_features import crop_embeddings, crops, fitted, roi_embeddings
from tests.engine.tiny import write_dataset
from tests.models.tiny_clip import SIDE, TinyClip, tiny_clip, tokenise
from utils.errors import UserError


@pytest.fixture
def synthetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TeacherOptions:
    """Five images of a square and a bar each, one of them without objects, and a stand-in for a CLIP's file."""
    write_dataset(tmp_path, images=5)
    (tmp_path / "labels" / "train" / "002.txt").unlink()
    (tmp_path / "clip.pt").write_bytes(b"weights")
    monkeypatch.setattr(module, "load_clip", lambda name, checkpoint, trust: tiny_clip())
    files = {"data": str(tmp_path / "world.yaml"), "checkpoint": tmp_path / "clip.pt", "out": tmp_path / "cache"}
    return TeacherOptions(**files, short=96, workers=0, device="cpu")  # type: ignore[arg-type]


def changed(options: TeacherOptions, **values: Any) -> TeacherOptions:
    return TeacherOptions(**{**vars(options), **values})


def by_hand(options: TeacherOptions, mode: str) -> np.ndarray:
    """The same embeddings, image by image."""
    clip, rows = tiny_clip(), []
    for label in module._labels(load_data(options.data), "train"):
        pixels = torch.from_numpy(read_image(label.image)[..., ::-1].copy()).permute(2, 0, 1).float() / 255
        if not len(label.boxes):
            continue
        if mode == "crop":
            rows.append(crop_embeddings(clip.model, crops(pixels, corners(label.boxes, (64, 64)), SIDE)))
        else:
            canvas, size = fitted(pixels, options.short)
            rows.append(roi_embeddings(clip.model.visual, canvas, corners(label.boxes, size)))
    return nn.functional.normalize(torch.cat(rows), dim=1).numpy()


@pytest.mark.parametrize(("mode", "made"), [("auto", "roi"), ("crop", "crop")])
def test_the_cache(synthetic: TeacherOptions, mode: str, made: str) -> None:
    cache = teacher(changed(synthetic, mode=mode))
    assert (cache.meta.mode, cache.meta.short) == (made, 96 if made == "roi" else 0)
    assert cache.offsets.tolist() == [0, 2, 4, 4, 6, 8] and cache.meta.scale == pytest.approx(100)
    np.testing.assert_allclose(cache.embeddings, by_hand(synthetic, made), atol=1e-3)
    clip = tiny_clip()
    means = [clip.model.encode_text(tokenise(prompts(name))).mean(0).tolist() for name in ("square", "bar")]
    np.testing.assert_allclose(cache.text, means, atol=1e-6)
    config = load_data(synthetic.data)
    cache.check([module._labels(config, "train")], list(config.names.values()))


def test_workers_change_nothing(synthetic: TeacherOptions) -> None:
    one = teacher(synthetic)
    two = teacher(changed(synthetic, workers=2, out=synthetic.out.parent / "two"))  # type: ignore[union-attr]
    assert np.array_equal(one.embeddings, two.embeddings)


def test_a_broken_run_goes_on(synthetic: TeacherOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third image fails; of the second run only what is missing is looked at again."""
    seen: list[int] = []

    def counting(self: Any, index: int) -> Any:
        seen.append(self.places[index])
        if len(seen) == 3:
            raise KeyboardInterrupt
        return original(self, index)

    original = module.TeacherDataset.__getitem__
    monkeypatch.setattr(module.TeacherDataset, "__getitem__", counting)
    with pytest.raises(KeyboardInterrupt):
        teacher(synthetic)
    assert not synthetic.out.exists()  # type: ignore[union-attr]
    cache = teacher(synthetic)
    assert seen == [0, 1, 3, 3, 4]
    np.testing.assert_allclose(cache.embeddings, by_hand(synthetic, "roi"), atol=1e-3)


def test_another_checkpoint_does_not_go_on(synthetic: TeacherOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fill", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        teacher(synthetic)
    Path(str(synthetic.checkpoint)).write_bytes(b"others")
    with pytest.raises(UserError, match="was started with another checkpoint"):
        teacher(synthetic)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"data": ""}, "expected --data YAML and --checkpoint FILE"),
        ({"checkpoint": None}, "expected --data YAML and --checkpoint FILE"),
        ({"checkpoint": None, "train_demo": True, "extra": True}, "split 'extra': .* has no such split"),
        ({"train_demo": True}, "--train-demo: trains a model and weights of its own"),
        ({"split": "extra"}, "split 'extra': .* has no such split"),
    ],
)
def test_what_is_missing(
    synthetic: TeacherOptions, values: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_clip_package", lambda: None)
    with pytest.raises(UserError, match=problem):
        teacher(changed(synthetic, **values))


def test_a_missing_package_does_not_wait_for_a_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise UserError("needs open_clip")

    monkeypatch.setattr(module, "open_clip_package", missing)
    monkeypatch.setattr(module, "load_data", lambda *given, **more: pytest.fail("a synthetic data set was drawn"))
    with pytest.raises(UserError, match="needs open_clip"):
        teacher(TeacherOptions(data="demo-longtail", train_demo=True))


def test_roi_needs_a_trunk(synthetic: TeacherOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CLIP of another kind takes crops by itself."""
    visual = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 8))
    clip = Clip(TinyClip(visual).eval().requires_grad_(False), tokenise, SIDE)
    monkeypatch.setattr(module, "load_clip", lambda *rest: clip)
    with pytest.raises(UserError, match="--mode roi: RN50-quickgelu has no ResNet with an attention pool"):
        teacher(changed(synthetic, mode="roi"))
    cache = teacher(synthetic)
    assert cache.meta.mode == "crop" and isinstance(cache, TeacherCache)


def test_extra_images_come_after_those_of_the_split(synthetic: TeacherOptions) -> None:
    """Five images of two objects, one without, and the same five again."""
    text = Path(synthetic.data).read_text(encoding="utf-8")
    Path(synthetic.data).write_text(text + "extra: images/train\n", encoding="utf-8")
    cache = teacher(changed(synthetic, extra=True))
    assert cache.offsets.tolist() == [0, 2, 4, 4, 6, 8, 10, 12, 12, 14, 16]
    assert np.array_equal(cache.embeddings[:8], cache.embeddings[8:])
    labels = module._labels(load_data(synthetic.data), "train")
    for parts in ([labels], [labels, labels]):
        cache.check(parts, ["square", "bar"])
    with pytest.raises(UserError, match="made for other labels"):
        cache.check([labels, labels[:2]], ["square", "bar"])


def test_zero_shot_by_hand(synthetic: TeacherOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts (1, 0) and (0, 5): rows (1, 0), (.8, .6), (.6, .8) are 0, 0, 1 by the cosine; labels 0, 1, 1: 2 of 3."""
    cache = teacher(synthetic)
    monkeypatch.setattr(cache, "embeddings", np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float16))
    monkeypatch.setattr(cache, "text", np.array([[1, 0], [0, 5]], np.float32))
    labels = [
        Label(Path(), (1, 1), np.array([[c] for c in part], np.float32), np.zeros((0, 4))) for part in ([0], [1, 1])
    ]
    assert zero_shot(cache, labels) == pytest.approx(2 / 3)
    monkeypatch.setattr(module, "SOME", 2)
    assert zero_shot(cache, labels) == pytest.approx(2 / 3)


def test_demo_weights_are_made_once(synthetic: TeacherOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made: list[int] = []

    def train(out: Path, *, seed: int) -> None:
        made.append(seed)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(b"weights")

    monkeypatch.setattr(module, "train_demo_clip", train)
    for seed, times in ((3, 1), (3, 1), (4, 2)):
        chosen = with_demo(changed(synthetic, checkpoint=None, train_demo=True, seed=seed))
        assert (chosen.model, chosen.mode, len(made)) == (DEMO, "crop", times) and f"-{seed}." in str(chosen.checkpoint)
