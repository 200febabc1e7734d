"""Videos of a synthetic street and the identities in them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.synthetic.clips import clip_frames, street_clip
from data.synthetic.street.scene import make_street
from utils.errors import UserError


def test_a_clip_by_night(tmp_path):
    path = tmp_path / "clips" / "night.mp4"
    street_clip(path, seconds=0.6, fps=5, size=(96, 72), workers=1, progress=False)
    clip = cv2.VideoCapture(str(path))
    assert clip.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    frames = []
    while (read := clip.read())[0]:
        frames.append(read[1])
    assert np.shape(frames) == (3, 72, 96, 3)
    assert 5 < np.mean(frames) < 60
    assert [p.name for p in path.parent.iterdir()] == ["night.mp4"]


def test_a_clip_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="no video can be written"):
        street_clip(tmp_path / "night.nonsense", seconds=0.2, fps=5, size=(96, 72), workers=1, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_by_day_with_its_ground_truth(tmp_path):
    path, truth = tmp_path / "day.mp4", tmp_path / "gt" / "day.txt"
    street_clip(path, look="day", labels=truth, seconds=0.4, fps=5, size=(96, 72), workers=1, progress=False)
    rows = [row.split(",") for row in truth.read_text().splitlines()]
    assert {row[0] for row in rows} == {"1", "2"} and {len(row) for row in rows} == {9}
    assert len({(row[0], row[1]) for row in rows}) == len(rows)
    assert all(0 <= float(row[2]) <= 97 and float(row[4]) > 0 and 1 <= int(row[7]) <= 6 for row in rows)
    assert {row[1] for row in rows if row[0] == "1"} & {row[1] for row in rows if row[0] == "2"}


def test_an_actor_is_somebody_else_after_leaving_the_street():
    times = [0.0, 0.1, 20.0]
    first, second, late = (
        {int(row[0]): int(row[1]) for row in frame.labels}
        for frame in clip_frames("day", 3, (96, 72), times, [0, 1, 2])
    )
    assert set(first) & set(second) and all(second[one] == first[one] for one in set(first) & set(second))
    count = len(make_street(3, (96, 72), moving=True).actors)
    assert max(first) <= count < max(late)  # numbers go on with every round


def test_the_image_is_the_same_alone_and_among_others():
    (alone,) = clip_frames("night", 3, (64, 64), [0.4], [2])
    both = clip_frames("night", 3, (64, 64), [0.0, 0.4], [0, 2])
    assert np.array_equal(alone.image, both[1].image) and np.array_equal(alone.labels, both[1].labels)
