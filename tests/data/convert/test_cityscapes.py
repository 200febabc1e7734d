"""data.convert.cityscapes: a miniature of the archives, clear, in fog and in rain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.config import load_data
from data.convert import run
from data.convert.cityscapes import convert
from data.convert.class_lists import CITYSCAPES
from utils.errors import UserError
from utils.files import list_images
from utils.tables import read_csv

SCENES = {"train": ("aachen_000000_000019", "aachen_000001_000019"), "val": ("lindau_000000_000019",)}
RAIN = "rain_alpha_0.01_beta_0.005_dropsize_0.01_pattern_{}"


def thing(label: str, *points: tuple[float, float], **more: object) -> dict:
    return {"label": label, "polygon": points, **more}


CAR = thing("car", (8, 12), (24, 14), (20, 18))


def annotate(source: Path, split: str, scene: str, *objects: dict) -> Path:
    file = source / "gtFine" / split / scene.split("_")[0] / f"{scene}_gtFine_polygons.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"imgHeight": 30, "imgWidth": 40, "objects": objects}))
    return file


def image(source: Path, make_image, split: str, scene: str, weather: str, seed: int = 0) -> Path:
    """weather: what follows leftImg8bit in the name; its first word names the folder."""
    folder = "_".join(["leftImg8bit", *weather.split("_")[:1]]).rstrip("_")
    name = f"{scene}_leftImg8bit{'_' if weather else ''}{weather}.png"
    return make_image(source / folder / split / scene.split("_")[0] / name, width=40, height=30, seed=seed)


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    """Two training scenes and a validation scene; every scene is clear and foggy, the first of each part also rainy."""
    folder = tmp_path / "cityscapes"
    for split, scenes in SCENES.items():
        for number, scene in enumerate(scenes):
            annotate(folder, split, scene, CAR, thing("road", (0, 20), (40, 20), (40, 30)))
            weathers = ["", "foggy_beta_0.01", "foggy_beta_0.02", *(RAIN.format(n) for n in (1, 2) if number == 0)]
            for seed, weather in enumerate(weathers):
                image(folder, make_image, split, scene, weather, seed)
    return folder


@pytest.mark.parametrize(
    ("name", "per_split", "reference"),
    [
        ("cityscapes", {"train": 2, "val": 1}, 0),
        ("foggy-cityscapes", {"train": 2, "val": 1}, 2),
        ("rainy-cityscapes", {"train": 2, "val": 2}, 2),  # two patterns per scene; clear ones of all training scenes
    ],
)
def test_the_published_layout(source, tmp_path, name, per_split, reference):
    """The car's polygon spans 8..24 of 40 and 12..18 of 30: x = 16/40, y = 15/30, w = 16/40, h = 6/30. Car is 6th."""
    summary = run(name, source, tmp_path / "out")
    labels = sorted((tmp_path / "out/labels").rglob("*.txt"))
    assert {label.read_text() for label in labels} == {"6 0.400000 0.500000 0.400000 0.200000\n"}
    assert (summary.per_split, len(labels), summary.reference) == (per_split, summary.images, reference)
    assert (summary.dropped, summary.skipped) == ({}, [])
    data, ours = load_data(tmp_path / "out"), load_data(name, need=())
    assert data.names == ours.names == dict(enumerate(CITYSCAPES))
    assert ("reference" in data.splits) == ("reference" in ours.splits) == bool(reference)


@pytest.mark.parametrize("name", ["foggy-cityscapes", "rainy-cityscapes"])
def test_clear_versions_of_validation_scenes_are_never_reference_images(source, tmp_path, make_image, name):
    """Neither the usual ones, nor one that lies in the training folder, nor one annotated in both parts."""
    held_out = SCENES["val"][0]
    image(source, make_image, "train", held_out, "")
    annotate(source, "train", held_out, CAR)
    convert(source, tmp_path / "out", name=name)
    names = sorted(path.name for path in list_images(tmp_path / "out/images/reference"))
    assert names == [f"{scene}_leftImg8bit.png" for scene in SCENES["train"]]


def test_the_density_of_the_fog(source, tmp_path):
    run("foggy-cityscapes", source, tmp_path / "out", beta="0.01")
    rows = read_csv(tmp_path / "out/attributes.csv")
    assert {(row["weather"], row["fog"]) for row in rows} == {("fog", "0.01")}
    assert {path.stem[-4:] for path in list_images(tmp_path / "out/images/val")} == {"0.01"}
    with pytest.raises(UserError, match="no image there has an annotation.*_leftImg8bit_foggy_beta_0.005.png"):
        run("foggy-cityscapes", source, tmp_path / "again", beta="0.005")
    with pytest.raises(UserError, match="--beta does not apply"):
        run("rainy-cityscapes", source, tmp_path / "again", beta="0.01")


@pytest.mark.parametrize(
    ("entry", "boxes", "dropped"),
    [
        (thing("bus", (1, 1), (9, 1), (9, 9)), 4, {}),
        (thing("cargroup", (1, 1), (9, 1), (9, 9)), 3, {"a group of several objects": 1}),
        (thing("persongroup", (1, 1), (9, 1), (9, 9)), 3, {"a group of several objects": 1}),
        (thing("car", (1, 1), (9, 1), (9, 9), deleted=1), 3, {"marked deleted": 1}),
        (thing("trailer", (1, 1), (9, 1), (9, 9)), 3, {"another class": 1}),
        (thing("sky", (1, 1), (9, 1), (9, 9)), 3, {}),
        (thing("person", (1, 1), (1, 9)), 3, {"no area inside the image": 1}),
        (thing("person", (50, 1), (59, 9)), 3, {"no area inside the image": 1}),
        (thing("person"), 3, {"not a number": 1}),
        (thing("person", (1, 1, 1)), 3, {"not a number": 1}),
        (thing("person", ("x", 1)), 3, {"not a number": 1}),
        ({"label": "person", "polygon": 3}, 3, {"not a number": 1}),
        ({"label": "person"}, 3, {"not a number": 1}),
    ],
)
def test_which_objects_stay(source, tmp_path, entry, boxes, dropped):
    annotate(source, "train", SCENES["train"][0], CAR, entry)
    summary = convert(source, tmp_path / "out")
    assert (summary.boxes, summary.dropped) == (boxes, dropped)


def test_a_box_over_the_edge_is_clipped(source, tmp_path):
    """-8..8 of 40 becomes 0..8: x = 4/40, w = 8/40; 15..30 of 30 stays: y = 22.5/30, h = 15/30. Train is 3rd."""
    annotate(source, "val", SCENES["val"][0], thing("train", (-8, 15), (8, 30)))
    summary = convert(source, tmp_path / "out")
    (label,) = (tmp_path / "out/labels/val").rglob("*.txt")
    assert label.read_text() == "3 0.100000 0.750000 0.200000 0.500000\n"
    assert summary.clipped == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a readable annotation file"),
        ("[" * 100_000, "not a readable annotation file"),
        ("[]", "expected imgHeight, imgWidth and a list of objects"),
        ('{"imgHeight": 30, "imgWidth": "40", "objects": []}', "expected imgHeight, imgWidth and a list of objects"),
        ('{"imgHeight": 30, "imgWidth": 0, "objects": []}', "expected imgHeight, imgWidth and a list of objects"),
        ('{"imgHeight": 30, "imgWidth": 40}', "expected imgHeight, imgWidth and a list of objects"),
        ('{"imgHeight": 30, "imgWidth": 40, "objects": [3]}', "expected a label in each of its objects"),
        ('{"imgHeight": 30, "imgWidth": 40, "objects": [{"label": 1}]}', "expected a label in each of its objects"),
    ],
)
def test_annotation_files_that_are_none(source, tmp_path, text, reason):
    file = annotate(source, "train", SCENES["train"][0])
    file.write_text(text)
    summary = convert(source, tmp_path / "out")
    ((path, said),) = summary.skipped
    assert (path, summary.images) == (file, 2)
    assert said.startswith(reason)


def test_the_unmatched_are_listed(source, tmp_path, make_image):
    """Rain has a part of the scenes only, so there an annotation may be alone; an image may not."""
    annotate(source, "train", "ulm_000000_000019", CAR)
    alone = image(source, make_image, "train", "jena_000000_000019", RAIN.format(1))
    assert run("rainy-cityscapes", source, tmp_path / "rain").skipped == [(alone, "its annotation file is missing")]
    ((file, reason),) = run("foggy-cityscapes", source, tmp_path / "fog").skipped
    assert (file.name[:3], reason) == ("ulm", "its image is missing")


def test_archives_unpacked_each_into_its_folder_and_no_clear_images(source, tmp_path):
    for number, folder in enumerate(("gtFine", "leftImg8bit_foggy")):
        (source / f"archive{number}").mkdir()
        (source / folder).rename(source / f"archive{number}" / folder)
    (source / "leftImg8bit").rename(tmp_path / "elsewhere")
    summary = run("foggy-cityscapes", source, tmp_path / "out")
    assert (summary.images, summary.reference) == (3, 0)
    assert "without leftImg8bit there are no reference images (images/reference)" in summary.lines()
    with pytest.raises(UserError, match="the folder leftImg8bit is not in it"):
        run("cityscapes", source, tmp_path / "clear")


@pytest.mark.parametrize("choices", [{"name": "snowy-cityscapes"}, {"beta": "0.03"}, {"beta": ".*"}])
def test_choices_that_are_none(source, tmp_path, choices):
    with pytest.raises(UserError, match="expected one of cityscapes, foggy-cityscapes, rainy-cityscapes"):
        convert(source, tmp_path / "out", **choices)
