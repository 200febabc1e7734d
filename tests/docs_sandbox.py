"""A folder in which the commands of the documentation can run: every file that they name is there, and tiny."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engine.checkpoint import save_checkpoint, save_safetensors
from models.detector import build
from tests.engine.tiny import NETWORK, write_dataset
from utils.files import REPOSITORY, load_yaml, save_yaml

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r" [|>] ")  # what follows is the shell's
SETS = (
    "demo-night",
    "demo-lowres",
    "demo-fog",
    "demo-longtail",
    "Exdark_night",
    "aitod",
    "dota",
    "lvis",
    "my",
    "my-set",
)
FOLDERS = ("images", "night", "day", "photos", "night-photos")  # of plain images
SPLITS = {"train": "train", "pair": "train_night", "val2": "val_day", "test2": "test_day", "val": "val", "test": "test"}
TINY = ["--device", "cpu", "--imgsz", "64"]
TRAIN = [*TINY, "--epochs", "1", "--batch-size", "2", "--workers", "0", "--plots", "false"]
SMALL = {  # what makes a command tiny
    "train.py": TRAIN,
    "val.py": [*TINY, "--batch-size", "2", "--workers", "0"],
    "val.py --corruptions": [*TINY, "--batch-size", "2", "--workers", "0", "--corruptions", "fog", "--severities", "3"],
    "detect.py": TINY,
    "export.py": TINY[2:] + ["--batch", "1"],
    "compare.py": [*TRAIN, "--seeds", "1", "--resamples", "100"],
    "compare.py --checkpoint": [*TINY, "--resamples", "100"],
    "prepare.py synthetic": ["--counts", "train=2", "val=1", "test=1", "--workers", "1"],
    "prepare.py clip": ["--seconds", "0.2", "--size", "96", "64", "--workers", "1"],
    "prepare.py train-translator": [
        "--epochs",
        "1",
        "--decay-epochs",
        "0",
        "--width",
        "4",
        "--imgsz",
        "32",
        "--load",
        "48",
    ],
    "prepare.py train-enhancer": ["--epochs", "1", "--imgsz", "32", "--device", "cpu"],
}


def commands(page: Path) -> list[list[str]]:
    """The Python commands in a page's blocks, as words; comments are dropped and continued lines joined."""
    found = []
    for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in ("", "bash"):
            lines = body.replace("\\\n", " ").splitlines()
            found += [shlex.split(SHELL.split(line)[0], comments=True) for line in lines if line.startswith("python ")]
    return found


def smaller(script: str, words: list[str]) -> list[str]:
    """A command of the same kind on a small network; of two equal options the last one holds."""
    special = next(
        (key for key in SMALL if " " in key and key.split()[0] == script and key.split()[1] in words), script
    )
    return [word.replace("yolov5m", "yolov5n") for word in words] + SMALL.get(special, [])


def make_sandbox(root: Path) -> None:
    """Fill a folder with what the pages name: data sets, images, checkpoints, a finished run, a clip."""
    tiny = root / "tiny"
    given = write_dataset(tiny, images=4)
    for folder in ("val", "val_day"):
        flipped(tiny, folder, folder.replace("val", "test"))
    (root / "data").mkdir()
    for name in SETS:
        save_yaml(root / "data" / f"{name}.yaml", data_yaml(name, tiny))
    shutil.copyfile(root / "data/my.yaml", root / "my.yaml")
    shutil.copyfile(root / "data/my-set.yaml", root / "my-set.yaml")
    for folder in FOLDERS:
        shutil.copytree(tiny / "images/train", root / folder)
    shutil.copytree(tiny, root / "my-set")
    (root / "docs").symlink_to(REPOSITORY / "docs")
    for folder in ("voco/images/train", "exdark/images/train", "exdark/images/test", "voc/images/val"):
        shutil.copytree(tiny / "images/train", root / "datasets" / folder)
    image = cv2.imread(str(tiny / "images/train/000.png"))
    for name in ("night.jpg", "images/photo.jpg", "aerial.png"):
        cv2.imwrite(str(root / name), image)
    (root / "list.txt").write_text("night.jpg\n")
    (root / "films").mkdir()
    for name in ("clip.mp4", "night.mp4", "films/street.mp4"):
        clip(root / name, image)
    checkpoints(root, given["data"])


def flipped(tiny: Path, source: str, target: str) -> None:
    """The same images, flipped vertically: a test set must not be val again."""
    for folder in ("images", "labels"):
        (tiny / folder / target).mkdir()
    for file in (tiny / "images" / source).iterdir():
        cv2.imwrite(str(tiny / "images" / target / file.name), np.ascontiguousarray(cv2.imread(str(file))[::-1]))
        shutil.copyfile(tiny / "labels" / source / f"{file.stem}.txt", tiny / "labels" / target / f"{file.stem}.txt")


def data_yaml(name: str, tiny: Path) -> dict[str, Any]:
    """The project's data YAML of that name with tiny images in its splits, of two classes; an unknown one has all splits."""
    file = REPOSITORY / "data" / f"{name}.yaml"
    content = load_yaml(file) if file.is_file() else dict.fromkeys(SPLITS)
    folders = {split: f"images/{folder}" for split, folder in SPLITS.items() if split in content}
    kept = {key: content[key] for key in ("conditions", "method") if key in content}
    return {"path": str(tiny), **folders, **kept, "names": ["square", "bar"]}


def checkpoints(root: Path, data: str) -> None:
    """best.pt and its like, and a run folder as train.py leaves it."""
    names = {0: "square", 1: "bar"}
    detector = build(NETWORK, names)
    save_safetensors(root / "best.safetensors", detector, options={}, metrics={}, method="none")
    for place in ("best.pt", "a.pt", "b.pt", *(f"runs/{name}/weights/best.pt" for name in ("a", "b", "train/exp"))):
        save_checkpoint(root / place, detector, epoch=0, options={}, metrics={})
    save_yaml(root / "runs/train/exp/args.yaml", {"data": data, "imgsz": 64})
    save_checkpoint(root / "weights/yolov5n.pt", build("yolov5n.yaml", {0: "cat"}), epoch=0, options={}, metrics={})


def clip(path: Path, image: np.ndarray) -> None:
    """A film of four frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (image.shape[1], image.shape[0]))
    for _ in range(4):
        writer.write(image)
    writer.release()
