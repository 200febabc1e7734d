"""Boxes, labels and heat maps on images."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from utils import draw
from utils.draw import colour, draw_boxes, heat_colours, line_width, paint_heat, text_colour, text_size

NAMES = {0: "person", 1: "traffic light"}


def grey(height: int = 200, width: int = 300) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 6)


def test_colours_are_fixed_and_in_range() -> None:
    assert colour(3) == colour(3)
    assert all(0 <= part <= 255 for number in range(100) for part in colour(number))


def test_the_first_colours_are_far_apart() -> None:
    distances = [np.abs(np.subtract(colour(a), colour(b))).sum() for a, b in itertools.combinations(range(8), 2)]
    assert min(distances) > 80
    assert len({colour(number) for number in range(100)}) == 100


@pytest.mark.parametrize(
    ("background", "expected"),
    [
        ((255, 255, 255), (0, 0, 0)),  # luma 255
        ((0, 255, 255), (0, 0, 0)),  # yellow: 0.299 * 255 + 0.587 * 255 = 226
        ((0, 0, 0), (255, 255, 255)),
        ((255, 0, 0), (255, 255, 255)),  # blue: 0.114 * 255 = 29
    ],
)
def test_text_stands_out(background: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    assert text_colour(background) == expected


@pytest.mark.parametrize(
    ("longest", "thickness", "expected"),
    [
        (640, 3, 3),
        (1920, 3, 3),
        (1280, 5, 5),
        (320, 3, 2),  # 3 * 320 / 640 = 1.5, rounded to even
        (100, 3, 1),
        (32, 3, 1),  # never less than one pixel
        (3840, 3, 6),  # 3 * 3840 / 1920
    ],
)
def test_lines_fit_the_image(longest: int, thickness: int, expected: int) -> None:
    assert line_width((longest // 2, longest, 3), thickness) == expected
    assert line_width((longest, longest // 2, 3), thickness) == expected


def test_the_image_itself_is_left_alone() -> None:
    image = grey()
    drawn = draw_boxes(image, boxes((50, 80, 150, 160, 0.9, 0)), NAMES)
    assert (image == 90).all() and drawn.shape == image.shape and (drawn != image).any()


def test_a_box_is_drawn_where_it_is_and_nothing_inside_it() -> None:
    drawn = draw_boxes(grey(640, 640), boxes((100, 200, 300, 400, 0.9, 1)), NAMES, labels=False)
    for x, y in ((100, 300), (300, 300), (200, 200), (200, 400)):
        assert tuple(drawn[y, x]) == colour(1)
    assert (drawn[210:390, 110:290] == 90).all()
    assert (drawn[:190] == 90).all() and (drawn[:, 310:] == 90).all()


def test_no_boxes_no_change() -> None:
    assert (draw_boxes(grey(), boxes(), NAMES) == 90).all()


def painted(image: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of what differs from the grey."""
    rows, columns = np.where((image != 90).any(2))
    return columns.min(), rows.min(), columns.max(), rows.max()


@pytest.mark.parametrize(
    ("box", "above"),
    [
        ((100, 100, 180, 160), True),
        ((100, 0, 180, 60), False),  # no room above: the tag is inside
        ((-20, -10, 40, 30), False),
        ((280, 100, 299, 160), True),  # at the right edge: the tag moves left
        ((280, 190, 299, 199), True),
    ],
)
def test_labels_stay_on_the_image(box: tuple[float, ...], above: bool) -> None:
    image = grey()
    alone = draw_boxes(image, boxes((*box, 0.5, 1)), NAMES, labels=False)
    labelled = draw_boxes(image, boxes((*box, 0.5, 1)), NAMES)
    tag = (labelled != alone).any(2)
    rows, columns = np.where(tag)
    wide, high = text_size("traffic light 0.50", 10)
    assert bool(rows.min() < box[1]) is above
    assert columns.max() - columns.min() >= wide * 0.8 and rows.max() - rows.min() >= high
    assert columns.max() < 300 and rows.min() >= 0


def test_labels_can_be_left_out_or_shortened() -> None:
    row = boxes((100, 100, 180, 160, 0.5, 1))
    widths = [
        painted(draw_boxes(grey(), row, NAMES, labels=labels, conf=conf)[:95])[2] if labels else 0
        for labels, conf in ((False, True), (True, False), (True, True))
    ]
    assert widths == sorted(widths) and len(set(widths)) == 3
    assert (draw_boxes(grey(), row, NAMES, labels=False)[:95] == 90).all()


def test_the_box_of_highest_confidence_lies_on_top_whatever_the_order() -> None:
    sure, unsure = (50, 50, 150, 150, 0.9, 0), (50, 50, 150, 150, 0.3, 1)
    for order in ((sure, unsure), (unsure, sure)):
        assert tuple(draw_boxes(grey(), boxes(*order), NAMES, labels=False)[150, 100]) == colour(0)


def test_a_line_never_hides_a_label() -> None:
    low, high = (
        (100, 100, 250, 180, 0.3, 0),
        (130, 60, 280, 95, 0.9, 1),
    )  # the upper box's edge cuts the lower one's tag
    only = draw_boxes(grey(), boxes(low), NAMES)
    both = draw_boxes(grey(), boxes(low, high), NAMES)
    assert (both[92:98, 101:128] == only[92:98, 101:128]).all()
    assert tuple(both[90, 140]) != colour(1)


def test_a_class_without_a_name_and_a_name_in_another_script() -> None:
    drawn = draw_boxes(grey(), boxes((60, 60, 200, 160, 0.5, 7), (60, 120, 200, 190, 0.5, 0)), {0: "собака"})
    assert (drawn != 90).any()


def test_opencv_4_has_strokes_instead_of_the_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "_font", lambda: None)
    wide, high = text_size("person 0.90", 15)
    assert 50 < wide < 150 and 8 <= high <= 16
    assert (draw_boxes(grey(), boxes((60, 60, 200, 160, 0.5, 0)), NAMES) != 90).any()


def test_grey_slices_and_rotated_views_are_accepted() -> None:
    view = cv2.flip(grey(), 1)[::-1, ::2]  # not contiguous
    assert draw_boxes(view, boxes((10, 60, 90, 160, 0.5, 0)), NAMES).shape == view.shape


def test_colours_rise_from_dark_to_light() -> None:
    """Values outside [0, 1] are cut, NaN counts as 0."""
    heat = np.array([[-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 7.0, np.nan]])
    colours = heat_colours(heat)
    light = colours[0].mean(1)
    assert colours.shape == (1, 8, 3) and colours.dtype == np.uint8
    assert (np.diff(light[1:6]) > 0).all()
    assert light[0] == light[1] == light[7] and light[5] == light[6]


@pytest.mark.parametrize(
    ("opacity", "expected"),
    [
        (0.0, [128, 128, 128]),  # nothing but the greys of the image
        (1.0, [4, 0, 0]),  # nothing but the colour of 0
        (0.25, [97, 96, 96]),  # 0.25 x 4 + 0.75 x 128 = 97; 0.75 x 128 = 96
    ],
)
def test_blending_by_hand(opacity: float, expected: list[int]) -> None:
    image = np.full((2, 3, 3), 128, np.uint8)
    painted = paint_heat(image, np.zeros((2, 3)), opacity)
    assert (painted == expected).all() and (image == 128).all()


def test_colours_are_the_maps_alone() -> None:
    """Red 200: grey 0.299 x 200 = 59.8, rounded 60, so with opacity 0 every channel is 60."""
    painted = paint_heat(np.full((1, 1, 3), (0, 0, 200), np.uint8), np.ones((1, 1)), 0.0)
    assert painted[0, 0].tolist() == [60, 60, 60]


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="does not belong"):
        paint_heat(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4)))


def test_identities_stand_in_the_labels_of_their_boxes() -> None:
    image = np.zeros((200, 640, 3), np.uint8)
    boxes = np.array([[10, 60, 100, 150, 0.9, 0], [300, 60, 400, 150, 0.5, 0]])
    without = draw_boxes(image, boxes, {0: "car"}, conf=False)
    drawn = draw_boxes(image, boxes, {0: "car"}, conf=False, ids=[0, 12])
    assert (drawn[:, :200] == without[:, :200]).all()
    assert (drawn[:, 280:] != without[:, 280:]).any()
