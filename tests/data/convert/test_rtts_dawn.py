"""data.convert.rtts_dawn: miniatures of the two test sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.config import load_data
from data.convert import run
from data.convert.class_lists import LISTS
from data.convert.rtts_dawn import convert
from utils.errors import UserError
from utils.files import load_yaml
from utils.tables import read_csv

OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>8</xmin><ymin>12</ymin><xmax>24</xmax>"
    "<ymax>18</ymax></bndbox></object>"
)


def write(xml: Path, image: Path, make_image, *objects: tuple[str, int]) -> None:
    make_image(image, width=40, height=30)
    xml.parent.mkdir(parents=True, exist_ok=True)
    inner = "".join(OBJECT.format(*entry) for entry in objects)
    xml.write_text(f"<annotation><size><width>40</width><height>30</height></size>{inner}</annotation>")


@pytest.fixture
def rtts(tmp_path, make_image) -> Path:
    folder = tmp_path / "RTTS"
    for name, kind in (("AM_1", "motorbike"), ("AM_2", "person")):
        objects = ((kind, 0), ("car", 1))
        write(folder / f"Annotations/{name}.xml", folder / f"JPEGImages/{name}.png", make_image, *objects)
    return folder


@pytest.fixture
def dawn(tmp_path, make_image) -> Path:
    """An image a weather; the XML files lie in a folder among the images."""
    folder = tmp_path / "DAWN"
    for weather, name in (("Fog", "foggy-001"), ("Rain", "rain_storm-001"), ("Sand", "haze-001"), ("Snow", "snow-001")):
        xml = folder / weather / f"{weather}_PASCAL_VOC" / f"{name}.xml"
        write(xml, folder / weather / f"{name}.jpg", make_image, ("truck", 0))
    return folder


@pytest.mark.parametrize("outer", [False, True])
def test_rtts(rtts, tmp_path, outer):
    """Motorbike (3): 8..24 of 40, 12..18 of 30: x = 16/40, y = 15/30, w = 16/40, h = 6/30. The car is difficult."""
    summary = run("rtts", tmp_path / "RTTS/.." if outer else rtts, tmp_path.parent / f"{tmp_path.name}-{outer}")
    out = tmp_path.parent / f"{tmp_path.name}-{outer}"
    assert (out / "labels/test/rtts/AM_1.txt").read_text() == "3 0.400000 0.500000 0.400000 0.200000\n"
    assert summary.per_split == {"test": 2}
    assert summary.dropped == {"marked difficult (--difficult keeps them)": 2}
    data = load_data(out)
    assert data.names == load_data("rtts", need=()).names == dict(enumerate(LISTS["rtts"]))
    assert set(data.splits) == set(load_data("rtts", need=()).splits) == {"val", "test"}


def test_rtts_numbered_as_a_detector_of_streets(rtts, tmp_path):
    """In Cityscapes' list person is 2, motorcycle 5 and car 6."""
    summary = run("rtts", rtts, tmp_path / "out", classes="cityscapes", difficult=True)
    labels = tmp_path / "out/labels/test/rtts"
    numbers = [[int(row.split()[0]) for row in (labels / f"AM_{n}.txt").read_text().splitlines()] for n in (1, 2)]
    assert numbers == [[5, 6], [2, 6]]
    assert summary.boxes == 4
    assert load_yaml(tmp_path / "out/data.yaml")["names"] == load_data("foggy-cityscapes", need=()).names


def test_dawn(dawn, tmp_path):
    summary = run("dawn", dawn, tmp_path / "out")
    groups = sorted(path.name for path in (tmp_path / "out/images/test").iterdir())
    assert groups == ["dawn-fog", "dawn-rain", "dawn-sand", "dawn-snow"]
    weathers = {row["image"].split("/")[2]: row["weather"] for row in read_csv(tmp_path / "out/attributes.csv")}
    assert weathers == {f"dawn-{word}": word for word in ("fog", "rain", "sand", "snow")}
    assert (tmp_path / "out/labels/test/dawn-fog/foggy-001.txt").read_text().startswith("2 0.4")
    assert (summary.per_split, summary.skipped) == ({"test": 4}, [])
    assert load_data(tmp_path / "out").names == load_data("dawn", need=()).names == dict(enumerate(LISTS["dawn"]))


def test_one_weather_alone(dawn, tmp_path):
    for weather in ("Rain", "Sand"):
        (dawn / weather).rename(tmp_path / weather)
    (dawn / "Snow").rename(dawn / "snow")
    assert (
        run("dawn", tmp_path, tmp_path.parent / f"{tmp_path.name}-out").images == 4
    )  # DAWN/Fog, DAWN/snow, Rain, Sand


def test_the_unmatched_are_listed(dawn, tmp_path, make_image):
    make_image(dawn / "Fog/mist-002.jpg")
    (dawn / "Rain/rain_storm-001.jpg").rename(dawn / "Rain/other.txt")
    make_image(dawn / "Rain/rain_storm-002.jpg")
    summary = run("dawn", dawn, tmp_path / "out")
    assert {(path.name, reason) for path, reason in summary.skipped} == {
        ("mist-002.jpg", "its annotation file is missing"),
        ("rain_storm-001.xml", "its image is missing"),
        ("rain_storm-002.jpg", "its annotation file is missing"),
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>', "EntitiesForbidden"),
        ("<annotation>", "not a readable annotation file"),
        ("", "not a readable annotation file"),
    ],
)
def test_xml_that_is_none(rtts, tmp_path, text, reason):
    (rtts / "Annotations/AM_1.xml").write_text(text)
    summary = run("rtts", rtts, tmp_path / "out")
    assert summary.images == 1
    assert reason in summary.skipped[0][1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rtts", "expected RTTS with its folders Annotations and JPEGImages"),
        ("dawn", "expected DAWN's folders Fog, Rain, Sand and Snow"),
        ("fog", "expected one of rtts, dawn"),
    ],
)
def test_nothing_there(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        convert(tmp_path, tmp_path / "out", name=name)
