"""Keep Ultralytics and ONNX Runtime quiet and at home: no downloads, installs or telemetry, the user's own settings untouched.

Must run before `ultralytics` or `onnxruntime` is imported; every module of ours that imports one of them calls this first.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from pathlib import Path


def spin_briefly() -> None:
    """Let threads of torch that wait for each other give up their core at once, unless the user has said otherwise.

    GNU's OpenMP lets them spin 300,000 times first. Where other programs use the cores too, the thread that is waited for is
    not running, and both lose their time. It is read once, when torch is imported: call it before.
    """
    if not os.environ.get("OMP_WAIT_POLICY"):
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def contain_ultralytics() -> None:
    """Point Ultralytics at a settings folder of our own and switch its network habits off, unless the user has said otherwise."""
    folder = Path(tempfile.gettempdir()) / f"hardsight-ultralytics-{os.getuid() if hasattr(os, 'getuid') else 0}"
    for name, value in {
        "YOLO_CONFIG_DIR": str(folder),
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "YOLO_VERBOSE": "false",
        "ORT_DISABLE_TELEMETRY": "1",  # read once, when onnxruntime is imported
        "OMP_NUM_THREADS": str(os.cpu_count() or 1),  # Ultralytics would set 1
    }.items():
        os.environ.setdefault(name, value)
    spin_briefly()
    # OpenVINO's converter and nncf report each use to their makers where this package can be imported, else to nobody.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    place = Path(os.environ["YOLO_CONFIG_DIR"])
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (
        place == folder and hasattr(os, "getuid") and place.lstat().st_uid != os.getuid()
    ):  # another user was there first
        os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="hardsight-ultralytics-")


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGE = (1 << 31) - 1


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks instead of giving them back to the kernel.

    A training step on the CPU frees and asks again for the same large tensors; without this each one is mapped and
    zeroed anew. Does nothing elsewhere.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, LARGE)


def give_back_memory() -> None:
    """Return freed memory to the kernel; by itself glibc returns what lies at the end of a heap alone. Nothing elsewhere."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
