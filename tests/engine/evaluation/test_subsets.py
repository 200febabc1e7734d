"""The parts of a split: that they add up, to which part a detection belongs, and what wrong names get."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from engine.evaluation.subsets import (
    POSITIONS,
    SIZES,
    Partitioner,
    asked_for,
    by_crowding,
    by_position,
    by_size,
)
from engine.results import DetectionStats, ImageResult
from tests.engine.evaluation.splits import split_of
from utils.errors import UserError
from utils.metrics.subsets import Groups

SHAPE = (300, 300)


def image(file: str, detections, targets) -> tuple[ImageResult, DetectionStats]:
    """detections: (box, score, class, hit) each; targets: (box, class) each."""
    boxes, scores, classes, hit = (np.array([row[n] for row in detections], float) for n in range(4))
    truth, kinds = (np.array([row[n] for row in targets], float) for n in range(2))
    result = ImageResult(file, SHAPE, boxes.reshape(-1, 4), scores, classes, truth.reshape(-1, 4), kinds)
    return result, DetectionStats(file, np.repeat(hit[:, None].astype(bool), 10, 1), scores, classes, kinds)


def box(side: float, at: float = 100.0) -> tuple[float, float, float, float]:
    return (at, at, at + side, at + side)


def test_a_hit_belongs_to_the_part_of_its_object():
    """A detection of 31 px on an object of 33 px counts among the medium ones, as does its duplicate; alone it is small."""
    hits = image("a", [(box(31), 0.9, 0, 1), (box(31), 0.8, 0, 0), (box(31), 0.7, 1, 0)], [(box(33), 0)])
    alone = image("b", [(box(31), 0.9, 0, 0)], [])
    part = split_of(hits, alone).by_object("size", by_size)
    assert [SIZES[place].split(",")[0] for place in part.found.of] == ["medium", "medium", "small", "small"]
    assert [SIZES[place].split(",")[0] for place in part.objects.of] == ["medium"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ((140, 140, 160, 160), "centre"),
        ((10, 140, 60, 160), "between"),
        ((0, 140, 60, 160), "at the edge"),
        ((240, 140, 299, 160), "at the edge"),
        ((0, 0, 300, 300), "at the edge"),
        ((91, 91, 111, 111), "centre"),  # its centre is just inside a third
        ((89, 89, 109, 109), "between"),
    ],
)
def test_position(where, expected):
    groups = by_position(np.array([where], float), np.zeros(1), np.array([SHAPE]))
    assert POSITIONS[groups.of[0]] == expected


@pytest.mark.parametrize(("side", "place"), [(7.9, 0), (8, 1), (16, 2), (32, 3), (95.9, 3), (96, 4)])
def test_size(side, place):
    assert by_size(np.array([box(side)]), np.zeros(1), np.array([SHAPE])).of.tolist() == [place]


def test_crowding_and_crossing():
    one = image("a", [], [(box(20), 0)])
    many = image("b", [], [(box(20, at), 0) for at in range(0, 250, 20)])
    split = split_of(one, many)
    crowds = by_crowding(split)
    assert [crowds.names[place] for place in crowds.of] == ["1 object", "11 to 20"]
    both = split.by_image("crowding", crowds).crossed(split.by_image("x", Groups(("u", "v"), np.array([0, 1]))))
    assert both.by == "crowding x x" and both.images is not None
    assert both.objects.names[both.objects.of[0]] == "1 object, u"
    mixed = split.by_image("crowding", crowds).crossed(split.by_object("size", by_size))
    assert mixed.images is None and len(mixed.objects.of) == 14


def test_a_split_without_objects_or_detections():
    split = split_of(image("a", [], []))
    for part in (split.by_object("size", by_size), split.by_image("crowding", by_crowding(split))):
        assert len(part.found.of) == len(part.objects.of) == 0


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("light", [["light"]]),
        ("light x size, blur", [["light", "size"], ["blur"]]),
        ("light×size,light * size,blur,blur", [["light", "size"], ["blur"]]),
        ("all", []),
        ("max_speed", [["max_speed"]]),
    ],
)
def test_what_is_asked_for(text, names):
    assert asked_for(text) == names


@pytest.mark.parametrize("text", ["", " , "])
def test_no_name(text):
    with pytest.raises(UserError, match="--by: no name given"):
        asked_for(text)


def partitioner(folder, *names: str) -> Partitioner:
    config = SimpleNamespace(root=folder, file=folder / "data.yaml")
    return Partitioner(SimpleNamespace(config=config), [list(names)])  # type: ignore[arg-type]


def test_an_unknown_name_says_what_there_is(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'light'.*there is no .*attributes.csv"):
        partitioner(tmp_path, "ligth").check()
    (tmp_path / "attributes.csv").write_text("image,weather\n")
    with pytest.raises(UserError, match="Did you mean 'weather'.*has: weather"):
        partitioner(tmp_path, "wether").check()
    partitioner(tmp_path, "weather", "light").check()


def test_a_column_comes_before_a_measure(tmp_path):
    (tmp_path / "attributes.csv").write_text("image,light\na,Low\nb,Strong\n")
    split = split_of(image(str(tmp_path / "a"), [], []), image(str(tmp_path / "b"), [], []))
    (part,) = partitioner(tmp_path, "light").of(split)
    assert part.images is not None and part.images.names == ("Low", "Strong")
