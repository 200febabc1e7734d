"""`prepare.py train-enhancer`: learns from dark images alone, the same from the same seed, written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from engine.enhancement import train as enhancer_training
from engine.enhancement.enhancer import load_zero_dce
from engine.enhancement.train import ResizedImages
from engine.preparation import prepare
from utils.errors import UserError
from utils.files import list_images

QUICK = {"epochs": 2, "batch_size": 2, "imgsz": 32, "lr": 1e-3, "device": "cpu"}


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    """Five dark images of different shapes, and one that is damaged."""
    folder, random = tmp_path / "dark", np.random.default_rng(0)
    folder.mkdir()
    for number, (height, width) in enumerate([(40, 50), (32, 32), (20, 60), (64, 48), (33, 31)]):
        pixels = random.integers(0, 70, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_weights_are_written_and_say_how(dark, tmp_path, capsys):
    out = tmp_path / "new" / "mine.safetensors"
    result = prepare("train-enhancer", source=dark, out=out, **QUICK)
    assert [path.name for path, _ in result.skipped] == ["broken.png"]
    assert [set(terms) for terms in result.epochs] == [{"smooth", "spatial", "colour", "exposure", "grey"}] * 2
    assert load_zero_dce(out).scale == 1
    with safe_open(out, framework="pt") as file:
        facts = file.metadata()
    assert facts["epoch"] == "2" and facts["images"] == "5" and '"lr": 0.001' in facts["options"]
    assert list(out.parent.iterdir()) == [out]
    said = capsys.readouterr().out
    assert "epoch 2/2: loss" in said and "broken.png" in said


def test_the_loss_falls_and_images_become_brighter(dark, tmp_path):
    result = prepare("train-enhancer", source=dark, out=tmp_path / "a.safetensors", **{**QUICK, "epochs": 12})
    first, last = (sum(v for k, v in terms.items() if k != "grey") for terms in (result.epochs[0], result.epochs[-1]))
    assert last < first
    assert result.epochs[-1]["grey"] > result.epochs[0]["grey"]


def test_the_seed_decides_and_the_rest_of_the_program_is_left_alone(dark, tmp_path):
    files = {name: tmp_path / f"{name}.safetensors" for name in "abc"}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for file, seed in zip(files.values(), (0, 0, 1), strict=True):
        prepare("train-enhancer", source=dark, out=file, seed=seed, scale=2, **{**QUICK, "epochs": 1})
    assert torch.equal(torch.rand(3), expected)
    states = {name: load_zero_dce(file).e_conv3.weight for name, file in files.items()}
    assert torch.equal(states["a"], states["b"])
    assert not torch.equal(states["a"], states["c"])


def test_a_training_can_start_from_weights(dark, tmp_path):
    """With next to no learning rate the weights stay what they were."""
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    prepare("train-enhancer", source=dark, out=first, **QUICK)
    prepare("train-enhancer", source=dark, out=second, weights=first, **{**QUICK, "lr": 1e-7, "seed": 9})
    pairs = zip(load_zero_dce(first).parameters(), load_zero_dce(second).parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_the_scale_is_that_of_the_weights_to_start_from(dark, tmp_path):
    first, second, third = (tmp_path / f"{name}.safetensors" for name in "abc")
    prepare("train-enhancer", source=dark, out=first, scale=4, **{**QUICK, "epochs": 1})
    prepare("train-enhancer", source=dark, out=second, weights=first, **{**QUICK, "epochs": 1})
    prepare("train-enhancer", source=dark, out=third, weights=first, scale=2, **{**QUICK, "epochs": 1})
    assert [load_zero_dce(file).scale for file in (second, third)] == [4, 2]


def test_squares_do_not_depend_on_memory(dark, monkeypatch):
    """What does not fit is read again, to the same bytes."""
    files = list_images(dark)
    kept = ResizedImages(files, 32)
    monkeypatch.setattr(enhancer_training, "MOST_BYTES", 0)
    read = ResizedImages(files, 32)
    assert len(kept) == len(read) == 5
    assert torch.equal(kept.batch([0, 3, 4]), read.batch([0, 3, 4]))
    assert kept.batch([2]).shape == (1, 3, 32, 32)
    assert kept.batch([2]).max() < 70 / 255


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": None}, "--source DIR"),
        ({"out": "weights.pt"}, "ends in .safetensors"),
        ({"out": "taken.safetensors"}, "already exists"),
        ({"source": "bad"}, "none of its images can be read"),
        ({"source": "nowhere"}, "no such folder"),
        ({"weights": "taken.safetensors"}, "taken.safetensors"),
    ],
)
def test_mistakes_write_nothing(dark, tmp_path, options, message):
    (tmp_path / "taken.safetensors").write_text("mine")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no image")
    paths = {key: value and tmp_path / value for key, value in options.items()}
    given = {"source": dark, "out": tmp_path / "new" / "a.safetensors", **QUICK, **paths}
    with pytest.raises(UserError, match=message):
        prepare("train-enhancer", **{key: value for key, value in given.items() if value is not None})
    assert (tmp_path / "taken.safetensors").read_text() == "mine"
    assert not (tmp_path / "new").exists() and not (tmp_path / "weights.pt").exists()


def test_a_loss_that_is_no_number_is_told(dark, tmp_path, monkeypatch):
    def broken(*_: object) -> dict[str, torch.Tensor]:
        return {"smooth": torch.tensor(float("nan"), requires_grad=True)}

    monkeypatch.setattr(enhancer_training, "zero_reference_terms", broken)
    with pytest.raises(UserError, match="--lr 0.001: the loss is NaN"):
        prepare("train-enhancer", source=dark, out=tmp_path / "a.safetensors", **QUICK)
    assert not (tmp_path / "a.safetensors").exists()
