"""`prepare.py enhance`: same names, sizes and formats, labels beside; resumable; originals untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.io.manifest import MANIFEST
from engine.enhancement.enhancer import open_enhancer
from engine.preparation import prepare
from engine.preparation.enhance import NOTE
from utils.errors import UserError
from utils.files import list_images, load_yaml


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def enhance(source: Path, out: Path, **options):
    return prepare("enhance", source=source, out=out, **{"method": "gamma", **options})


def write(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


@pytest.fixture
def night_images(tmp_path: Path) -> Path:
    """Dark images of several formats and depths, one of them damaged; two labels."""
    home, random = tmp_path / "set", np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "deep/c.webp", "deep/d.bmp"):
        write(home / "images" / name, random.integers(0, 60, (24, 32, 3), dtype=np.uint8))
    write(home / "images" / "grey.png", random.integers(0, 60, (24, 32), dtype=np.uint8))
    write(home / "images" / "clear.png", random.integers(0, 60, (24, 32, 4), dtype=np.uint8))
    write(home / "images" / "sixteen.png", random.integers(0, 60 * 256, (24, 32), dtype=np.uint16))
    (home / "images" / "broken.jpg").write_bytes((home / "images" / "b.jpg").read_bytes()[:300])
    for name in ("a", "deep/c"):
        label = home / "labels" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    return home


def test_copies_are_brighter_and_otherwise_alike(night_images, capsys):
    before = snapshot(night_images)
    out = night_images.parent / "bright" / "images"
    result = enhance(night_images / "images", out)
    assert (result.written, result.before) == (7, 0)
    assert [path.name for path, _ in result.skipped] == ["broken.jpg"]
    for path in list_images(out):
        with Image.open(night_images / "images" / path.relative_to(out)) as dark, Image.open(path) as bright:
            assert (bright.size, bright.format, bright.mode) == (dark.size, dark.format, "RGB")
            assert np.asarray(bright).mean() > 80
    labels = sorted(path.relative_to(out.parent).as_posix() for path in out.parent.rglob("*.txt"))
    assert labels == ["labels/a.txt", "labels/deep/c.txt"]
    assert snapshot(night_images) == before
    said = capsys.readouterr().out
    assert "7 images brightened by gamma" in said and "broken.jpg" in said
    assert "1 grey" in said and "1 RGBA" in said and "1 16 bit" in said


@pytest.mark.parametrize("options", [{"method": "clahe"}, {"method": "zero-dce", "scale": 2}])
def test_a_lossless_copy_is_what_the_enhancer_makes(night_images, options):
    out = night_images.parent / "bright"
    enhance(night_images / "images", out, labels=False, **options)
    enhancer = open_enhancer(options["method"], None, options.get("scale"))
    assert enhancer is not None
    dark, bright = (np.asarray(Image.open(folder / "a.png")) for folder in (night_images / "images", out))
    assert (enhancer.image(dark[..., ::-1])[..., ::-1] == bright).all()
    note = load_yaml(out / NOTE)
    assert note["method"] == options["method"]
    assert (note["sha256 of the weights"] is None) == (options["method"] == "clahe")
    assert not (night_images.parent / "labels").exists()


def test_an_interrupted_run_goes_on(night_images):
    out = night_images.parent / "bright" / "images"
    enhance(night_images / "images", out)
    whole = snapshot(out)
    lost = out / "deep" / "d.bmp"
    lost.unlink()
    with (out / MANIFEST).open("a") as file:
        file.write("x.png,,1")  # cut short by a crash
    result = enhance(night_images / "images", out)
    assert (result.written, result.before) == (1, 6)
    assert lost.read_bytes() == whole[str(lost)][0]
    assert enhance(night_images / "images", out).written == 0


@pytest.mark.parametrize(
    ("source", "out", "options", "message"),
    [
        ("images", "images/in", {}, "lies in --source"),
        ("images", ".", {}, "or the other way round"),
        ("images", "images/a.png", {}, "lies in --source"),
        ("images", "../file", {}, "a file is in the way"),
        ("nowhere", "../new", {}, "no such folder"),
        ("nowhere", "new", {}, "--source .*nowhere: there is no such folder"),
        ("images", "../full", {}, "holds something else"),
        ("images", "../new", {"method": "none"}, "expected one of"),
        ("images", "../new", {"scale": 4}, "only zero-dce"),
        ("images", "../new", {"method": "zero-dce", "weights": "nowhere.pt"}, "nowhere.pt"),
    ],
)
def test_mistakes_leave_nothing_behind(night_images, source, out, options, message):
    (night_images.parent / "file").write_text("")
    (night_images.parent / "full").mkdir()
    (night_images.parent / "full" / "mine.txt").write_text("")
    before = snapshot(night_images.parent)
    with pytest.raises(UserError, match=message):
        enhance(night_images / source, (night_images / out).resolve(), **options)
    assert snapshot(night_images.parent) == before


def test_labels_in_the_way_are_not_overwritten(night_images):
    taken = night_images.parent / "bright" / "labels" / "a.txt"
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    with pytest.raises(UserError, match="a.txt: already exists"):
        enhance(night_images / "images", night_images.parent / "bright" / "images")
    assert taken.read_text() == "mine"


def test_another_method_needs_another_folder(night_images):
    out = night_images.parent / "bright"
    enhance(night_images / "images", out)
    with pytest.raises(UserError, match="method gamma, now it is clahe"):
        enhance(night_images / "images", out, method="clahe")


def test_another_source_is_refused_and_a_changed_image_is_done_again(night_images):
    out, again = night_images.parent / "bright", night_images / "images" / "a.png"
    enhance(night_images / "images", out)
    write(night_images.parent / "other" / "a.png", np.full((24, 32, 3), 9, np.uint8))
    with pytest.raises(UserError, match="began with source .*images, now it is .*other"):
        enhance(night_images.parent / "other", out)
    write(again, np.full((48, 32, 3), 9, np.uint8))
    assert enhance(night_images / "images", out).written == 1
    with Image.open(out / "a.png") as bright:
        assert bright.size == (32, 48)


def test_both_folders_are_needed():
    with pytest.raises(UserError, match="--source DIR and --out DIR"):
        prepare("enhance")
