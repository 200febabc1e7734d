"""What reads files that come from elsewhere: each reader with a good file to damage."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.torch
import torch
from PIL import Image

import data.convert
from data.config import load_data
from data.detection.federated import read_verified
from data.io.images import read_image
from data.io.labels import scan
from data.io.video import probe_video, read_frames
from engine.checkpoint.weights import load_weights
from engine.inference.sources import plan_sources
from engine.options.hyp import load_hyp
from engine.training.resume import NEEDED, load_resume
from models.detector import build
from tests.engine.tiny import NETWORK
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
PICKLE = "data.pkl"  # in the archive that torch writes
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 32, "height": 24}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 3, 10, 8], "iscrowd": 0, "area": 80.0}],
    "categories": [{"id": 3, "name": "cat"}],
}
VOC = b"""<annotation><filename>a.png</filename><size><width>32</width><height>24</height></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>12</xmax><ymax>11</ymax></bndbox></object></annotation>
"""


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


def _inside_pt(sound: bytes) -> Callable[[Path], None]:
    """Reads the damaged file as the pickle of an archive that is whole: who attacks writes check sums that are right."""

    def read(file: Path) -> None:
        checkpoint = file.with_suffix(".pt")
        with zipfile.ZipFile(io.BytesIO(sound)) as archive, zipfile.ZipFile(checkpoint, "w") as other:
            for entry in archive.namelist():
                other.writestr(entry, file.read_bytes() if entry.endswith(PICKLE) else archive.read(entry))
        load_weights(checkpoint)

    return read


def _pickle_of(checkpoint: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        return archive.read(next(entry for entry in archive.namelist() if entry.endswith(PICKLE)))


def _inside_safetensors(file: Path) -> None:
    """The damaged file as the header of a checkpoint, its length right."""
    header = file.read_bytes()
    file.with_suffix(".safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(432 + 16))
    load_weights(file.with_suffix(".safetensors"))


def _converted(name: str) -> Callable[[Path], None]:
    """Reads a file of annotations beside its image, and writes what is understood of it."""

    def read(file: Path) -> None:
        source = file.parent / "source"
        source.mkdir()
        (source / "a.png").write_bytes(_image("PNG"))
        data.convert.run(name, Path(shutil.move(file, source)).parent, file.parent / "out")

    return read


def _film() -> bytes:
    """Six frames of 32 x 24 px, MPEG-4."""
    file = Path(tempfile.mkdtemp()) / "a.mp4"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"mp4v"), 10, (32, 24))
    for value in range(0, 240, 40):
        writer.write(np.full((24, 32, 3), value, np.uint8))
    writer.release()
    content = file.read_bytes()
    shutil.rmtree(file.parent)
    return content


def _frames(file: Path) -> None:
    if not isinstance(found := probe_video(file), str):
        list(read_frames(file, range(min(found.frames, 3))))


def readers(folder: Path) -> dict[str, Reader]:
    """All readers by name. folder: for files that are written on the way."""
    tensors = {"model.0.conv.weight": torch.ones(4, 3, 3, 3), "model.0.bn.bias": torch.zeros(4)}
    facts = {"names": json.dumps({"0": "cat"}), "nc": "1"}
    state: dict[str, Any] = {**dict.fromkeys(NEEDED, {}), "model": tensors, "epoch": 1, "batch": 2}
    resumable = _pt({**state, "options": {"data": "a.yaml"}, "network": {"nc": 1}})
    checkpoint, packed = _pt({"model": tensors, "names": {0: "cat"}}), safetensors.torch.save(tensors, facts)
    verified = json.dumps({"a.jpg": {"absent": [0], "partial": [1]}}).encode()
    return {
        "data YAML": Reader("data.yaml", DATA, _data),
        "hyp": Reader("hyp.yaml", HYP, lambda file: load_hyp(file, ["lr0"])),
        "model YAML": Reader("tiny8n.yaml", _yaml(NETWORK, folder), lambda file: build(file, {0: "a", 1: "b"})),
        "labels": Reader("a.txt", b"0 0.5 0.5 0.25 0.5\n1 0.25 0.5 0.1 0.1\n0 0.1 0.1 0.4 0.1 0.4 0.4\n", _labels),
        "PNG": Reader("a.png", _image("PNG"), _pixels),
        "JPEG": Reader("a.jpg", _image("JPEG"), _pixels),
        "BMP": Reader("a.bmp", _image("BMP"), _pixels),
        "list of images": Reader("list.txt", b"./a.jpg\n/data/b.png\nimages/c.jpg\n", lambda file: list_images(file)),
        "list of sources": Reader(
            "list.streams", b"rtsp://u:p@127.0.0.1/x\n0\nvideo.mp4\nhttp://127.0.0.1/a.jpg\n", plan_sources
        ),
        "federated labels": Reader("verified.json", verified, lambda file: read_verified(file, 2)),
        "safetensors": Reader("a.safetensors", packed, load_weights),
        "pt": Reader("a.pt", checkpoint, load_weights),
        "pickle of a pt": Reader(PICKLE, _pickle_of(checkpoint), _inside_pt(checkpoint)),
        "header of safetensors": Reader(
            "header.json", packed[8 : 8 + int.from_bytes(packed[:8], "little")], _inside_safetensors
        ),
        "TIFF": Reader("a.tif", _image("TIFF"), _pixels),
        "WebP": Reader("a.webp", _image("WEBP"), _pixels),
        "film": Reader("a.mp4", _film(), _frames),
        "COCO": Reader("_annotations.coco.json", json.dumps(COCO).encode(), _converted("coco")),
        "VOC": Reader("a.xml", VOC, _converted("voc")),
        "resume.pt": Reader("resume.pt", resumable, load_resume),
    }
