"""What reads files that come from elsewhere: each reader with a good file to damage."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from data.config import load_data
from data.detection.federated import read_verified
from data.io.images import read_image
from data.io.labels import scan
from engine.checkpoint.weights import load_weights
from engine.inference.sources import plan_sources
from engine.options.hyp import load_hyp
from engine.training.resume import load_resume
from models.detector import build
from tests.engine.tiny import CRUX_NETWORK
from utils.files import list_images, save_yaml

DATA = b"""path: .
train: images/train
pair: images/night
val: [images/val]
test: images/val
names: {0: cat, 1: dog}
method: wiid
conditions: {val: night, test: night}
"""
HYP = b"lr0: 0.01\nlrf: 0.1\noptimizer: SGD\nlr_steps: [2, 3]\nmosaic: 1.0\nfliplr: 0.5\nhsv_h: 0.015\nmomentum: 0.9\n"


@dataclass(frozen=True)
class Reader:
    """name: of the file that is damaged. good: its content. read: takes the damaged file, in a folder of its own."""

    name: str
    good: bytes
    read: Callable[[Path], Any]


def _image(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def _pt(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _yaml(content: dict[str, Any], folder: Path) -> bytes:
    save_yaml(folder / "good.yaml", content)
    return (folder / "good.yaml").read_bytes()


def _data(file: Path) -> None:
    for split in ("train", "night", "val"):
        (file.parent / "images" / split).mkdir(parents=True, exist_ok=True)
    load_data(str(file))


def _labels(file: Path) -> None:
    image = file.parent / "images" / "a.png"
    label = file.parent / "labels" / "a.txt"
    for path in (image, label):
        path.parent.mkdir(exist_ok=True)
    image.write_bytes(_image("PNG"))
    label.write_bytes(file.read_bytes())
    scan([image], 2)


def _pixels(file: Path) -> None:
    """An image that the scan takes either decodes, or is said to be damaged."""
    for label in scan([file], 2).labels:
        read_image(label.image)


def readers(folder: Path) -> dict[str, Reader]:
    """All readers by name. folder: for files that are written on the way."""
    tensors = {"model.0.conv.weight": torch.ones(4, 3, 3, 3), "model.0.bn.bias": torch.zeros(4)}
    facts = {"names": json.dumps({"0": "cat"}), "nc": "1"}
    state = {"model": tensors, "epoch": 1, "batch": 2, "options": {"data": "a.yaml"}, "network": {"nc": 1}}
    verified = json.dumps({"a.jpg": {"neg": [0], "not_exhaustive": [1]}}).encode()
    return {
        "data YAML": Reader("data.yaml", DATA, _data),
        "hyp": Reader("hyp.yaml", HYP, lambda file: load_hyp(file, ["lr0"])),
        "model YAML": Reader("tiny8n.yaml", _yaml(CRUX_NETWORK, folder), lambda file: build(file, {0: "a", 1: "b"})),
        "labels": Reader("a.txt", b"0 0.5 0.5 0.25 0.5\n1 0.25 0.5 0.1 0.1\n0 0.1 0.1 0.4 0.1 0.4 0.4\n", _labels),
        "PNG": Reader("a.png", _image("PNG"), _pixels),
        "JPEG": Reader("a.jpg", _image("JPEG"), _pixels),
        "BMP": Reader("a.bmp", _image("BMP"), _pixels),
        "list of images": Reader("list.txt", b"./a.jpg\n/data/b.png\nimages/c.jpg\n", lambda file: list_images(file)),
        "list of sources": Reader(
            "list.streams", b"rtsp://u:p@127.0.0.1/x\n0\nvideo.mp4\nhttp://127.0.0.1/a.jpg\n", plan_sources
        ),
        "federated labels": Reader("verified.json", verified, lambda file: read_verified(file, 2)),
        "safetensors": Reader("a.safetensors", safetensors.torch.save(tensors, facts), load_weights),
        "pt": Reader("a.pt", _pt({"model": tensors, "names": {0: "cat"}}), load_weights),
        "resume.pt": Reader("resume.pt", _pt(state), load_resume),
    }
