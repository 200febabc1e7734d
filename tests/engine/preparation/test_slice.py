"""prepare.py slice: large images become tiles, and no object is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.config import load_data
from data.io.labels import Label, label_path, read_label, scan
from engine.preparation import prepare, prepare_argv
from engine.preparation.slice import cut_label
from utils.errors import UserError
from utils.files import list_images
from utils.tiles import tile_windows


def a_label(height: int, width: int, *boxes: tuple[float, float, float, float]) -> Label:
    """An image's label from boxes x1 y1 x2 y2 in px, all of class 3."""
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    place = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
    place = (place / (width, height, width, height)).astype(np.float32)
    return Label(Path("a.png"), (height, width), np.full((len(boxes), 1), 3, np.float32), place)


@pytest.mark.parametrize(
    ("box", "least", "expected"),
    [
        ((10, 20, 30, 40), 0.3, {0: (10, 20, 30, 40)}),
        ((85, 20, 95, 40), 0.3, {0: (85, 20, 95, 40), 1: (5, 20, 15, 40)}),  # in what both show
        ((90, 0, 120, 10), 0.3, {0: (90, 0, 100, 10), 1: (10, 0, 40, 10)}),  # a third of it, 10 of 30 px, in the first
        ((90, 0, 120, 10), 0.4, {1: (10, 0, 40, 10)}),
        ((0, 0, 180, 50), 0.9, {0: (0, 0, 100, 50), 1: (0, 0, 100, 50)}),  # 100 of 180 px in each, no tile more
        ((20, 0, 160, 50), 0.9, {0: (20, 0, 100, 50), 1: (0, 0, 80, 50)}),
        ((60, 0, 150, 50), 0.9, {1: (0, 0, 70, 50)}),  # 40 and 70 of 90 px: the tile that shows most
    ],
)
def test_cut_by_hand(box: tuple, least: float, expected: dict) -> None:
    """Tiles of 100 px of an image of 180 x 100 px: 0..100 and 80..180."""
    tiles = list(cut_label(a_label(100, 180, box), 100, 0.2, least))
    assert [tile.window for tile in tiles] == [(0, 0, 100, 100), (80, 0, 180, 100)]
    assert {number for number, tile in enumerate(tiles) if len(tile.rows)} == set(expected)
    for number, (x1, y1, x2, y2) in expected.items():
        row = np.array([3, (x1 + x2) / 200, (y1 + y2) / 200, (x2 - x1) / 100, (y2 - y1) / 100])
        np.testing.assert_allclose(tiles[number].rows[0], row, atol=1e-5)


def test_an_image_without_objects_has_empty_tiles() -> None:
    assert [len(tile.rows) for tile in cut_label(a_label(100, 180), 100, 0.2, 0.3)] == [0, 0]


@pytest.fixture
def large(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    """A set of 150 x 80 px: 3 train images with paired ones, 2 val; an object at 15..45 x 20..40 px each."""
    folder = tmp_path / "large"
    for split, count in {"train": 3, "night": 3, "val": 2}.items():
        for number in range(count):
            make_image(folder / "images" / split / "deep" / f"{number}.png", 150, 80, seed=number)
            if split != "night":
                label = folder / "labels" / split / "deep" / f"{number}.txt"
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text("1 0.2 0.375 0.2 0.25\n")
    (folder / "data.yaml").write_text(
        "path: .\ntrain: images/train\npair: images/night\nval: images/val\nnames: {0: cat, 1: dog}\n"
        "method: wiid\nconditions: {val: night}\n"
    )
    return folder


def fingerprint(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_a_set_with_paired_images(large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tiles of 80 px begin at 0, 64 and 70, in one row; the object is in the first one only."""
    before, out = fingerprint(large), tmp_path / "tiles"
    prepare_argv(["slice", str(large), "--out", str(out), "--slice", "80", "--empty", "0.5", "--seed", "3"])
    assert fingerprint(large) == before and sorted(path.name for path in tmp_path.iterdir()) == ["large", "tiles"]
    config = load_data(out / "data.yaml")
    assert (config.names, config.method, config.conditions["val"]) == ({0: "cat", 1: "dog"}, "wiid", "night")
    names = {split: [path.relative_to(out / "images" / split).as_posix() for path in list_images(out / "images" / split)]
             for split in ("train", "pair", "val")}  # fmt: skip
    assert names["train"] == names["pair"] and {f"deep/{n}_0_0.png" for n in range(3)} < set(names["train"])
    assert 3 < len(names["train"]) < 9 and set(names["val"]) <= {
        f"deep/{n}_{x}_0.png" for n in range(2) for x in (0, 64, 70)
    }
    tile = np.asarray(Image.open(out / "images/train/deep/1_0_0.png"))
    np.testing.assert_array_equal(tile, np.asarray(Image.open(large / "images/train/deep/1.png"))[:80, :80])
    row = read_label(out / "labels/train/deep/1_0_0.txt", 2)
    np.testing.assert_allclose(row, [[1, 30 / 80, 30 / 80, 30 / 80, 20 / 80]], atol=1e-5)
    printed = capsys.readouterr().out
    assert f"train: 3 images became {len(names['train'])} tiles" in printed and "3 objects became 3 boxes" in printed


@pytest.mark.parametrize(("empty", "train", "val"), [(None, 3, 6), (0.0, 3, 2), (1.0, 9, 6)])
def test_tiles_without_objects(large: Path, tmp_path: Path, empty: float | None, train: int, val: int) -> None:
    """Left out, a tenth of the six of train (here none) and all of the four of val."""
    results = prepare("slice", data=str(large), out=tmp_path / "tiles", slice=80, empty=empty)
    assert {result.split: (result.tiles, result.tiles - result.empty) for result in results} == {
        "train": (train, 3),
        "val": (val, 2),
    }
    assert [result.dropped for result in results] == [9 - train, 6 - val]


def test_formats_and_small_images(tmp_path: Path, make_image: Callable[..., Path]) -> None:
    """JPEG, PNG and BMP keep their formats; what is no larger than a tile is copied byte by byte; a source has no YAML."""
    source, out = tmp_path / "images", tmp_path / "out"
    files = [make_image(source / name, 100, 60) for name in ("a.jpg", "b.png", "c.bmp")]
    small = make_image(source / "small.jpg", 40, 30)
    label_path(small).parent.mkdir()
    label_path(small).write_text("7 0.5 0.5 0.5 0.5\n")
    prepare("slice", source=source, out=out, slice=64, quality=80)
    for file in files:
        for x in (0, 36):
            with Image.open(out / "images" / f"{file.stem}_{x}_0{file.suffix}") as tile, Image.open(file) as image:
                assert tile.format == image.format and tile.size == (64, 60)
    assert (out / "images/small_0_0.jpg").read_bytes() == small.read_bytes()
    assert read_label(out / "labels/small_0_0.txt", 8).tolist() == [[7, 0.5, 0.5, 0.5, 0.5]]
    assert len(list_images(out / "images")) == 7 and not (out / "data.yaml").exists()
    assert not (out / "labels/a_0_0.txt").exists()  # no label before, none after


def test_a_turned_photo_is_cut_as_it_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # lies on its side
    (tmp_path / "in").mkdir()
    Image.new("RGB", (100, 50)).save(tmp_path / "in/a.jpg", exif=exif)
    prepare("slice", source=tmp_path / "in", out=tmp_path / "out", slice=64)
    sizes = {path.name: Image.open(path).size for path in list_images(tmp_path / "out/images")}
    assert sizes == {"a_0_0.jpg": (50, 64), "a_0_36.jpg": (50, 64)}


def test_a_mark_in_xmp_alone_turns_nothing(tmp_path: Path) -> None:
    """OpenCV, which training reads with, does not know it."""
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[271] = "a camera"
    Image.new("RGB", (100, 50)).save(tmp_path / "in/a.jpg", exif=exif, xmp=b'<x tiff:Orientation="6"/>')
    prepare("slice", source=tmp_path / "in", out=tmp_path / "out", slice=64)
    assert sorted(path.name for path in list_images(tmp_path / "out/images")) == ["a_0_0.jpg", "a_36_0.jpg"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "--out DIR and either --data YAML or --source DIR"),
        ({"data": "large", "source": "large/images/val", "out": "x"}, "either --data YAML or --source DIR"),
        ({"data": "large"}, "--out DIR"),
        ({"data": "large", "out": "large"}, "already exists"),
        ({"data": "large", "out": "large/images/val/tiles"}, "among the images"),
        ({"data": "large", "out": "x", "slice": 31}, "slice"),
        ({"data": "large", "out": "x", "overlap": 0.95}, "overlap"),
        ({"source": "large/nowhere", "out": "x"}, "there is no such folder"),
        ({"source": "large/nowhere.yaml", "out": "x/y/z"}, "there is no such folder"),
        ({"source": "twins", "out": "x/y"}, "would have the same names as those of"),
        ({"source": "large/images/night", "out": "x", "empty": 0.0}, "no tile to keep"),
    ],
)
def test_mistakes_leave_nothing_behind(
    large: Path, given: dict, words: str, make_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(large.parent)
    for name in ("a.png", "a.jpg"):
        make_image(large.parent / "twins" / name)
    before = fingerprint(large.parent)
    with pytest.raises(UserError, match=words):
        prepare("slice", **given)
    assert fingerprint(large.parent) == before and not Path("x").exists()
    assert sorted(path.name for path in large.parent.iterdir()) == ["large", "twins"]


def test_a_pair_with_an_unreadable_image_is_skipped(
    large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = large / "images/night/deep/1.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    train, _ = prepare("slice", data=str(large), out=tmp_path / "tiles", slice=80, empty=1.0)
    assert train.images == 2 and [path for path, _ in train.skipped] == [broken]
    assert f"skipped {broken}: truncated" in capsys.readouterr().out
    for split in ("train", "night"):
        folder = "pair" if split == "night" else split
        stems = {path.name[0] for path in list_images(tmp_path / "tiles/images" / folder)}
        assert stems == {"0", "2"}


def test_a_missing_test_split_is_left_out(large: Path, tmp_path: Path) -> None:
    with (large / "data.yaml").open("a") as file:
        file.write("test: images/test\n")
    assert [result.split for result in prepare("slice", data=str(large), out=tmp_path / "tiles", slice=80)] == [
        "train",
        "val",
    ]
    assert list(load_data(tmp_path / "tiles").splits) == ["train", "pair", "val"]


def test_a_broken_label_stops_before_anything_is_there(large: Path, tmp_path: Path) -> None:
    (large / "labels/val/deep/1.txt").write_text("9 0.5 0.5 0.1 0.1\n")
    with pytest.raises(UserError, match=r"1.txt:1: class 9 is out of range"):
        prepare("slice", data=str(large), out=tmp_path / "tiles", slice=80)
    assert [path.name for path in tmp_path.iterdir()] == ["large"]


def test_every_real_object_is_whole_somewhere(shared: Path, tmp_path: Path) -> None:
    """377 crowns of up to 102 px; tiles of 640 px share 128, so each crown is whole in at least one."""
    labels = scan(list_images(shared / "data/deepforest/images/val"), 1).labels
    assert sum(len(label.boxes) for label in labels) == 377
    for label in labels:
        whole = np.zeros(len(label.boxes), bool)
        scale = (*label.shape[::-1], *label.shape[::-1])
        for tile in cut_label(label, 640, 0.2, 0.3):
            size = np.tile(np.subtract(tile.window[2:], tile.window[:2]), 2)
            back = (tile.rows[:, 1:] * size + (*tile.window[:2], 0, 0)) / scale
            near = np.abs(back[None] - label.boxes.clip(0, 1)[:, None]).max(2) < 3e-3  # (n, k)
            whole |= near.any(1)
        assert whole.all() and len(tile_windows(*label.shape, 640)) == (6 if max(label.shape) > 640 else 1)


def test_a_long_tail_s_frequencies_go_along_and_federated_labels_are_mentioned(
    large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was looked for is known of whole images only."""
    (large / "looked.json").write_text("{}")
    with (large / "data.yaml").open("a") as file:
        file.write("frequency: [f, r]\nfederated: looked.json\n")
    prepare("slice", data=large / "data.yaml", out=tmp_path / "tiles", slice=80)
    config = load_data(tmp_path / "tiles" / "data.yaml")
    assert config.frequency == ("f", "r") and config.federated is None
    assert "note: looked.json is of whole images" in capsys.readouterr().out
