"""Keep Ultralytics quiet and at home: no downloads, no installs, no telemetry, the user's own settings untouched.

Must run before `ultralytics` is imported; every module of ours that imports it calls this first.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def contain_ultralytics() -> None:
    """Point Ultralytics at a settings folder of our own and switch its network habits off, unless the user has said otherwise."""
    folder = Path(tempfile.gettempdir()) / f"hardsight-ultralytics-{os.getuid() if hasattr(os, 'getuid') else 0}"
    for name, value in {
        "YOLO_CONFIG_DIR": str(folder),
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "YOLO_VERBOSE": "false",
        "OMP_NUM_THREADS": str(os.cpu_count() or 1),  # Ultralytics would set 1
    }.items():
        os.environ.setdefault(name, value)
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
