"""Row ids through the stock transforms: no object ever gets another's row, and what is cut off is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from ultralytics.data.augment import Compose, Format, MixUp, Mosaic, RandomFlip, RandomPerspective
from ultralytics.data.dataset import YOLODataset

from data.detection.dataset import ViewDataset, seeded
from data.detection.options import AugmentOptions
from data.io.labels import Label
from data.soft_labels.columns import (
    NO_ROW,
    AffineShares,
    MosaicShares,
    TakeRows,
    cut_shares,
    first_rows,
    take_rows,
    with_rows,
)

SIDE, IMAGES = 96, 40


class RowMosaic(MosaicShares, Mosaic):
    pass


class RowPerspective(AffineShares, RandomPerspective):
    pass


def test_columns_by_hand() -> None:
    columns = with_rows(np.array([[4], [1]], np.float32), first=7)
    assert columns.tolist() == [[4, 7, 1], [1, 8, 1]]
    assert with_rows(np.zeros((0, 1), np.float32), first=7).shape == (0, 3)


def test_rows_beyond_what_float32_counts() -> None:
    assert first_rows([]).tolist() == [0]
    with pytest.raises(ValueError, match="rows are exact up to 16777216"):
        first_rows([1 << 24, 1])


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
    columns = cut_shares(np.array([[0, 5, 0.8]], np.float32), np.array([box], np.float32), 10, 10)
    assert columns[0].tolist() == pytest.approx([0, 5, 0.8 * share])


def test_less_than_half_drops_the_row() -> None:
    columns = np.array([[1, 10, 1], [2, 11, 0.5], [3, 12, 0.49]], np.float32)
    classes, rows = take_rows(columns)
    assert classes.tolist() == [[1], [2], [3]] and rows.tolist() == [10, 11, NO_ROW] and rows.dtype == torch.int64


class Probe(ViewDataset):
    """The training set of data.detection.dataset with rows, as its own switch will make it."""

    def __init__(self, labels: list[Label], **options: Any) -> None:
        super().__init__(labels, {0: "box"}, options=AugmentOptions(), imgsz=SIDE, augment=True, **options)
        first = first_rows([len(label.classes) for label in labels])
        self.first = {str(label.image): int(row) for label, row in zip(labels, first, strict=False)}
        affine = RowPerspective(degrees=10, translate=0.2, scale=0.5, shear=3, size=(SIDE, SIDE))
        geometry = Compose([RowMosaic(self, imgsz=SIDE, p=0.7), affine])
        self.transforms = Compose(
            [
                geometry,
                MixUp(self, pre_transform=geometry, p=0.3),
                RandomFlip(direction="vertical", p=0.5),
                RandomFlip(direction="horizontal", p=0.5),
                TakeRows(),
                Format(bbox_format="xywh", normalize=True, batch_idx=True),
            ]
        )

    def update_labels_info(self, label: dict[str, Any]) -> dict[str, Any]:
        label = YOLODataset.update_labels_info(self, label)
        label["cls"] = with_rows(label["cls"], self.first[label["im_file"]])
        return label


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
            rows, classes = item["soft_id"], item["cls"].view(-1).long()
            assert rows.shape == classes.shape
            assert bool(((rows == classes) | (rows == NO_ROW)).all())
            kept, dropped = kept + int((rows != NO_ROW).sum()), dropped + int((rows == NO_ROW).sum())
    assert kept > 2500 and dropped > 250


def test_the_share_is_what_is_left_of_an_object(tmp_path: Path) -> None:
    """Affine without rotation: the box's area, over its area scaled as the image was, is the share that travels."""
    labels = draw_set(tmp_path)[:4]
    dataset = Probe(labels)
    perspective = RowPerspective(degrees=0, translate=0.3, scale=0.0, size=(SIDE, SIDE))
    for index in (0, 1, 2):
        whole = labels[index].boxes[:, 2:].prod(1) * np.prod(labels[index].shape)
        with seeded(0, index):
            item = perspective(dataset.get_image_and_label(index))
        first = dataset.first[str(labels[index].image)]
        places = item["cls"][:, 1].astype(int) - first
        np.testing.assert_allclose(item["cls"][:, 2], item["instances"].bbox_areas / whole[places], atol=1e-3)
        assert (item["cls"][:, 2] < 0.99).any()
