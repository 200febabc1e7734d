"""data.convert.imagenet_lvis: folders to classes by either table, and folders that belong to none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.config import load_data
from data.convert import run
from data.convert.imagenet_lvis import convert, read_synsets
from tests.data.convert.test_lvis import CATEGORIES
from utils.errors import UserError

TABLE = "n02682922 aerosol.n.02\nn02403003 ox.n.02\n\nn02437136 yak.n.02\n"
SENSES = (  # WordNet 3.0's index.sense: one line a word; two words of one synset share its offset
    "aerosol%1:06:00:: 02682922 2 0\naerosol_can%1:06:00:: 02682922 1 0\nox%1:05:01:: 02403003 2 3\n"
    "yack%2:32:00:: 00744004 1 0\nyak%1:05:00:: 02437136 2 0\n"
)


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    """Folders of aerosol cans (2 images), oxen, which are no class, and yaks (1 image), and a folder of no synset."""
    for name in ("n02682922/n02682922_1", "n02682922/n02682922_2", "n02403003/n02403003_1", "n02437136/n02437136_7"):
        make_image(tmp_path / "imagenet" / f"{name}.JPEG", width=50, height=30)
    (tmp_path / "imagenet/notes").mkdir()
    (tmp_path / "lvis.json").write_text(json.dumps({"categories": CATEGORIES}))
    (tmp_path / "table.txt").write_text(TABLE)
    return tmp_path / "imagenet"


@pytest.mark.parametrize("table", [TABLE, SENSES])
def test_whole_images_of_the_classes(source, tmp_path, table):
    """Aerosol cans are class 0, yaks class 2; 1 of 3 classes has no folder."""
    (tmp_path / "table.txt").write_text(table)
    choices = {"classes": str(tmp_path / "lvis.json"), "synsets": tmp_path / "table.txt"}
    summary = run("imagenet-lvis", source, tmp_path / "out", **choices)
    labels = {path.stem: path.read_text() for path in (tmp_path / "out/labels/extra").rglob("*.txt")}
    whole = "0.500000 0.500000 1.000000 1.000000\n"
    assert labels == {
        "n02682922_1": f"0 {whole}", "n02682922_2": f"0 {whole}", "n02437136_7": f"2 {whole}",
    }  # fmt: skip
    assert (summary.images, summary.clipped) == (3, 0)
    assert summary.lines()[-1] == "2 of 3 folders belong to a class; 2 of 3 classes have a folder"
    data = load_data(tmp_path / "out")
    assert data.splits == {"extra": (tmp_path / "out/images/extra",)}
    assert (data.names[2], data.frequency) == ("yak", ("c", "f", "r"))


def test_both_sets_stand_in_one_folder(source, tmp_path, make_image):
    make_image(tmp_path / "coco/train2017/1.png", width=80, height=40)
    lists = {"neg_category_ids": [1], "not_exhaustive_category_ids": []}
    images = [{"id": 1, "coco_url": "x/train2017/1.png", "width": 80, "height": 40, **lists}]
    content = {"images": images, "annotations": [], "categories": CATEGORIES}
    (tmp_path / "coco/lvis_v1_train.json").write_text(json.dumps(content))
    run("lvis", tmp_path / "coco", tmp_path / "out")
    convert(source, tmp_path / "out", classes=str(tmp_path / "lvis.json"), synsets=tmp_path / "table.txt")
    data = load_data(tmp_path / "out")
    assert list(data.splits) == ["train", "extra"] and data.federated == tmp_path / "out/federated.json"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("n02403003 ox.n.02\n", "none of its 3 folders is a class of .*lvis.json by .*table.txt"),
        ("n02682922 ball.n.01\n", "none of its 3 folders is a class"),
        ("", "none of its 3 folders is a class"),
        ("n02682922\n", r"table\.txt:1: expected 'n02682922 aerosol_can\.n\.01'"),
        ("n1 a.n.01\n", r"table\.txt:1: expected"),
        ("\naerosol%one 02682922 2 0\n", r"table\.txt:2: expected"),
    ],
)
def test_tables_that_fit_nothing(source, tmp_path, table, message):
    (tmp_path / "table.txt").write_text(table)
    with pytest.raises(UserError, match=message):
        convert(source, tmp_path / "out", classes=str(tmp_path / "lvis.json"), synsets=tmp_path / "table.txt")
    assert not (tmp_path / "out").exists()


def test_what_must_be_named(source, tmp_path):
    with pytest.raises(UserError, match="needs --classes FILE, an LVIS json"):
        convert(source, tmp_path / "out")
    given = {"classes": str(tmp_path / "lvis.json"), "synsets": tmp_path / "table.txt"}
    with pytest.raises(UserError, match="expected ImageNet's folders"):
        convert(tmp_path, tmp_path / "out", **given)
    with pytest.raises(UserError, match=r"--synsets .*nothing\.txt: cannot be read"):
        convert(source, tmp_path / "out", classes=given["classes"], synsets=tmp_path / "nothing.txt")


def test_a_synset_has_the_names_of_all_its_words(tmp_path):
    """The sense number is of the word, so that one synset is aerosol.n.02 and aerosol_can.n.01; verbs are none."""
    (tmp_path / "index.sense").write_text(SENSES)
    table = read_synsets(tmp_path / "index.sense")
    assert table["n02682922"] == {"aerosol.n.02", "aerosol_can.n.01"}
    assert sorted(table) == ["n02403003", "n02437136", "n02682922"]


def test_the_list_of_images_that_detic_and_richsem_use(source, tmp_path):
    """Each image has the classes of its row; one that is missing is skipped, and no table is needed."""
    rows = [("n02682922/n02682922_1.JPEG", [1]), ("n02437136/n02437136_7.JPEG", [3, 1]), ("n02437136/none.JPEG", [3])]
    images = [{"id": 1 + number, "file_name": name, "pos_category_ids": ids} for number, (name, ids) in enumerate(rows)]
    file = tmp_path / "imagenet_lvis_image_info.json"
    file.write_text(json.dumps({"categories": CATEGORIES, "images": images, "annotations": []}))
    summary = convert(source, tmp_path / "out", classes=str(file))
    whole = "0.500000 0.500000 1.000000 1.000000\n"
    found = {path.stem: path.read_text() for path in (tmp_path / "out/labels/extra").rglob("*.txt")}
    assert found == {"n02682922_1": f"0 {whole}", "n02437136_7": f"2 {whole}0 {whole}"}
    assert [path.name for path, _ in summary.skipped] == ["none.JPEG"]
    assert summary.notes == ["imagenet_lvis_image_info.json lists 3 images of 2 of 3 classes"]
    file.write_text(json.dumps({"categories": CATEGORIES, "images": [{**images[0], "pos_category_ids": [9]}]}))
    with pytest.raises(UserError, match="expected 'file_name' and 'pos_category_ids'"):
        convert(source, tmp_path / "out2", classes=str(file))
