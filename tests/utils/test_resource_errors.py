"""utils.resource_errors: what ran out, and what to do."""

from __future__ import annotations

import errno

import pytest

from utils.resource_errors import shortage


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x.csv"), "x.csv: cannot be written"),
        (OSError(errno.ENOSPC, "No space left on device"), "a file cannot be written"),
        (
            PermissionError(errno.EACCES, "Permission denied", "x"),
            "x: Permission denied. Check the path and its rights",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), "File name too long. Check the path"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), "--batch-size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "machine's memory"),
        (RuntimeError("alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 3 bytes"), "machine's memory"),
        (MemoryError(), "machine's memory"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "--workers"),
        (
            RuntimeError(
                "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are "
                "out of shared memory. Please try to raise your shared memory limit."
            ),
            "--workers 0",
        ),
    ],
)
def test_what_ran_out_is_said_with_a_next_step(problem, said):
    assert said in (shortage(problem) or "")


def test_other_problems_are_none_of_its_business():
    assert shortage(ValueError("shapes differ")) is None
    assert shortage(FileNotFoundError(errno.ENOENT, "No such file or directory", "x")) is None
    assert shortage(PermissionError(errno.EPERM, "Operation not permitted")) is None
