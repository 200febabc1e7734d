"""Labels from dense predictions, by hand."""

from __future__ import annotations

import pytest
import torch

from methods.mean_teacher.pseudo_labels import (
    CANDIDATES,
    Detections,
    box_ious,
    covered,
    decode,
    pseudo_labels,
    suppress,
)


def found(boxes: list[list[float]], scores: list[float], classes: list[int]) -> Detections:
    return Detections(torch.tensor([boxes]), torch.tensor([scores]), torch.tensor([classes]))


def test_dense_heads():
    """Two points, two classes: centres (10, 20) and (5, 5), sizes 4 x 8 and 2 x 2; the better one first."""
    output = torch.tensor([[[5.0, 10.0], [5.0, 20.0], [2.0, 4.0], [2.0, 8.0], [0.1, 0.2], [0.3, 0.9]]])
    result = decode((output, {}))
    assert result.boxes.tolist() == [[[8.0, 16.0, 12.0, 24.0], [4.0, 4.0, 6.0, 6.0]]]
    assert result.scores[0].tolist() == pytest.approx([0.9, 0.3]) and result.classes.tolist() == [[1, 1]]


def test_end_to_end_heads():
    result = decode(torch.tensor([[[0.0, 0.0, 2.0, 2.0, 0.4, 1.0], [1.0, 1.0, 4.0, 4.0, 0.6, 0.0]]]))
    assert result.boxes.tolist() == [[[1.0, 1.0, 4.0, 4.0], [0.0, 0.0, 2.0, 2.0]]] and result.classes.tolist() == [
        [0, 1]
    ]


def test_many_points():
    assert decode(torch.rand(2, 6, 400)).scores.shape == (2, CANDIDATES)


def test_overlaps():
    """A 2 x 2 and a shifted 2 x 2 box: 2 of 6; an empty box overlaps nothing."""
    a = torch.tensor([[[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]])
    b = torch.tensor([[[1.0, 0.0, 3.0, 2.0]]])
    assert box_ious(a, b)[0, :, 0].tolist() == pytest.approx([1 / 3, 0])


def test_nms():
    """The second overlaps the first by 0.8 and is of its class; the third overlaps as much, but is another class."""
    boxes = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 8.0], [20.0, 0.0, 30.0, 10.0]]
    result = suppress(found(boxes, [0.9, 0.8, 0.7, 0.6], [0, 0, 1, 0]))
    assert result.scores[0].tolist() == pytest.approx([0.9, 0.7, 0.6, 0.0])
    assert result.classes[0, :3].tolist() == [0, 1, 0] and result.boxes[0, 2].tolist() == boxes[3]


def test_labels_of_the_loss():
    """Fractions of 20 x 10 px, cut at the edge; the second place of the second image does not count."""
    boxes = torch.tensor(
        [[[0.0, 0.0, 10.0, 5.0], [10.0, 5.0, 40.0, 10.0]], [[4.0, 2.0, 8.0, 4.0], [0.0, 0.0, 9.0, 9.0]]]
    )
    detections = Detections(boxes, torch.tensor([[0.9, 0.8], [0.7, 0.05]]), torch.tensor([[0, 1], [1, 0]]))
    labels, worth = pseudo_labels(detections, torch.tensor([[1.0, 0.8], [1.0, 0.0]]), (10, 20))
    expected = [[0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5], [0.3, 0.3, 0.2, 0.2], [0.0, 0.0, 0.0, 0.0]]
    assert labels["bboxes"].tolist() == [pytest.approx(row, abs=1e-6) for row in expected]
    assert labels["batch_idx"].tolist() == [0, 0, 1, 1] and labels["cls"].flatten().tolist() == [0, 1, 1, 0]
    assert labels["most_objects"] == 2 and not worth.unsure.any()


def test_labels_come_first_and_the_rest_is_unsure():
    """0.6 is no label of its class, 0.5 is one of another class; 0.05 is nothing."""
    boxes = [[0.0, 0.0, 4.0, 4.0], [4.0, 4.0, 8.0, 8.0], [0.0, 4.0, 4.0, 8.0]]
    labels, worth = pseudo_labels(found(boxes, [0.6, 0.5, 0.05], [0, 1, 0]), torch.tensor([[0.0, 0.5, 0.0]]), (8, 8))
    assert labels["cls"].tolist() == [[1]] and labels["bboxes"].tolist() == [[0.75, 0.75, 0.5, 0.5]]
    assert worth.confidence.tolist() == [[0.5]]
    assert worth.unsure.tolist() == [[[0.0] * 4, [0.0, 0.0, 0.5, 0.5], [0.0] * 4]]


def test_places_that_no_image_uses_are_left_out():
    detections = Detections(torch.rand(2, 5, 4), torch.rand(2, 5), torch.zeros(2, 5, dtype=torch.long))
    confidence = torch.zeros(2, 5)
    assert pseudo_labels(detections, confidence, (8, 8))[0]["bboxes"].shape == (2, 4)
    confidence[1, :3] = 1
    assert pseudo_labels(detections, confidence, (8, 8))[0]["bboxes"].shape == (6, 4)


def test_points_in_boxes():
    """Of two images: the first has a box around (1, 1), the second none."""
    boxes = torch.tensor([[[0.0, 0.0, 2.0, 2.0], [0.0] * 4], [[0.0] * 4, [0.0] * 4]])
    assert covered(torch.tensor([[1.0, 1.0], [3.0, 1.0]]), boxes).tolist() == [[True, False], [False, False]]
