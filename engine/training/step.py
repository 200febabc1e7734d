"""Everything that one training step needs, put together in one order."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from engine.options.train import HyperOptions, TrainOptions
from engine.training.distributed import WORLD, synchronise_batch_norms
from engine.training.module import TrainingModel, set_modes
from engine.training.optim import CLASS_RATE, HALF, Schedule, build_optimiser, class_branches
from engine.training.resume import methods_state
from methods.base import Method, Run
from models.graph import CompiledNetwork
from utils.devices import on_gpu
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.utils.torch_utils import ModelEMA  # noqa: E402

CLIP_NORM = 10.0


def may_freeze(method: Method) -> bool:
    """Whether parts of the detector may go without gradient in some epochs: as the method says, or where it looks at epochs."""
    return type(method).on_epoch is not Method.on_epoch if method.freezes is None else method.freezes


class TrainStep:
    """A network, its methods, the optimiser and the EMA of a run, and what one step does with them.

    Each part needs those before it, so this order holds wherever steps are taken, in a run or in a benchmark:

    1. methods attach their parts to the network, and all move to the device
    2. the EMA copies the network
    3. frozen layers leave the optimiser's sight
    4. ranks share batch statistics and gradients
    5. the task loss is made, and changed by the methods
    6. the optimiser takes what trains, at the rates that the methods ask for
    """

    def __init__(
        self, detector: Any, methods: Sequence[Method], train: TrainOptions, hyper: HyperOptions, schedule: Schedule,
        device: torch.device, class_weights: Tensor | None = None,
    ) -> None:  # fmt: skip
        """methods: whose options are resolved and whose data are checked. schedule: of learning rates and momentum.

        class_weights: (classes,) factors of the class loss, or None.
        """
        self.detector, self.methods, self.schedule, self.device = detector, methods, schedule, device
        gains = SimpleNamespace(
            box=hyper.box, cls=hyper.cls, dfl=hyper.dfl, epochs=train.epochs, class_weights=class_weights
        )
        self.model: Any = TrainingModel(detector, methods, gains).to(device)
        if all(parameter.ndim <= 4 for parameter in self.model.parameters()):  # a format of images, not of clips
            self.model.to(memory_format=torch.channels_last)
        self.ema = ModelEMA(detector) if hyper.ema else None
        self._freeze(train.freeze)
        self.parallel: nn.Module = self.model
        if WORLD.grouped:
            if train.sync_bn:
                synchronise_batch_norms(self.model, device)
            freezes = any(may_freeze(method) for method in methods)
            self.parallel = nn.parallel.DistributedDataParallel(self.model, find_unused_parameters=freezes)
        self.model.build_criterion()
        if train.compile:
            self.model.compiled = CompiledNetwork(detector, self.model.layers)
        rates = dict.fromkeys(class_branches(detector), CLASS_RATE) if hyper.optimizer == "MuSGD" else {}
        rates |= {part: rate for method in methods for part, rate in method.rates(detector).items()}
        self.optimiser = build_optimiser(self.model, hyper, train.batch_size, rates, fused=on_gpu(device))
        self.half = HALF.get(train.amp) if on_gpu(device) else None
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=self.half is torch.float16
        )  # bfloat16 has float32's range
        self.last_step = -1

    @property
    def averaged(self) -> Any:
        """The network that is evaluated and saved: the EMA where there is one."""
        return self.detector if self.ema is None else self.ema.ema

    def _freeze(self, layers: Sequence[int]) -> None:
        """Frozen layers keep their batch statistics too, see `set_modes`. layers: one number N means the first N."""
        numbers = range(layers[0]) if len(layers) == 1 else layers
        self.frozen = [self.detector.model[number] for number in numbers]
        for layer in self.frozen:
            layer.requires_grad_(False)
        self.training = [parameter for parameter in self.detector.parameters() if parameter.requires_grad]

    def begin_epoch(self, run: Run, epoch: int, resumed: bool = False) -> None:
        """Let methods decide what trains in this epoch. resumed: it was begun before the run was interrupted."""
        run.begin(epoch, resumed)
        run.averaged = self.averaged
        for method in self.methods:
            method.on_epoch(run)
        set_modes(self.model, self.training, [*self.frozen, *run.bn_eval], run.frozen)

    def __call__(self, run: Run, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Forward, backward and, when enough batches are gathered, one step of the optimiser. Returns the loss items."""
        accumulate = self.schedule.apply(self.optimiser, run.epoch, run.iteration)
        measure = not run.only and self.model.gauge.due(run.iteration % self.schedule.batches == 0)
        if measure and self.scaler.is_enabled():
            self.model.gauge.scale = self.scaler.get_scale()
        due = run.iteration - self.last_step >= accumulate
        with self._gathering(due):
            with torch.autocast(self.device.type, dtype=self.half, enabled=self.half is not None):
                loss, items = self.parallel(batch, run.only, measure)
            self.scaler.scale(loss).backward()
        if due:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.optimiser.zero_grad(set_to_none=True)
            if self.ema is not None:
                self.ema.update(self.detector)
            self.last_step = run.iteration
        for method in self.methods:
            if run.only in ("", method.name):
                method.on_step(run)
        return items

    def _gathering(self, due: bool) -> contextlib.AbstractContextManager[Any]:
        """While batches are gathered for one step, ranks keep their gradients to themselves until the last of them."""
        if due or not isinstance(self.parallel, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self.parallel.no_sync()

    def state(self) -> dict[str, Any]:
        """All of it, for `resume.pt`."""
        state = {
            "model": self.detector.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "methods": self.model.methods.state_dict(),
            "gauge": self.model.gauge.state(),
            "last_step": self.last_step,
        }
        if self.ema is not None:
            state |= {"ema": self.ema.ema.state_dict(), "ema_updates": self.ema.updates}
        return state

    def load_state(self, state: dict[str, Any], epochs: int) -> None:
        """Take back what `state` gave, after so many epochs."""
        self.detector.load_state_dict(state["model"])
        self.model.methods.load_state_dict(methods_state(state, self.model.methods.state_dict()))
        if self.ema is not None:
            self.ema.ema.load_state_dict(state["ema"])
            self.ema.updates = state["ema_updates"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.last_step = state["last_step"]
        self.model.gauge.load_state(state.get("gauge"))
        self.model.criterion.end_epoch(epochs)
