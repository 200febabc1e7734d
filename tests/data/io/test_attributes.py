"""attributes.csv: read, matched with images, written; and what damaged or odd files give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.io.attributes import Attributes, find_attributes, read_attributes, write_attributes
from utils.errors import UserError


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "attributes.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def images(folder: Path, count: int = 3) -> list[Path]:
    for number in range(count):
        (folder / f"images/{number}.jpg").parent.mkdir(exist_ok=True)
        (folder / f"images/{number}.jpg").touch()
    return [folder / f"images/{number}.jpg" for number in range(count)]


@pytest.mark.parametrize("name", ["images/{}.jpg", "./images/{}.jpg", "images\\{}.jpg", "{}.jpg", "{}"])
def test_names_of_images(tmp_path, name):
    rows = "".join(f"{name.format(number)},w{number}\n" for number in range(3))
    found = read_attributes(written(tmp_path, "image,weather\n" + rows), tmp_path, images(tmp_path))
    assert found.columns == {"weather": ["w0", "w1", "w2"]} and found.notes == []


def test_rows_that_are_missing_unknown_or_twice(tmp_path):
    text = "image, weather ,light\nimages/0.jpg,fog,1\nimages/gone.jpg,rain,2\nimages/0.jpg,snow,3\n\n"
    found = read_attributes(written(tmp_path, text), tmp_path, images(tmp_path))
    assert found.columns == {"weather": ["fog", "", ""], "light": ["1", "", ""]}
    assert [note.split("attributes.csv")[1] for note in found.notes] == [
        " has no row for 2 of 3 images; they count as not known",
        ": 1 rows name an image again; the first row of each counts",
        ": 1 rows name no image of this data set, such as images/gone.jpg",
    ]


def test_rows_of_another_split_are_no_strangers(tmp_path):
    every = images(tmp_path)
    text = "image,weather\n" + "".join(f"images/{number}.jpg,fog\n" for number in range(3))
    assert read_attributes(written(tmp_path, text), tmp_path, every[:1]).notes == []


def of(values: list[str]) -> Attributes:
    return Attributes(Path("attributes.csv"), {"fog": values})


def test_columns_of_numbers():
    values = [str(n / 10) for n in range(20)]
    assert of(values).numbers("fog") == pytest.approx(np.arange(20) / 10)
    assert of(["0.005", "0.01", "0.02"] * 9).numbers("fog") is None  # a few numbers are values
    assert of(["a", "b"] + values[:7]).numbers("fog") is None
    mixed = of([*values, "thick", "nan", ""])
    found = mixed.numbers("fog")
    assert found is not None and np.isnan(found[-3:]).all()
    assert "2 of 22 values of 'fog' are not numbers, such as 'thick'" in mixed.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'image'"),
        (b"file,weather\na,b\n", "no column 'image'"),
        (b"image,fog,fog\na,b,c\n", "'fog' stands twice"),
        (b"image,fog\n\xff\xfe,b\n", "cannot be read as a table"),
        (b"image,fog\na," + b"x" * 200_000 + b"\n", "cannot be read as a table"),
    ],
)
def test_files_that_are_no_table(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_attributes(written(tmp_path, content), tmp_path, [])


def test_rows_of_odd_lengths(tmp_path):
    found = read_attributes(written(tmp_path, "image,a,b\n0.jpg,1\n1.jpg,1,2,3,4\n"), tmp_path, images(tmp_path, 2))
    assert found.columns == {"a": ["1", "1"], "b": ["", "2"]}


def test_where_the_file_is_looked_for(tmp_path):
    root, beside = tmp_path / "root", tmp_path / "yaml"
    root.mkdir()
    beside.mkdir()
    assert find_attributes(root, beside / "data.yaml") is None
    second = written(beside, "image\n")
    assert find_attributes(root, beside / "data.yaml") == second
    first = written(root, "image\n")
    assert find_attributes(root, beside / "data.yaml") == first


def test_a_manifest_serves_where_there_is_nothing_else(tmp_path):
    """What prepare.py degrade drew for each image."""
    (tmp_path / "manifest.csv").write_text("file,source,downscaled\nimages/0.jpg,a.jpg,2\nimages/1.jpg,b.jpg,4\n")
    file = find_attributes(tmp_path, tmp_path / "data.yaml")
    assert file == tmp_path / "manifest.csv"
    found = read_attributes(file, tmp_path, images(tmp_path, 2))
    assert found.columns == {"source": ["a.jpg", "b.jpg"], "downscaled": ["2", "4"]}


def test_written_rows_are_read_again_and_added_to(tmp_path):
    write_attributes(tmp_path, {"images/1.jpg": {"light": "Low, warm"}})
    write_attributes(tmp_path, {"images/0.jpg": {"weather": "fog"}})
    found = read_attributes(tmp_path / "attributes.csv", tmp_path, images(tmp_path, 2))
    assert found.columns == {"weather": ["fog", ""], "light": ["", "Low, warm"]}


def test_nothing_is_written_for_nothing(tmp_path):
    write_attributes(tmp_path, {"a": {}})
    assert not (tmp_path / "attributes.csv").exists()
