"""The network and its methods as one module, so that a step is one forward whatever the methods do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from data.detection.views import of_kind
from engine.training.batch import DRAWN, draw, in_order, moved, relabelled
from engine.training.distributed import WORLD, synchronise_loss
from engine.training.gauge import Gauge
from methods.base import Batch, Forward, Method, Step
from models.graph import CompiledNetwork, tapped
from models.loss.detection import SHARED, without_waits


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
        self.paired = of_kind([view for method in methods for view in method.views], "paired")
        self.gauge = Gauge(detector, methods)
        self.gains = gains
        self.compiled: CompiledNetwork | None = None
        self.criterion: Criterion  # made on the device, see `build_criterion`

    def build_criterion(self) -> None:
        """Make the task loss on the network's device, changed as the methods ask."""
        self.detector.args = self.gains
        self.detector.class_weights = getattr(self.gains, "class_weights", None)
        self.plain_criterion = self.detector.init_criterion()  # of one process and no method, for validation
        self.criterion = Criterion(self.detector.init_criterion())
        del self.detector.class_weights
        device = next(self.detector.parameters()).device
        for branch in (*self.criterion.branches, *Criterion(self.plain_criterion).branches):
            without_waits(branch, device)
        for branch in self.criterion.branches:
            for method in self.methods.values():
                method.criterion(branch)
            synchronise_loss(branch)

    def forward(self, batch: Batch, only: str = "", measure: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """batch: `img` and extra views in [0, 1], and labels. only: the one method whose terms count, without the task loss.

        measure: let the gauge measure how strongly the terms act. The network runs only where a loss asks for it.
        """
        methods: list[Method] = list(self.methods.values())
        self._prepare(batch, methods)
        images, own = len(batch["img"]) * WORLD.size, {SHARED: dict[Any, Any]()}

        def forward(image: Tensor, labels: Batch | None = None) -> Forward:
            return self._pass(image, relabelled(batch, labels) if labels else {**batch, **own})

        step = Step(batch, self.detector, forward, images)
        task, items = ([], {}) if only else ([step.first.loss], dict(step.first.items))
        terms: dict[str, Tensor] = {}
        for method in methods:
            for name, term in method.loss(step).items() if only in ("", method.name) else ():
                if self.gauge.term(name).task:
                    task.append(term)
                else:
                    terms[name] = term
                items[name] = step.log.get(name, term).detach()
        items |= {name: value.detach() for name, value in step.log.items() if name not in items}
        if measure and task:
            self.gauge.measure(sum(task[1:], task[0]), terms)
        parts = [*task, *(term * self.gauge.factor(name) for name, term in terms.items())]
        return sum(parts, batch["img"].new_zeros(())), items

    def _prepare(self, batch: Batch, methods: Sequence[Method]) -> None:
        """Degrade and mask, in the precision of the images: a blur in half precision would show."""
        device = batch["img"].device
        if not batch.get(DRAWN):  # a batch that comes past the trainer
            draw(batch, methods)
            batch.update(moved(batch, device))
        batch["scenes"] = ["img", *(name for name in self.paired if name in batch)]
        with torch.autocast(device.type, enabled=False):
            for method in methods:
                method.degrade(batch)
            for method in methods:
                method.prepare(batch)
        for view in batch["scenes"]:
            batch[view] = in_order(batch[view])

    def _pass(self, image: Tensor, batch: Batch) -> Forward:
        if self.compiled is not None:
            predictions, taps = self.compiled(image)
        else:
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
