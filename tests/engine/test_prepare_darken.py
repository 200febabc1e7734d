"""`prepare.py darken`: same names, sizes and formats; resumable; originals untouched."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from data.degrade import low_light_bytes
from data.labels import scan
from data.pairs import match_pairs
from engine.prepare import prepare
from engine.prepare_darken import COLUMNS, MANIFEST, RECIPE, _batches, _Picture, _seed_of
from utils.files import UserError, list_images


def rows(out: Path) -> list[dict[str, str]]:
    with (out / MANIFEST).open(newline="") as file:
        return list(csv.DictReader(file))


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def darken(source: Path, out: Path, **options):
    return prepare("darken", source=source, out=out, **options)


@pytest.fixture
def photos(tmp_path: Path, make_image) -> Path:
    """Three folders deep, five formats, two sizes, some labels."""
    home = tmp_path / "set"
    for number, name in enumerate(["a.png", "b.jpg", "deep/c.jpeg", "deep/er/d.bmp", "deep/e.webp", "deep/f.tif"]):
        make_image(home / "images" / "train" / name, width=32 + 8 * (number % 2), seed=number)
    for name in ("a", "deep/c"):
        label = home / "labels" / "train" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    return home


def test_partners_have_the_same_names_sizes_and_formats(photos):
    source, out = photos / "images/train", photos / "images/train_night"
    before = snapshot(source)
    result = darken(source, out)
    assert (result.written, result.before, result.skipped) == (6, 0, [])
    names = [p.relative_to(source) for p in list_images(source)]
    assert [p.relative_to(out) for p in list_images(out)] == names
    for name in names:
        with Image.open(source / name) as light, Image.open(out / name) as dark:
            assert (light.size, light.format) == (dark.size, dark.format)
            assert np.asarray(dark.convert("L")).mean() < 0.7 * np.asarray(light.convert("L")).mean()
    assert snapshot(source) == before
    assert match_pairs(list_images(source), list_images(out)) == [out / name for name in names]


def test_labels_go_where_the_partners_look_for_them(photos):
    darken(photos / "images/train", photos / "images/train_night")
    copied = sorted(p.relative_to(photos).as_posix() for p in (photos / "labels/train_night").rglob("*.txt"))
    assert copied == ["labels/train_night/a.txt", "labels/train_night/deep/c.txt"]
    found = scan(list_images(photos / "images/train_night"), classes=1)
    assert sum(len(label.classes) for label in found.labels) == 2


def test_a_whole_set_keeps_its_layout(photos):
    """Given the folder above images/ and labels/, the partner is a set of its own."""
    out = photos.with_name("dark")
    darken(photos, out)
    assert (out / "images/train/deep/c.jpeg").is_file()
    assert (out / "labels/train/deep/c.txt").read_text() == "0 0.5 0.5 0.2 0.2\n"


def test_labels_can_be_left_out(photos):
    darken(photos / "images/train", photos / "images/train_night", labels=False)
    assert not (photos / "labels/train_night").exists()


def test_the_manifest_says_what_was_drawn(photos):
    out = photos / "images/train_night"
    darken(photos / "images/train", out, severity=0.5)
    found = rows(out)
    assert tuple(found[0]) == COLUMNS
    assert sorted(row["file"] for row in found) == [
        "a.png",
        "b.jpg",
        "deep/c.jpeg",
        "deep/e.webp",
        "deep/er/d.bmp",
        "deep/f.tif",
    ]
    assert {row["severity"] for row in found} == {"0.5"}
    assert len({row["stops"] for row in found}) == 6


def test_the_manifest_s_seed_makes_the_picture(photos):
    out = photos / "images/train_night"
    darken(photos / "images/train", out)
    (row,) = (row for row in rows(out) if row["file"] == "a.png")
    light = cv2.imread(str(photos / "images/train/a.png"))[..., ::-1].copy()
    dark, _ = low_light_bytes(torch.from_numpy(light)[None], [int(row["seed"])])
    assert (dark[0].numpy() == cv2.imread(str(out / "a.png"))[..., ::-1]).all()


def test_seeds_come_from_names():
    """The same on every machine: this number stands in manifests."""
    assert _seed_of("a.png", 0) == _seed_of("a.png", 0)
    assert len({_seed_of(name, seed) for name in ("a.png", "b.png", "d/a.png") for seed in (0, 1)}) == 6
    assert all(0 <= _seed_of(str(n), 0) < 2**63 for n in range(100))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_batch_changes_nothing(photos, batch_size):
    outs = [photos.with_name(name) for name in ("one", "two")]
    darken(photos, outs[0], batch_size=16)
    darken(photos, outs[1], batch_size=batch_size)
    for image in list_images(outs[0]):
        assert image.read_bytes() == (outs[1] / image.relative_to(outs[0])).read_bytes()


def test_a_second_run_does_nothing_and_an_interrupted_one_goes_on(photos):
    out = photos.with_name("dark")
    darken(photos, out)
    whole = snapshot(out)
    assert darken(photos, out).before == 6
    assert snapshot(out) == whole
    lost = out / "images/train/b.jpg"
    lost.unlink()
    with (out / MANIFEST).open("a") as file:
        file.write("images/train/a.p")  # cut short by a crash
    result = darken(photos, out)
    assert (result.written, result.before) == (1, 5)
    assert lost.read_bytes() == whole[str(lost)][0]
    assert sorted(row["file"] for row in rows(out)) == sorted(p.relative_to(out).as_posix() for p in list_images(out))


def test_pictures_without_a_manifest_line_are_done_again(photos):
    out = photos.with_name("dark")
    darken(photos, out)
    lines = (out / MANIFEST).read_text().splitlines(keepends=True)
    (out / MANIFEST).write_text("".join(lines[:-2]))
    assert darken(photos, out).written == 2


@pytest.mark.parametrize("change", [{"seed": 1}, {"severity": 0.9}, {"quality": 80}])
def test_another_recipe_is_refused(photos, change):
    out = photos.with_name("dark")
    darken(photos, out)
    before = snapshot(out)
    with pytest.raises(UserError, match=f"{next(iter(change))}.*another folder"):
        darken(photos, out, **change)
    assert snapshot(out) == before


def test_somebody_else_s_manifest_is_refused(photos):
    out = photos.with_name("dark")
    out.mkdir()
    (out / MANIFEST).write_text("file,recipe\n")
    with pytest.raises(UserError, match="something else"):
        darken(photos, out)
    assert not (out / RECIPE).exists()


@pytest.mark.parametrize("out", ["images/train", "images/train/dark", "images", "images/../images/train/./x"])
def test_nested_folders_are_refused(photos, out):
    before = snapshot(photos)
    with pytest.raises(UserError, match="never touched"):
        darken(photos / "images/train", photos / out)
    assert snapshot(photos) == before


def test_a_link_to_the_source_is_the_source(photos):
    link = photos.with_name("link")
    link.symlink_to(photos / "images/train", target_is_directory=True)
    with pytest.raises(UserError, match="never touched"):
        darken(photos / "images/train", link)


@pytest.mark.parametrize("kind", ["missing", "empty", "file in the way"])
def test_unusable_folders(tmp_path, make_image, kind):
    source, out = tmp_path / "in", tmp_path / "out"
    if kind == "file in the way":
        make_image(source / "a.png")
        out.write_text("mine")
    elif kind == "empty":
        source.mkdir()
    with pytest.raises(UserError, match=str(out if kind == "file in the way" else source)):
        darken(source, out)
    assert out.is_file() if kind == "file in the way" else not out.exists()


def test_unreadable_pictures_are_left_out_and_listed(photos, capsys):
    source, out = photos / "images/train", photos.with_name("dark")
    whole = (source / "b.jpg").read_bytes()
    (source / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "text.png").write_text("no picture")
    (source / "empty.jpg").write_bytes(b"")
    before = snapshot(source)
    result = darken(source, out)
    assert (result.written, sorted(path.name for path, _ in result.skipped)) == (
        6,
        ["cut.jpg", "empty.jpg", "text.png"],
    )
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("cut.jpg", "empty.jpg", "text.png"))
    assert snapshot(source) == before


def test_turned_photos_are_turned_for_good(tmp_path, make_image):
    """EXIF orientation 6: 40 x 24 px in the file is 24 x 40 on the screen, and in the partner."""
    path = make_image(tmp_path / "in" / "a.jpg", width=40, height=24)
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(path) as picture:
        picture.save(path, exif=exif)
    darken(tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out" / "a.jpg") as dark:
        assert dark.size == (24, 40)
        assert dark.getexif().get(274, 1) == 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_other_kinds_of_pictures_become_colour(tmp_path, mode):
    source = tmp_path / "in"
    source.mkdir()
    values = np.linspace(60, 250, 32 * 24).reshape(24, 32)
    if mode == "I;16":
        Image.fromarray((values * 256).astype(np.uint16)).save(source / "a.png")
    else:
        Image.fromarray(values.astype(np.uint8)).convert(mode).save(source / "a.png")
    assert darken(source, tmp_path / "out").written == 1
    assert cv2.imread(str(tmp_path / "out/a.png"), cv2.IMREAD_UNCHANGED).shape == (24, 32, 3)


def test_a_list_names_the_pictures(photos):
    listing = photos / "some.txt"
    listing.write_text("images/train/b.jpg\nimages/train/deep/c.jpeg\n")
    out = photos.with_name("dark")
    assert darken(listing, out).written == 2
    assert (out / "images/train/deep/c.jpeg").is_file()


def test_a_picture_listed_twice_is_done_once(photos):
    listing = photos / "some.txt"
    listing.write_text("images/train/b.jpg\n" * 2)
    assert darken(listing, photos.with_name("dark")).written == 1


def test_a_list_must_stay_in_its_folder(photos, make_image):
    listing = photos / "some.txt"
    listing.write_text(f"{make_image(photos.with_name('other') / 'x.png')}\n")
    with pytest.raises(UserError, match="lies outside"):
        darken(listing, photos.with_name("dark"))
    assert not photos.with_name("dark").exists()


@pytest.mark.parametrize(
    ("sizes", "batch_size", "expected"),
    [
        ([4, 4, 4, 4, 4], 2, [2, 2, 1]),
        ([4, 8, 4, 8], 2, [2, 2]),
        ([4, 8, 16], 8, [1, 1, 1]),
    ],
)
def test_batches_hold_one_size(sizes, batch_size, expected):
    pictures = [_Picture(Path(str(i)), str(i), i, np.zeros((s, s, 3), np.uint8)) for i, s in enumerate(sizes)]
    batches = list(_batches(iter(pictures), batch_size))
    assert [len(batch) for batch in batches] == expected
    assert all(len({p.pixels.shape for p in batch}) == 1 for batch in batches)
    assert sorted(p.seed for batch in batches for p in batch) == list(range(len(sizes)))


def test_large_pictures_come_alone(monkeypatch):
    monkeypatch.setattr("engine.prepare_darken._MOST_PIXELS", 100)
    pictures = [_Picture(Path(str(i)), str(i), i, np.zeros((8, 8, 3), np.uint8)) for i in range(3)]
    assert [len(batch) for batch in _batches(iter(pictures), 16)] == [1, 1, 1]
