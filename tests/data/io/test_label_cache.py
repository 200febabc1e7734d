"""data.io.label_cache: an unchanged image is not read again, and the cache can be anything without harm."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.io import labels
from data.io.label_cache import LabelCache
from data.io.labels import scan
from utils.files import list_images


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the images whose header was read."""
    names: list[str] = []
    real = labels.try_probe
    monkeypatch.setattr(labels, "try_probe", lambda path, *most: (names.append(path.name), real(path, *most))[1])
    return names


def as_lists(result: labels.Scan) -> list:
    return [(item.image, item.shape, item.classes.tolist(), item.boxes.tolist()) for item in result.labels]


def test_only_changes_are_read_again(tiny_set, tmp_path, reads):
    images, cache = list_images(tiny_set / "images/train"), tmp_path / "kept/labels.npz"
    (tiny_set / "labels/train/3.txt").unlink()
    first = scan(images, 2, cache=cache)
    reads.clear()
    assert as_lists(scan(images, 2, cache=cache)) == as_lists(first)
    assert reads == []
    (tiny_set / "labels/train/1.txt").write_text("0 .5 .5 .1 .1\n0 .2 .2 .1 .1\n")
    os.utime(images[2], ns=(1, 1))
    (tiny_set / "labels/train/3.txt").write_text("1 .5 .5 .1 .1\n")
    assert [len(item.boxes) for item in scan(images, 2, cache=cache).labels] == [1, 2, 1, 1]
    assert reads == ["1.png", "2.png", "3.png"]


def test_another_count_of_classes_reads_all_again(tiny_set, tmp_path, reads):
    images, cache = list_images(tiny_set / "images/train"), tmp_path / "labels.npz"
    scan(images, 2, cache=cache)
    reads.clear()
    scan(images, 3, cache=cache)
    assert len(reads) == 4


class Hostile:
    def __reduce__(self):
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", pickle.dumps(Hostile())])
def test_a_foreign_cache_is_ignored_and_runs_nothing(tiny_set, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "labels.npz"
    cache.write_bytes(content)
    assert len(scan(list_images(tiny_set / "images/train"), 2, cache=cache).labels) == 4
    assert not (tmp_path / "pwned").exists()
    assert np.load(cache)["counts"].tolist() == [1, 1, 1, 1]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from data.io.label_cache import LabelCache
folder, number = Path(sys.argv[1]), int(sys.argv[2])
image = folder / f"{number}.png"
for turn in range(60):
    cache = LabelCache(folder / "labels.npz", 2)
    cache.known = {}
    cache.get(image, image.with_suffix(".txt"))
    cache.add(image, (24, 32), np.full((500 * number, 5), number, np.float32))
    cache.save()
"""


def test_two_writers_at_once_leave_the_whole_cache_of_one(tmp_path, make_image, root, caplog):
    """No lock is needed: a cache is written beside its place and renamed, so that a reader has all of one or of the other,
    and of two writers the last one stays. What the other knew is read again from the images, whose stamps tell.
    """
    images = {number: make_image(tmp_path / f"{number}.png") for number in (1, 2)}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(number)], cwd=root) for number in images]
    seen = []
    while any(writer.poll() is None for writer in writers) or not seen:
        cache = LabelCache(tmp_path / "labels.npz", 2)
        for image, (_, (shape, rows)) in cache.known.items():
            number = int(Path(image).stem)
            assert shape == (24, 32) and rows.shape == (500 * number, 5) and (rows == number).all()
            seen.append(number)
        assert len(cache.known) <= 1
    assert [writer.returncode for writer in writers] == [0, 0] and seen and not caplog.text
    (left,) = LabelCache(tmp_path / "labels.npz", 2).known
    assert Path(left) in images.values()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.png", "2.png", "labels.npz"]


def test_images_that_damage_later_are_found(tiny_set, tmp_path):
    images, cache = list_images(tiny_set / "images/train"), tmp_path / "labels.npz"
    scan(images, 2, cache=cache)
    images[0].write_bytes(b"")
    images[1].unlink()
    assert [path.name for path, _ in scan(images, 2, cache=cache).skipped] == ["0.png", "1.png"]


def test_a_place_that_cannot_be_written_to_is_no_error(tiny_set, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    images = list_images(tiny_set / "images/train")
    assert len(scan(images, 2, cache=Path("/proc/labels.npz")).labels) == 4
    assert len(scan(images, 2, cache=tmp_path / "file" / "labels.npz").labels) == 4
    assert caplog.text.count("labels are not cached") == 2
