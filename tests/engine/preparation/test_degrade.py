"""`prepare.py degrade`: a degraded copy with its labels; repeatable, resumable, originals untouched."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.config import load_data
from data.degradations.recipes import find_recipe, image_seed
from data.detection.federated import FederatedLabels, read_verified
from data.io.labels import label_path, scan
from data.io.manifest import MANIFEST, RECORDS
from data.synthetic.generate import make_synthetic
from engine.preparation import copies, darken, enhance, prepare
from engine.preparation.degrade import NOTE
from utils.errors import UserError
from utils.files import list_images


def degrade(source: Path, out: Path, recipe: str = "down2", **options):
    return prepare("degrade", recipe=recipe, source=source, out=out, **({"format": "png", "workers": 1} | options))


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / MANIFEST).open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_whole_set_is_copied(tiny_set, tmp_path):
    """32 x 24 px become 16 x 12; label rows are the same bytes; data.yaml works from where it lies."""
    before = contents(tiny_set)
    result = degrade(tiny_set, tmp_path / "out")
    assert (result.written, result.before, result.skipped) == (10, 0, [])
    assert contents(tiny_set) == before
    config = load_data(tmp_path / "out")
    found = scan(list_images(config.splits["train"][0]), classes=2)
    assert {label.shape for label in found.labels} == {(12, 16)}
    assert (tmp_path / "out/labels/train/1.txt").read_bytes() == before["labels/train/1.txt"]


def test_the_manifest_says_how_to_make_the_image(tiny_set, tmp_path):
    out = tmp_path / "out"
    degrade(tiny_set, out, "coco-d", seed=3)
    row = rows(out)["images/val/0.png"]
    assert row["source"] == "images/val/0.png"
    assert int(row["seed"]) == image_seed("images/val/0.png", 3)
    clean = cv2.imread(str(tiny_set / "images/val/0.png"))[..., ::-1]
    spoilt = find_recipe("coco-d")(clean, int(row["seed"]))
    assert (spoilt.pixels == cv2.imread(str(out / "images/val/0.png"))[..., ::-1]).all()
    assert float(row["sigma"]) == spoilt.parameters["sigma"]
    assert (row["from_height"], row["from_width"]) == ("24", "32")
    assert (int(row["height"]), int(row["width"])) == spoilt.pixels.shape[:2]


def test_order_workers_and_company_change_nothing(tiny_set, tmp_path):
    degrade(tiny_set, tmp_path / "one", "coco-d", format="jpg")
    degrade(tiny_set, tmp_path / "two", "coco-d", format="jpg", workers=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    listing = tiny_set / "some.txt"
    listing.write_text("images/val/1.png\n")
    degrade(listing, tmp_path / "some", "coco-d", format="jpg")
    assert (tmp_path / "some/images/val/1.jpg").read_bytes() == (tmp_path / "one/images/val/1.jpg").read_bytes()


def test_an_interrupted_run_goes_on(tiny_set, tmp_path):
    out = tmp_path / "out"
    degrade(tiny_set, out, "noise")
    whole = contents(out)
    assert degrade(tiny_set, out, "noise").before == 10
    (out / "images/val/1.png").unlink()
    lines = (out / MANIFEST).read_text().splitlines(keepends=True)
    (out / MANIFEST).write_text("".join(lines[:-3]) + lines[-3][:9])
    result = degrade(tiny_set, out, "noise")
    assert result.written + result.before == 10 and result.written >= 3
    assert {k: v for k, v in contents(out).items() if k != MANIFEST} == {
        k: v for k, v in whole.items() if k != MANIFEST
    }
    assert sorted((out / MANIFEST).read_text().splitlines()) == sorted(whole[MANIFEST].decode().splitlines())


def test_a_full_disk_says_how_far_it_came(tiny_set, tmp_path, monkeypatch):
    out, real = tmp_path / "out", copies.atomic_write

    def full(path, content):
        if path.name == "2.png":
            raise UserError(f"{path}: cannot be written (No space left on device). Choose a place with room.")
        real(path, content)

    monkeypatch.setattr(copies, "atomic_write", full)
    with pytest.raises(UserError, match=r"No space left.*2 of 10 images are done.*the same command resumes"):
        degrade(tiny_set, out)
    monkeypatch.undo()
    result = degrade(tiny_set, out)
    assert result.written + result.before == 10 and result.before >= 2
    degrade(tiny_set, tmp_path / "whole")
    assert (out / "images/night/2.png").read_bytes() == (tmp_path / "whole/images/night/2.png").read_bytes()


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"recipe": "down4"}, {"format": "jpg"}, {"recipe": "fog", "severity": 0.5}]
)
def test_another_recipe_is_refused(tiny_set, tmp_path, change):
    degrade(tiny_set, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(UserError, match="began with.*another folder"):
        degrade(tiny_set, tmp_path / "out", **change)
    assert contents(tmp_path / "out") == before


def test_labels_of_somebody_else_are_kept(tiny_set):
    label = tiny_set / "labels/low/0.txt"
    label.parent.mkdir()
    label.write_text("mine")
    with pytest.raises(UserError, match="would be overwritten"):
        degrade(tiny_set / "images/train", tiny_set / "images/low")
    assert label.read_text() == "mine" and not (tiny_set / "images/low").exists()


@pytest.mark.parametrize("out", ["images/train", "images/train/low", "images"])
def test_nested_folders_are_refused(tiny_set, out):
    before = contents(tiny_set)
    with pytest.raises(UserError, match="never changed"):
        degrade(tiny_set / "images/train", tiny_set / out)
    assert contents(tiny_set) == before


def test_names_that_would_collide(tiny_set, tmp_path, make_image):
    make_image(tiny_set / "images/train/0.jpg")
    with pytest.raises(UserError, match=r"0\.png.*Rename one"):
        degrade(tiny_set, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "foog"}, "fog"),
        ({"recipe": "coco-d", "severity": 1}, "--severity"),
        ({"out": None}, "expected two folders"),
        ({"source": "nothing-here"}, "nothing-here"),
    ],
)
def test_mistakes_leave_nothing(tiny_set, tmp_path, options, message):
    given = {"source": tiny_set, "out": tmp_path / "out", "recipe": "down2"} | options
    with pytest.raises(UserError, match=message):
        prepare("degrade", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["classes.txt", "images/train/_darknet.labels"])
def test_a_set_without_a_yaml_keeps_its_class_names(tiny_set, tmp_path, place):
    (tiny_set / "data.yaml").unlink()
    (tiny_set / place).write_text("cat\ndog\n")
    degrade(tiny_set, tmp_path / "out")
    data = load_data(tmp_path / "out")
    assert data.names == {0: "cat", 1: "dog"} and list(data.splits) == ["train", "val"]


def test_records_are_known_to_the_reader_of_folders():
    assert {NOTE, darken.RECIPE, enhance.NOTE} == RECORDS


def test_other_kinds_of_images_become_rgb(tmp_path, capsys):
    source = tmp_path / "in"
    source.mkdir()
    values = np.linspace(0, 255, 48 * 40).reshape(40, 48)
    for mode in ("L", "RGBA", "P", "RGB"):
        Image.fromarray(values.astype(np.uint8)).convert(mode).save(source / f"{mode}.png")
    Image.fromarray((values * 256).astype(np.uint16)).save(source / "I.png")
    cv2.imwrite(str(source / "deep.png"), np.full((40, 48, 3), 30000, np.uint16))
    degrade(source, tmp_path / "out", "contrast")
    kinds = {Path(file).stem: row["kind"] for file, row in rows(tmp_path / "out").items()}
    assert kinds == {"L": "grey", "RGBA": "RGBA", "P": "palette", "RGB": "", "I": "16 bit", "deep": "16 bit"}
    assert {cv2.imread(str(p), cv2.IMREAD_UNCHANGED).shape for p in list_images(tmp_path / "out")} == {(40, 48, 3)}
    assert "converted to 8-bit RGB: " in capsys.readouterr().out


def test_the_last_lines_list_what_is_odd(tiny_set, tmp_path, capsys):
    """0.25 x 32 px / 10 < 1 px: a box 0.05 wide has 0.4 px in 8 px; the others 2 px and more."""
    (tiny_set / "labels/val/0.txt").write_text("0 0.5 0.5 0.05 0.5\n0 0.5 0.5 0.25 0.5\n")
    (tiny_set / "labels/val/1.txt").write_text("0 0.5\n")
    (tiny_set / "images/val/cut.png").write_bytes((tiny_set / "images/val/0.png").read_bytes()[:99])
    degrade(tiny_set, tmp_path / "out", "down4")
    said = capsys.readouterr().out
    for words in (
        "10 images degraded, 1 skipped",
        "cut.png: ",
        "kept, though small: 10",
        "images/val/0.png: 1\n",
        "images/val/1.png: labels not understood",
    ):
        assert words in said
    assert (tmp_path / "out/labels/val/0.txt").read_text() == (tiny_set / "labels/val/0.txt").read_text()


def test_a_coco_json_is_scaled_along(tmp_path, make_image):
    """64 x 48 px become 32 x 24: boxes are halved, and stand in the label file as fractions."""
    for name in ("a.jpg", "sub/b.jpg"):
        make_image(tmp_path / "images" / name, width=64, height=48)
    names = ("a.jpg", "sub/b.jpg", "missing.jpg")
    content = {
        "images": [{"id": i, "file_name": name, "width": 64, "height": 48} for i, name in enumerate(names)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [3, 5, 9, 7], "area": 63} for i in range(3)],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "set.json").write_text(json.dumps(content))
    out = tmp_path / "made/images/val"
    result = degrade(tmp_path / "images", out, annotations=tmp_path / "set.json", scale_area=True)
    assert [(path.name, reason) for path, reason in result.skipped] == [("missing.jpg", "there is no such file")]
    made = json.loads((out / "set.json").read_text())
    assert [(i["file_name"], i["width"], i["height"]) for i in made["images"]] == [
        ("a.png", 32, 24),
        ("sub/b.png", 32, 24),
    ]
    assert [(a["bbox"], a["area"]) for a in made["annotations"]] == [([1.5, 2.5, 4.5, 3.5], 63 / 4)] * 2
    row = label_path(out / "sub/b.png").read_text().split()
    assert [float(v) for v in row] == pytest.approx([0, 7.5 / 64, 8.5 / 48, 9 / 64, 7 / 48], abs=1e-6)


def test_demo_lowres_is_what_the_command_makes(tmp_path):
    """Its test part is, byte for byte, `prepare.py degrade --recipe coco-d` of its clear test part."""
    synthetic = tmp_path / "demo-lowres"
    make_synthetic(
        "demo-lowres", synthetic, size=(128, 96), counts={"train": 1, "val": 1, "test": 3}, workers=1, progress=False
    )
    out = tmp_path / "images/again"
    degrade(synthetic / "images/test_clear", out, "coco-d", format="jpg")
    for kind in ("images", "labels"):
        made = {p.name: p.read_bytes() for p in (synthetic / kind / "test").iterdir()}
        assert made == {p.name: p.read_bytes() for p in (tmp_path / kind / "again").iterdir() if p.stem[:4] == "test"}
    assert cv2.imread(str(synthetic / "images/train/train00000.jpg")).shape == (96, 128, 3)


@pytest.mark.parametrize("name", ["coco-d", "voc-d", "kitti-d", "demo-lowres"])
def test_the_yamls_are_read(name, root):
    config = load_data(name, need=())
    assert {"train", "val", "val2", "test", "test2"} <= set(config.splits)
    assert config.conditions["val"] == "degraded" and config.method == "aeris"
    assert len(config.names) == {"coco-d": 80, "voc-d": 20, "kitti-d": 3, "demo-lowres": 6}[name]


def test_the_note_keeps_what_decides(tiny_set, tmp_path):
    degrade(tiny_set, tmp_path / "out")
    assert "recipe: down2" in (tmp_path / "out" / NOTE).read_text()


def test_another_source_is_refused_and_a_changed_image_is_done_again(tiny_set, tmp_path, make_image):
    out = tmp_path / "out"
    degrade(tiny_set / "images/val", out)
    with pytest.raises(UserError, match="began with source .*val, now it is .*train"):
        degrade(tiny_set / "images/train", out)
    make_image(tiny_set / "images/val/1.png", width=64)
    assert degrade(tiny_set / "images/val", out).written == 1
    assert cv2.imread(str(out / "1.png")).shape == (12, 32, 3)


def coco(folder: Path, name: str, width: int, height: int) -> Path:
    content = {
        "images": [{"id": 1, "file_name": name, "width": width, "height": height}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [3, 5, 9, 7]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (folder / "set.json").write_text(json.dumps(content))
    return folder / "set.json"


def test_a_turned_image_does_not_fit_its_json(tmp_path, make_image):
    """Stored as 64 x 48 px and annotated so, it is 48 x 64 on the screen, where the boxes are wrong."""
    path = make_image(tmp_path / "in/a.jpg", width=64, height=48)
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(path) as image:
        image.save(path, exif=exif)
    out, file = tmp_path / "out", coco(tmp_path, "a.jpg", 64, 48)
    result = degrade(tmp_path / "in", out, annotations=file)
    assert result.skipped == [(path, "annotated as 64 x 48 px, but the file is 48 x 64")]
    assert json.loads((out / "set.json").read_text())["images"] == [] and list(out.rglob("a.*")) == []
    assert degrade(tmp_path / "in", out, annotations=coco(tmp_path, "a.jpg", 48, 64)).written == 1
    assert len(json.loads((out / "set.json").read_text())["annotations"]) == 1


@pytest.mark.parametrize("recipe", ["jpeg", "noise"])
def test_an_image_too_large_for_jpeg_is_left_out(tmp_path, make_image, recipe):
    """65,501 px; what fits is done all the same, and of what does not there is no label either."""
    make_image(tmp_path / "in/images/long.png", width=65501, height=1)
    make_image(tmp_path / "in/images/short.png")
    for name in ("long", "short"):
        (tmp_path / "in/labels").mkdir(exist_ok=True)
        (tmp_path / f"in/labels/{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    result = degrade(tmp_path / "in", tmp_path / "out", recipe, format="jpg")
    ((path, reason),) = result.skipped
    assert path.name == "long.png" and "65501 x 1 px" in reason and "65500 px per side" in reason
    assert [p.name for p in (tmp_path / "out/labels").iterdir()] == ["short.txt"]


def test_federated_labels_go_along(tiny_set, tmp_path):
    """Under the names of the copies; what is named there and is no image stays."""
    known = {"images/val/0.png": {"absent": [1]}, "images/val/9.png": {"partial": [0]}}
    (tiny_set / "federated.json").write_text(json.dumps(known))
    with (tiny_set / "data.yaml").open("a") as file:
        file.write("federated: federated.json\n")
    degrade(tiny_set, tmp_path / "out", format="jpg")
    config = load_data(tmp_path / "out")
    assert config.federated is not None
    found = read_verified(config.federated, len(config.names))
    assert found == {
        "images/val/0.jpg": FederatedLabels(absent=(1,)),
        "images/val/9.png": FederatedLabels(partial=(0,)),
    }


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("path: fed\ntrain: train.txt", "its path is fed"),
        ("path: .\ntrain: train.txt", "its train is train.txt, which is not a folder"),
        ("train: images/train\ntest: images/test", "its test is images/test, which is not a folder"),
        ("train: ../tiny/images/train", "which is not a folder of the copy"),
        ("train: [images/train]", "which is not a folder of the copy"),
        ("train: images/train\nfederated: none.json", "none.json, which cannot be read"),
        ("train: images/train\nfederated: list.json", "list.json, which does not list"),
        ("train: images/train\nfederated: ../list.json", "../list.json, which lies elsewhere"),
    ],
)
def test_a_yaml_that_does_not_fit_the_copy_is_told(tiny_set, tmp_path, capsys, lines, reason):
    (tiny_set / "list.json").write_text("[]")
    (tiny_set / "data.yaml").write_text(f"{lines}\nnames: {{0: cat, 1: dog}}\n")
    degrade(tiny_set, tmp_path / "out")
    said = capsys.readouterr().out
    assert "data.yaml was not copied: its " in said and reason in said
    assert not (tmp_path / "out/data.yaml").exists()
