"""Data YAMLs and folders of other tools: what each comes to, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.config import load_data
from data.io.manifest import RECORDS
from utils.errors import UserError
from utils.files import list_images

NAMES = "names: [cat, dog]\n"


def write(folder: Path, text: str, *folders: str, name: str = "data.yaml") -> Path:
    for entry in folders:
        (folder / entry).mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_roboflow(tmp_path):
    """`../train/images` is the folder beside the YAML, and what Roboflow adds is no mistake."""
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['cat', 'dog']\n"
    text += "roboflow:\n  workspace: w\n  license: MIT\n"
    file = write(tmp_path / "export", text, "train/images", "valid/images", "test/images")
    for source in (file, file.parent):
        assert load_data(source).splits == {
            "train": (tmp_path / "export/train/images",),
            "val": (tmp_path / "export/valid/images",),
            "test": (tmp_path / "export/test/images",),
        }


def test_roboflow_without_a_test_part(tmp_path, capsys):
    """The YAML names `../test/images` all the same; the test part is left out, unless it is what is asked for."""
    text = f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\nconditions: {{test: night}}\n{NAMES}"
    file = write(tmp_path / "export", text, "train/images", "valid/images")
    data, absent = load_data(file), tmp_path / "export/test/images"
    assert list(data.splits) == list(data.conditions) == ["train", "val"] and data.missing == {"test": (absent,)}
    assert f"'test' is left out: {absent} is missing" in capsys.readouterr().out
    for need in (["test"], ["train", "test"]):
        with pytest.raises(UserError, match=f"'test' is {absent}, which is missing"):
            load_data(file, need=need)
    with pytest.raises(UserError, match=f"'test' is {absent}, which is missing"):
        data.sources("test")


def test_a_folder_outside_is_not_taken_for_roboflows(tmp_path):
    """Neither where it is there, nor under another name."""
    file = write(tmp_path / "export", f"val: ../valid/images\n{NAMES}", "../valid/images")
    with pytest.raises(UserError, match="'val: ../valid/images' lies outside the data set's folder"):
        load_data(file)
    with pytest.raises(UserError, match="'val: ../valid' lies outside the data set's folder"):
        load_data(write(tmp_path / "export", f"val: ../valid\n{NAMES}"))


def test_poses_are_refused(tmp_path):
    """A row of a box and two points, `0 .5 .5 .2 .2 .45 .45 .55 .55`, would be a polygon of four points."""
    with pytest.raises(UserError, match="'kpt_shape' says that label rows end in keypoints"):
        load_data(write(tmp_path, f"train: a\nkpt_shape: [2, 2]\n{NAMES}", "a"))


def test_ultralytics_keys(tmp_path, capsys):
    """`validation` is val, `minival` is left where there is a val, and classes that `nc` counts get names."""
    data = load_data(write(tmp_path, "train: a\nvalidation: b\nnc: 3\nflip_idx: [0]\nchannels: 3\n", "a", "b"))
    assert data.splits["val"] == (tmp_path / "b",) and data.names == {0: "class0", 1: "class1", 2: "class2"}
    assert "not used here: flip_idx, channels" in capsys.readouterr().out
    assert load_data(write(tmp_path, f"val: a\nminival: b\n{NAMES}")).splits["val"] == (tmp_path / "a",)
    assert load_data(write(tmp_path, f"minival: b\n{NAMES}")).splits["val"] == (tmp_path / "b",)
    with pytest.raises(UserError, match="'val' and 'valid' are two names of one split"):
        load_data(write(tmp_path, f"val: a\nvalid: b\n{NAMES}"))
    with pytest.raises(UserError, match="there is no key 'trian'. Did you mean 'train'"):
        load_data(write(tmp_path, f"trian: a\n{NAMES}"))


def test_a_path_from_the_current_folder(tmp_path, monkeypatch):
    file = write(tmp_path / "t" / "cvat", f"path: t/cvat\nval: images\n{NAMES}", "images")
    monkeypatch.chdir(tmp_path)
    assert load_data(file).root == tmp_path / "t" / "cvat"


def test_entries_of_windows(tmp_path, make_image):
    """Backslashes, in `path`, in splits and in lists, stay inside the folder as slashes do."""
    image = make_image(tmp_path / "set" / "images" / "train" / "1.png")
    text = f"path: data\\..\\set\ntrain: images\\train\nval: val.txt\n{NAMES}"
    file = write(tmp_path, text, "data")
    (tmp_path / "set" / "val.txt").write_text("images\\train\\1.png\ndata\\images\\train\\1.png\n")
    data = load_data(file)
    assert data.root == tmp_path / "set" and data.splits["train"] == (image.parent,)
    assert list_images(data.splits["val"][0], data.root) == [image, image]
    (tmp_path / "set" / "val.txt").write_text("..\\..\\1.png\n")
    with pytest.raises(UserError, match=r"val.txt:1: .* lies outside"):
        list_images(data.splits["val"][0], data.root)
    with pytest.raises(UserError, match=r"'val: \.\.\\data' lies outside the data set's folder"):
        load_data(write(tmp_path, f"path: set\nval: ..\\data\n{NAMES}"))


def test_a_backslash_may_be_part_of_a_name(tmp_path):
    assert load_data(write(tmp_path, f"val: a\\b\n{NAMES}", "a\\b", "a/b")).splits["val"] == (tmp_path / "a\\b",)


@pytest.mark.parametrize("key", ["depth_scale", "colors", "val_labels", "dataset", "train_dir", "created", "notes"])
def test_keys_that_are_not_used(tmp_path, capsys, key):
    load_data(write(tmp_path, f"val: a\n{key}: 1\n{NAMES}", "a"))
    assert f"not used here: {key}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "meant"),
    [("tets", "test"), ("vla", "val"), ("targets", "target"), ("unlabelled", "unlabeled"), ("Train", "train")],
)
def test_misspelt_keys(tmp_path, key, meant):
    with pytest.raises(UserError, match=f"no key '{key}'. Did you mean '{meant}'"):
        load_data(write(tmp_path, f"val2: a\n{key}: a\n{NAMES}", "a"))


def test_wiid_with_its_members_the_other_way_round(tmp_path, capsys):
    load_data(write(tmp_path, f"train: voco_dark\ntrain_night: voco\n{NAMES}", "voco", "voco_dark"))
    assert "'train' looks like the dark images" in capsys.readouterr().out
    load_data(write(tmp_path, f"train: voco\ntrain_night: voco_dark\n{NAMES}"))
    assert "looks like" not in capsys.readouterr().out


def test_conditions_of_a_split(tmp_path):
    text = f"val: {{day: a, night: b, fog: c}}\ntest: {{day: a, night: b}}\n{NAMES}"
    data = load_data(write(tmp_path, text, "a", "b", "c"))
    assert data.splits["val3"] == (tmp_path / "c",) and data.splits["test2"] == (tmp_path / "b",)
    assert [data.conditions[split] for split in ("val", "val2", "val3", "test2")] == ["day", "night", "fog", "night"]
    with pytest.raises(UserError, match="'val' names 2 conditions; expected one to 9, without 'val2' beside them"):
        load_data(write(tmp_path, f"val: {{day: a, night: b}}\nval2: c\n{NAMES}"))


@pytest.mark.parametrize("place", ["images/{}", "{}/images"])
def test_a_folder_without_a_yaml(tmp_path, make_image, place):
    for split in ("train", "valid"):
        make_image(tmp_path / "set" / place.format(split) / "1.png")
    (tmp_path / "set" / "classes.txt").write_text("cat\n\ndog\n")
    data = load_data(tmp_path / "set")
    assert (data.file, data.names) == (tmp_path / "set", {0: "cat", 1: "dog"})
    assert data.splits["val"] == (tmp_path / "set" / place.format("valid"),)


def test_label_studio(tmp_path, make_image):
    make_image(tmp_path / "images" / "1.png")
    (tmp_path / "notes.json").write_text(json.dumps({"categories": [{"id": 1, "name": "b"}, {"id": 0, "name": "a"}]}))
    data = load_data(tmp_path)
    assert data.splits == {"train": (tmp_path / "images",)} and data.names == {0: "a", 1: "b"}


def test_folders_that_cannot_be_read(tmp_path, make_image):
    with pytest.raises(UserError, match="no data YAML, and no images in"):
        load_data(tmp_path)
    make_image(tmp_path / "images" / "train" / "1.png")
    with pytest.raises(UserError, match="no file of class names"):
        load_data(tmp_path)
    (tmp_path / "notes.json").write_text("[]")
    with pytest.raises(UserError, match="expected Label Studio's 'categories'"):
        load_data(tmp_path)
    make_image(tmp_path / "train" / "images" / "1.png")
    with pytest.raises(UserError, match="both images/train and train/images hold images for 'train'"):
        load_data(tmp_path)
    write(tmp_path, "repos: []", name=".hidden.yaml")  # of some other tool
    with pytest.raises(UserError, match="both images/train and train/images hold images for 'train'"):
        load_data(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        write(tmp_path, NAMES, name=name)
    with pytest.raises(UserError, match=r"several YAML files \(a.yaml, b.yaml\)"):
        load_data(tmp_path)


def test_records_of_commands_are_no_data_yamls(tmp_path, make_image):
    make_image(tmp_path / "images" / "train" / "1.png")
    (tmp_path / "classes.txt").write_text("cat\n")
    for name in RECORDS:
        write(tmp_path, "recipe: fog\n", name=name)
    assert load_data(tmp_path).names == {0: "cat"}


def test_names_in_each_split(tmp_path, make_image):
    """Roboflow's Darknet export repeats the class list in each folder; lists that differ are refused."""
    for split in ("train", "valid"):
        make_image(tmp_path / split / "1.png")
        (tmp_path / split / "_darknet.labels").write_text("cat\ndog\n")
    data = load_data(tmp_path)
    assert data.names == {0: "cat", 1: "dog"} and data.splits["val"] == (tmp_path / "valid",)
    (tmp_path / "valid" / "_darknet.labels").write_text("dog\ncat\n")
    with pytest.raises(UserError, match="lists the classes dog, cat, but .*train/_darknet.labels cat, dog"):
        load_data(tmp_path)


def test_lists_without_a_yaml(tmp_path, make_image):
    """CVAT's YOLO 1.1: obj.names, and a list whose entries begin with data/."""
    make_image(tmp_path / "obj_train_data" / "1.png")
    (tmp_path / "train.txt").write_text("data/obj_train_data/1.png\n")
    (tmp_path / "obj.names").write_text("cat\n")
    data = load_data(tmp_path)
    assert data.splits == {"train": (tmp_path / "train.txt",)}
    assert list_images(data.splits["train"][0], data.root) == [tmp_path / "obj_train_data" / "1.png"]
