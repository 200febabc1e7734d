"""Synthetic data sets on disk: layout, repeatability, and what happens when something is in the way or goes wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import pytest

from data.config import load_data
from data.io.labels import label_path
from data.synthetic import generate as scenes
from data.synthetic.generate import MARKER, VERSION, is_complete, make_synthetic
from data.synthetic.registry import SYNTHETIC
from data.synthetic.street.scene import NAMES
from utils.disk.locks import locked
from utils.errors import UserError

COUNTS = {"train": 2, "val": 1, "test": 1}
FOLDERS = {"train": 2, "train_night": 2, "val": 1, "val_day": 1, "test": 1, "test_day": 1}


def tiny(root: Path, **more) -> None:
    make_synthetic("demo-night", root, **({"size": (96, 72), "counts": COUNTS, "workers": 1, "progress": False} | more))


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("worlds") / "demo-night"
    tiny(root)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_layout(synthetic):
    for name, count in FOLDERS.items():
        images = sorted((synthetic / "images" / name).iterdir())
        assert len(images) == count
        for image in images:
            assert cv2.imread(str(image)).shape == (72, 96, 3)
            assert label_path(image).is_file()
    assert [p.name for p in synthetic.parent.iterdir()] == ["demo-night"]  # nothing left beside it


def test_paired_images_share_names_and_labels(synthetic):
    for light, dark in (("train", "train_night"), ("val_day", "val"), ("test_day", "test")):
        for day in (synthetic / "images" / light).iterdir():
            night = synthetic / "images" / dark / day.name
            assert label_path(day).read_text() == label_path(night).read_text()
            assert cv2.imread(str(night)).mean() < 0.7 * cv2.imread(str(day)).mean()


def test_label_rows_are_fractions(synthetic):
    rows = [line.split() for path in (synthetic / "labels").rglob("*.txt") for line in path.read_text().splitlines()]
    assert rows
    for number, *box in rows:
        assert 0 <= int(number) < len(NAMES)
        assert all(0 <= float(value) <= 1 for value in box)


def test_splits_draw_from_seeds_of_their_own():
    synthetic, plan = SYNTHETIC["demo-night"], scenes._plan(SYNTHETIC["demo-night"], 3, None, None)
    jobs = scenes._jobs(synthetic, plan)
    assert len(jobs) == len({job.seed for job in jobs}) == sum(split.scenes for split in synthetic.splits.values())
    assert jobs[0].seed == 3_000_000
    assert [job.seed for job in jobs if job.stem in ("val00000", "test00000")] == [3_200_000, 3_400_000]


@pytest.mark.parametrize("name", SYNTHETIC)
def test_no_two_scenes_of_a_synthetic_share_a_seed(name):
    jobs = scenes._jobs(SYNTHETIC[name], scenes._plan(SYNTHETIC[name], 0, None, None))
    assert len({job.seed for job in jobs}) == len(jobs)


def test_the_streets_are_those_of_version_1(synthetic):
    """Whoever changes what a seed draws counts VERSION up, and this with it."""
    texts = [(synthetic / "labels" / name).read_text() for name in ("train/train00000.txt", "test/test00000.txt")]
    assert (VERSION, hashlib.sha256("".join(texts).encode()).hexdigest()[:12]) == (1, "b2004ae99b73")


def test_same_seed_same_bytes_also_on_two_processes(synthetic, tmp_path):
    tiny(tmp_path / "again", workers=2)
    assert contents(tmp_path / "again") == contents(synthetic)


def test_other_seed_other_images(synthetic, tmp_path):
    tiny(tmp_path / "other", seed=1, counts={"train": 1, "val": 0, "test": 0})
    assert (tmp_path / "other/images/train/train00000.jpg").read_bytes() != (
        synthetic / "images/train/train00000.jpg"
    ).read_bytes()
    assert list((tmp_path / "other/images/val").iterdir()) == []


def test_a_whole_synthetic_is_left_alone(synthetic):
    before = {p: p.stat().st_mtime_ns for p in synthetic.rglob("*")}
    make_synthetic("demo-night", synthetic, progress=False)  # nothing asked for in particular
    tiny(synthetic)  # exactly what stands there
    assert {p: p.stat().st_mtime_ns for p in synthetic.rglob("*")} == before


@pytest.mark.parametrize("asked", [{"seed": 1}, {"size": (64, 64)}, {"counts": {"train": 5}}])
def test_asking_for_another_synthetic_in_the_same_place(synthetic, asked):
    with pytest.raises(UserError, match="holds another synthetic data set"):
        tiny(synthetic, **asked)


def test_a_synthetic_of_another_version(tmp_path):
    marker = {"world": "demo-night", "version": 0, "seed": 0}
    (tmp_path / MARKER).write_text(json.dumps(marker))
    with pytest.raises(UserError, match="another version"):
        make_synthetic("demo-night", tmp_path, progress=False)


@pytest.mark.parametrize("marker", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_damaged_marker(tmp_path, marker):
    (tmp_path / MARKER).write_bytes(marker)
    with pytest.raises(UserError, match=f"its {MARKER} is damaged.*Delete the folder"):
        make_synthetic("demo-night", tmp_path, progress=False)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("demo-nigth", {}, "demo-night"),
        ("demo-night", {"size": (32, 32)}, "at least 64"),
        ("demo-night", {"size": (98, 72)}, "multiples of 4"),
        ("demo-night", {"counts": {"trian": 3}}, "trian"),
        ("demo-night", {"counts": {"train": -1}}, "train=-1"),
        ("demo-night", {"seed": -1}, "0 to 9999"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(tmp_path, name, options, match):
    with pytest.raises(UserError, match=match):
        make_synthetic(name, tmp_path / "world", progress=False, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_what_is_in_the_way_is_kept(tmp_path, taken):
    root = tmp_path / "world"
    if taken == "file":
        root.write_text("mine")
    else:
        root.mkdir()
        (root / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not a synthetic data set"):
        tiny(root)
    assert "mine" in (root.read_text() if taken == "file" else (root / "mine.txt").read_text())


def test_a_set_of_an_earlier_version_stands(tmp_path):
    """The marker as commit a57365d wrote it, to the byte."""
    root = tmp_path / "demo-night"
    root.mkdir()
    text = """{
 "world": "demo-night",
 "version": 1,
 "seed": 0,
 "size": [
  64,
  64
 ],
 "counts": {
  "train": 2,
  "val": 1,
  "test": 120
 }
}
"""
    (root / "world.json").write_text(text)
    make_synthetic("demo-night", root, size=(64, 64), counts={"train": 2, "val": 1}, progress=False)
    assert is_complete(root) and [path.name for path in root.iterdir()] == ["world.json"]
    with pytest.raises(UserError, match="holds another synthetic data set"):
        make_synthetic("demo-night", root, seed=1, size=(64, 64), counts={"train": 2, "val": 1}, progress=False)


def test_an_empty_folder_is_filled(tmp_path):
    tiny(tmp_path / "world", counts={"train": 1, "val": 0, "test": 0})
    (tmp_path / "empty").mkdir()
    tiny(tmp_path / "empty", counts={"train": 1, "val": 0, "test": 0})
    assert is_complete(tmp_path / "empty")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch, interruption):
    def stop(*_):
        raise interruption

    monkeypatch.setattr(scenes, "_darken", stop)
    with pytest.raises(interruption):
        tiny(tmp_path / "world")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept_away(tmp_path):
    left, other = tmp_path / ".world.0123456789ab.partial", tmp_path / ".worlds.0123456789ab.partial"
    for folder in (left, other):
        (folder / "images").mkdir(parents=True)
    tiny(tmp_path / "world", counts={"train": 1, "val": 0, "test": 0})
    assert not left.exists()
    assert other.exists()


def test_two_at_once_are_told(tmp_path):
    with locked(tmp_path / "world", "writes", beside=True), pytest.raises(UserError, match="writes it, since"):
        tiny(tmp_path / "world", counts={"train": 1, "val": 0, "test": 0})
    assert list(tmp_path.iterdir()) == []


def test_a_faster_process_wins(tmp_path):
    """Two processes draw the same synthetic data set: the second finds it there, and is content."""
    tiny(tmp_path / "world", counts={"train": 1, "val": 0, "test": 0})
    second = tmp_path / ".world.cc.partial"
    second.mkdir()
    scenes._commit(second, tmp_path / "world")
    assert is_complete(tmp_path / "world")


def test_a_read_only_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        tiny(tmp_path / "file" / "world")


def test_the_data_yaml_has_the_synthetic_made_where_it_is_missing(tmp_path, root, monkeypatch):
    """`demo:` asks for the synthetic data set; training then finds pairs, night and day images."""
    (tmp_path / "mine.yaml").write_text((root / "data" / "demo-night.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    config = load_data(str(tmp_path / "mine.yaml"), make_demo=lambda name, folder: tiny(folder))
    assert {split for split in config.splits if config.splits[split]} == {
        "train",
        "pair",
        "val",
        "val2",
        "test",
        "test2",
    }
    assert config.conditions["val"] == config.conditions["test"] == "night"


def test_work_is_done_here_where_no_process_can_start(monkeypatch):
    class Broken:
        def __init__(self, *_, **__):
            raise scenes.BrokenProcessPool

    monkeypatch.setattr(scenes, "ProcessPoolExecutor", Broken)
    assert list(scenes.in_processes(lambda n: [n, n * n], [1, 2, 3], 2)) == [1, 1, 2, 4, 3, 9]
