"""Data sets as people have them: each trains an epoch and is validated, as it is or by the command that a converter prints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.preparation import prepare
from tests.engine.tiny import write_dataset
from utils.errors import UserError
from utils.files import list_images, load_yaml

pytestmark = pytest.mark.slow

NAMES = "nc: 2\nnames: ['square', 'bar']\n"


@pytest.fixture
def original(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Six images of two classes with a val of four, and the options that train on such a set."""
    root = tmp_path / "original"
    options = write_dataset(root, images=6)
    return root, {**options, "method": "none", "epochs": 1, "project": tmp_path / "runs"}


def copy(root: Path, kind: str, split: str, target: Path) -> None:
    shutil.copytree(root / kind / split, target)


def roboflow(root: Path, out: Path) -> Path:
    for split, folder in (("train", "train"), ("val", "valid")):
        for kind in ("images", "labels"):
            copy(root, kind, split, out / folder / kind)
    (out / "data.yaml").write_text(f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\n{NAMES}")
    (out / "test" / "images").mkdir(parents=True)
    return out


def roboflow_without_test(root: Path, out: Path) -> Path:
    shutil.rmtree(roboflow(root, out) / "test")
    return out


def cvat(root: Path, out: Path) -> Path:
    """CVAT's Ultralytics export with lists whose entries begin with `data/`."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            copy(root, kind, split, out / kind / split)
        files = sorted(path.name for path in (out / "images" / split).iterdir())
        (out / f"{split}.txt").write_text("".join(f"data/images/{split}/{name}\n" for name in files))
    (out / "data.yaml").write_text(f"path: .\ntrain: train.txt\nval: val.txt\n{NAMES}")
    return out / "data.yaml"


def bare_folder(root: Path, out: Path) -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            copy(root, kind, split, out / kind / split)
    (out / "classes.txt").write_text("square\nbar\n")
    return out


def ultralytics(root: Path, out: Path) -> Path:
    bare_folder(root, out)
    (out / "mine.yaml").write_text("train: images/train\nvalidation: images/val\nnc: 2\ndownload: echo no\n")
    return out / "mine.yaml"


def wiid(root: Path, out: Path) -> Path:
    """As published: `train` is the dark member, which owns the labels."""
    bare_folder(root, out)
    (out / "images" / "train").rename(out / "images" / "voco_dark")
    (out / "labels" / "train").rename(out / "labels" / "voco_dark")
    copy(root, "images", "train", out / "images" / "voco")
    (out / "voco.yaml").write_text(
        f"train: images/voco_dark\ntrain_night: images/voco\nval: images/val\n{NAMES}method: wiid\n"
    )
    return out / "voco.yaml"


@pytest.mark.parametrize("make", [roboflow, roboflow_without_test, cvat, bare_folder, ultralytics, wiid])
def test_sets_that_train_as_they_are(
    original: tuple[Path, dict[str, Any]], tmp_path: Path, make: Callable[[Path, Path], Path]
) -> None:
    root, options = original
    data = make(root, tmp_path / "theirs")
    method = "wiid" if make is wiid else "none"
    result = engine.train(**{**options, "data": str(data), "method": method})
    assert result.reports[0].images == 4 and result.reports[0].instances > 0
    assert load_yaml(result.save_dir / "args.yaml")["data"].startswith(str(tmp_path / "theirs"))
    again = engine.validate(weights=result.best, project=tmp_path / "val", plots=False, device="cpu")
    assert again.reports[0].images == 4


def label_studio(root: Path, out: Path) -> Path:
    for kind in ("images", "labels"):
        copy(root, kind, "train", out / kind)
    (out / "classes.txt").write_text("square\nbar\n")
    return out


def coco_rows(root: Path, split: str) -> dict[str, Any]:
    images = [path.name for path in list_images(root / "images" / split)]
    notes = []
    for number, name in enumerate(images):
        for row in (root / "labels" / split / name).with_suffix(".txt").read_text().splitlines():
            kind, x, y, w, h = (float(value) * (64 if place else 1) for place, value in enumerate(row.split()))
            box = [x - w / 2, y - h / 2, w, h]
            notes.append({"id": len(notes), "image_id": number, "category_id": int(kind) + 1, "bbox": box})
    rows = [{"id": number, "file_name": name, "width": 64, "height": 64} for number, name in enumerate(images)]
    return {
        "images": rows,
        "annotations": notes,
        "categories": [{"id": 0, "name": "things"}, {"id": 1, "name": "square"}, {"id": 2, "name": "bar"}],
    }


def roboflow_coco(root: Path, out: Path) -> Path:
    for split, folder in (("train", "train"), ("val", "valid")):
        copy(root, "images", split, out / folder)
        (out / folder / "_annotations.coco.json").write_text(json.dumps(coco_rows(root, split)))
    return out


def cvat_coco(root: Path, out: Path) -> Path:
    copy(root, "images", "train", out / "images" / "default")
    (out / "annotations").mkdir()
    (out / "annotations" / "instances_default.json").write_text(json.dumps(coco_rows(root, "train")))
    return out


def maet(root: Path, out: Path) -> Path:
    """ExDark in VOC form: one folder of images, train.txt and test.txt beside it."""
    (out / "Annotations").mkdir(parents=True)
    (out / "JPEGImages").mkdir()
    box = "<bndbox><xmin>9</xmin><ymin>9</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>"
    for split, listed in (("train", "train"), ("val", "test")):
        names = []
        for number, image in enumerate(list_images(root / "images" / split)):
            names.append(f"{listed}{number}")
            shutil.copy(image, out / "JPEGImages" / f"{names[-1]}{image.suffix}")
            kind = ("square", "bar")[number % 2]
            (out / "Annotations" / f"{names[-1]}.xml").write_text(
                f"<annotation><size><width>64</width><height>64</height></size><object><name>{kind}</name>{box}</object></annotation>"
            )
        (out / f"{listed}.txt").write_text("\n".join(names))
    return out


@pytest.mark.parametrize(
    ("make", "converter", "held_out"),
    [(maet, "voc", False), (label_studio, "yolo", True), (roboflow_coco, "coco", False), (cvat_coco, "coco", True)],
)
def test_sets_that_are_converted(
    original: tuple[Path, dict[str, Any]], tmp_path: Path, make: Callable[[Path, Path], Path], converter: str,
    held_out: bool, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """What the converter prints as the next command runs as printed."""
    root, options = original
    source, out = make(root, tmp_path / "theirs"), tmp_path / "ours"
    share = {"val_share": 0.5} if held_out else {}
    prepare("convert", name=converter, source=source, out=out, **share)
    assert f"python train.py --data {out / 'data.yaml'}" in capsys.readouterr().out
    result = engine.train(**{**options, "data": str(out / "data.yaml")})
    assert result.reports[0].images > 0
    assert load_yaml(out / "data.yaml")["names"] in ({0: "square", 1: "bar"}, {0: "bar", 1: "square"})


def test_without_a_val_the_next_command_is_told(original: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root, options = original
    data = label_studio(root, tmp_path / "theirs")
    with pytest.raises(UserError, match=f"no 'val' split .*convert yolo --source {data} --out FOLDER --val-share 0.1"):
        engine.train(**{**options, "data": str(data)})
