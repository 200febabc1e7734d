"""The long-tail options in a training run: repeated images, extra images, chosen classes, and their mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import engine
from tests.engine.tiny import write_dataset
from utils.errors import UserError
from utils.files import load_yaml, save_yaml

pytestmark = pytest.mark.slow


@pytest.fixture
def synthetic(tmp_path: Path) -> dict[str, Any]:
    """The tiny set without its pairs, and five extra images with one label each."""
    options = write_dataset(tmp_path, images=8)
    generator = np.random.default_rng(1)
    for folder in ("images", "labels"):
        (tmp_path / folder / "extra").mkdir()
    for number in range(5):
        image = generator.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / "extra" / f"{number}.png"), image)
        (tmp_path / "labels" / "extra" / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 1 1\n")
    data = {key: value for key, value in load_yaml(tmp_path / "world.yaml").items() if key not in ("pair", "method")}
    save_yaml(tmp_path / "world.yaml", data | {"extra": "images/extra"})
    return {**options, "epochs": 1, "noval": True}


@pytest.mark.parametrize(("own", "batches"), [({"extra_ratio": 0.25}, 3), ({"extra_alternate": True}, 4)])
def test_extra_images_are_trained_on(
    synthetic: dict[str, Any], own: dict[str, Any], batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight images in batches of 4: with one extra in each, three batches; in turn, two of each kind."""
    from methods.longtail import LongTail

    seen: list[list[bool]] = []
    prepare = LongTail.prepare
    monkeypatch.setattr(
        LongTail, "prepare", lambda self, batch: (seen.append(batch["coarse"].tolist()), prepare(self, batch))
    )
    result = engine.train(**synthetic, **own)
    assert load_yaml(result.save_dir / "args.yaml")["method"] == "longtail"
    wanted = [[False] * 3 + [True]] * 3 if "extra_ratio" in own else [[False] * 4, [True] * 4] * 2
    assert seen == wanted and len(seen) == batches


def test_repeated_images_lengthen_the_epoch(synthetic: dict[str, Any], capsys: Any) -> None:
    """One class of an image of eight at a threshold of 1/2: sqrt(0.5 x 8) = 2 copies, so nine images, three batches."""
    labels = Path(synthetic["data"]).parent / "labels" / "train"
    for file in sorted(labels.iterdir())[1:]:
        file.write_text(file.read_text().splitlines()[0])
    engine.train(**synthetic, repeat_threshold=0.5)
    assert "repeat factors: 8 images are seen 9 times per epoch" in capsys.readouterr().out


def spoil_label(root: Path) -> None:
    (root / "labels" / "extra" / "3.txt").write_text("0 0.5 0.5 0.4 0.4\n")


def no_extra(root: Path) -> None:
    content = load_yaml(root / "world.yaml")
    save_yaml(root / "world.yaml", {key: value for key, value in content.items() if key != "extra"})


def with_pairs(root: Path) -> None:
    save_yaml(root / "world.yaml", load_yaml(root / "world.yaml") | {"pair": "images/train_night"})


@pytest.mark.parametrize(
    ("spoil", "own", "message"),
    [
        (spoil_label, {"extra_ratio": 0.25}, "3.png has 1 objects, or one that does not cover it"),
        (no_extra, {"extra_ratio": 0.25}, "there is no 'extra' split"),
        (with_pairs, {"extra_ratio": 0.25, "method": "wiid"}, "extra images have no 'pair'"),
        (lambda root: None, {"extra_ratio": 0.25, "batch_size": 1}, "no room for ordinary images"),
        (lambda root: None, {"extra_ratio": 0.95}, "extra_ratio: 0.95 does not fit"),
    ],
)
def test_mistakes(synthetic: dict[str, Any], spoil: Any, own: dict[str, Any], message: str) -> None:
    spoil(Path(synthetic["data"]).parent)
    with pytest.raises(UserError, match=message):
        engine.train(**{**synthetic, **own})
