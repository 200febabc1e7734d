"""The teacher cache: what is written is read, a broken run goes on, and a cache of something else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.io.labels import Label
from data.soft_labels.cache import CacheWriter, Meta, TeacherCache, label_hash
from data.soft_labels.prompts import prompt_hash
from utils.errors import UserError

NAMES = ["cup", "plate"]
COUNTS = (2, 0, 3)


def labels_of(counts: tuple[int, ...] = COUNTS) -> list[Label]:
    generator = np.random.default_rng(0)
    return [
        Label(
            Path(f"set/{n}.png"), (48, 64), np.zeros((count, 1), np.float32), generator.random((count, 4), np.float32)
        )
        for n, count in enumerate(counts)
    ]


def meta_of(labels: list[Label]) -> Meta:
    return Meta(label_hash(labels), prompt_hash(NAMES), "RN50-quickgelu", "0" * 64, "roi", 800, False, 100.0)


def text() -> np.ndarray:
    return np.array([[1, 0, 0, 0], [0, 2, 0, 0]], np.float32)


def make(folder: Path, labels: list[Label] | None = None) -> TeacherCache:
    labels = labels_of() if labels is None else labels
    with CacheWriter(folder, meta_of(labels), labels, text) as writer:
        for place in writer.missing():
            writer.put(place, np.full((len(labels[place].classes), 4), place + 1.0))
        return writer.finish()


def test_rows_are_unit_vectors_in_the_order_of_the_labels(tmp_path: Path) -> None:
    """(3, 4, 0, 0) has length 5. Image 0 has rows 0 and 1, image 2 rows 2 to 4."""
    labels = labels_of()
    with CacheWriter(tmp_path / "cache", meta_of(labels), labels, text) as writer:
        assert writer.missing() == [0, 1, 2]
        writer.put(2, np.array([[0, 0, 0, 7.0]] * 3))
        writer.put(0, np.array([[3.0, 4, 0, 0], [0, 0, 1, 0]]))
        writer.skip(1)
        cache = writer.finish()
    assert cache.offsets.tolist() == [0, 2, 2, 5] and cache.embeddings.dtype == np.float16
    np.testing.assert_allclose(
        cache.rows(np.array([0, 4, 0])), [[0.6, 0.8, 0, 0], [0, 0, 0, 1], [0.6, 0.8, 0, 0]], atol=1e-3
    )
    assert isinstance(cache.embeddings, np.memmap) and np.array_equal(cache.text, text())
    assert sorted(path.name for path in cache.folder.iterdir()) == ["emb.npy", "meta.json", "offsets.npy", "text.npy"]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_broken_run_goes_on_where_it_was(tmp_path: Path) -> None:
    labels = labels_of()
    with pytest.raises(KeyboardInterrupt), CacheWriter(tmp_path / "c", meta_of(labels), labels, text) as writer:
        writer.put(2, np.ones((3, 4)))
        raise KeyboardInterrupt
    assert not (tmp_path / "c").exists()

    def never() -> Any:
        raise AssertionError("the text already exists")

    with CacheWriter(tmp_path / "c", meta_of(labels), labels, never) as writer:
        assert writer.missing() == [0, 1]
        writer.put(0, np.eye(4)[:2])
        with pytest.raises(ValueError, match="1 images are still to do"):
            writer.finish()
        writer.skip(1)
        cache = writer.finish()
    np.testing.assert_allclose(cache.rows(np.arange(5)), [*np.eye(4)[:2], *[[0.5] * 4] * 3])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"labels": "x"}, "labels"),
        ({"prompts": "x"}, "class names or prompts"),
        ({"checkpoint": "x"}, "checkpoint"),
        ({"mode": "crop", "short": 0}, "mode and another size of the images"),
    ],
)
def test_going_on_with_something_else_is_refused(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    labels = labels_of()
    with CacheWriter(tmp_path / "c", meta_of(labels), labels, text):
        pass
    with pytest.raises(UserError, match=f"was started with another {named}. Remove that folder"):
        CacheWriter(tmp_path / "c", replace(meta_of(labels), **change), labels, text)


def test_a_finished_cache_is_not_written_over(tmp_path: Path) -> None:
    make(tmp_path / "c")
    with pytest.raises(UserError, match="already exists"):
        make(tmp_path / "c")


@pytest.mark.parametrize(
    "embeddings", [np.ones((1, 4)), np.ones((2, 5)), np.array([[0.0] * 4, [1.0] * 4]), np.full((2, 4), np.nan)]
)
def test_what_cannot_be_put(tmp_path: Path, embeddings: np.ndarray) -> None:
    labels = labels_of()
    with CacheWriter(tmp_path / "c", meta_of(labels), labels, text) as writer:
        with pytest.raises(ValueError, match=r"image 0: embeddings .* for 2 objects"):
            writer.put(0, embeddings)
        assert writer.missing() == [0, 1, 2]


def test_a_set_without_objects(tmp_path: Path) -> None:
    cache = make(tmp_path / "c", labels_of((0, 0)))
    assert cache.embeddings.shape == (0, 4) and cache.rows(np.zeros(0, np.int64)).shape == (0, 4)


def moved(labels: list[Label]) -> list[Label]:
    return [replace(label, image=Path("elsewhere") / label.image.name) for label in labels]


def nudged(labels: list[Label]) -> list[Label]:
    return [replace(label, boxes=label.boxes + np.float32(1e-6)) for label in labels]


@pytest.mark.parametrize(
    ("change", "names", "problem"),
    [
        (moved, NAMES, None),  # the folder does not count
        (nudged, NAMES, "other labels than"),
        (lambda labels: labels[::-1], NAMES, "other labels than"),
        (list, ["plate", "cup"], "other class names or prompts than"),
        (lambda labels: labels[1:], ["cup"], "other labels and other class names or prompts than"),
    ],
)
def test_training_refuses_a_cache_of_something_else(
    tmp_path: Path, change: Callable[[list[Label]], list[Label]], names: list[str], problem: str | None
) -> None:
    cache = make(tmp_path / "c")
    if problem is None:
        return cache.check([change(labels_of())], names)
    with pytest.raises(UserError, match=problem):
        cache.check([change(labels_of())], names)
    return None


def broken(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda folder: (folder / "meta.json").unlink(), "is not a teacher cache"),
        (broken("meta.json", b"{"), "is not a teacher cache"),
        (broken("meta.json", b"[]"), "meta.json lacks entries"),
        (broken("meta.json", json.dumps({"labels": 1}).encode()), "meta.json lacks entries"),
        (lambda folder: (folder / "emb.npy").unlink(), "emb.npy: No such file"),
        (broken("emb.npy", b"\x80\x04N."), "damaged teacher cache"),
        (broken("emb.npy", b"\x93NUMPY\x01\0\x02\0{\n"), "damaged teacher cache"),  # a header without an end
        (lambda folder: np.save(folder / "emb.npy", np.zeros((4, 4), np.float16)), "do not belong together"),
        (lambda folder: np.save(folder / "text.npy", np.zeros((2, 5), np.float32)), "do not belong together"),
        (lambda folder: np.save(folder / "emb.npy", np.zeros((5, 4), np.float32)), "emb.npy is float32 with 2 axes"),
    ],
)
def test_a_damaged_cache(tmp_path: Path, harm: Callable[[Path], None], problem: str) -> None:
    make(tmp_path / "c")
    harm(tmp_path / "c")
    with pytest.raises(UserError, match=problem):
        TeacherCache(tmp_path / "c")


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    make(tmp_path / "c")
    np.save(tmp_path / "c" / "emb.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(UserError, match="damaged teacher cache"):
        TeacherCache(tmp_path / "c")


def test_rows_outside(tmp_path: Path) -> None:
    with pytest.raises(IndexError, match="rows -1 to 5 of a cache of 5"):
        make(tmp_path / "c").rows(np.array([5, -1]))
