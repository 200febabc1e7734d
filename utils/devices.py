"""The machine: the device that --device names, what a run begins by saying of it, and what a report of a defect needs."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from utils.errors import UserError
from utils.files import REPOSITORY, cores
from utils.tables import whole

NAME = "Hardsight"
PACKAGES = ("torchvision", "ultralytics", "opencv-python", "numpy", "safetensors", "onnxruntime", "openvino")
DRIVER = Path("/proc/driver/nvidia/version")
GPUS = ("cuda",)  # kinds of devices that run beside the host, from pinned memory, in half precision too


def on_gpu(device: torch.device) -> bool:
    """Whether a device runs beside the host, so that the host should never wait for it."""
    return device.type in GPUS


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device; to a GPU out of pinned memory, so that the host goes on at once."""
    if on_gpu(device) and tensor.device.type == "cpu" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def pick_device(device: str) -> torch.device:
    """`` (best there is), `cpu`, `0`, `cuda:0`, `mps`. Raises UserError if this machine has no such device."""
    text = device.strip().lower().removeprefix("cuda:")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if text in {"", "auto"}:
        return torch.device("cuda:0" if count else "cpu")
    if text == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            "--device mps: this torch has no Metal, or this is no Mac with Apple silicon. Use --device cpu."
        )
    if text in {"cpu", "mps"}:
        return torch.device(text)
    if (number := whole(text)) is not None and number < count:
        return torch.device("cuda", number)
    expected = f"expected cpu, or a GPU number below {count}" if count else "no CUDA GPU is available; use --device cpu"
    raise UserError(f"--device {device}: {expected}.")


def check_devices(device: str) -> None:
    """Raise UserError for a device, or one of several such as `0,1`, that this machine has not."""
    for part in device.split(","):
        pick_device(part)


def machine_line(device: str = "") -> str:
    """Versions, and the device that is taken: `Hardsight 0.1.0, Python 3.12.3, torch 2.11.0+cu130, CUDA: NVIDIA H200 (140 GiB)`.

    device: as --device has it, checked.
    """
    parts = [f"{NAME} {project_version()}", f"Python {platform.python_version()}", f"torch {torch.__version__}"]
    wanted = [pick_device(part) for part in device.split(",")]
    return ", ".join([*parts, *dict.fromkeys(map(device_name, wanted))])


def device_name(device: torch.device) -> str:
    """The device in words: the kind, its name, its memory or cores."""
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        return f"CUDA {torch.version.cuda}: {facts.name} ({facts.total_memory / 2**30:.0f} GiB)"
    if device.type == "mps":
        return f"MPS: {platform.processor() or platform.machine()}"
    return f"CPU ({cores()} cores, {torch.get_num_threads()} threads)"


def unused_gpu(device: str = "") -> str:
    """A warning where nobody asked for the CPU, torch takes it, and the machine has an NVIDIA driver; else nothing."""
    driver = DRIVER.exists() or shutil.which("nvidia-smi") is not None
    if device.strip() or torch.cuda.is_available() or not driver:
        return ""
    reason = "cannot use its CUDA" if torch.version.cuda else "was built without CUDA"
    return (
        f"warning: this machine has an NVIDIA driver, but torch {torch.__version__} {reason}, so the CPU is used. Install a "
        "torch that fits the driver (pytorch.org/get-started), or say --device cpu."
    )


def project_version() -> str:
    """The project's version, from its pyproject.toml."""
    return str(tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def version_text() -> str:
    """What a report of a defect needs: versions, system, devices; a line each."""
    commit = _commit()
    lines = [f"{NAME} {project_version()}{f' ({commit})' if commit else ''}"]
    lines += [f"Python {platform.python_version()}", platform.platform()]
    lines.append(
        f"torch {torch.__version__} (CUDA {torch.version.cuda})" if torch.version.cuda else f"torch {torch.__version__}"
    )
    lines += [f"{package} {found}" for package in PACKAGES if (found := _installed(package))]
    cuda = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    lines += [device_name(each) for each in [*cuda, torch.device("cpu")]]
    return "\n".join([*lines, *filter(None, [unused_gpu()])])


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> str:
    """The commit of a clone, or nothing."""
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"]
    try:
        return run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
