"""The network and its methods as one module, so that a step is one forward whatever the methods do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from engine.training.distributed import WORLD, synchronise_loss
from methods.base import Batch, Forward, Method, Step
from models.graph import tapped


class Criterion:
    """The task loss of a run: one adapter over Ultralytics' losses and ours.

    loss: a callable (predictions, batch) -> (loss, detached items). Ultralytics' losses are sums over images, and are taken
    over all ranks together; one with `reduction = "mean"` stays the mean of this rank, of which DDP takes the mean.
    branches: the detection losses inside it: one, the one-to-many and one-to-one branches of YOLO26, or none.
    """

    def __init__(self, loss: Any) -> None:
        self.loss = loss
        self.scale = 1 if getattr(loss, "reduction", "sum") == "mean" else WORLD.size
        parts = [loss.one2many, loss.one2one] if hasattr(loss, "one2many") else [loss]
        self.branches: list[Any] = [part for part in parts if hasattr(part, "assigner")]

    def __call__(self, predictions: Any, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a scalar, and its parts for the log."""
        loss, items = self.loss(predictions, batch)
        return loss.sum() * self.scale, items

    def end_epoch(self, epochs: int = 1) -> None:
        """So many epochs are over: YOLO26 shifts weight between its two branches."""
        if hasattr(self.loss, "update"):
            for _ in range(epochs):
                self.loss.update()


class TrainingModel(nn.Module):
    """The network, its criterion and the methods that train with it.

    `forward(batch)` returns the summed loss and the detached parts for the log. Only `detector` is ever saved as a model.
    """

    def __init__(self, detector: Any, methods: Sequence[Method], gains: SimpleNamespace) -> None:
        """gains: what Ultralytics' criterion reads (`box`, `cls`, `dfl`, `epochs`)."""
        super().__init__()
        self.detector: Any = detector
        for method in methods:
            method.attach(detector)
        self.methods: Any = nn.ModuleDict({method.name: method for method in methods})
        self.layers = {name: index for method in methods for name, index in method.taps(detector).items()}
        self.gains = gains
        self.criterion: Criterion  # made on the device, see `build_criterion`

    def build_criterion(self) -> None:
        """Make the task loss on the network's device, changed as the methods ask."""
        self.detector.args = self.gains
        self.criterion = Criterion(self.detector.init_criterion())
        for branch in self.criterion.branches:
            for method in self.methods.values():
                method.criterion(branch)
            synchronise_loss(branch)

    def forward(self, batch: Batch, with_task_loss: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        """batch: `img` and extra views in [0, 1], and labels.

        Without `with_task_loss` the loss is that of the methods alone, and the network runs only where they ask for it.
        """
        for method in self.methods.values():
            method.prepare(batch)
        images = len(batch["img"]) * WORLD.size
        step = Step(batch, self.detector, lambda image: self._pass(image, batch), images)
        parts, items = ([step.first.loss], dict(step.first.items)) if with_task_loss else ([], {})
        for method in self.methods.values():
            for name, term in method.loss(step).items():
                parts.append(term)
                items[name] = step.log.get(name, term).detach()
        return sum(parts, batch["img"].new_zeros(())), items

    def _pass(self, image: Tensor, batch: Batch) -> Forward:
        with tapped(self.detector, self.layers) as taps:
            predictions = self.detector(image)
        loss, items = self.criterion(predictions, batch)
        return Forward(loss, items, dict(taps), predictions)


def set_modes(
    model: TrainingModel, training: Iterable[nn.Parameter], bn_eval: Sequence[nn.Module], frozen: Sequence[nn.Module]
) -> None:
    """Training mode, except in parts with fixed batch statistics (`bn_eval`) and in frozen ones.

    Frozen parameters have no gradient at all: the optimiser then leaves them alone, without momentum or weight decay.
    training: the parameters of the network that train where they are not frozen.
    """
    still = {id(parameter) for module in frozen for parameter in module.parameters()}
    for parameter in training:
        parameter.requires_grad_(id(parameter) not in still)
        if id(parameter) in still:
            parameter.grad = None
    model.train()
    for module in (*bn_eval, *frozen):
        module.eval()
