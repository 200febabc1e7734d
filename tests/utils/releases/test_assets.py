"""utils.releases.assets: names, addresses, checksums."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from utils.files import file_digest
from utils.releases.assets import OFFICIAL, how_to_get, official

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("yolov5m.pt", "yolov5m"),
        ("weights/yolov5m.pt", "yolov5m"),
        ("yolo11n", "yolo11n"),
        ("YOLOv5M.PT", "yolov5m"),
        ("yolov5x6u.pt", "yolov5x6u"),
        ("best.pt", None),
        ("yolov5m.yaml", None),
        ("yolov5m.safetensors", None),
    ],
)
def test_official_by_name_or_path(name, found):
    asset = official(name)
    assert (asset and asset.name) == found


def test_every_scale_of_every_family():
    families = [*(f"yolov5{s}{size}{u}" for s in "nsmlx" for size in ("", "6") for u in ("", "u"))]
    families += [f"{family}{s}" for family in ("yolov8", "yolo11", "yolo26") for s in "nsmlx"]
    assert set(OFFICIAL) == set(families)


def test_names_are_those_of_the_installed_package():
    downloads = pytest.importorskip("ultralytics.utils.downloads")
    theirs = {asset.file for asset in OFFICIAL.values() if asset.repository == downloads.GITHUB_ASSETS_REPO}
    assert theirs <= downloads.GITHUB_ASSETS_NAMES


def test_addresses_and_checksums_are_well_formed():
    assert OFFICIAL["yolov5m"].url == "https://github.com/ultralytics/yolov5/releases/download/v7.0/yolov5m.pt"
    assert OFFICIAL["yolo26x"].url == "https://github.com/ultralytics/assets/releases/download/v8.4.0/yolo26x.pt"
    known = [asset.sha256 for asset in OFFICIAL.values() if asset.sha256]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in known) and len(set(known)) == len(known)


def test_one_checksum_is_that_of_the_real_file(shared):
    file = shared / "data" / "weights" / "yolov5n_v6.1_coco.pt"
    assert (OFFICIAL["yolov5n"].size, OFFICIAL["yolov5n"].sha256) == (file.stat().st_size, file_digest(file))


def test_how_to_get_names_command_page_and_folder():
    text = how_to_get(OFFICIAL["yolov5m"], Path("somewhere/weights"))
    for part in ("prepare.py weights yolov5m", "(43 MB)", "github.com/ultralytics/yolov5/releases", "yolov5mu.pt"):
        assert part in text
    assert "somewhere/weights/" in text and "nothing is fetched unasked" in text


def test_the_page_lists_every_file():
    page = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    for asset in OFFICIAL.values():
        size = f"{asset.size:,}" if asset.size else "not known"
        assert f"| `{asset.file}` | {size} | {asset.sha256 or 'not known'} |" in page
