"""Files and folders: safe YAML, atomic writing, run folders, image lists."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import glob
import hashlib
import itertools
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from utils.disk.locks import locked
from utils.disk.reading import read_text
from utils.disk.slashes import with_slashes
from utils.disk.yaml_loader import BoundedLoader, place_of
from utils.errors import UserError, nearest, suggestion
from utils.releases.assets import OFFICIAL, how_to_get, official

MOST_YAML = 1 << 24  # bytes of a file
IMAGE_SUFFIXES: frozenset[str] = frozenset({".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES: frozenset[str] = frozenset(
    {".asf", ".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}
)
REPOSITORY = Path(__file__).resolve().parents[1]
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = _NO_ROOM | {errno.EACCES, errno.EPERM, errno.EROFS} | {
    errno.ENOTDIR, errno.EEXIST, errno.EISDIR,  # a file where a folder should be, or the reverse
}  # fmt: skip


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file with the safe loader: no tag builds an object, nothing is executed.

    Raises UserError, naming the file (and line), where it is missing, not YAML, not a mapping of names to values, or has a
    key twice.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise UserError(f"{path}: expected a mapping (lines 'name: value') but the file holds {found}.")
    return content


def read_yaml(path: Path) -> Any:
    """The same, whatever the file holds."""
    try:
        return yaml.load(read_text(Path(path), MOST_YAML), BoundedLoader)  # noqa: S506 - a safe one
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file. Check the name and the folder.") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: cannot be read as text ({problem}). Expected a YAML file.") from None
    except UserError:
        raise
    except yaml.YAMLError as problem:
        raise UserError(f"{path}{place_of(problem)} Correct that line; nothing was changed.") from None
    except RecursionError:
        raise UserError(f"{path}: nests too deeply. Expected lines 'name: value'.") from None
    except Exception as problem:  # of a tag whose value is none, such as !!int '' or a 13th month: of any class
        raise UserError(
            f"{path}: holds a value that cannot be read ({problem!s:.200}). Correct it, or put it in quotes."
        ) from None


def save_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as YAML, in its order, whole or not at all. Raises UserError where the place is not writable."""
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)
    atomic_write(path, text.encode())


def atomic_write(path: Path, write: Callable[[Path], None] | bytes) -> None:
    """Write a file so that other programs see all of it or nothing, also after a power cut.

    `write` is the content, or a function that fills the temporary path it is given (same folder, same suffix, hidden).
    The folder is made where it is missing. Raises UserError where the place is read-only, full or taken.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:80]}.{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(write, bytes):
            temporary.write_bytes(write)
        else:
            write(temporary)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except Exception as problem:
        refused = problem if isinstance(problem, OSError) and problem.errno in _NOT_WRITABLE else disk_full(problem)
        if refused is None:
            raise
        raise _cannot_be_written(path, refused) from None
    finally:
        with contextlib.suppress(OSError):  # it became the file itself, or never came to be
            temporary.unlink()


@contextlib.contextmanager
def hidden_folder(out: Path) -> Iterator[Path]:
    """The path of a hidden folder beside `out` to build in; whatever is left of it at the end is removed.

    So are those of processes that were killed. Raises UserError, naming `out`, for an OSError that happens here: a place
    that is read-only, full or taken; and where another process builds there, as `locked` does.
    """
    with locked(out, "writes", beside=True):
        for left in out.parent.glob(f".{glob.escape(out.name)}.{'[0-9a-f]' * 12}.partial"):
            shutil.rmtree(left, ignore_errors=True)
        yield from _hidden_folder(out)


def _hidden_folder(out: Path) -> Iterator[Path]:
    work = out.parent / f".{out.name}.{uuid.uuid4().hex[:12]}.partial"
    try:
        yield work
    except OSError as problem:
        raise _cannot_be_written(out, problem) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def atomic_folder(out: Path) -> Iterator[Path]:
    """The same, but renamed to `out` at the end, which may be an empty folder: all of it is written, or nothing."""
    with hidden_folder(out) as work:
        yield work
        work.replace(out)


def free_folder(out: Path, *apart: Path) -> Path:
    """--out as an absolute path. Raises UserError where it holds anything, or lies in one of the folders `apart`."""
    folder = Path(os.path.abspath(out))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--out {out}: already exists. Remove it, or choose another folder.")
    for place in apart:
        if place.is_dir() and place.resolve() in folder.resolve().parents:
            raise UserError(f"--out {out}: lies in {place}, among the images. Choose a folder elsewhere.")
    return folder


def free_file(out: Path, suffix: str, *beside: Path, remedy: str = "move it away") -> None:
    """Raise UserError unless `out` ends in `suffix`, and neither it nor a path of `beside` exists."""
    if out.suffix != suffix:
        raise UserError(f"--out {out}: expected the name of a file that ends in {suffix}.")
    taken = next((path for path in (out, *beside) if path.exists()), None)
    if taken is not None:
        raise UserError(f"--out {out}: {taken} already exists. Choose another name, or {remedy}.")


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plain(value: Any) -> Any:
    """Text, numbers, lists and mappings, whatever it was: what any reader can unpickle or parse."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, int) else str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # tensors and numpy's numbers
        return value.tolist()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _cannot_be_written(path: Path, problem: OSError) -> UserError:
    return UserError(
        f"{path}: cannot be written ({problem.strerror or problem}). Choose a writable location with enough space."
    )


def disk_full(problem: BaseException) -> OSError | None:
    """The system's word of a full disk or quota behind a problem, or None.

    Libraries raise errors of their own over it: `torch.save` a RuntimeError about positions in the file.
    """
    behind: BaseException | None = problem
    while behind is not None and not isinstance(behind, UserError):
        if isinstance(behind, OSError) and behind.errno in _NO_ROOM:
            return behind
        behind = behind.__cause__ or behind.__context__
    return None


def out_of_files(problem: BaseException | None) -> bool:
    """Whether the system refused to open a file because this process, or the machine, has too many open."""
    return isinstance(problem, OSError) and problem.errno in {errno.EMFILE, errno.ENFILE}


def _sync(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk, where the file system knows how."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def new_run_folder(project: Path, name: str, exist_ok: bool = False) -> Path:
    """Make and return `project/name`, or `name2`, `name3`, ... where it is taken; with `exist_ok` the folder itself.

    Two runs that start together get two folders. Raises UserError where `project` is a file or cannot be written to.
    """
    project = typed_path(project)
    typed_path(project / name)
    if not name or name == "." or not Path(os.path.abspath(project / name)).is_relative_to(os.path.abspath(project)):
        raise UserError(f"--name {name!r}: expected the name of a folder to make inside {project}, such as 'exp'.")
    for number in itertools.count(1):
        folder = project / (name if number == 1 else f"{name}{number}")
        try:
            folder.mkdir(parents=True, exist_ok=exist_ok)
            break
        except FileExistsError:
            if exist_ok:  # else the next number
                raise UserError(_no_folder(folder, "a file is in the way")) from None
        except OSError as problem:
            in_the_way = isinstance(problem, NotADirectoryError)
            raise UserError(_no_folder(project, "a file is in the way" if in_the_way else problem.strerror)) from None
    if not os.access(folder, os.W_OK):
        raise UserError(_no_folder(folder, "it is read-only"))
    return folder


@contextlib.contextmanager
def empty_goes(folder: Path) -> Iterator[None]:
    """Remove a run folder in which nothing was written, where what happens here fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
        raise


def _no_folder(path: Path, reason: str | None) -> str:
    """The sentence for a run folder that cannot be had."""
    return f"--project, --name: {path} cannot be a folder for results ({reason}). Choose another location."


def list_images(source: Path, root: Path | None = None) -> list[Path]:
    """Return the images of a folder (and its sub-folders), of a .txt list, or the one image `source`, sorted by path.

    Entries of a list are relative to the list's own folder. With `root`, each must lie inside `root` or that folder:
    a list that came with a data set cannot point elsewhere. Hidden files are passed over. Existence of listed files is
    left to the reader. Raises UserError where `source` is missing, holds no image, or an entry leaves its folder.
    """
    source = Path(source)
    if source.is_dir():
        found = [path for path in _walk(source) if path.suffix.lower() in IMAGE_SUFFIXES]
    elif source.is_file():
        found = _read_list(source, root) if source.suffix.lower() == ".txt" else [source]
    else:
        raise UserError(
            f"{source}: there is no such folder or list of images. Check the path, in the data YAML or the option that names it."
        )
    wrong = next((path for path in found if path.suffix.lower() not in IMAGE_SUFFIXES), None)
    if wrong is not None:
        raise UserError(f"{source}: {wrong.name!r} is not an image; known are {' '.join(sorted(IMAGE_SUFFIXES))}.")
    if not found:
        raise UserError(
            f"{source}: holds no image ({' '.join(sorted(IMAGE_SUFFIXES))}). Put some there or correct the path."
        )
    return sorted(found)


def files_below(folder: Path, pattern: str = "*") -> list[Path]:
    """Files below a folder whose names fit a pattern, sorted. Links to folders are not followed.

    What may not be read, or vanishes meanwhile, is passed over. Raises UserError for a whole disk.
    """
    refuse_disk(folder)
    found = (Path(here, name) for here, _, names in os.walk(folder) for name in fnmatch.filter(names, pattern))
    return sorted(path for path in found if os.path.isfile(path))


def refuse_disk(folder: Path) -> None:
    """Raise UserError for the root of a file system's tree: nobody means it, and listing it takes minutes."""
    if _is_disk(os.path.realpath(folder)):
        raise UserError(f"{folder}: is the whole disk. Name a folder further down.")


def _is_disk(real: str) -> bool:
    return os.path.dirname(real) == real


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, through links to folders too (each real folder once), without hidden ones.

    A link to the whole disk, as /proc is full of, is not followed. Raises UserError for a whole disk.
    """
    refuse_disk(folder)
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        known = real in seen or _is_disk(real)
        folders[:] = [] if known else [name for name in folders if not name.startswith(".")]
        if not known:
            yield from (Path(here, name) for name in files if not name.startswith("."))
        seen.add(real)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without a byte order mark. Raises UserError where it is not UTF-8."""
    try:
        return read_text(path).splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8 text. Save it in that encoding.") from None


def _read_list(source: Path, root: Path | None) -> list[Path]:
    """Paths of a .txt list, one per line, made absolute; see list_images."""
    homes = [Path(os.path.abspath(folder)) for folder in (source.parent, root) if folder is not None]
    found = []
    for number, line in enumerate(read_lines(source), 1):
        if not line.strip():
            continue
        path = _listed(source.parent, line.strip())
        if root is not None and not any(path.is_relative_to(home) for home in homes):
            raise UserError(
                f"{source}:{number}: {line.strip()!r} lies outside {root}. List images of this data set only."
            )
        found.append(path)
    return found


def _listed(folder: Path, entry: str) -> Path:
    """The file of an entry; without the `data/` that CVAT and Datumaro put before it, where it is there."""
    entry = with_slashes(folder, entry)
    path, rest = folder / entry, entry.removeprefix("data/")
    return Path(
        os.path.abspath(folder / rest if rest != entry and not path.exists() and (folder / rest).exists() else path)
    )


def typed_path(text: str | Path) -> Path:
    """A path as somebody wrote it, its ~ resolved. Raises UserError where no file system can have it."""
    try:
        path = Path(text).expanduser()
        names = [os.fsencode(part) for part in path.parts]
    except (RuntimeError, UnicodeError) as problem:
        raise UserError(f"{str(text)!r}: cannot be a path ({problem}). Correct it.") from None
    if any(b"\0" in name for name in names):
        raise UserError(f"{str(text)!r}: cannot be a path (it holds a NUL). Correct it.")
    if any(len(name) > 255 for name in names) or len(os.fsencode(path)) > 4000:
        raise UserError(f"{text}: cannot be a path (a name in it is too long). Correct it.")
    return path


def find_file(name: str | Path, *folders: Path) -> Path:
    """Return `name` as given where it is a file, else the file of that path or bare name in the first folder having it.

    Raises UserError with the nearest name of these folders.
    """
    given = typed_path(name)
    places = [given, *(folder / part for folder in folders for part in (given, given.name))]
    found = next((place for place in places if place.is_file()), None)
    if found is not None:
        return found
    near = suggestion(given.name, (path.name for folder in folders if folder.is_dir() for path in folder.iterdir()))
    looked = "".join(f", nor in {folder}" for folder in folders)
    raise UserError(f"{name}: there is no such file here{looked}.{near}")


def find_weights(name: str | Path) -> Path:
    """The weights file (of OpenVINO: folder) of a path, or of a name in the project's weights folder.

    Raises UserError as `find_file` does; for an official checkpoint it says how to get it.
    """
    folder = REPOSITORY / "weights"
    if (exported := typed_path(name)).is_dir() and exported.name.endswith("_openvino_model"):
        return exported
    try:
        return find_file(name, REPOSITORY, folder)
    except UserError as problem:
        asset = official(name)
        if asset is not None and (folder / asset.file).is_file():
            return folder / asset.file  # yolov5m, YOLOv5m.pt
        if asset is not None:
            raise UserError(
                f"{name}: there is no such file here, nor in {folder}. {how_to_get(asset, folder)}"
            ) from None
        if (near := nearest(Path(name).stem, OFFICIAL)) and "Did you mean" not in str(problem):
            raise UserError(f"{problem} The official checkpoint nearest by name is {near}.pt.") from None
        raise
