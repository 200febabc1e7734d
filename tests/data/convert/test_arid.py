"""ARID's converter on a miniature: lists, classes and splits, and what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.config import load_data
from data.convert import run
from data.convert.arid import NAMES
from data.synthetic.actions.scene import save_film
from data.video.index import load_split
from utils.errors import UserError
from utils.files import load_yaml


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve day clips that walk, one that drinks; two night videos, of which the list names both and one more."""
    home, frames = tmp_path / "arid", np.full((2, 16, 16, 3), 90, np.uint8)
    for number in range(12):
        save_film(home / "day/Walk" / f"Walk_{number:02d}.avi", frames)
    save_film(home / "day/Drink/Drink_1.avi", frames)
    save_film(home / "raw/data/Walk/Walk_1_1.avi", frames)
    save_film(home / "raw/data/Drink/Drink_1_1.avi", frames)
    (home / "raw/list_cvt").mkdir()
    (home / "raw/list_cvt/ARID_split1_test.txt").write_text(
        "0\t5\tWalk/Walk_1_1.avi\n1\t0\tDrink/Drink_1_1.avi\n\n2\t0\tDrink/Drink_1_2.avi\n"
    )
    return home


def test_the_set_is_written_whole(source: Path, tmp_path: Path) -> None:
    """13 day clips: the tenth of Walk is for val, 12 for train. Class numbers are ours: Walk 9, whatever the list says."""
    out = tmp_path / "out"
    summary = run("arid", source, out, link="symbolic")
    assert summary.per_split == {"train": 12, "val": 1, "test": 2}
    assert [reason for _, reason in summary.skipped] == ["listed, but the video is missing"]
    assert "15 videos (train 12, val 1, test 2)" in summary.lines()[0]
    config = load_data(out / "data.yaml")
    assert {video.path.name: video.label for video in load_split(config, "test").videos} == {
        "Drink_1_1.avi": 0,
        "Walk_1_1.avi": 9,
    }
    assert [video.path.name for video in load_split(config, "val").videos] == ["Walk_09.avi"]
    assert config.task == "action" and config.conditions == {"train": "train", "val": "day", "test": "night"}


def test_clips_of_one_name_keep_their_folders(source: Path, tmp_path: Path) -> None:
    """g1 and g2 number their clips from 0; the test list names a video twice."""
    for group in ("g1", "g2"):
        (source / "day/Run" / group).mkdir(parents=True)
        for number in range(2):
            clip = source / "day/Run" / group / f"clip{number}.avi"
            save_film(clip, np.full((2, 16, 16, 3), ord(group[1]) + number, np.uint8))
    listing = source / "raw/list_cvt/ARID_split1_test.txt"
    listing.write_text(listing.read_text() + "3\t5\tWalk/Walk_1_1.avi\n")
    out = tmp_path / "out"
    summary = run("arid", source, out, link="hard")
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.avi"))
    assert len(written) == summary.images == 12 + 1 + 4 + 2
    assert [name for name in written if "Run" in name] == [f"day/Run/g{g}/clip{n}.avi" for g in (1, 2) for n in (0, 1)]
    assert (out / "day/Run/g2/clip1.avi").read_bytes() == (source / "day/Run/g2/clip1.avi").read_bytes()
    assert {video.path for video in load_split(load_data(out / "data.yaml"), "train").videos} >= {
        out / f"day/Run/{group}/clip0.avi" for group in ("g1", "g2")
    }


def test_the_yaml_of_the_project_is_of_the_same_form(root: Path) -> None:
    ours = load_yaml(root / "data/arid.yaml")
    assert tuple(ours["names"].values()) == NAMES
    assert [ours[split] for split in ("train", "val", "test")] == ["lists/train.txt", "lists/val.txt", "lists/test.txt"]


@pytest.mark.parametrize(
    ("change", "choices", "said"),
    [
        (lambda home: None, {"version": "2"}, "ARID_split2_test.txt is not in it"),
        (lambda home: None, {"version": "4"}, "splits 1, 2, 3"),
        (lambda home: None, {"link": "moved"}, "copy, hard, symbolic"),
        (lambda home: (home / "day").rename(home / "dawn"), {}, "labelled day clips"),
        (lambda home: (home / "day/Walk").rename(home / "day/Waltz"), {}, "Waltz is no class of ARID"),
        (lambda home: (home / "raw/list_cvt/ARID_split1_test.txt").write_text("0 0\n"), {}, "test.txt:1"),
        (
            lambda home: (home / "raw/list_cvt/ARID_split1_test.txt").write_text("0 0 ../../x.avi\n"),
            {},
            "no class folder",
        ),
        (
            lambda home: (home / "raw/list_cvt/ARID_split1_test.txt").write_text("0 0 Run/x.avi\n"),
            {},
            "no video for 'test'",
        ),
    ],
)
def test_what_cannot_be_converted(
    source: Path, tmp_path: Path, change: object, choices: dict[str, str], said: str
) -> None:
    change(source)  # type: ignore[operator]
    with pytest.raises(UserError, match=said):
        run("arid", source, tmp_path / "out", **choices)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        run("arid", source, tmp_path / "out")
    assert (tmp_path / "out/mine.txt").read_text() == "mine"
