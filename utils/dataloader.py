"""Dataloader workers: how many fit into shared memory, and how they end."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from utils.log import LOGGER

SHARED = Path("/dev/shm")  # noqa: S108 - where Linux keeps it
PLENTY = 4 << 30  # bytes, beyond which nobody counts
AHEAD = 2  # batches that a process of torch's loader holds ready


def workers_that_fit(wanted: int, dataset: Any, batch_size: int = 1) -> int:
    """`wanted`, or as many dataloader workers as shared memory has room for, with a warning if these are fewer.

    Batches pass through shared memory, and torch waits forever for one that found no room there.
    Containers have 64 MB unless they are given more. dataset: its first item tells how large a batch is.
    """
    if wanted == 0 or not len(dataset) or not SHARED.is_dir():
        return wanted
    room = shutil.disk_usage(SHARED).free // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if room >= PLENTY:
        return wanted
    batch = max(1, tensor_bytes(dataset[0]) * batch_size)
    fitting = min(wanted, max(0, room // batch - 1) // AHEAD)  # one more is in use
    if fitting < wanted:
        LOGGER.warning(
            "%d loader processes instead of %d: %s has room for %.0f MB, and a batch takes %.0f MB (docker: --ipc=host)",
            fitting, wanted, SHARED, room / 2**20, batch / 2**20,
        )  # fmt: skip
    return fitting


def tensor_bytes(item: Any) -> int:
    """Bytes of all tensors in an item: in mappings, sequences and data classes, however deep."""
    if isinstance(item, Tensor):
        return item.nbytes
    if is_dataclass(item):
        return sum(tensor_bytes(getattr(item, field.name)) for field in fields(item))
    if isinstance(item, Mapping):
        return sum(map(tensor_bytes, item.values()))
    return sum(map(tensor_bytes, item)) if isinstance(item, list | tuple) else 0


def ignore_signals(over: Any, worker: int) -> None:
    """Ctrl-C and SIGTERM may reach every process of a group: the run decides when its loader's end.

    over: a shared number, not 0 when the run has ended, well or badly. Python then ends them with SIGTERM, and would wait
    for ever for one that does not hear it.
    """

    def end(number: int, frame: Any) -> None:
        if over.value:
            os._exit(0)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
