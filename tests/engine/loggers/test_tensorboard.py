"""Event files, read back by TensorBoard itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.loggers.tensorboard import TensorBoard
from tests.engine.loggers.tiny_run import follow

pytest.importorskip("tensorboard", reason="the optional package tensorboard is not installed")


def test_event_files_hold_what_the_run_wrote(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    follow(TensorBoard(), tmp_path / "exp")
    events = EventAccumulator(str(tmp_path / "exp")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("val/mAP50")] == [(1, 0.25), (2, 0.5)]
    images = [(name, image.step, image.width) for name in events.Tags()["images"] for image in events.Images(name)]
    assert images == [("train_batch0", 1, 12), ("train_batch1", 2, 12)]
    (best,) = events.Tensors("best/text_summary")
    assert b"| night | val | upsampled | 0.500 |" in best.tensor_proto.string_val[0]
    (options,) = events.Tensors("options/text_summary")
    assert b"| data | night.yaml |" in options.tensor_proto.string_val[0]
