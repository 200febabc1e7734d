"""The detector and its methods as one module, so that a step is one forward whatever the methods do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from engine.training.distributed import WORLD, synchronise_loss
from methods.base import Batch, Detector, Forward, Method, Step
from models.graph import tapped


class TrainingModel(nn.Module):
    """Detector, its criterion and the methods that train with it.

    `forward(batch)` returns the summed loss and the detached parts for the log. Only `detector` is ever saved as a model.
    """

    def __init__(self, detector: Detector, methods: Sequence[Method], gains: SimpleNamespace) -> None:
        """gains: what Ultralytics' criterion reads (`box`, `cls`, `dfl`, `epochs`)."""
        super().__init__()
        self.detector: Any = detector
        for method in methods:
            method.attach(detector)
        self.methods: Any = nn.ModuleDict({method.name: method for method in methods})
        self.layers = {name: index for method in methods for name, index in method.taps(detector).items()}
        self.gains = gains
        self.criterion: Any = None

    def build_criterion(self) -> None:
        """Make the detection loss on the detector's device, changed as the methods ask."""
        self.detector.args = self.gains
        self.criterion = self.detector.init_criterion()
        for branch in criterion_branches(self.criterion):
            for method in self.methods.values():
                method.criterion(branch)
            synchronise_loss(branch)

    def forward(self, batch: Batch, with_task_loss: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        """batch: `img` and extra views (B, 3, H, W) in [0, 1], labels as Ultralytics collates them.

        Without `with_task_loss` the loss is that of the methods alone, and the detector runs only where they ask for it.
        """
        for method in self.methods.values():
            method.prepare(batch)
        images = len(batch["img"]) * WORLD.size
        step = Step(batch, self.detector, lambda image: self._detect(image, batch), images)
        parts, items = ([step.first.loss], dict(step.first.items)) if with_task_loss else ([], {})
        for method in self.methods.values():
            for name, term in method.loss(step).items():
                parts.append(term)
                items[name] = step.log.get(name, term).detach()
        return sum(parts, batch["img"].new_zeros(())), items

    def _detect(self, image: Tensor, batch: Batch) -> Forward:
        with tapped(self.detector, self.layers) as taps:
            predictions = self.detector(image)
        loss, items = self.criterion(predictions, batch)
        return Forward(loss.sum() * WORLD.size, items, dict(taps), predictions)


def criterion_branches(criterion: Any) -> list[Any]:
    """The detection losses inside a criterion: one, or the one-to-many and one-to-one branches of YOLO26."""
    if hasattr(criterion, "one2many"):
        return [criterion.one2many, criterion.one2one]
    return [criterion]


def set_modes(
    model: TrainingModel, training: Iterable[nn.Parameter], bn_eval: Sequence[nn.Module], frozen: Sequence[nn.Module]
) -> None:
    """Training mode, except in parts with fixed batch statistics (`bn_eval`) and in frozen ones.

    Frozen parameters have no gradient at all: the optimiser then leaves them alone, without momentum or weight decay.
    training: the parameters of the detector that train where they are not frozen.
    """
    still = {id(parameter) for module in frozen for parameter in module.parameters()}
    for parameter in training:
        parameter.requires_grad_(id(parameter) not in still)
        if id(parameter) in still:
            parameter.grad = None
    model.train()
    for module in (*bn_eval, *frozen):
        module.eval()
