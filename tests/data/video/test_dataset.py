"""Clips of videos: which frames, the same change in all of them, day and dark in step, and files that are bad."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.classification.transforms import Crop
from data.config import DataConfig, load_data
from data.detection.options import AugmentOptions
from data.io.video import Undecodable, VideoInfo, probe_video, read_frames
from data.synthetic.actions.scene import save_film
from data.video.dataset import ClipSet, ClipShape, assemble, centre_window, cut, random_window, recolour
from data.video.index import Video, VideoSplit, list_videos, load_split
from utils.errors import UserError

NAMES = ("Sit", "Walk")


def numbered(frames: int, size: tuple[int, int] = (24, 32), base: int = 10) -> np.ndarray:
    """Frames of (height, width) px whose grey is base + 4 * number: lossless, so that it comes back."""
    greys = (base + 4 * np.arange(frames)).astype(np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (frames, *size, 3)).copy()


def grey_of(frame: np.ndarray | torch.Tensor) -> int:
    return round(float(np.asarray(frame, float).mean()))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A set of two classes with paired videos: a 12-frame video of each class, the dark ones 100 grey levels brighter."""
    for split, base in (("train", 10), ("dark", 110), ("val", 30)):
        for label, name in enumerate(NAMES):
            save_film(tmp_path / split / name / f"{name}_1.avi", numbered(12, base=base + 60 * label))
    (tmp_path / "data.yaml").write_text(
        "path: .\ntask: action\ntrain: train\npair: dark\nval: val\nnames: {0: Sit, 1: Walk}\n"
    )
    return tmp_path


def config(folder: Path) -> DataConfig:
    return load_data(folder / "data.yaml")


def one(path: Path, frames: int = 12) -> VideoSplit:
    return VideoSplit([Video(path, 0, None, VideoInfo((24, 32), frames))])


@pytest.mark.parametrize(
    ("total", "clips", "starts"),
    [(41, 3, [0, 5, 10]), (41, 1, [5]), (31, 2, [0, 0]), (9, 2, [0, 0])],  # a clip of 16 every 2. spans 31 frames
)
def test_clips_are_spread_over_a_video(total: int, clips: int, starts: list[int]) -> None:
    assert ClipShape(16, 2).span == 31
    assert ClipShape(16, 2).starts(total, clips) == starts


def test_the_wanted_frames_come_and_no_others(folders: Path) -> None:
    """Grey 10 + 4 n: frames 1, 4, 9 are 14, 26, 46; 40 is beyond the end."""
    found = list(read_frames(folders / "train/Sit/Sit_1.avi", [1, 4, 9, 40]))
    assert [grey_of(frame) for frame in found] == [14, 26, 46]


def test_a_video_that_ends_before_the_first_wanted_frame_is_read_from_its_start(folders: Path) -> None:
    found = read_frames(folders / "train/Sit/Sit_1.avi", [100, 102])
    assert [grey_of(frame) for frame in found] == [10, 18]


def test_a_short_video_is_looped(folders: Path) -> None:
    """12 frames at interval 4 are frames 0, 4, 8; a clip of 5 resumes 0 and 4: grey 10, 26, 42, 10, 26."""
    for cache in ("none", "ram"):
        clips = ClipSet(one(folders / "train/Sit/Sit_1.avi"), ClipShape(5, 4, 16), cache=cache)
        clip = clips[0]["img"][0]  # (3, T, S, S)
        assert [grey_of(clip[:, t]) for t in range(5)] == [10, 26, 42, 10, 26]


def test_memory_gives_the_frames_that_the_file_gives(folders: Path) -> None:
    """12 frames; the header states 60, so that clips of two begin at 0, 29 and 58: the last two find no frame of theirs."""
    video = one(folders / "train/Sit/Sit_1.avi", frames=60)
    stored, decoded = (ClipSet(video, ClipShape(2, 1, 16), tests=3, cache=cache)[0]["img"] for cache in ("ram", "none"))
    assert torch.equal(stored, decoded) and [grey_of(clip[:, 0]) for clip in decoded] == [10, 10, 10]


def test_every_frame_is_cut_alike() -> None:
    """One image five times: five equal frames, whatever the window, mirrored or not."""
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    for window in (Crop(2, 5, 16, 20, False), Crop(2, 5, 16, 20, True)):
        clip = assemble([cut(image, window, 16)], 5)
        assert clip.shape == (5, 16, 16, 3) and (clip == clip[:1]).all()
    plain, flipped = (cut(image, Crop(0, 0, 16, 16, flip), 16) for flip in (False, True))
    assert np.array_equal(plain[:, ::-1], flipped)
    assert np.array_equal(plain, image[:16, :16])
    assert np.array_equal(assemble([plain], 1)[0], image[:16, :16, ::-1])  # RGB of the files' BGR


def test_windows_lie_in_the_image_and_are_as_large_as_published() -> None:
    """Of 60 px, a side over at most 288 / 224, times at most the root of 1.25: 41 to 67 px, cut off at 60."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        top, left, height, width, _ = random_window((60, 80), rng)
        assert 41 <= height <= 60 and 41 <= width <= 68
        assert 0 <= top <= 60 - height and 0 <= left <= 80 - width
    assert centre_window((64, 80)) == (4, 12, 56, 56, False)  # 0.875 * 64 = 56


def test_colour_changes_every_frame_alike_and_nothing_without_a_draw() -> None:
    """Grey 100 at a brightness of 1 + 0.5 * 0.4 = 1.2 becomes 120."""
    clip = np.full((3, 8, 8, 3), 100, np.uint8)
    options = AugmentOptions(hsv_v=0.4)
    recolour(clip, np.zeros(3), options)
    assert (clip == 100).all()
    recolour(clip, np.array([0.0, 0.0, 0.5]), options)
    assert (clip == 120).all()


def test_day_and_dark_show_the_same_frames(folders: Path) -> None:
    """The paired video is 100 grey levels brighter in every frame; with shared colour options off it stays so."""
    still = AugmentOptions(hsv_h=0, hsv_s=0, hsv_v=0)
    clips = ClipSet(
        load_split(config(folders), "train", paired=True), ClipShape(3, 2, 16), augment=still, paired=True, motion=True
    )
    for epoch in range(4):
        item = clips[(epoch, 1)]
        assert item["cls"] == 1 and item["motion"].shape == (16, 16)
        difference = item["pair"].int() - item["img"].int()
        assert (difference - 100).abs().max() <= 1


def test_a_clip_depends_on_seed_epoch_and_index_alone(folders: Path) -> None:
    def clip(seed: int, epoch: int) -> torch.Tensor:
        split = load_split(config(folders), "train")
        return ClipSet(split, ClipShape(3, 2, 16), augment=AugmentOptions(), seed=seed)[(epoch, 0)]["img"]

    assert torch.equal(clip(0, 1), clip(0, 1))
    assert not torch.equal(clip(0, 1), clip(0, 2)) and not torch.equal(clip(0, 1), clip(1, 1))


def test_without_paired_videos_the_day_clip_is_darkened(folders: Path) -> None:
    clips = ClipSet(load_split(config(folders), "train"), ClipShape(3, 2, 16), augment=AugmentOptions(), paired=True)
    item = clips[(0, 1)]
    assert item["pair"].shape == item["img"].shape
    assert item["pair"].float().mean() < 0.7 * item["img"].float().mean()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_bad_files_are_left_out_and_named(folders: Path) -> None:
    good = (folders / "train/Sit/Sit_1.avi").read_bytes()
    write(folders / "val/Sit/empty.avi", b"")
    write(folders / "val/Sit/words.avi", b"no video at all" * 100)
    write(folders / "val/Sit/header.avi", good[:3000])
    found = load_split(config(folders), "val")
    assert [video.path.name for video in found.videos] == ["Sit_1.avi", "Walk_1.avi"]
    reasons = {path.name: reason for path, reason in found.skipped}
    assert "empty" in reasons["empty.avi"] and "a text" in reasons["words.avi"] and reasons["header.avi"]


def test_a_video_that_breaks_off_gives_the_frames_it_has(tmp_path: Path) -> None:
    whole = tmp_path / "whole.avi"
    save_film(whole, np.random.default_rng(0).integers(0, 256, (12, 24, 32, 3), dtype=np.uint8))
    path = write(tmp_path / "cut.avi", whole.read_bytes()[: int(0.6 * whole.stat().st_size)])
    found = list(read_frames(path, range(12)))
    assert 1 <= len(found) < 12
    clip = ClipSet(one(path), ClipShape(12, 1, 16), cache="none")[0]["img"]
    assert clip.shape == (1, 3, 12, 16, 16)


def test_an_image_of_another_size_is_scaled_to_the_first(tmp_path: Path) -> None:
    """Two concatenated MJPEG streams: 24 x 32 px, then 48 x 64 px."""
    data = b""
    for size in ((24, 32), (48, 64)):
        good, coded = cv2.imencode(".jpg", np.full((*size, 3), 120, np.uint8))
        assert good
        data += coded.tobytes() * 3
    path = write(tmp_path / "changing.mjpeg", data)
    if isinstance(probe_video(path), str):
        pytest.skip("this build of OpenCV reads no bare MJPEG")
    assert {frame.shape for frame in read_frames(path, range(6))} == {(24, 32, 3)}


def test_a_file_that_vanishes_is_named(folders: Path) -> None:
    path = folders / "train/Sit/Sit_1.avi"
    clips = ClipSet(one(path), ClipShape(3, 2, 16))
    path.unlink()
    with pytest.raises(Undecodable, match="no such file"):
        next(read_frames(path, [0]))
    with pytest.raises(UserError, match="Sit_1.avi"):
        clips[0]


def test_lists_name_videos_below_the_set_or_beside_the_list(folders: Path) -> None:
    (folders / "lists").mkdir()
    (folders / "lists/a.txt").write_text("0\t0\ttrain/Sit/Sit_1.avi\n1\t1\ttrain/Walk/Walk_1.avi\n\n")
    write(folders / "lists/Walk_2.avi", (folders / "train/Walk/Walk_1.avi").read_bytes())
    (folders / "lists/b.txt").write_text("0 1 Walk_2.avi\n")
    text = (folders / "data.yaml").read_text().replace("train: train", "train: [lists/a.txt, lists/b.txt]")
    (folders / "data.yaml").write_text(text)
    found = list_videos(config(folders), "train")
    assert [(video.path.name, video.label) for video in found] == [
        ("Walk_2.avi", 1),
        ("Sit_1.avi", 0),
        ("Walk_1.avi", 1),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0\t0\t../outside.avi", "leads out of the data set"),
        ("0\t0\t/etc/passwd", "leads out of the data set"),
        ("0\t7\ttrain/Sit/Sit_1.avi", "class 7 is not among the names"),
        ("0\tSit\ttrain/Sit/Sit_1.avi", "expected 'index<TAB>class number<TAB>path'"),
        ("train/Sit/Sit_1.avi", "expected 'index<TAB>class number<TAB>path'"),
        (f"0\t{5000 * '9'}\ttrain/Sit/Sit_1.avi", "expected 'index<TAB>class number<TAB>path'"),
        ("0\t0\ttrain/Sit/Sit_9.avi", "is not in"),
    ],
)
def test_lines_that_cannot_be_used(folders: Path, line: str, said: str) -> None:
    (folders / "val.txt").write_text(f"0\t0\ttrain/Sit/Sit_1.avi\n{line}\n")
    (folders / "data.yaml").write_text((folders / "data.yaml").read_text().replace("val: val", "val: val.txt"))
    with pytest.raises(UserError, match=said) as caught:
        list_videos(config(folders), "val")
    assert "val.txt:2" in str(caught.value)


def test_sets_that_cannot_be_used(folders: Path) -> None:
    save_film(folders / "dark/Sit/Sit_1.avi", numbered(11))
    with pytest.raises(UserError, match="11 frames, but its paired video"):
        load_split(config(folders), "train", paired=True)
    (folders / "dark/Sit/Sit_1.avi").unlink()
    with pytest.raises(UserError, match="no paired image is named 'Sit_1'"):
        load_split(config(folders), "train", paired=True)
    (folders / "val/Walk").rename(folders / "val/Walks")
    with pytest.raises(UserError, match="no class 'Walks'. Did you mean 'Walk'"):
        load_split(config(folders), "val")
    with pytest.raises(UserError, match="there is no split 'test'"):
        load_split(config(folders), "test")
    write(folders / "empty/Sit/a.avi", b"")
    (folders / "data.yaml").write_text("path: .\ntask: action\ntrain: empty\nnames: [Sit, Walk]\n")
    with pytest.raises(UserError, match="no video of 'train' can be decoded"):
        load_split(config(folders), "train")
