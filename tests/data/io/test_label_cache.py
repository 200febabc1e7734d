"""data.io.label_cache: an unchanged image is not read again, and the cache can be anything without harm."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from data.io import labels
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
