"""--line and --zone, as they are written."""

from __future__ import annotations

import pytest

from engine.options.detect import DetectOptions
from engine.tracking.regions import Region, crosses_itself, read_region, read_regions
from utils.errors import UserError

SQUARE = "0.1,0.1,0.9,0.1,0.9,0.9"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("line", "gate=10,20,30,40", Region("line", "gate", ((10, 20), (30, 40)))),
        ("line", " main gate@2=0,.5,1,.5", Region("line", "main gate", ((0, 0.5), (1, 0.5)), 2)),
        ("zone", "yard=0,0,4,0,4,3", Region("zone", "yard", ((0, 0), (4, 0), (4, 3)))),
        ("zone", "крыльцо=0,0,1,0,1,1", Region("zone", "крыльцо", ((0, 0), (1, 0), (1, 1)))),
    ],
)
def test_regions_are_read(kind, text, expected):
    assert read_region(kind, text) == expected


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("line", "10,20,30,40", "--line 10,20,30,40: expected NAME=x1,y1,x2,y2, such as gate="),
        ("line", "gate@0=1,2,3,4", "expected NAME="),
        ("line", "a/b=1,2,3,4", "expected NAME="),
        ("line", "gate=10,20,30", "pairs of numbers"),
        ("line", "gate=10,20,30,x", "pairs of numbers"),
        ("line", "gate=10,20,30,nan", "pairs of numbers"),
        ("line", "gate=", "pairs of numbers"),
        ("line", "gate=-5,20,30,40", "-5 lies outside the image"),
        ("line", "gate=0.5,20,30,40", "mixes fractions of the image"),
        ("line", "gate=5,5,5,5", "--line gate: a line has two different points"),
        ("line", "gate@3=1,2,3,4,5,6", "--line gate@3: a line has two different points, NAME=x1,y1,x2,y2; here: 3"),
        ("zone", "yard=0,0,10,10", "--zone yard: a zone has three points or more.*here: 2"),
        ("zone", "yard=0,0,10,10,20,20", "points lie on one line"),
        ("zone", "yard=0,0,10,10,10,0,0,10", "--zone yard: its sides cross. Give its corners in their order"),
        ("zone", "yard=0,0,10,20,10,0,0,10", "its sides cross"),
    ],
)
def test_mistakes(kind, text, words):
    with pytest.raises(UserError, match=words):
        read_region(kind, text)


@pytest.mark.parametrize(
    ("line", "zone", "words"),
    [
        (("a=0,0,1,1", "a=0,1,1,0"), (), "--line a: there are two lines of this name"),
        (("a=0,0,1,1", "a@2=0,1,1,0"), (), "two lines of this name"),
        ((), (f"a@2={SQUARE}", f"a@2={SQUARE}"), "--zone a: there are two zones of this name"),
        (("a@1=0,0,1,1", "a@2=0,0,1,1"), (f"a={SQUARE}",), None),
    ],
)
def test_names_are_unique_per_source(line, zone, words):
    options = DetectOptions(track="bytetrack", line=line, zone=zone)
    if words is None:
        assert len(read_regions(options)) == 3
        return
    with pytest.raises(UserError, match=words):
        read_regions(options)


def test_a_region_belongs_to_a_source_that_is_there():
    options = DetectOptions(track="bytetrack", line=("a@2=0,0,1,1",))
    assert len(read_regions(options)) == len(read_regions(options, (1, 2))) == 1
    with pytest.raises(UserError, match="--line a@2: there is no source 2. --source names 1"):
        read_regions(options, (1,))


@pytest.mark.parametrize("name", ["a@1", "a@4", "a"])
def test_a_sequence_of_images_is_named_by_its_first(name):
    firsts = (1, 1, 1, 4)  # a folder of three images, then a video
    assert len(read_regions(DetectOptions(track="bytetrack", line=(f"{name}=0,0,1,1",)), firsts)) == 1
    with pytest.raises(UserError, match="--zone b@3: source 3 is an image .* Name the first of them, b@1=..., or no"):
        read_regions(DetectOptions(track="bytetrack", zone=(f"b@3={SQUARE}",)), firsts)


def test_a_star_of_any_form_crosses_itself_and_a_concave_zone_does_not():
    assert not crosses_itself([(0, 0), (10, 0), (10, 10), (5, 2), (0, 10)])
    assert crosses_itself([(5, 0), (8, 10), (0, 4), (10, 4), (2, 10)])


def test_counting_needs_a_tracker():
    with pytest.raises(UserError, match="--zone yard: counts objects with identities. Add --track bytetrack"):
        read_regions(DetectOptions(zone=(f"yard={SQUARE}",)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=0,0.5,1,0.5", [[0, 60], [160, 60]]),
        ("a=0,60,160,120", [[0, 60], [160, 120]]),
        ("a=0,0,1,1", [[0, 0], [160, 120]]),
    ],
)
def test_points_in_an_image_of_160_x_120(text, expected):
    assert read_region("line", text).pixels(160, 120).tolist() == expected


@pytest.mark.parametrize("text", ["a=0,60,161,60", "a=0,60,100,121"])
def test_points_outside_the_image(text):
    with pytest.raises(UserError, match="--line a: the point .* lies outside the image of 160 x 120 px"):
        read_region("line", text).pixels(160, 120)
