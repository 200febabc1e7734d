"""Tracks in the format of MOTChallenge, which TrackEval and most tools for tracking read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class MotWriter:
    """Writes FOLDER/NAME.txt, a file per sequence: rows `frame,id,left,top,width,height,confidence,-1,-1,-1`.

    Frames count from 1. Lengths are in pixels; the image's upper left corner is 1, 1, as MOTChallenge has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, str] = {}  # sequence -> name of its file, unique

    def save(self, sequence: str, stem: str, number: int, boxes: np.ndarray, ids: NDArray[np.int64]) -> None:
        """The objects of a frame that have an identity.

        stem: the file's name, unless another sequence has it. number: of the frame in its sequence, from 1. boxes: (n, 6)
        x1 y1 x2 y2 px, confidence, class.
        """
        mode = "a" if sequence in self._names else "w"
        path = self.folder / f"{self._name(sequence, stem)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = ""
        for (x1, y1, x2, y2, conf, _), identity in zip(boxes.tolist(), ids.tolist(), strict=True):
            if identity:
                place = f"{x1 + 1:.2f},{y1 + 1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
                rows += f"{number},{identity},{place},{conf:.4f},-1,-1,-1\n"
        with path.open(mode, encoding="utf-8") as file:
            file.write(rows)

    def _name(self, sequence: str, stem: str) -> str:
        """The name of a sequence's file: its stem, with a number where another sequence has it already."""
        taken, name, number = {name.lower() for name in self._names.values()}, stem, 2
        while sequence not in self._names and name.lower() in taken:
            name, number = f"{stem}_{number}", number + 1
        return self._names.setdefault(sequence, name)
