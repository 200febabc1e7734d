"""Archives that would unfold are refused by their list of members."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from utils.disk.archives import check_stored, stored_arrays


def test_arrays_come_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.array(["a"]))
    with stored_arrays(tmp_path / "a.npz") as content:
        assert content["x"].tolist() == [0, 1, 2] and content["y"].tolist() == ["a"]


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10_000_000))
    with pytest.raises(ValueError, match=r"member 'x\.npy' is compressed"):
        check_stored(tmp_path / "a.npz")
    check_stored(tmp_path / "a.npz", 80_000_200)
    with pytest.raises(ValueError, match="is compressed"):
        check_stored(tmp_path / "a.npz", 80_000_000)


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    """Two entries of the list lead to one member: together they are larger than the file."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"x" * 1000)
        archive.filelist += archive.filelist * 3
    with pytest.raises(ValueError, match="its members claim 4,000 bytes"):
        check_stored(tmp_path / "a.zip")


def of_another_version(path: Path) -> None:
    """A member that needs version 13.0 of zip."""
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 130
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:60]),
        lambda path: path.write_bytes(b""),
        lambda path: np.savez(path, y=np.zeros(1)),  # another name
        lambda path: np.savez(path, x=np.array([{}], dtype=object)),
        lambda path: path.write_bytes(path.read_bytes().replace(b"(3,)", b"(3e,")),
        of_another_version,
    ],
)
def test_whatever_is_wrong_is_a_value_error(tmp_path: Path, spoil) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3))
    spoil(path)
    with pytest.raises(ValueError), stored_arrays(path) as content:  # noqa: PT011
        content["x"].tolist()


def test_a_header_that_claims_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3))
    path.write_bytes(path.read_bytes().replace(b"'shape': (3,), }           ", b"'shape': (9999999999999,), }"))
    with pytest.raises((ValueError, OSError)), stored_arrays(path) as content:
        content["x"].tolist()
