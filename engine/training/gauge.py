"""How strongly each term of a method acts: its fraction of the gradient in the backbone, measured, and set where it is published.

A term's share is the norm of its gradient over that of the task losses of all views together, with respect to the
weights of one layer that everything passes through: the backbone's last layer of stride 8, or the next deeper one that trains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engine.training import distributed
from methods.base import Method, Term
from models.graph import backbone_taps
from utils.errors import UserError

BATCHES = 4  # at the start of a run, from which the factors follow
MOST_TRIES = 20  # batches in which a term is waited for: one that never reaches the backbone must not cost every step
WEAK = 0.005  # a term with a smaller share hardly acts
NOTHING = (0.0, 0.0, 0)
KEPT = ("sums", "shares", "told", "weak")  # in resume.pt


def shared_layers(network: Any) -> Sequence[nn.Module]:
    """Layers of the backbone that every term passes through, the first choice first.

    Detectors: the last layers of strides 8, 16 and 32. Other networks: their convolutions, the deepest first.
    """
    if hasattr(network, "stride"):
        return [network.model[index] for index in backbone_taps(network).values()]
    return [part for part in network.modules() if isinstance(part, (nn.Conv2d, nn.Conv3d))][::-1]


def gradient(value: Tensor, weights: Sequence[Tensor], scale: float = 1.0) -> Tensor:
    """Gradient of a scalar by all weights, times `scale`, as one vector; 0 where it does not reach. Keeps the graph."""
    zeros = [torch.zeros_like(weight, dtype=torch.float32) for weight in weights]
    if not value.requires_grad:
        return torch.cat([zero.flatten() for zero in zeros])
    found = torch.autograd.grad(value * scale, weights, retain_graph=True, allow_unused=True)
    parts = [zero if part is None else part.float() for part, zero in zip(found, zeros, strict=True)]
    return torch.cat([part.flatten() for part in parts])


class Gauge:
    """Measures terms on some batches of a run, and holds the factor of each.

    A method may state the share that a term has in its publication (`Term.share`). The first `BATCHES` batches then give
    the factor that brings it there, one number for the whole run.
    shares: name -> share in the latest batch that was measured, factors included.
    """

    def __init__(self, network: Any, methods: Sequence[Method]) -> None:
        self.terms = {name: term for method in methods for name, term in method.terms().items()}
        self.owners = {name: method.name for method in methods for name in method.terms()}
        self.published = {name: term.share for name, term in self.terms.items() if term.share is not None}
        self.acts = any(type(method).loss is not Method.loss for method in methods)
        self.layers = shared_layers(network) if self.acts else []
        self.scale = 1.0  # of mixed precision, without which small gradients vanish
        self.sums: dict[
            str, tuple[float, float, int]
        ] = {}  # norms of the term and of the task losses, over so many batches
        self.shares: dict[str, float] = {}
        self.tries = 0
        self.told: list[str] = []  # whose factor was printed
        self.weak: list[str] = []  # that were said to hardly act

    def due(self, first: bool) -> bool:
        """Whether to measure this batch. first: of its epoch."""
        waiting = self.tries < MOST_TRIES and any(self._waits(name) for name in self.published)
        return self.acts and (first or waiting)

    def factor(self, name: str) -> float:
        """What a term is multiplied by: 1 where no share is published, or nothing is measured yet."""
        own, task, _ = self.sums.get(name, NOTHING)
        return self.published[name] * task / own if name in self.published and own > 0 else 1.0

    def term(self, name: str) -> Term:
        """What its method says of a term."""
        return self.terms.get(name, Term())

    def measure(self, task: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Take the shares in one batch. task: all task losses, summed; terms: name -> value, without factors.

        Raises UserError for a term whose value or gradient is no number; in mixed precision that step is left out anyway.
        """
        self.shares = {}
        self.tries += 1
        weights = next((found for layer in self.layers if (found := trainable(layer))), [])
        if not weights or not terms:
            return
        gradients = torch.stack([gradient(value, weights, self.scale) for value in (task, *terms.values())])
        whole, *parts = norms(distributed.mean(gradients)).tolist()
        for name, norm in zip(terms, parts, strict=True):
            if not math.isfinite(norm) and math.isfinite(whole) and self.scale == 1:
                raise UserError(
                    f"--method {self.owners.get(name)}: the term '{name}' or its gradient is NaN or infinite, so that "
                    f"nothing can be learned. {self._lower(name)} What earlier epochs wrote is kept."
                )
            if whole > 0 < norm and math.isfinite(whole + norm):  # a term that does not reach the backbone has no share
                self._take(name, norm, whole)

    def _waits(self, name: str) -> bool:
        return self.sums.get(name, NOTHING)[2] < BATCHES

    def _take(self, name: str, norm: float, whole: float) -> None:
        if self._waits(name):
            own, task, batches = self.sums.get(name, NOTHING)
            self.sums[name] = (own + norm, task + whole, batches + 1)
        self.shares[name] = norm / whole * self.factor(name)

    def _lower(self, name: str) -> str:
        option = self.term(name).option
        return f"Start again with a lower {flag(option)} or --lr0." if option else "Start again with a lower --lr0."

    def broken(self, losses: Mapping[str, float]) -> str:
        """A sentence on the term whose mean of an epoch is no number. losses: `train/NAME` -> mean.

        Of several it is the one that was the strongest: it broke the network, and the network the others.
        """
        lost = [name for name in self.owners if not math.isfinite(losses.get(f"train/{name}", 0.0))]
        name = max(lost, key=lambda name: self.shares.get(name, 0.0), default="")
        return f" The term '{name}' of --method {self.owners[name]} was no number." if name else ""

    def row(self) -> dict[str, float]:
        """The shares as columns of results.csv."""
        return {f"share/{name}": share for name, share in self.shares.items()}

    def notes(self) -> list[str]:
        """Lines that the run has not printed yet: factors that were set, and terms that hardly act."""
        fresh = [name for name in self.published if name not in self.told and self.sums.get(name, NOTHING)[2]]
        lines = [
            f"{name}: multiplied by {self.factor(name):.3g}, so that its gradient is {self.published[name]:.2%} of the task "
            f"loss's at the start, as published for this {flag(self.term(name).option)}"
            for name in fresh
        ]
        weak = [
            name
            for name, share in self.shares.items()
            if share < WEAK and self.term(name).option and name not in self.weak
        ]
        lines += [
            f"note: the term '{name}' hardly acts: {self.shares[name]:.2%} of the task loss's gradient in the backbone. "
            f"{flag(self.term(name).option)} makes it stronger"
            for name in weak
        ]
        self.told += fresh
        self.weak += weak
        return lines

    def state(self) -> dict[str, Any]:
        """For `resume.pt`."""
        return {"tries": self.tries, **{key: getattr(self, key).copy() for key in KEPT}}

    def load_state(self, state: Mapping[str, Any] | None) -> None:
        """Take back what `state` gave. None, of earlier versions: terms keep the strength with which the run began."""
        if state is None:
            self.published = {}
            return
        self.tries = state.get("tries", 0)
        for key in KEPT:
            setattr(self, key, state[key])


def norms(rows: Tensor) -> Tensor:
    """(N, D) -> (N,): Euclidean norms, also of rows whose squares would overflow or vanish."""
    plain = rows.norm(dim=1)  # (N,)
    largest = rows.abs().amax(1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)  # (N, 1)
    scaled = (rows / largest).norm(dim=1) * largest[:, 0]
    return torch.where(plain.isfinite() & (plain > 0), plain, scaled)  # which rounds otherwise


def trainable(layer: nn.Module) -> list[nn.Parameter]:
    """The parameters of a layer that train."""
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]


def flag(option: str) -> str:
    """How an option is typed."""
    return f"--{option.replace('_', '-')}"
