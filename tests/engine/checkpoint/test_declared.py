"""Checkpoints that claim more than they hold are refused before memory is taken."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

from engine.checkpoint import load_detector
from engine.checkpoint.declared import Inert, check_declared
from engine.checkpoint.weights import load_weights
from engine.training.resume import load_resume
from tests.engine.tiny import NETWORK
from utils.errors import UserError


def saved(content, **how) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def compressed(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    return buffer.getvalue()


def zipped(pickled: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {"a/data.pkl": pickled, "a/version": b"3\n", "a/byteorder": b"little"}.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def legacy_bomb() -> bytes:
    """The format before torch 1.6: 400 storages of one element each, which now claim half a million."""
    content = saved({"model": {f"x{n}": torch.zeros(1) for n in range(400)}}, _use_new_zipfile_serialization=False)
    assert (count := content.count(b"K\x01Nt")) == 400, count
    return content.replace(b"K\x01Nt", b"J" + struct.pack("<i", 500_000) + b"Nt")


BOMBS = {
    "stride 0": (lambda: saved({"model": {"x": torch.zeros(1).expand(3_000_000_000)}}), "repeat elements"),
    "deflated": (lambda: compressed(saved({"model": {"x": torch.zeros(5_000_000)}})), "is compressed"),
    "storages": (legacy_bomb, r"its tensors claim 800,000,000 bytes, the file has"),
    "memo": (lambda: bytes.fromhex("80024b0172000000302e"), "not a readable checkpoint"),
    "memo in a zip": (lambda: zipped(bytes.fromhex("80024b0172000000302e")), "holds no weights"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_no_memory(tmp_path: Path, name: str) -> None:
    make, message = BOMBS[name]
    (tmp_path / "a.pt").write_bytes(make())
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=message):
            load_weights(tmp_path / "a.pt")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["stride 0", "deflated", "storages"])
def test_resume_states_too(tmp_path: Path, name: str) -> None:
    (tmp_path / "resume.pt").write_bytes(BOMBS[name][0]())
    with pytest.raises(UserError, match="there is no readable resume state .ValueError"):
        load_resume(tmp_path / "resume.pt")


@pytest.mark.parametrize("legacy", [False, True])
def test_what_torch_writes_passes(tmp_path: Path, legacy: bool) -> None:
    """Views, shared storages, scalars, empty and half tensors, and objects of classes."""
    whole = torch.arange(12.0).view(3, 4)
    state = {
        "a": whole,
        "b": whole.T,
        "c": whole[1:, ::2],
        "d": torch.zeros(()),
        "e": torch.zeros(0),
        "f": whole.half(),
    }
    content = {
        "model": state,
        "path": Path("x"),
        "set": {1, 2},
        "module": torch.nn.Linear(2, 2),
        "g": torch.ones(1).expand(9),
    }
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    check_declared(tmp_path / "a.pt")


def test_lists_that_hold_one_another_twice(tmp_path: Path) -> None:
    """40 lists unfold to 2^40 values."""
    entry: list = [1]
    for _ in range(40):
        entry = [entry, entry]
    torch.save({"model": {"x": torch.zeros(1)}, "epoch": 3, "entry": entry}, tmp_path / "a.pt")
    assert load_weights(tmp_path / "a.pt").meta == {"epoch": 3}


@pytest.mark.parametrize("classes", [1e9, 10**9, "abc", None, float("inf"), True, 0, -1])
def test_numbers_of_classes(tmp_path: Path, classes) -> None:
    header = {"yaml": json.dumps({**NETWORK, "nc": classes})}
    (tmp_path / "a.safetensors").write_bytes(safetensors.torch.save({"x": torch.zeros(1)}, header))
    with pytest.raises(UserError, match="classes; expected 1 to 100000"):
        load_detector(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("header", "tensors"),
    [
        ({"yaml": "[" * 200_000}, {"x": torch.zeros(1)}),
        ({"yaml": json.dumps(NETWORK), "names": json.dumps({"\u00b2": "cat"})}, {"x": torch.zeros(1)}),
        ({"yaml": json.dumps(NETWORK)}, {"model.13.cv3.0.2.weight": torch.zeros(3)}),
        ({"yaml": json.dumps(NETWORK)}, {"model.13.cv3.0.2.weight": torch.zeros(2, 5_000_000, 1, 1)}),
        ({"yaml": json.dumps(NETWORK)}, {"x": torch.zeros(3).to(torch.float8_e4m3fn)}),
    ],
)
def test_odd_headers_and_tensors_are_refused(tmp_path: Path, header, tensors) -> None:
    (tmp_path / "a.safetensors").write_bytes(safetensors.torch.save(tensors, header))
    with pytest.raises(UserError):
        load_detector(tmp_path / "a.safetensors")


def test_inert_objects_take_anything() -> None:
    thing = Inert(1, name=2)
    thing["a"] = 1
    thing.append(1)
    thing.extend([1])
    thing.__setstate__({})
    assert vars(thing) == {} and len({thing, Inert()}) == 2
