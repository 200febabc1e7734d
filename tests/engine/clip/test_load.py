"""Loading a CLIP: nothing is fetched, nothing runs, and whatever does not fit is named."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.clip.load import Clip, clip_state, load_clip
from tests.models.tiny_clip import TinyClip, tiny_clip, tokenise
from utils.errors import UserError


class FakeOpenClip:
    """The parts of open_clip that are used."""

    configs = {"tiny": {"text_cfg": {}}, "fetching": {"text_cfg": {"hf_tokenizer_name": "x/y"}}}

    def list_models(self) -> list[str]:
        return list(self.configs)

    def get_model_config(self, name: str) -> dict[str, Any]:
        return self.configs[name]

    def create_model(self, name: str, pretrained: None, **options: Any) -> TinyClip:
        assert pretrained is None
        return TinyClip()

    def get_tokenizer(self, name: str) -> Any:
        return tokenise


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.clip.load.open_clip_package", FakeOpenClip)


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}, "epoch": 3}]
)
def test_the_weights_of_the_file(fake: None, tmp_path: Path, wrap: Any) -> None:
    """A plain state dict, and a training checkpoint as open_clip writes it."""
    state = tiny_clip().model.state_dict()
    clip = load_clip("tiny", saved(tmp_path / "clip.pt", wrap(state)))
    assert isinstance(clip, Clip) and clip.side == 224 and clip.scale == pytest.approx(100)
    assert all(torch.equal(value, state[key]) for key, value in clip.model.state_dict().items())
    assert not clip.model.training and not any(p.requires_grad for p in clip.model.parameters())


def test_openais_extra_numbers_and_half_precision(fake: None, tmp_path: Path) -> None:
    state = {key: value.half() for key, value in tiny_clip().model.state_dict().items()}
    clip = load_clip("tiny", saved(tmp_path / "clip.pt", state | {"vocab_size": torch.tensor(49408)}))
    assert {value.dtype for value in clip.model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("tinny", {}, "open_clip has no such model. Did you mean 'tiny'"),
        ("fetching", {}, "its text encoder would be downloaded from a hub"),
        ("tiny", {"logit_scale": None}, "is not a CLIP"),
        ("tiny", {"words.weight": torch.zeros(2, 8)}, "12 of 13 tensors fit, words.weight does not"),
        ("tiny", {"more": torch.zeros(1)}, "13 of 13 tensors fit, more does not"),
    ],
)
def test_what_does_not_fit(fake: None, tmp_path: Path, name: str, change: dict[str, Any], problem: str) -> None:
    state = {key: value for key, value in (tiny_clip().model.state_dict() | change).items() if value is not None}
    with pytest.raises(UserError, match=problem):
        load_clip(name, saved(tmp_path / "clip.pt", state))


def test_no_file(fake: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--checkpoint .*none.pt: there is no such file. Nothing is downloaded"):
        load_clip("tiny", tmp_path / "none.pt")


@pytest.mark.filterwarnings("ignore")
def test_torchscript_needs_trust(tmp_path: Path) -> None:
    """OpenAI's own files are such archives."""
    path = tmp_path / "RN50.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), path)
    with pytest.raises(UserError, match="is a TorchScript archive, as OpenAI published its models.*--trust"):
        clip_state(path, trust=False)
    assert {key: tuple(value.shape) for key, value in clip_state(path, trust=True).items()} == {
        "weight": (3, 2),
        "bias": (3,),
    }


def test_open_clip_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name == "open_clip":
            raise ImportError("No module named 'open_clip'")
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="pip install open_clip_torch"):
        load_clip("RN50-quickgelu", tmp_path / "clip.pt")


@pytest.mark.slow
def test_a_real_model_from_a_file(tmp_path: Path) -> None:
    """open_clip's RN50 with random weights, through the real package: written, read, and used. Its scale is 1 / 0.07."""
    open_clip = pytest.importorskip("open_clip")
    model = open_clip.create_model("RN50-quickgelu", pretrained=None)
    clip = load_clip("RN50-quickgelu", saved(tmp_path / "rn50.pt", model.state_dict()))
    assert clip.side == 224 and clip.scale == pytest.approx(1 / 0.07, rel=1e-4)
    assert sum(p.numel() for p in clip.model.visual.parameters()) == 38_316_896
    assert clip.model.encode_text(clip.tokenise(["a cup."])).shape == (1, 1024)
