"""Indices through Ultralytics' transforms: no object ever gets another's index, and what is cut off is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.detection.columns import IGNORE, cut_fractions, first_indices, take_indices, with_indices
from data.detection.dataset import ViewDataset, seeded
from data.detection.options import AugmentOptions
from data.detection.transforms import ViewPerspective
from data.detection.views import View
from data.io.labels import Label

SIDE, IMAGES = 96, 40


def test_columns_by_hand() -> None:
    columns = with_indices(np.array([[4], [1]], np.float32), first=7)
    assert columns.tolist() == [[4, 7, 1], [1, 8, 1]]
    assert with_indices(np.zeros((0, 1), np.float32), first=7).shape == (0, 3)


def test_rows_beyond_what_float32_counts() -> None:
    assert first_indices([]).tolist() == [0]
    with pytest.raises(ValueError, match="indices are exact up to 16777216"):
        first_indices([1 << 24, 1])


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ([2, 2, 6, 6], 1.0),
        ([-4, 0, 4, 10], 0.5),  # its left half is outside
        ([6, 6, 14, 14], 0.25),  # a quarter is left
        ([20, 0, 30, 5], 0.0),  # all of it is outside
        ([3, 3, 3, 8], 0.0),  # no area
    ],
)
def test_share_of_a_box_in_a_window_of_10_px(box: list[float], share: float) -> None:
    """Cut twice, shares multiply."""
    columns = cut_fractions(np.array([[0, 5, 0.8]], np.float32), np.array([box], np.float32), 10, 10)
    assert columns[0].tolist() == pytest.approx([0, 5, 0.8 * share])


def test_less_than_half_drops_the_row() -> None:
    columns = np.array([[1, 10, 1], [2, 11, 0.5], [3, 12, 0.49]], np.float32)
    classes, rows = take_indices(columns)
    assert classes.tolist() == [[1], [2], [3]] and rows.tolist() == [10, 11, IGNORE] and rows.dtype == torch.int64


class Probe(ViewDataset):
    """A training set with a view that belongs to objects."""

    def __init__(self, labels: list[Label]) -> None:
        mixed = AugmentOptions(mosaic=0.7, mixup=0.3, degrees=10, translate=0.2, scale=0.5, shear=3, flipud=0.5)
        views, first = (View("number", "per_object"),), first_indices([len(label.classes) for label in labels])
        more = {"first": first, "options": mixed, "imgsz": SIDE, "augment": True}
        super().__init__(labels, {0: "box"}, views=views, **more)


def draw_set(folder: Path) -> list[Label]:
    """Images of up to 30 boxes; the class number of an object is its row, so that a mismatch shows."""
    generator = np.random.default_rng(0)
    labels, row = [], 0
    for number in range(IMAGES):
        count = 0 if number % 9 == 4 else int(generator.integers(1, 31))
        sides = generator.uniform(0.1, 0.5, (count, 2))
        boxes = np.concatenate([sides / 2 + (1 - sides) * generator.random((count, 2)), sides], 1).astype(np.float32)
        file = folder / f"{number}.png"
        cv2.imwrite(str(file), np.full((SIDE - number % 3 * 20, SIDE, 3), number, np.uint8))
        classes = np.arange(row, row + count, dtype=np.float32)[:, None]
        labels.append(Label(file, (SIDE - number % 3 * 20, SIDE), classes, boxes))
        row += count
    return labels


def test_thousands_of_objects_without_a_mismatch(tmp_path: Path) -> None:
    """Mosaic, affine, mixup and both flips, five epochs; images without objects among them."""
    dataset = Probe(draw_set(tmp_path))
    kept = dropped = 0
    for epoch in range(5):
        for index in range(len(dataset)):
            item = dataset[epoch, index]
            rows, classes = item["number"], item["cls"].view(-1).long()
            assert rows.shape == classes.shape
            assert bool(((rows == classes) | (rows == IGNORE)).all())
            kept, dropped = kept + int((rows != IGNORE).sum()), dropped + int((rows == IGNORE).sum())
    assert kept > 2500 and dropped > 250


def test_the_share_is_what_is_left_of_an_object(tmp_path: Path) -> None:
    """Affine without rotation: the box's area, over its area scaled as the image was, is the share that travels."""
    labels = draw_set(tmp_path)[:4]
    dataset = Probe(labels)
    perspective = ViewPerspective(degrees=0, translate=0.3, scale=0.0, size=(SIDE, SIDE))
    for index in (0, 1, 2):
        whole = labels[index].boxes[:, 2:].prod(1) * np.prod(labels[index].shape)
        with seeded(0, index):
            item = perspective(dataset.get_image_and_label(index))
        places = item["cls"][:, 1].astype(int) - int(dataset.first[index])  # type: ignore[index]
        np.testing.assert_allclose(item["cls"][:, 2], item["instances"].bbox_areas / whole[places], atol=1e-3)
        assert (item["cls"][:, 2] < 0.99).any()
