"""Every state that is read, with code in it: none of it runs, and what is wrong is said in a paragraph."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.config import load_data
from data.io.image_cache import ImageCache
from data.io.labels import scan
from data.io.manifest import Manifest
from data.soft_labels.cache import EMBEDDINGS, META, TEXT, TeacherCache
from engine.checkpoint.classifier import load_classifier
from engine.comparison.api import _saved_facts
from engine.comparison.runner import _load_images
from engine.darkening.train_cut import _begun
from engine.darkening.translator import load_generator
from engine.enhancement.enhancer import load_zero_dce
from engine.options.hyp import load_hyp
from engine.options.prepare import TrainTranslatorOptions
from engine.training.resume import load_resume
from tests.soft_labels import write_cache
from utils.errors import UserError
from utils.files import list_images


class Attack:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def as_checkpoint(file: Path, attack: Attack) -> None:
    """Among all that a state of this project holds."""
    state = {
        "model": attack,
        "options": {"trust": True, "weights": str(file)},
        "epoch": 0,
        "batch": 0,
        "network": attack,
    }
    torch.save({**state, "learner": attack, "networks": attack, "rng": attack, "day": [], "night": []}, file)


def as_array(file: Path, attack: Attack) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.array([attack], dtype=object), allow_pickle=True)


def as_arrays(file: Path, attack: Attack) -> None:
    names = ("version", "images", "stamps", "shapes", "counts", "rows", "image", "shape", "values")
    with file.open("wb") as stream:
        np.savez(stream, **dict.fromkeys(names, np.array([attack], dtype=object)))


def as_yaml(file: Path, attack: Attack) -> None:
    file.write_text(f'!!python/object/apply:os.system ["touch {attack.marker}"]\n')


def as_pickle(file: Path, attack: Attack) -> None:
    file.write_bytes(pickle.dumps(attack))


def of_teacher(name: str, file: Path, tiny_set: Path) -> None:
    """A finished cache, one array of which is an attack."""
    labels = scan(list_images(tiny_set / "images" / "train"), 2).labels
    folder = write_cache(file.parent / "cache", labels, ["cat", "dog"], 8)
    (folder / name).write_bytes(file.read_bytes())
    TeacherCache(folder)


def of_labels(file: Path, tiny_set: Path) -> None:
    assert len(scan(list_images(tiny_set / "images" / "train"), 2, cache=file).labels) == 4


def of_images(file: Path, tiny_set: Path) -> None:
    cache, image = ImageCache(file.parent, 32), tiny_set / "images" / "train" / "0.png"
    file.rename(file.parent / f"{cache._key([image])}.npz")
    cache([image], lambda: (np.zeros((2, 2, 3), np.uint8), (2, 2)))


def of_manifest(file: Path, tiny_set: Path) -> None:
    out = file.parent / "out"
    out.mkdir()
    (out / "note.yaml").write_bytes(file.read_bytes())
    (out / "manifest.csv").write_bytes(file.read_bytes())
    Manifest(out, "note.yaml", {})


def alone(read: Callable[[Path], Any]) -> Callable[[Path, Path], Any]:
    return lambda file, tiny_set: read(file)


CHECKPOINTS = (as_checkpoint, as_pickle)
STATES: dict[str, tuple[str, Callable[[Path, Path], Any], tuple[Callable[[Path, Attack], None], ...]]] = {
    "classifier": ("best.pt", alone(lambda file: load_classifier(file, "classify")), CHECKPOINTS),
    "clip classifier": ("best.safetensors", alone(lambda file: load_classifier(file, "action")), CHECKPOINTS),
    "translator": ("cut.safetensors", alone(load_generator), CHECKPOINTS),
    "translator's state": (
        "resume.pt", alone(lambda file: _begun(TrainTranslatorOptions(resume=file))), CHECKPOINTS
    ),
    "enhancer": ("dce.pt", alone(load_zero_dce), CHECKPOINTS),
    "run": ("resume.pt", alone(load_resume), CHECKPOINTS),
    "comparison": ("compare.yaml", alone(_saved_facts), (as_yaml,)),
    "matches of a comparison": (
        "row.val.npz", alone(lambda file: _load_images(file.with_name("row.json"), {"split": "val"})), (as_arrays, as_pickle)
    ),
    "manifest": ("note.yaml", of_manifest, (as_yaml, as_pickle)),
    "label cache": ("labels.npz", of_labels, (as_arrays, as_pickle)),
    "image cache": ("image.npz", of_images, (as_arrays, as_pickle)),
    "teacher's embeddings": ("a.npy", functools.partial(of_teacher, EMBEDDINGS), (as_array, as_pickle)),
    "teacher's prompts": ("a.npy", functools.partial(of_teacher, TEXT), (as_array, as_pickle)),
    "teacher's facts": ("a.npy", functools.partial(of_teacher, META), (as_array, as_pickle)),
    "hyp": ("hyp.yaml", alone(lambda file: load_hyp(file, ["lr0"])), (as_yaml,)),
    "data YAML": ("data.yaml", alone(lambda file: load_data(str(file))), (as_yaml,)),
}  # fmt: skip
CASES = [(name, write) for name, (_, _, forms) in STATES.items() for write in forms]


@pytest.mark.parametrize(("name", "write"), CASES)
def test_nothing_runs(tmp_path: Path, tiny_set: Path, name: str, write: Callable[[Path, Attack], None]) -> None:
    marker = tmp_path / "ran"
    file, read, _ = STATES[name]
    folder = tmp_path / "state"
    folder.mkdir()
    write(folder / file, Attack(marker))
    with contextlib.suppress(UserError, ValueError, FileNotFoundError):
        read(folder / file, tiny_set)
    assert not marker.exists()


def test_the_attack_works(tmp_path: Path) -> None:
    as_pickle(tmp_path / "a", Attack(tmp_path / "ran"))
    pickle.loads((tmp_path / "a").read_bytes())
    assert (tmp_path / "ran").exists()
