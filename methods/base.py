"""The method protocol: all that the composing trainer knows about a method (docs/method-protocol.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from data.config import DataKey
from data.detection.views import View
from methods.spec import Command
from models.graph import LayerSpec

__all__ = [
    "Batch", "Command", "DataKey", "Detector", "Forward", "LayerSpec", "Method", "NoOptions", "Run", "Step", "Term", "View",
    "image_size",
]  # fmt: skip

Batch = dict[str, Any]


class Detector(Protocol):
    """What methods use of an Ultralytics `DetectionModel`: its layers (each with `i` and `f`), its description, a call."""

    model: Any
    stride: Tensor
    names: dict[int, str]
    yaml: dict[str, Any]

    def __call__(self, x: Tensor) -> Any:
        """x: (B, 3, H, W). Returns what the head does."""


def image_size(batch: Batch) -> tuple[int, int]:
    """Height and width, px, that the views of a batch have before the first forward, known on the host."""
    height, width = batch.get("size") or batch["img"].shape[-2:]
    return int(height), int(width)


@dataclass
class Forward:
    """One pass of the detector over one view of a batch.

    loss: scalar, the detection loss times the batch size of all ranks together.
    items: the detached parts of that loss, for the log.
    taps: features (B, C, H, W) at the layers that methods asked for.
    predictions: what the detector's head returned.
    """

    loss: Tensor
    items: dict[str, Tensor]
    taps: dict[str, Tensor]
    predictions: Any


@dataclass(frozen=True)
class Term:
    """What is known of a term of `Method.loss` beside its value.

    option: the one that makes it stronger. task: it is the task loss of another view. share: the fraction of the task
    losses' gradient in the backbone that it has in its publication, at the weight that it has now; the engine brings the
    term there. None: it acts as it comes.
    """

    option: str = ""
    task: bool = False
    share: float | None = None


@dataclass
class Step:
    """What a method sees of one training step.

    batch["img"] and each extra view are (B, 3, H, W) RGB in [0, 1]; batch["seed"] holds one integer per image;
    batch["scenes"] names the views that show the labelled scene.
    `forward` passes another view through the detector, with the same labels, or with others: a dict of `bboxes`, `cls` and
    `batch_idx` beside it. `images` is the batch size of all ranks
    together, by which detection losses are multiplied. A term is logged by its value unless the
    method puts another number under its name into `log`; other names there are columns of their own, means over the epoch.
    """

    batch: Batch
    detector: Detector
    forward: Callable[..., Forward]
    images: int = 1
    log: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def first(self) -> Forward:
        """The pass of `batch["img"]`, made when it is first asked for."""
        return self.forward(self.batch["img"])

    @property
    def taps(self) -> dict[str, Tensor]:
        """Features of `batch["img"]` at the layers that methods asked for."""
        return self.first.taps

    @property
    def predictions(self) -> Any:
        """The head's output for `batch["img"]`."""
        return self.first.predictions


@dataclass
class Run:
    """What a method sees of a training run outside the loss.

    iteration counts batches from 0 over the whole run; averaged is the network that is evaluated and saved, the EMA or, without
    one, the detector; log collects what goes into the row of the epoch; single_cls: labels of every class train class 0.
    The rest holds for one epoch and is reset before `on_epoch`: `resumed` says that the epoch was begun before the run was
    interrupted, with the state and the `log` that it left; `frozen` are the parts of the detector that do not train
    (parameters as they are, batch norms in evaluation), `bn_eval` those that train with fixed batch statistics;
    `only` names the one method whose terms the step takes, without the task loss and other methods; `skip_validation`:
    nothing worth measuring yet.
    """

    detector: Detector
    epoch: int = 0
    epochs: int = 1
    iteration: int = 0
    averaged: Any = None
    log: dict[str, Any] = field(default_factory=dict)
    single_cls: bool = False
    frozen: list[nn.Module] = field(default_factory=list)
    bn_eval: list[nn.Module] = field(default_factory=list)
    only: str = ""
    skip_validation: bool = False
    resumed: bool = False

    def begin(self, epoch: int, resumed: bool = False) -> None:
        """Start an epoch: everything trains, by all losses, and is validated until a method says otherwise."""
        self.epoch, self.resumed, self.only, self.skip_validation = epoch, resumed, "", False
        self.frozen, self.bn_eval = [], []


@dataclass(frozen=True)
class NoOptions:
    """The options of a method that has none."""


class Method(nn.Module):
    """Base of all methods: every hook does nothing, so that a method states only what it changes.

    `name` is its name in `--method`; `Options` the frozen dataclass of its options, of which `options` is an instance;
    `tasks` are those that it serves; `views` is what it wants in a batch beside the labelled images; `least_batch` is how many
    images a process needs in each batch. Submodules train with the detector and are dropped at the end; those without gradient
    are targets. Both move, synchronise and resume with the run. A layer of the detector must not become a submodule: look it up
    by its index, or keep it in a list.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions
    tasks: ClassVar[tuple[str, ...]] = ("detect",)
    commands: ClassVar[Mapping[str, Command]] = {}
    layers: ClassVar[Mapping[str, LayerSpec]] = {}
    keys: ClassVar[tuple[DataKey, ...]] = ()
    views: tuple[View, ...] = ()
    freezes: ClassVar[bool | None] = None
    least_batch: int = 1

    def __init__(self, options: Any = None) -> None:
        super().__init__()
        self.options: Any = options or self.Options()

    def resolve_options(self, epochs: int, data: Any = None) -> dict[str, Any]:
        """Options whose values follow from the run, as `args.yaml` records them. Called first. data: a `DataConfig`."""
        return {}

    def attach(self, detector: Detector) -> None:
        """Build training-only submodules for this detector. Called once, before the optimiser is built."""

    def check(self, labels: Sequence[Any], names: Mapping[int, str], extra: Sequence[Any] = ()) -> None:
        """Raise UserError where the method cannot train on these labels (`data.io.labels.Label`) and class names.

        extra: labels of the extra images, where the run has some.
        """

    def taps(self, detector: Detector) -> Mapping[str, int | str]:
        """Name -> layer index, or dotted module name, of the features that `loss` reads, found from the graph."""
        return {}

    def rates(self, detector: Detector) -> dict[nn.Module, float]:
        """Parts of the detector that learn at a multiple of the learning rate."""
        return {}

    def criterion(self, branch: Any) -> None:
        """Change parts of one branch of the detection loss: its `assigner`, `bbox_loss` or `bce`."""

    def notes(self, detector: Detector) -> list[str]:
        """Lines to print before the first epoch: what the method found in this detector."""
        return []

    def draw(self, batch: Batch) -> None:
        """Draw what this batch needs, and look up what lies on the host, while the batch lies on the CPU; without gradients.

        Tensors that it puts into the batch, also in a NamedTuple or dict, move to the device with it. `image_size(batch)` is
        the size that images will have; a method that degrades them to another one sets `batch["size"]`, and draws first.
        """

    def degrade(self, batch: Batch) -> None:
        """Degrade the views that show the labelled scene (`batch["scenes"]`), on the device; may add such views.

        All methods degrade before any of them prepares.
        """

    def prepare(self, batch: Batch) -> None:
        """Mask the views that show the labelled scene, and change the method's own, before the first forward."""

    def terms(self) -> Mapping[str, Term]:
        """What is known of the terms of `loss`, by name. Called after `resolve_options`; a term may be left out."""
        return {}

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Named terms, already weighted, that are added to the detection loss of `batch["img"]`."""
        return {}

    def on_epoch(self, run: Run) -> None:
        """Called before each epoch, and again where one is resumed (`run.resumed`): what is frozen, which losses count,
        whether to validate, numbers to log.

        With several ranks, a method that overrides it costs a search for unused parameters in each step, unless its
        `freezes` is False: it then never freezes, and never claims an epoch.
        """

    def on_step(self, run: Run) -> None:
        """Called after each batch whose terms counted: momentum targets."""

    def detach(self, detector: Detector) -> None:
        """Leave nothing of the method on the detector."""
