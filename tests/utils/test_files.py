"""utils.files: the safe reader, the whole-or-nothing writer, run folders and image lists."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from utils import files
from utils.errors import UserError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3\n", r"bad\.yaml:2: not valid YAML"),
        ("", "holds nothing"),
        ("- 1\n- 2\n", "holds a list"),
        ("just words", "holds a str"),
        ("a: !!python/object/apply:os.system ['touch pwned']\n", r"bad\.yaml:1: not valid YAML: could not determine"),
    ],
)
def test_load_yaml_refuses(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        files.load_yaml(path)
    assert not (tmp_path / "pwned").exists()


def test_load_yaml_names_missing_and_binary_files(tmp_path):
    with pytest.raises(UserError, match="nothing.yaml: there is no such file"):
        files.load_yaml(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="binary.yaml: cannot be read as text"):
        files.load_yaml(tmp_path / "binary.yaml")


def test_yaml_round_trip_keeps_order_and_byte_order_mark_is_no_key(tmp_path):
    content = {"z": 1, "a": [1, 2], "names": {0: "Ö"}}
    files.save_yaml(tmp_path / "sub" / "x.yaml", content)
    assert list(files.load_yaml(tmp_path / "sub" / "x.yaml").items()) == list(content.items())
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert files.load_yaml(tmp_path / "bom.yaml") == {"a": 1}


def test_atomic_write_leaves_the_old_file_when_writing_fails(tmp_path):
    target = tmp_path / "x.txt"
    files.atomic_write(target, b"old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        files.atomic_write(target, fail)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_atomic_write_hands_over_a_hidden_neighbour_with_the_same_suffix(tmp_path):
    seen = []
    files.atomic_write(tmp_path / "a.png", lambda path: (seen.append(path), path.write_bytes(b"1"))[0])
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".png"
    assert seen[0].name.startswith(".")


def test_atomic_write_says_where_the_disk_is_full(tmp_path):
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match="x.pt: cannot be written .No space"):
        files.atomic_write(tmp_path / "x.pt", full)


def test_atomic_write_says_where_a_file_or_folder_is_in_the_way(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="taken: cannot be written"):
        files.atomic_write(tmp_path / "taken", b"")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/x: cannot be written"):
        files.atomic_write(tmp_path / "file" / "x", b"")


def test_run_folders_count_up_and_exist_ok_stays(tmp_path):
    names = [files.new_run_folder(tmp_path / "runs", "exp").name for _ in range(3)]
    assert names == ["exp", "exp2", "exp3"]
    assert files.new_run_folder(tmp_path / "runs", "exp", exist_ok=True).name == "exp"
    (tmp_path / "runs" / "other").write_text("a file")
    assert files.new_run_folder(tmp_path / "runs", "other").name == "other2"


def test_run_folder_refuses_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    for project, name in ((tmp_path / "file", "exp"), (tmp_path / "file" / "deeper", "exp"), (tmp_path, "file")):
        with pytest.raises(UserError, match="a file is in the way"):
            files.new_run_folder(project, name, exist_ok=name == "file")
    with pytest.raises(UserError, match="name of a folder"):
        files.new_run_folder(tmp_path, "..")


def test_run_folder_refuses_a_read_only_project(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="--project.*Read-only file system"):
        files.new_run_folder(tmp_path / "runs", "exp")


def test_list_images_of_a_folder(tmp_path):
    for name in ("b.JPG", "a/c.png", "a/.hidden.png", ".git/x.png", "notes.txt", "z.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)  # a link back to the folder must not run for ever
    found = [path.relative_to(tmp_path).as_posix() for path in files.list_images(tmp_path)]
    assert found == ["a/c.png", "b.JPG", "z.webp"]
    assert files.list_images(tmp_path / "z.webp") == [tmp_path / "z.webp"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("./images/a.jpg\n\n  images/b.jpg  \n", ["images/a.jpg", "images/b.jpg"]),
        ("images/../images/a.jpg\n", ["images/a.jpg"]),
        ("../secret.jpg\n", "list.txt:1: '../secret.jpg' lies outside"),
        ("/etc/x.png\n", "list.txt:1: '/etc/x.png' lies outside"),
        ("a.jpg\nb.csv\n", "'b.csv' is not an image"),
        ("\n", "holds no image"),
    ],
)
def test_list_images_of_a_list(tmp_path, lines, expected):
    source = tmp_path / "set" / "list.txt"
    source.parent.mkdir()
    source.write_text(lines)
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            files.list_images(source, root=tmp_path / "set")
    else:
        assert files.list_images(source, root=tmp_path / "set") == [tmp_path / "set" / name for name in expected]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_list_in_another_encoding(tmp_path, encoding):
    (tmp_path / "list.txt").write_bytes("é.jpg\n".encode(encoding))
    with pytest.raises(UserError, match=r"list\.txt: expected UTF-8 text"):
        files.list_images(tmp_path / "list.txt")


def test_list_images_without_root_may_point_anywhere(tmp_path):
    (tmp_path / "list.txt").write_text("/somewhere/x.png\n")
    assert files.list_images(tmp_path / "list.txt") == [Path("/somewhere/x.png")]


@pytest.mark.parametrize("whole", ["/", "//", "/tmp/..", "link"])
def test_a_whole_disk_is_not_listed(tmp_path, whole):
    (tmp_path / "link").symlink_to("/")
    for listed in (files.list_images, files.files_below):
        with pytest.raises(UserError, match="is the whole disk. Name a folder further down"):
            listed(tmp_path / whole)


def test_a_link_to_the_whole_disk_is_not_followed(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "disk").symlink_to("/")
    assert files.list_images(tmp_path) == [tmp_path / "a.png"]


def test_files_below_a_folder(tmp_path):
    """By name; neither what is no file nor what lies behind a link."""
    for name in ("b/x.xml", "a.xml", "a.txt", "c/d/e.xml"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    (tmp_path / "set" / "folder.xml").mkdir()
    os.mkfifo(tmp_path / "set" / "pipe.xml")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "set" / "c")
    found = files.files_below(tmp_path / "set", "*.xml")
    assert [path.relative_to(tmp_path / "set").as_posix() for path in found] == ["a.xml", "b/x.xml", "c/d/e.xml"]
    assert len(files.files_below(tmp_path / "set")) == 4


def test_list_images_says_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="no such folder or list"):
        files.list_images(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        files.list_images(tmp_path / "empty")


def test_find_file(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "yolov5m.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert files.find_file("models/yolov5m.yaml") == Path("models/yolov5m.yaml")
    assert files.find_file("yolov5m.yaml", tmp_path / "models") == tmp_path / "models" / "yolov5m.yaml"
    monkeypatch.chdir("/")
    assert files.find_file("models/yolov5m.yaml", tmp_path / "models") == tmp_path / "models" / "yolov5m.yaml"
    with pytest.raises(UserError, match="Did you mean 'yolov5m.yaml'"):
        files.find_file("yolo5m.yaml", tmp_path / "models")


def test_a_full_disk_is_found_behind_a_library_s_own_error():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 4000704 vs 4000656")  # noqa: B904 - as torch does
    except RuntimeError as problem:
        found = files.disk_full(problem)
    assert found is not None and found.errno == errno.ENOSPC
    assert files.disk_full(RuntimeError("out of memory")) is None
    assert files.disk_full(OSError(errno.EACCES, "Permission denied")) is None


def test_too_many_open_files() -> None:
    assert files.out_of_files(OSError(errno.EMFILE, "x")) and files.out_of_files(OSError(errno.ENFILE, "x"))
    assert not files.out_of_files(OSError(errno.ENOSPC, "x")) and not files.out_of_files(None)


def test_hash_of_a_file(tmp_path: Path) -> None:
    """sha256 of 'abc', as FIPS 180 gives it."""
    (tmp_path / "f").write_bytes(b"abc")
    assert files.file_digest(tmp_path / "f").startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize("taken", [None, "empty folder"])
def test_an_atomic_folder_is_there_whole(tmp_path, taken):
    out = tmp_path / "out"
    if taken:
        out.mkdir()
    with files.atomic_folder(out) as work:
        (work / "a").mkdir(parents=True)
        assert not list(out.glob("*"))
    assert (out / "a").is_dir() and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(("problem", "expected"), [(ValueError("x"), ValueError), (OSError(28, "No space"), UserError)])
def test_an_atomic_folder_leaves_nothing_when_building_fails(tmp_path, problem, expected):
    with (
        pytest.raises(expected, match="x|out: cannot be written .No space"),
        files.atomic_folder(tmp_path / "out") as work,
    ):
        work.mkdir()
        raise problem
    assert not os.listdir(tmp_path)


def test_free_places(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "a.safetensors").write_text("mine")
    assert files.free_folder(tmp_path / "images") == tmp_path / "images", "an empty folder is free"
    for out, message in ((tmp_path, "already exists"), (tmp_path / "images" / "out", "among the images")):
        with pytest.raises(UserError, match=message):
            files.free_folder(out, tmp_path / "images")
    for name, message in (
        ("a.pt", "ends in .safetensors"),
        ("a.safetensors", "already exists"),
        ("b.safetensors", "images already"),
    ):
        with pytest.raises(UserError, match=message):
            files.free_file(tmp_path / name, ".safetensors", tmp_path / "images")
    files.free_file(tmp_path / "b.safetensors", ".safetensors", tmp_path / "b")


@pytest.mark.parametrize("text", ["~nobody-of-that-name/x", "a/" + 256 * "b", "/a" * 2500, "a\0b", "\ud800"])
def test_a_path_that_no_file_system_can_have(text: str) -> None:
    with pytest.raises(UserError, match="cannot be a path"):
        files.typed_path(text)


def test_a_path_as_typed() -> None:
    assert files.typed_path("~/a") == Path.home() / "a" and files.typed_path("b/c.txt") == Path("b/c.txt")


@pytest.mark.parametrize("project", ["project", "a\0b", "\ud800"])
@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000])
def test_a_run_that_no_file_system_can_have(project, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="cannot be"):
        files.new_run_folder(project, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/tmp/x", "a/../../x"])
def test_a_run_stays_in_its_project(tmp_path, name):
    with pytest.raises(UserError, match="expected the name of a folder"):
        files.new_run_folder(tmp_path / "project", name)
    assert files.new_run_folder(tmp_path / "project", "a/b") == tmp_path / "project" / "a" / "b"
