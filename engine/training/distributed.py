"""Several processes, on one machine or many: NCCL on GPUs, gloo on CPUs, started by torchrun or by `--device 0,1`.

N ranks of B images are one process of N * B images: the normaliser of the detection loss and the statistics of every
batch norm are taken over all ranks.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.cli import LAUNCHED
from utils.devices import pick_device
from utils.errors import UserError
from utils.ultralytics_env import keep_freed_memory


@dataclass
class World:
    """Who this process is. One process alone is rank 0 of 1.

    grouped: whether there is a process group; torchrun gives one to a single process too.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    hosts: Any = None  # process group that never touches a GPU; None: the default one
    grouped: bool = False

    @property
    def main(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0


WORLD = World()
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
PATIENCE = timedelta(minutes=30)
"""How long ranks wait for one that hangs: longer than the first one alone scans, makes or evaluates a data set."""


def start(device: str) -> torch.device:
    """Join the process group that torchrun describes in the environment, if any, and return this process's device.

    Raises UserError when a rank has no GPU of its own.
    """
    WORLD.rank = int(os.environ.get("RANK", 0))
    WORLD.size = int(os.environ.get("WORLD_SIZE", 1))
    WORLD.local_rank = int(os.environ.get("LOCAL_RANK", 0))
    keep_freed_memory()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
    chosen = _own_device(device) if WORLD.size > 1 else pick_device(device)
    WORLD.grouped = chosen.type in BACKENDS and (WORLD.size > 1 or dist.is_torchelastic_launched())
    if not WORLD.grouped:
        return chosen
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():
        dist.init_process_group(BACKENDS[chosen.type], timeout=PATIENCE)
    WORLD.hosts = None if chosen.type == "cpu" else dist.new_group(backend="gloo")
    return chosen


def _own_device(device: str) -> torch.device:
    """The GPU of this rank, or the CPU."""
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if WORLD.local_rank >= torch.cuda.device_count():
        raise UserError(
            f"torchrun started local rank {WORLD.local_rank}, but this machine has {torch.cuda.device_count()} GPUs. "
            "Lower --nproc_per_node to that number."
        )
    return torch.device("cuda", WORLD.local_rank)


def stop() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()
    WORLD.rank, WORLD.size, WORLD.local_rank, WORLD.hosts, WORLD.grouped = 0, 1, 0, None, False


def listed_devices(device: str) -> list[str]:
    """The entries of `--device 0,1`; one entry or none when no launch is needed."""
    return [part.strip() for part in device.split(",") if part.strip()]


def launched() -> bool:
    """Whether this process was started by torchrun or by `launch`."""
    return "LOCAL_RANK" in os.environ


def launch(devices: list[str], argv: list[str]) -> int:
    """Start one process a device on this machine with torchrun and wait. `cpu,cpu` starts two gloo ranks.

    Returns the exit code of the group.
    """
    environment = {**os.environ, LAUNCHED: "1"}
    on_cpu = all(entry == "cpu" for entry in devices)
    if on_cpu:
        environment["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // len(devices), 1))
    else:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={len(devices)}"]
    command += [f"--master_port={free_port()}", *argv, "--device", "cpu" if on_cpu else ""]
    return subprocess.call(command, env=environment)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def average(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """Mean of each value over the ranks."""
    if not WORLD.grouped:
        return values
    dtype = torch.float64 if device.type == "cpu" else torch.float32
    tensor = torch.tensor(list(values.values()), dtype=dtype, device=device)
    dist.all_reduce(tensor)
    return dict(zip(values, (tensor / WORLD.size).tolist(), strict=True))


def mean(values: Tensor) -> Tensor:
    """Mean of a tensor over the ranks."""
    if WORLD.grouped:
        dist.all_reduce(values)
    return values / WORLD.size


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on some rank, so that all act on it together. Asks the hosts, while their GPUs work on."""
    if not WORLD.grouped:
        return flag
    sums = torch.tensor(float(flag))
    dist.all_reduce(sums, group=WORLD.hosts)
    return bool(sums > 0)


def shared_value(make: Callable[[], Any]) -> Any:
    """Compute a value on the main rank and hand it to all. An error there is raised on every rank."""
    if not WORLD.grouped:
        return make()
    box: list[Any] = [None, None]
    if WORLD.main:
        try:
            box[0] = make()
        except Exception as problem:
            box[1] = problem
    dist.broadcast_object_list(box, src=0)
    if box[1] is not None:
        raise box[1]
    return box[0]


def synchronise_loss(branch: Any) -> None:
    """Let a detection loss divide by the target scores of all ranks together instead of its own.

    Ultralytics' loss divides by the sum of its target scores (at least 1) inside; the sum is noted as the assigner returns it.
    """
    if not WORLD.grouped:
        return
    assign, loss = branch.assigner, branch.loss
    noted: list[Tensor] = []

    def noting(*args: Any, **kwargs: Any) -> Any:
        result = assign(*args, **kwargs)
        noted.append(result[2].sum().float())
        return result

    def synchronised(*args: Any, **kwargs: Any) -> Any:
        value, items = loss(*args, **kwargs)
        own = noted.pop()
        everyone = own.clone()
        dist.all_reduce(everyone)
        factor = own.clamp(min=1) / everyone.clamp(min=1) * WORLD.size
        return value * factor, {name: item * factor for name, item in items.items()}

    branch.assigner, branch.loss = noting, synchronised


class _SumOverRanks(torch.autograd.Function):
    """Sum over ranks whose gradient is summed over ranks too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _SumOverRanks.forward(ctx, gradient)


class _SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the images of all ranks. torch.nn.SyncBatchNorm needs a GPU; this runs on any backend."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, ...). In training with mean and variance over all ranks, and running statistics updated as torch does."""
        if not self.training:
            return super().forward(x)
        dims = [d for d in range(x.dim()) if d != 1]
        count = x.numel() / x.shape[1] * WORLD.size
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean = _SumOverRanks.apply(x.sum(dims)) / count  # (C,)
        centred = x - mean.view(shape)
        variance = _SumOverRanks.apply(centred.square().sum(dims)) / count  # (C,)
        if self.track_running_stats:
            assert (
                self.num_batches_tracked is not None and self.running_mean is not None and self.running_var is not None
            )
            self.num_batches_tracked += 1
            momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(variance.detach() * count / (count - 1), momentum)
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        return scaled * self.weight.view(shape) + self.bias.view(shape)


class _OnGPU(nn.SyncBatchNorm):
    """torch's own, which takes one kernel and one exchange where ours takes many; in place of a norm that exists."""

    process_group = None


SYNCHRONISED: dict[tuple[str, type[nn.Module]], type[nn.Module]] = {
    (where, kind): type(f"Synchronised{kind.__name__}", (base, kind), {"stands_for": kind})
    for where, base in (("cpu", _SyncBatchNorm), ("cuda", _OnGPU))
    for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
}


def synchronise_batch_norms(root: nn.Module, device: torch.device) -> None:
    """Give every batch norm below `root` the statistics of all ranks. Module tree, parameters and buffers stay as they are."""
    for module in root.modules() if WORLD.grouped else ():
        module.__class__ = SYNCHRONISED.get((device.type, type(module)), type(module))
