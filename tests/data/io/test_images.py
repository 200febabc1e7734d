"""data.io.images: sizes and completeness of images without decoding them."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.checks.image_facts import read_image_facts
from data.io import images as module
from data.io.images import Unreadable, decode, encode, in_threads, probe, read_image

FORMATS = [".jpg", ".png", ".bmp", ".webp", ".tif"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_size_of_each_format(tmp_path, make_image, suffix):
    assert probe(make_image(tmp_path / f"a{suffix}", width=40, height=30)) == (30, 40)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.95])
def test_truncation_is_seen_in_each_format(tmp_path, make_image, suffix, part):
    path = make_image(tmp_path / f"a{suffix}", width=64, height=64)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(Unreadable):
        probe(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_one_missing_byte_is_seen_and_bytes_after_the_end_are_harmless(tmp_path, make_image, suffix):
    path = make_image(tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * 100)
    assert probe(path) == (24, 32)
    path.write_bytes(content[:-1])
    with pytest.raises(Unreadable, match="truncated"):
        probe(path)


def test_an_end_marker_inside_a_truncated_image_does_not_deceive(tmp_path, make_image):
    path = make_image(tmp_path / "a.jpg", width=64, height=64)
    content = path.read_bytes()
    thumbnail_end = content[:2] + b"\xff\xfe\x00\x04\xff\xd9" + content[2:]  # a comment that holds the marker
    path.write_bytes(thumbnail_end)
    assert probe(path) == (64, 64)
    path.write_bytes(thumbnail_end[: len(thumbnail_end) // 2])
    with pytest.raises(Unreadable, match="truncated"):
        probe(path)


def test_a_mark_in_xmp_alone_turns_nothing(tmp_path):
    """Pillow reads it beside an EXIF block without a mark, OpenCV does not."""
    exif = Image.Exif()
    exif[271] = "a camera"
    path = tmp_path / "a.jpg"
    Image.new("RGB", (40, 30)).save(path, exif=exif, xmp=b'<x tiff:Orientation="6"/>')
    assert Image.open(path).getexif()[274] == 6
    assert probe(path) == read_image(path).shape[:2] == (30, 40)
    assert read_image_facts(path).orientation == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_as_the_decoder_sees_it(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path, exif=exif)
    expected = (40, 30) if orientation >= 5 else (30, 40)
    assert probe(path) == expected
    if suffix == ".jpg":
        assert cv2.imread(str(path)).shape[:2] == expected


def test_a_tiff_whose_places_are_fractions(tmp_path):
    """StripOffsets (tag 273) of type FLOAT: Pillow answers with a TypeError."""
    path = tmp_path / "a.tif"
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<HH", 273, 4), struct.pack("<HH", 273, 11)))
    assert path.read_bytes() != content
    with pytest.raises(Unreadable, match="float"):
        probe(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "an empty file"), (b"<html>404</html>", "not an image"), (b"\xff\xd8\xff\xe0", "not an image|truncated")],
)
def test_what_is_no_image(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        probe(tmp_path / "a.jpg")


def test_missing_files_folders_and_foreign_formats(tmp_path):
    with pytest.raises(Unreadable, match="no such file"):
        probe(tmp_path / "gone.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(Unreadable):
        probe(tmp_path / "folder.jpg")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg", format="GIF")
    with pytest.raises(Unreadable, match="a GIF file named .jpg"):
        probe(tmp_path / "b.jpg")


def test_an_image_bomb_is_no_image(tmp_path, monkeypatch, make_image):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Unreadable, match="exceeds limit"):
        probe(make_image(tmp_path / "a.png"))


@pytest.mark.parametrize("slow", [False, True])
def test_work_keeps_its_order_on_threads_or_not(slow):
    def work(number: int) -> int:
        if slow and number < module._CHUNK:
            time.sleep(0.001)  # waiting, so the rest goes to threads
        return number * 2

    assert list(in_threads(work, range(200), "work")) == list(range(0, 400, 2))


@pytest.mark.parametrize("slow", [False, True])
def test_the_first_problem_is_raised(slow):
    def work(path: Path) -> None:
        if slow:
            time.sleep(0.001)
        if path.stem in {"100", "150"}:
            raise ValueError(path.stem)

    with pytest.raises(ValueError, match="100"):
        list(in_threads(work, [Path(f"{number}.jpg") for number in range(200)], "work"))


def test_a_jpeg_is_decoded_at_a_fraction_of_its_size() -> None:
    """Each pixel is the mean of a block, rounded up at the borders; other formats come whole."""
    image = np.full((30, 45, 3), 80, np.uint8)
    image[:, 24:] = 160
    jpeg, png = (encode(image, suffix) for suffix in (".jpg", ".png"))
    assert jpeg and png
    for fraction, shape in ((1, (30, 45)), (2, (15, 23)), (4, (8, 12)), (8, (4, 6))):
        small = decode(jpeg, fraction)
        assert small is not None and small.shape[:2] == shape
        assert abs(int(small[2, 0, 0]) - 80) < 3 and abs(int(small[2, -1, 0]) - 160) < 3
    whole = decode(png, 4)
    assert whole is not None and np.array_equal(whole, image)


def test_whatever_the_library_raises_is_a_reason(tmp_path, make_image, monkeypatch):
    """A damaged TIFF sent it to a fraction of a byte: TypeError."""
    path = make_image(tmp_path / "a.tif")
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", lambda self: [].index(0))
    with pytest.raises(Unreadable, match="not in list"):
        probe(path)


@pytest.mark.parametrize("kind", ["MPO", "TIFF"])
def test_of_several_pages_the_first_counts(tmp_path, kind):
    """A file that is cut off in the second page gives its first one."""
    pages = [Image.effect_noise((30, 20), 90).convert("RGB") for _ in range(2)]
    path = tmp_path / f"a.{kind.lower()}"
    pages[0].save(path, kind, save_all=True, append_images=pages[1:])
    for keep in (1.0, 0.8):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        image = decode(path.read_bytes())
        assert image is not None and image.shape == (20, 30, 3) and probe(path) == (20, 30)
