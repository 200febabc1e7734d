"""Run by the distributed test on each rank: train and write down losses and weights."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from engine.training import distributed  # noqa: E402
from engine.training.plan import make_plan  # noqa: E402
from engine.training.trainer import Trainer  # noqa: E402


def train(options: dict[str, Any], device: torch.device) -> None:
    """One training; what this rank saw goes below its project folder."""
    trainer = Trainer(make_plan(options), device)
    seen: list[list[str]] = []
    losses: list[dict[str, float]] = []
    bytes_of: list[list[list[str]]] = []  # of each batch, of each view, a hash of each image as methods changed it
    step = trainer._step

    def noting(run: Any, batch: Any) -> Any:
        items = step(run, batch)
        seen.append(list(batch["im_file"]))
        views = [batch[name] for name in ("img", "pair") if name in batch]
        bytes_of.append([[hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in view] for view in views])
        losses.append(distributed.average({name: float(value) for name, value in items.items()}, device))
        return items

    trainer._step = noting
    target = getattr(next(iter(trainer.plan.methods), None), "target", None)
    trainer.run()
    note = {
        "seen": seen,
        "bytes": bytes_of,
        "losses": losses,
        "model": trainer.detector.state_dict(),
        "ema": trainer.step.averaged.state_dict(),
        "target": target.state_dict() if target else {},
    }
    torch.save(note, Path(options["project"]) / f"rank{distributed.WORLD.rank}of{distributed.WORLD.size}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    ours = distributed.start("cpu")
    for training in json.loads(sys.argv[1]):
        train(training, ours)
    distributed.stop()
