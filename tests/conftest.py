"""What tests share: a quiet, offline environment with few threads, tiny image folders, real data if it exists."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# Before anything imports torch or ultralytics: few threads, no network, and settings away from the user's own folder.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="yolo-config-")  # each test process its own
atexit.register(shutil.rmtree, os.environ["YOLO_CONFIG_DIR"], ignore_errors=True)
os.environ["YOLO_OFFLINE"] = "true"
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ["WANDB_MODE"] = "disabled"
os.environ["MPLBACKEND"] = "Agg"
os.environ["COLUMNS"] = "100"

import methods.registry  # noqa: E402, F401  # declares the lines of data YAMLs that methods read


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's own folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data beside the repository; tests that need it are skipped where it is missing."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no real data: the folder ../shared beside the repository is missing")
    return folder


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """full_disk(size): from now on no file can grow beyond so many bytes. What is said of it is what a full disk says."""
    resource = pytest.importorskip("resource", reason="this system limits no file sizes")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def make_image() -> Callable[..., Path]:
    """make_image(path, width=32, height=24, seed=0) writes noise in the suffix's format and returns the path."""

    def make(path: Path, width: int = 32, height: int = 24, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return make


@pytest.fixture
def tiny_set(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    """The folder of a data set: 4 train images with paired night images, 2 val, 2 classes, a box each, data.yaml."""
    folder = tmp_path / "tiny"
    for split, count in {"train": 4, "night": 4, "val": 2}.items():
        for number in range(count):
            make_image(folder / "images" / split / f"{number}.png", seed=number)
            label = folder / "labels" / split / f"{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(f"{number % 2} 0.5 0.5 0.25 0.5\n")
    (folder / "data.yaml").write_text(
        "path: .\ntrain: images/train\npair: images/night\nval: images/val\nnames: {0: cat, 1: dog}\n"
    )
    return folder
