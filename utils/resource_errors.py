"""What a machine ran out of or refused, told from the error that it caused: disk, rights, memory, shared memory."""

from __future__ import annotations

import errno

from utils.files import disk_full

_FEWER = "Take fewer images at a time (--batch-size) or smaller ones (--imgsz)."
_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.ESTALE}
_SHORTAGES = {  # what an error's text holds -> what to say; the first that fits
    "out of shared memory": "the loader's processes ran out of shared memory (/dev/shm). Give it more room (docker: "
    "--ipc=host or --shm-size 8g), or load without processes: --workers 0.",
    "out of memory": f"the accelerator's memory is too small for this. {_FEWER}",
    "Insufficient memory": f"the machine's memory is too small for this. {_FEWER}",  # OpenCV's
    "can't allocate memory": f"the machine's memory is too small for this. {_FEWER}",
    "killed by signal: Killed": "the system ended one of the loader's processes, most likely for want of memory. Take fewer "
    "of them (--workers), or keep fewer images in memory (--cache none).",
}


def shortage(problem: BaseException) -> str | None:
    """One paragraph on what ran out or was refused and what to do, or None where nothing was."""
    full = disk_full(problem)
    if full is not None:
        where = f"{full.filename}: cannot be written" if full.filename else "a file cannot be written"
        return f"{where} ({full.strerror}). Free space there, or choose another location."
    if isinstance(problem, OSError) and problem.errno in _REFUSALS and problem.filename is not None:
        return f"{problem.filename}: {problem.strerror}. Check the path and its rights, or name another place."
    text = str(problem)
    if isinstance(problem, MemoryError):
        text = "can't allocate memory"
    return next((said for sign, said in _SHORTAGES.items() if sign in text), None)
