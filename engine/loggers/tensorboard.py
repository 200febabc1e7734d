"""TensorBoard: event files in the run folder. `tensorboard --logdir runs/train` shows every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from engine.callbacks import RunInfo
from engine.loggers.base import Logger, markdown


class TensorBoard(Logger):
    """Scalars, images and tables as text. After --resume a second event file follows the first."""

    def open(self, run: RunInfo) -> None:
        """Begin an event file."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(run.save_dir))
        if run.options:
            rows = [{"option": name, "value": value} for name, value in run.options.items()]
            self.writer.add_text("options", markdown(rows), 0)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """One curve per column of results.csv."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def image(self, path: Path, step: int) -> None:
        """Decoded, and encoded again by TensorBoard."""
        image = cv2.imread(str(path))  # (H, W, 3) BGR
        if image is not None:
            self.writer.add_image(path.stem, image[..., ::-1].copy(), step, dataformats="HWC")

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """As Markdown text."""
        self.writer.add_text(name, markdown(rows), self.step)

    def close(self, finished: bool) -> None:
        """Close the file."""
        self.writer.close()
