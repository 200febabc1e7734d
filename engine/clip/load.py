"""open_clip, which is optional: a CLIP with the weights of a local file. Nothing is ever downloaded."""

from __future__ import annotations

import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.checkpoint.weights import load_weights
from utils.errors import UserError, suggestion

DEMO = "hardsight-demo"  # the model that engine.clip.train_demo trains
OWN: dict[str, dict[str, Any]] = {  # models that open_clip is told of, described as it describes its own
    DEMO: {
        "embed_dim": 96,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64, "patch_size": None},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
    }
}
NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size"}  # numbers that OpenAI's files carry along


@dataclass(frozen=True)
class Clip:
    """model: encodes images and tokens; tokenise: texts to tokens (n, context); side: px of the images it was made for."""

    model: Any
    tokenise: Any
    side: int

    @property
    def scale(self) -> float:
        """What cosines are multiplied by: about 100 for OpenAI's weights."""
        return float(self.model.logit_scale.detach().float().exp())


def load_clip(name: str, checkpoint: Path, trust: bool = False) -> Clip:
    """The model `name` of open_clip with the weights of a file: float32, on the CPU, in evaluation, without gradients.

    Raises UserError where open_clip is missing, the name is unknown or needs files from a hub, and where the checkpoint
    is no CLIP or another one.
    """
    open_clip = open_clip_package()
    _check_name(open_clip, name)
    if not checkpoint.is_file():
        raise UserError(
            f"--checkpoint {checkpoint}: there is no such file. Nothing is downloaded; fetch the weights yourself."
        )
    model = open_clip.create_model(name, pretrained=None, precision="fp32", device="cpu")
    _fill(model, name, checkpoint, clip_state(checkpoint, trust))
    model.eval().requires_grad_(False)
    side = model.visual.image_size
    return Clip(model, open_clip.get_tokenizer(name), side if isinstance(side, int) else int(side[0]))


def open_clip_package() -> Any:
    """open_clip, which knows OWN. Raises UserError where it is missing."""
    try:
        import open_clip
    except ImportError as problem:
        raise UserError(
            f"prepare.py teacher: needs open_clip, which is not installed ({problem}). Run 'pip install open_clip_torch'."
        ) from None
    for name in OWN.keys() - set(open_clip.list_models()):
        with tempfile.TemporaryDirectory() as folder:  # open_clip takes descriptions from files
            file = Path(folder) / f"{name}.json"
            file.write_text(json.dumps(OWN[name]))
            open_clip.add_model_config(file)
    return open_clip


def _check_name(open_clip: Any, name: str) -> None:
    """Raise UserError for a model that open_clip does not describe, or whose text side has to be fetched."""
    known = open_clip.list_models()
    if name not in known:
        raise UserError(f"--model {name}: open_clip has no such model.{suggestion(name, known)}")
    text = open_clip.get_model_config(name).get("text_cfg", {})
    if {"hf_model_name", "hf_tokenizer_name"} & text.keys():
        raise UserError(
            f"--model {name}: its text encoder would be downloaded from a hub, and nothing is downloaded here. Choose a model "
            "with CLIP's own text encoder, such as RN50-quickgelu or ViT-B-32."
        )


def clip_state(checkpoint: Path, trust: bool) -> dict[str, Tensor]:
    """Tensors by name. OpenAI's files are TorchScript, whose code runs as it is loaded: they need `trust`."""
    if not _is_torchscript(checkpoint):
        state = load_weights(checkpoint, trust).state
    elif trust:
        state = torch.jit.load(checkpoint, map_location="cpu").state_dict()
    else:
        raise UserError(
            f"--checkpoint {checkpoint}: is a TorchScript archive, as OpenAI published its models; loading one executes code "
            "inside it. Give --trust if you know its source, or a .pt or .safetensors file of the same weights."
        )
    return {key: value for key, value in state.items() if key not in NOT_WEIGHTS}


def _is_torchscript(path: Path) -> bool:
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _fill(model: Any, name: str, checkpoint: Path, state: dict[str, Tensor]) -> None:
    """Put the weights in. Raises UserError where one is missing, left over or of another shape."""
    own = model.state_dict()
    fits = [key for key, value in own.items() if key in state and state[key].shape == value.shape]
    if len(fits) == len(own) == len(state):
        model.load_state_dict(state)
        return
    if "logit_scale" not in state:
        raise UserError(
            f"--checkpoint {checkpoint}: is not a CLIP (it has no logit_scale). Name the weights of {name}."
        )
    odd = next(key for key in (*own, *state) if key not in fits)
    raise UserError(
        f"--checkpoint {checkpoint}: holds another CLIP than --model {name}; {len(fits)} of {len(own)} tensors fit, {odd} does "
        "not. Name the model that the file was made for."
    )
