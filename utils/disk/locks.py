"""A lock on a folder or file that is being made: the second process is told who holds it.

It is a small file beside what it locks, made in one step, so that it also holds on network file systems. It names host,
process and the time that process began: where that process is gone from this host, its lock is taken over.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from utils.errors import UserError

LOCK = ".lock"
SAME_START = 1.0  # s by which two readings of a process' start may differ
TRIES = 100
YOUNG = 10.0  # s in which a lock without content may still be written, where there are no links
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}(\.[A-Za-z0-9]+|\.partial)?")
"""Names of what `utils.files` writes in: hidden, with 12 digits at random."""


def lock_of(path: Path, beside: bool = False) -> Path:
    """The lock in a folder, or beside it."""
    path = Path(os.path.abspath(path))
    return path.with_name(f".{path.name[:200]}.lock") if beside else path / LOCK


@contextlib.contextmanager
def locked(path: Path, doing: str, beside: bool = False) -> Iterator[None]:
    """Hold a folder, which is made where it is missing. doing: what for, in words, such as "trains in".

    Folders that were made for it and in which nothing was written are removed at the end.
    beside: hold what appears only at the end, by a lock beside it. Raises UserError, which names the process, where another
    one holds it.
    """
    lock = lock_of(path, beside)
    made = [folder for folder in lock.parents if not os.path.exists(folder)]
    facts = {**_me(), "doing": doing, "since": time.strftime("%H:%M:%S on %Y-%m-%d")}
    content = json.dumps(facts).encode()
    try:
        _take(lock, content, path)
        try:
            yield
        finally:
            if _read(lock) == content:
                lock.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):  # something was written in it
            for folder in made:
                folder.rmdir()


def sweep(folders: Iterable[Path], older: float = 0.0) -> None:
    """Remove what killed processes left half-written in these folders. older: only what is older than so many seconds.

    Without an age only for folders that the caller has locked.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            for file in [entry for entry in folder.iterdir() if TEMPORARY.fullmatch(entry.name)]:
                if file.is_file() and time.time() - file.stat().st_mtime >= older:
                    file.unlink(missing_ok=True)


def _take(lock: Path, content: bytes, path: Path) -> None:
    """Make the lock, or take it over from an owner that is gone."""
    for _ in range(TRIES):
        if _made(lock, content):
            return
        found = _read(lock)
        if found is None:
            continue  # released just now
        if not _is_gone(found, lock):
            raise UserError(_held(found, lock, path))
        _remove_dead(lock, found)
    raise UserError(f"{path}: several processes ask for it at once. Try again.")


def _remove_dead(lock: Path, found: bytes) -> None:
    """Remove the lock of an owner that is gone: one process at a time, so that nobody removes the next owner's."""
    takeover = lock.with_name(f"{lock.name}.takeover")
    try:
        os.close(os.open(takeover, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        time.sleep(0.02)
        with contextlib.suppress(FileNotFoundError):
            if time.time() - takeover.stat().st_mtime > YOUNG:  # of a process that was killed here
                takeover.unlink()
        return
    try:
        if _read(lock) == found:
            lock.unlink(missing_ok=True)
    finally:
        takeover.unlink(missing_ok=True)


def _made(lock: Path, content: bytes) -> bool:
    """Whether the lock was made, whole at once where the file system knows links, else empty first."""
    temporary = lock.with_name(f"{lock.name}.{uuid.uuid4().hex[:12]}")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.link(temporary, lock)
    except FileExistsError as problem:
        if lock.exists():
            return False
        raise _not_writable(lock, problem) from None
    except (NotImplementedError, OSError) as problem:
        if not temporary.exists():
            raise _not_writable(lock, problem) from None
        return _made_without_links(lock, content)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return True


def _made_without_links(lock: Path, content: bytes) -> bool:
    try:
        with lock.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    except OSError as problem:
        raise _not_writable(lock, problem) from None
    return True


def _not_writable(lock: Path, problem: Exception) -> UserError:
    reason = getattr(problem, "strerror", None) or problem
    return UserError(f"{lock.parent}: cannot be written ({reason}). Choose a writable location with enough space.")


def _read(lock: Path) -> bytes | None:
    """The content; None where there is no lock."""
    try:
        return lock.read_bytes()[:4096]
    except FileNotFoundError:
        return None


def _me() -> dict[str, Any]:
    """What tells this process from every other."""
    return {"host": platform.node(), "process": os.getpid(), "began": _began(os.getpid())}


def _began(process: int) -> float | None:
    """When a process of this host began, in s since 1970; None where there is none."""
    import psutil

    try:
        found = psutil.Process(process)
        return None if found.status() == psutil.STATUS_ZOMBIE else float(found.create_time())
    except psutil.NoSuchProcess:
        return None


def _owner(content: bytes) -> dict[str, Any]:
    """Who holds a lock, as far as it says so."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_gone(content: bytes, lock: Path) -> bool:
    """Whether the owner was a process of this host that is no longer there."""
    owner = _owner(content)
    process, began = owner.get("process"), owner.get("began")
    if type(process) is not int or not isinstance(began, int | float):
        with contextlib.suppress(FileNotFoundError):
            return time.time() - lock.stat().st_mtime > YOUNG  # of no use to anybody
        return True
    if owner.get("host") != platform.node():
        return False
    found = _began(process) if 0 < process < 2**31 else None
    return found is None or abs(found - began) > SAME_START


def _held(content: bytes, lock: Path, path: Path) -> str:
    """The sentence for the one who comes second."""
    owner = _owner(content)
    who = f"process {owner.get('process')} on {owner.get('host')!s:.100}"
    return (
        f"{path}: {who} {owner.get('doing', 'works in')!s:.60} it, since {owner.get('since')!s:.40}. Wait for its end or choose "
        f"another folder; if that process is gone, remove {lock}."
    )
