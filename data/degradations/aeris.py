"""The degradation of AERIS: blur, then resize, then noise, each image with parameters of its own.

Source: Exploring Resolution and Degradation Clues as Self-supervised Signal for Low Quality Object Detection (ECCV
2022), section 3, and its published code for the laws. Nothing here clips, rounds, or writes to the images it is
given: they are the clean targets of the restoration.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from data.degradations.common import as_images
from data.degradations.kernels import correlate, gaussian_kernel, gaussian_kernels

BLURS = ("none", "iso", "aniso")
MODES = ("nearest", "bilinear", "bicubic")
SCOPES = ("all", "resolution", "blur-noise")
LAWS = ("equispaced", "uniform", "tenths")
KERNEL_SIZES = tuple(range(7, 22, 2))  # px
STEP = 32  # px; sizes of training images are multiples of the detectors' largest stride
THIRDS = (1 / 3, 1 / 3, 1 / 3)


@dataclass(frozen=True)
class AERISParameters:
    """What one image was given. Every number is always drawn; `blur` and the scope say which of them count.

    kernel_size: px. variance: of the isotropic blur, px^2. angle: radians. major, minor: variances of the anisotropic
    blur, px^2. blur: of BLURS. mode: of MODES. sigma: deviation of the noise, images being in [0, 1]. size: (height,
    width) after resizing. seed: of the noise.
    """

    kernel_size: int
    variance: float
    angle: float
    major: float
    minor: float
    blur: str
    mode: str
    sigma: float
    size: tuple[int, int]
    seed: int

    @property
    def variances(self) -> tuple[float, float]:
        """Of the kernel's two axes, px^2; equal for an isotropic one."""
        return (self.major, self.minor) if self.blur == "aniso" else (self.variance, self.variance)

    def kernel(self) -> Tensor | None:
        """(K, K), sum 1; None where this image is not blurred."""
        return None if self.blur == "none" else gaussian_kernel(self.kernel_size, self.variances, self.angle)

    def as_dict(self) -> dict[str, Any]:
        """Numbers and words only, for a manifest: `size` becomes height and width."""
        values = asdict(self)
        height, width = values.pop("size")
        return {**values, "height": height, "width": width}


def blur_resize_noise(
    image: Tensor,
    kernel: Tensor | None,
    size: tuple[int, int],
    mode: str,
    sigma: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Blur, resize, add white noise, in this order; no clipping. The input is never written to, nor handed back.

    image: (B, 3, H, W), uint8 (divided by 255) or float. kernel: (K, K), K odd, or None; reflected borders. size:
    (height, width). mode: of MODES, without antialias. sigma: deviation of the noise on the scale [0, 1]. generator:
    of the noise; one of the CPU serves images on a GPU too. Returns (B, 3, *size). Raises ValueError for another
    shape, mode, size or sigma.
    """
    clean = as_images(image)
    if mode not in MODES or min(size) < 1 or not sigma >= 0:
        raise ValueError(
            f"expected a mode of {MODES}, a size of at least 1 px and sigma >= 0: {mode!r}, {size}, {sigma}"
        )
    result = clean if kernel is None else correlate(clean, kernel.expand(len(clean), -1, -1))
    result = _resize(result, size, mode)
    if sigma > 0:
        where = generator.device if generator is not None else result.device
        noise = torch.randn(result.shape, generator=generator, device=where, dtype=result.dtype)
        return noise.to(result.device).mul_(sigma).add_(result)
    return result.clone() if result.data_ptr() == image.data_ptr() else result


class BatchDraw(NamedTuple):
    """The draws of a batch, with what an accelerator needs of them as tensors, so that they can be made on the host.

    blurred: (n,) int64, which images are blurred, by kernels (n, K, K), framed to one size; modes: interpolation -> which
    images (m,) int64 are resized by it.
    """

    draws: list[AERISParameters]
    blurred: Tensor
    kernels: Tensor
    modes: dict[str, Tensor]


def batch_draw(draws: Sequence[AERISParameters]) -> BatchDraw:
    """The draws of a batch as tensors on the CPU. Raises ValueError for draws of several sizes."""
    if len({draw.size for draw in draws}) != 1:
        raise ValueError(f"expected draws of one size, got sizes {[draw.size for draw in draws]}")
    rows = [i for i, draw in enumerate(draws) if draw.blur != "none"]
    some = [draws[i] for i in rows]
    sizes, variances = [draw.kernel_size for draw in some], [draw.variances for draw in some]
    kernels = gaussian_kernels(sizes, variances, [draw.angle for draw in some]) if rows else torch.zeros(0, 1, 1)
    modes = dict.fromkeys(draw.mode for draw in draws)
    places = {mode: torch.tensor([i for i, draw in enumerate(draws) if draw.mode == mode]) for mode in modes}
    return BatchDraw(list(draws), torch.tensor(rows, dtype=torch.int64), kernels, places)


def degrade_batch(images: Tensor, drawn: Sequence[AERISParameters] | BatchDraw) -> Tensor:
    """Each image of a batch with its own draw, (B, 3, *size); all draws are of one size, as in a training batch.

    drawn: a draw an image, or these as `batch_draw` packs them, its tensors on the images' device already. The noise comes
    from a generator on the images' device. Raises ValueError for draws of several sizes or another number of them.
    """
    packed = drawn if isinstance(drawn, BatchDraw) else batch_draw(drawn)
    draws = packed.draws
    if len(draws) != len(images):
        raise ValueError(f"expected {len(images)} draws of one size, got {len(draws)}")
    clean = as_images(images)
    if images.device.type == "cpu":  # image by image, which stays in the cache
        result = clean.new_empty(len(clean), 3, *draws[0].size)
        for i, draw in enumerate(draws):
            result[i] = degrade(clean[i : i + 1], draw)[0]
        return result
    result = _resize_each(_blur_each(clean, packed), packed)
    for part, draw in zip(result, draws, strict=True):
        if draw.sigma > 0:
            part += draw.sigma * torch.randn(part.shape, generator=_noise(draw, part), device=part.device)
    return result


def degrade(image: Tensor, draw: AERISParameters) -> Tensor:
    """Images (B, 3, H, W), most often one, degraded with one draw."""
    return blur_resize_noise(image, draw.kernel(), draw.size, draw.mode, draw.sigma, _noise(draw, image))


def image_random(seed: int, index: int) -> random.Random:
    """The generator of image number `index` of a run: independent of batches, workers and order."""
    return random.Random(f"{seed}/{index}")


def draw_parameters(
    rng: random.Random,
    shape: tuple[int, int],
    size: tuple[int, int],
    scope: str = "all",
    blurs: tuple[float, float, float] = THIRDS,
) -> AERISParameters:
    """One image's draw for an image of `shape` that is to have `size`, both (height, width).

    scope: `all`; `resolution` (no blur, no noise); `blur-noise` (keeps its shape, noise up to twice as strong). blurs:
    chances of no, isotropic and anisotropic blur. All numbers are drawn whatever the scope and the chances, so that
    seeds stay comparable between settings. Raises ValueError for an unknown scope or chances that do not add up to 1.
    """
    if scope not in SCOPES or min(blurs) < 0 or abs(sum(blurs) - 1) > 1e-6:
        raise ValueError(f"expected a scope of {SCOPES} and chances of sum 1, got {scope!r} and {blurs}")
    kernel_size = rng.choice(KERNEL_SIZES)
    variance, angle = rng.uniform(0.1, 2.4), rng.uniform(0, torch.pi)
    major = rng.uniform(0.5, 6)
    minor = rng.uniform(0.5, major)
    blur, mode = rng.choice(BLURS), rng.choice(MODES)
    sigma = rng.uniform(0, 50 if scope == "blur-noise" else 25) / 255
    seed, chance = rng.getrandbits(62), rng.random()  # after the eight of the publication, in whose order they come
    if blurs != THIRDS:
        blur = BLURS[0] if chance < blurs[0] else BLURS[1] if chance < blurs[0] + blurs[1] else BLURS[2]
    if scope == "resolution":
        blur, sigma = "none", 0.0
    size = shape if scope == "blur-noise" else size
    return AERISParameters(kernel_size, variance, angle, major, minor, blur, mode, sigma, size, seed)


def draw_size(rng: random.Random, shape: tuple[int, int], law: str = "equispaced") -> tuple[int, int]:
    """(height, width) that an image or a batch of `shape` is resized to; a training draws it once per batch.

    law, with S the longer side: `equispaced`, as the published code has it, l = 32 k from S / 4 to S; `uniform`, as the
    paper draws it, l = 32 round(S / (32 s)), s from U(1, 4); both resize the sides by the same l / S, to multiples of
    32. `tenths`, for test sets: s = 1.0, 1.1, ... 4.0, sides are rounded down. No side falls below 32 px that was not
    below. Raises ValueError for an unknown law.
    """
    longer = max(shape)
    if law == "equispaced":
        first, last = -(-longer // (4 * STEP)), max(1, longer // STEP)
        return _to_steps(shape, STEP * rng.choice(range(min(first, last), last + 1)))
    if law == "uniform":
        return _to_steps(shape, STEP * max(1, round(longer / (STEP * rng.uniform(1, 4)))))
    if law == "tenths":
        tenths = rng.choice(range(10, 41))
        height, width = (max(min(side, STEP), side * 10 // tenths) for side in shape)
        return height, width
    raise ValueError(f"law {law!r}: expected one of {LAWS}")


def _to_steps(shape: tuple[int, int], longer: int) -> tuple[int, int]:
    """`shape` resized so that its longer side is `longer`, both in multiples of STEP unless smaller than that."""
    height, width = (side if side < STEP else STEP * max(1, round(side * longer / max(shape) / STEP)) for side in shape)
    return height, width


def _resize(image: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return F.interpolate(image, size, mode=mode, align_corners=None if mode == "nearest" else False)


def _noise(draw: AERISParameters, image: Tensor) -> torch.Generator:
    return torch.Generator(image.device).manual_seed(draw.seed)


def _blur_each(images: Tensor, packed: BatchDraw) -> Tensor:
    """All blurred images in one correlation, kernels framed to one size; new images."""
    if not len(packed.blurred):
        return images.clone()
    places = packed.blurred.to(images.device)
    return images.index_copy(0, places, correlate(images[places], packed.kernels))


def _resize_each(images: Tensor, packed: BatchDraw) -> Tensor:
    """Resized in one call a mode, back in order."""
    size = packed.draws[0].size
    result = images.new_empty(len(images), 3, *size)
    for mode, places in packed.modes.items():
        rows = places.to(images.device)
        result[rows] = _resize(images[rows], size, mode)
    return result
