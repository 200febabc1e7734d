"""Options of `prepare.py train-darkener`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import option

_WHAT, _NETWORK, _TRAINING, _RUN = "What", "Network", "Training", "Run"


@dataclass(frozen=True)
class TrainDarkenerOptions:
    """Which days and nights the darkener learns from, its size, how long, and where its weights go."""

    day: Path | None = option(None, "folder of day images, of any depth, or a .txt list of them (needed)", group=_WHAT)
    night: Path | None = option(
        None, "the same of night images (needed); other places, other things: nothing is paired", group=_WHAT
    )
    out: Path = option(Path("runs/darkener/cut.safetensors"), "new file for the weights", group=_WHAT)
    resume: Path | None = option(
        None, "resume a training that was stopped: its folder beside the weights, or resume.pt in it", group=_WHAT
    )

    width: int = option(64, "channels at full size; 64 is published", group=_NETWORK, low=2, high=256)
    blocks: int = option(9, "residual blocks at a quarter of the size; 9 is published", group=_NETWORK, low=1, high=32)

    epochs: int = option(200, "passes over the larger folder at the full learning rate", group=_TRAINING, low=1)
    decay_epochs: int = option(200, "further ones, with the rate falling towards 0", group=_TRAINING, low=0)
    imgsz: int = option(
        256, "side of the square that is cut out, px; a multiple of 4", group=_TRAINING, low=32, aliases=("img",)
    )
    load: int = option(
        286, "side of the square that images are brought to before, px; at least --imgsz", group=_TRAINING, low=32
    )
    batch_size: int = option(1, "images of each kind a step", group=_TRAINING, low=1, aliases=("batch",))
    lr: float = option(2e-4, "learning rate of Adam", group=_TRAINING, low=1e-7, high=1.0)
    lambda_nce: float = option(
        1.0, "weight of PatchNCE, which holds every place to its own", group=_TRAINING, low=0.0, high=100.0
    )
    identity: bool = option(True, "nights should stay as they are", group=_TRAINING)
    seed: int = option(0, "of the first weights, the order, the cuts and the places compared", group=_TRAINING, low=0)

    sheet_period: int = option(1, "epochs between two sample sheets (day | darkened); 0 for none", group=_RUN, low=0)
    device: str = option("", "cpu, or a GPU's number; empty takes the first GPU if there is one", group=_RUN)
