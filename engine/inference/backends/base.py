"""What the predictor needs of a detector, and what the ways to run one share."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from data.class_names import stored_names
from engine.tasks import DETECT
from utils.errors import UserError


class Backend(Protocol):
    """What the predictor needs of a detector.

    `size` is (height, width) where the file is made for one size only. `overlaps` tells whether boxes of one object may
    still overlap in the output, so that NMS must follow.
    """

    names: Mapping[int, str]
    stride: int
    size: tuple[int, int] | None
    overlaps: bool

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """images: (H, W, 3) uint8 of one shape, blue-green-red.

        Returns float32 (B, 4 + classes, N) with centre boxes (0 where no class passes a threshold that it was given) or,
        where nothing overlaps, (B, n, 6) with corner boxes.
        """


class ExportedBackend:
    """What all ways to run an exported network share: what the file says of it, and batches that it takes.

    single: takes one image at a time.
    """

    names: Mapping[int, str]
    stride: int
    size: tuple[int, int] | None
    overlaps: bool
    single: bool

    def _describe(self, path: Path, facts: Mapping[str, str], shape: Sequence[Any]) -> None:
        """facts: as an export stores them; shape: of the input. Raises UserError for a network that is no detector."""
        refuse_other_tasks(path, facts, shape)
        self.names, self.stride, self.overlaps = facts_of(facts)
        height, width = shape[2:4]
        self.single = shape[0] == 1
        self.size = (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """See Backend."""
        return self.predict(rgb(images).contiguous().float().div_(255).numpy())

    def predict(self, batch: np.ndarray) -> Tensor:
        """batch: float32 (B, 3, H, W), red-green-blue, in [0, 1]. Returns what a Backend returns."""
        parts = [batch[i : i + 1] for i in range(len(batch))] if self.single else [batch]
        found = [self._run(part) for part in parts]
        return torch.from_numpy(found[0] if len(found) == 1 else np.concatenate(found))

    def _run(self, batch: np.ndarray) -> np.ndarray:
        """batch: (B, 3, H, W). Returns float32."""
        raise NotImplementedError


def rgb(images: Sequence[np.ndarray]) -> Tensor:
    """Images (H, W, 3) uint8 of one shape, blue-green-red, as (B, 3, H, W) uint8 red-green-blue, channels last in memory."""
    turned = [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images]
    stacked = turned[0][None] if len(turned) == 1 else np.stack(turned)  # (B, H, W, 3); of one image no copy
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)  # (B, 3, H, W)


def fixed(shape: Sequence[Any]) -> list[Any]:
    """The sides of an input as numbers, what is open as texts."""
    return [side if isinstance(side, int) and side > 0 else str(side) for side in shape]


def facts_of(stored: Mapping[str, str]) -> tuple[dict[int, str], int, bool]:
    """(class names, stride, whether boxes overlap) as an export stores them; without them: no names, 32, yes."""
    names, stride, args = (_literal(stored.get(key, "")) for key in ("names", "stride", "args"))
    suppressed = isinstance(args, Mapping) and bool(args.get("nms"))  # the network ends with NMS
    overlaps = not suppressed and stored.get("end2end", "") != "True"
    return stored_names(names) or {}, stride if isinstance(stride, int) and stride > 0 else 32, overlaps


def _literal(text: str) -> Any:
    """What an export stored as the text of a Python value; None for another text."""
    try:
        return ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return None


def refuse_other_tasks(path: Path, stored: Mapping[str, str], shape: Sequence[Any]) -> None:
    """Raise UserError for an exported network that is no detector, by the task that it states, or its input's shape."""
    task = stored.get("task", DETECT)
    if task == DETECT and len(shape) == 4:
        return
    what = (
        f"is of task '{task}'" if task != DETECT else f"takes no images: its input has {len(shape)} dimensions, not 4"
    )
    raise UserError(
        f"--weights {path}: {what}, and of exported networks only detectors are run here. A classifier's .pt or .safetensors "
        "weights are measured by val.py; those of a clip classifier (task action) also run in detect.py."
    )


def unreadable(path: Path, problem: Exception, kind: str) -> str:
    """The message for a file that cannot be loaded."""
    reason = (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
    return f"--weights {path}: is not {kind} network that can be run here ({reason}). Export it again with export.py."
