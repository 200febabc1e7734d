"""What --source names."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.inference.sources import Source, is_address, plan_sources
from utils.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, a video, a text, a sub-folder with an image."""
    for name in ("b.jpg", "a.PNG", "clip.mp4", "note.doc", "deep/c.jpg", ".hidden.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"-")
    return tmp_path


def kinds(items: tuple[Source, ...]) -> list[tuple[str, str]]:
    return [(item.kind, item.label) for item in items]


@pytest.mark.parametrize(
    ("source", "kind", "name", "stem", "live"),
    [
        ("0", "camera", "camera 0", "camera_0", True),
        ("rtsp://cam/1", "stream", "rtsp://cam/1", "cam_1", True),
        ("RTMP://host:1935/live/key", "stream", "rtmp://host:1935/live/key", "host_1935_live_key", True),
        ("rtsp://me:secret@cam:554/1", "stream", "rtsp://cam:554/1", "cam_554_1", True),
        ("http://host/view?token=abc#x", "stream", "http://host/view", "host_view", True),
        ("https://host/a/pic.JPG?x=1", "image", "https://host/a/pic.JPG", "host_a_pic.JPG", False),
        ("http://host/clip.mp4", "video", "http://host/clip.mp4", "host_clip.mp4", False),
        (
            "rtsp://host/clip.mp4",
            "stream",
            "rtsp://host/clip.mp4",
            "host_clip.mp4",
            True,
        ),  # rtsp serves, it does not hand out
    ],
)
def test_cameras_and_addresses(source: str, kind: str, name: str, stem: str, live: bool) -> None:
    found = plan_sources(source)
    (item,) = found.items
    assert (item.kind, item.label, item.stem, item.order) == (kind, name, stem, 1)
    assert found.live is found.together is live


def test_an_image_a_video_and_a_folder(folder: Path) -> None:
    assert kinds(plan_sources(folder / "b.jpg").items) == [("image", str(folder / "b.jpg"))]
    assert kinds(plan_sources(str(folder / "clip.mp4")).items) == [("video", str(folder / "clip.mp4"))]
    names = ["a.PNG", "b.jpg", "clip.mp4"]  # images by name, then videos; hidden, other and deeper files are left out
    assert [Path(item.where).name for item in plan_sources(folder).items] == names
    assert not plan_sources(folder).together


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("*.jpg", ["b.jpg"]), ("*", ["a.PNG", "b.jpg", "clip.mp4"]), ("**/*.jpg", ["b.jpg", "deep/c.jpg"])],
)
def test_patterns(folder: Path, pattern: str, names: list[str]) -> None:
    found = plan_sources(f"{folder}/{pattern}")
    assert [item.where for item in found.items] == [str(folder / name) for name in names]


def test_a_name_that_looks_like_a_pattern_is_a_file_first(tmp_path: Path) -> None:
    odd = tmp_path / "photo[1].jpg"
    odd.write_bytes(b"-")
    assert plan_sources(odd).items[0].where == str(odd)


def test_a_list_is_read_line_by_line_from_its_own_folder(folder: Path) -> None:
    listed = folder / "list.txt"
    listed.write_text("# what to look at\nb.jpg\n\n  deep/c.jpg  \nmissing.jpg\n*.PNG\nftp://host/x\nother.txt\n")
    items = plan_sources(listed).items
    assert [Path(item.where).name for item in items] == ["b.jpg", "c.jpg", "missing.jpg", "a.PNG", "x", "other.txt"]
    problems = [item.problem for item in items]
    assert problems[0] == problems[1] == problems[3] == ""
    assert "no such file" in problems[2]
    assert "ftp:// are not read" in problems[4]
    assert "a list inside a list" in problems[5]
    assert [item.order for item in items] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("name", "lines", "together"),
    [
        ("a.txt", "b.jpg\nclip.mp4\n", False),
        ("a.txt", "clip.mp4\nrtsp://cam/1\n", True),  # a stream does not wait for a video to end
        ("a.txt", "0\n1\n", True),
        ("a.streams", "clip.mp4\nclip.mp4\n", True),
    ],
)
def test_lists_are_read_together_where_one_entry_is_live(folder: Path, name: str, lines: str, together: bool) -> None:
    (folder / name).write_text(lines)
    assert plan_sources(folder / name).together is together


def test_output_names_are_unique_whatever_the_case(tmp_path: Path) -> None:
    for name in ("x/a.jpg", "y/a.png", "y/A.jpg", "y/a_2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"-")
    (tmp_path / "l.txt").write_text("x/a.jpg\ny/a.png\ny/A.jpg\ny/a_2.jpg\n")
    assert [item.stem for item in plan_sources(tmp_path / "l.txt").items] == ["a", "a_2", "A_3", "a_2_2"]


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        ("a.jpg a_2.png", "a a_2"),  # no frames: nothing to mix up
        ("clip.mp4 clip_1.mp4", "clip clip_1"),  # frames are clip_1 and clip_1_1
        ("clip.mp4 clip_1.jpg a.png", "clip_2 clip_1 a"),  # frame 1 of clip would be clip_1 too
        ("CLIP.mp4 clip_1.jpg clip_2.jpg clip_3_7.jpg", "CLIP_4 clip_1 clip_2 clip_3_7"),
        ("b.mp4 b.jpg", "b_2 b"),  # an image's labels are found by its name
    ],
)
def test_frames_of_a_video_are_not_called_like_an_image(tmp_path: Path, names: str, stems: str) -> None:
    for name in names.split():
        (tmp_path / name).write_bytes(b"-")
    (tmp_path / "l.txt").write_text(names.replace(" ", "\n"))
    items = plan_sources(tmp_path / "l.txt").items
    assert [item.stem for item in items] == stems.split() and [item.order for item in items] == [
        *range(1, len(items) + 1)
    ]


def test_a_title_tells_apart_what_differs_in_the_query_only(tmp_path: Path) -> None:
    (tmp_path / "l.streams").write_text("rtsp://cam/?channel=1\nrtsp://cam/?channel=2\n")
    assert [item.title for item in plan_sources(tmp_path / "l.streams").items] == ["1: rtsp://cam/", "2: rtsp://cam/"]


def test_a_bad_address_in_a_list_leaves_the_others(folder: Path) -> None:
    (folder / "l.txt").write_text("http://me:secret@[::1/a.jpg\nb.jpg\n")
    bad, good = plan_sources(folder / "l.txt").items
    assert "not a valid address" in bad.problem and "secret" not in bad.problem + bad.label + bad.stem
    assert not good.problem


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "nothing was given"),
        ("  ", "nothing was given"),
        ("{folder}/b.jpeg", "Did you mean 'b.jpg'"),
        ("{folder}/nowhere/b.jpg", "no such file or folder"),
        ("{folder}/note.doc", "neither an image nor a video"),
        ("{folder}/*.webp", "matches this pattern"),
        ("{folder}/deep/empty", "holds no image"),
        ("{folder}/outer", "further down: try --source"),
        ("{folder}/none.txt", "no such list"),
        ("{folder}/blank.txt", "the list is empty"),
        ("{folder}/binary.txt", "cannot be read as text"),
        (5000 * "9", "cannot be a path"),  # no camera has that number
        ("\u0661", "no such file or folder"),  # 1 in Arabic digits
        ("ftp://host/a.jpg", "ftp:// are not read. Known are http, https"),
        ("gopher://me:secret@host/a", "gopher://host/a"),  # errors hide passwords too
        ("http://me:secret@[::1/a.jpg", "http://...: is not a valid address"),
        ("rtsp://me:secret@[::1/a", "rtsp://...: is not a valid address"),
        ("gopher://me:secret@[::1/a", "gopher://...: addresses of gopher:// are not read"),
    ],
)
def test_mistakes(folder: Path, source: str, words: str) -> None:
    (folder / "deep" / "empty").mkdir()
    (folder / "outer" / "inner").mkdir(parents=True)
    (folder / "outer" / "inner" / "p.jpg").write_bytes(b"-")
    (folder / "blank.txt").write_text("\n# nothing\n")
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(UserError) as caught:
        plan_sources(source.format(folder=folder))
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a/b.jpg", False), ("C:\\x.jpg", False), ("http://a", True), ("RTSP://a", True), ("://", False)],
)
def test_is_address(text: str, expected: bool) -> None:
    assert is_address(text) is expected


def test_images_of_a_folder_are_one_sequence(tmp_path, make_image):
    for name in "ab":
        make_image(tmp_path / f"{name}.jpg")
    (tmp_path / "c.mp4").touch()
    items = plan_sources(tmp_path).items
    assert [item.sequence for item in items] == [str(tmp_path), str(tmp_path), f"3: {tmp_path / 'c.mp4'}"]
    assert [item.place for item in items] == [1, 2, 1] and plan_sources(tmp_path).firsts == (1, 1, 3)


def test_folders_that_a_pattern_matches_follow_one_another(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg", "y.jpg", "m/x.jpg", "m/z.jpg", "m/k/c.jpg", "b.mp4", "m/a.mp4"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    plan = plan_sources(f"{tmp_path}/**/*")
    assert [item.where for item in plan.items] == [str(tmp_path / name) for name in names]
    assert plan.firsts == (1, 1, 1, 4, 4, 6, 7, 8) and [item.place for item in plan.items] == [1, 2, 3, 1, 2, 1, 1, 1]


def test_a_missing_image_of_a_list_has_its_place_too(tmp_path: Path) -> None:
    for name in ("x/1.jpg", "y/1.jpg", "x/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "l.txt").write_text("x/1.jpg\ny/1.jpg\nx/2.jpg\nx/3.jpg\n")
    plan = plan_sources(tmp_path / "l.txt")
    assert [item.place for item in plan.items] == [1, 1, 2, 3] and plan.firsts == (1, 2, 1, 1)
    assert plan.items[2].label == "x/2.jpg" and "no such file" in plan.items[2].problem


@pytest.mark.parametrize(
    "typed",
    [
        "rtsp:/u:hunter2@h/x",
        "rtsp;//u:hunter2@h/x",
        "u:hunter2@h/x",
        "u:hunter2@h/x.streams",
        "u:hunter2*@h/x",
        "rstp://u:hunter2@h/x",
        "http://u:hunter2@[::1/a.jpg",
    ],
)
def test_a_mistyped_address_is_not_repeated_with_its_password(typed: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as problem:
        plan_sources(typed)
    (tmp_path / "l.txt").write_text(typed)
    (item,) = plan_sources(tmp_path / "l.txt").items
    assert "hunter2" not in f"{problem.value} {item.problem} {item.label} {item.stem}"


@pytest.mark.parametrize("sign", "#/?")
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_password_that_was_not_escaped_names_no_file(sign: str, scheme: str) -> None:
    (item,) = plan_sources(f"{scheme}://u:hun{sign}ter2@h/x").items
    assert not any(part in f"{item.label} {item.stem} {item.title}" for part in ("hun", "ter2"))
    assert item.where == f"{scheme}://u:hun{sign}ter2@h/x"
