"""Blur kernels, and images filtered with a kernel each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.devices import sent

_DIRECT = 9  # px; wider kernels are faster by Fourier transform, on CPUs and GPUs alike (bench/speed/degradations.py)


def gaussian_kernel(size: int, variances: tuple[float, float], angle: float = 0.0) -> Tensor:
    """A Gaussian of any direction, (size, size) float32, sum 1, truncated to its square.

    size: odd, px. variances: of the two axes, px^2 (the eigenvalues of the covariance; not deviations). angle: of the
    first axis, radians from x (right) towards y (down). Raises ValueError for an even size or a variance <= 0.
    Source: AERIS (ECCV 2022), its degradation; the closed form of the matrix that its code builds cell by cell.

    >>> round(gaussian_kernel(17, (2.4, 2.4))[8, 8].item(), 8)
    0.06631456
    """
    return gaussian_kernels([size], [variances], [angle])[0]


def gaussian_kernels(sizes: Sequence[int], variances: Sequence[tuple[float, float]], angles: Sequence[float]) -> Tensor:
    """Many `gaussian_kernel`, (B, K, K) float32: K is the largest size, smaller ones stand in a frame of zeros."""
    if any(size < 1 or size % 2 == 0 for size in sizes) or any(not v > 0 for pair in variances for v in pair):
        raise ValueError(f"expected odd sizes and variances above 0, got sizes {sizes} and variances {variances}")
    first, second = torch.tensor(list(variances), dtype=torch.float64).view(-1, 2, 1, 1).unbind(1)
    turn = torch.tensor(list(angles), dtype=torch.float64).view(-1, 1, 1)
    radius = torch.tensor(list(sizes)).view(-1, 1, 1) // 2
    x = torch.arange(-int(radius.max()), int(radius.max()) + 1, dtype=torch.float64).view(1, 1, -1)
    y = x.view(1, -1, 1)
    along, across = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()  # (B, K, K)
    weights = torch.exp(-0.5 * (along**2 / first + across**2 / second))
    weights = weights * ((x.abs() <= radius) & (y.abs() <= radius))
    return (weights / weights.sum((1, 2), keepdim=True)).float()


def line_kernels(lengths: Tensor, angles: Tensor, width: float = 0.5) -> Tensor:
    """Straight strokes with soft ends, (B, K, K) float32 of sum 1: what a point leaves behind as it moves.

    lengths (B,): px, >= 0. angles (B,): radians from x towards y. width: deviation of the stroke's profile, px.
    """
    radius = math.ceil(float(lengths.max()) / 2 + 3 * width)
    x = torch.arange(-radius, radius + 1, dtype=torch.float32, device=lengths.device).view(1, 1, -1)
    y, turn, half = x.view(1, -1, 1), angles.view(-1, 1, 1), lengths.view(-1, 1, 1) / 2
    along, across = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()  # (B, K, K)
    scale = width * math.sqrt(2)
    weights = torch.erf((half + along + 0.3) / scale) + torch.erf((half - along + 0.3) / scale)  # a box, blurred
    weights = weights.clamp_min(0) * torch.exp(-((across / scale) ** 2))
    return weights / weights.sum((1, 2), keepdim=True)


def disc_kernels(radii: Tensor) -> Tensor:
    """Discs with an edge one pixel soft, (B, K, K) float32 of sum 1: what a lens out of focus makes of a point.

    radii (B,): px, >= 0.
    """
    radius = math.ceil(float(radii.max()) + 0.5)
    x = torch.arange(-radius, radius + 1, dtype=torch.float32, device=radii.device)
    distance = (x.view(1, 1, -1) ** 2 + x.view(1, -1, 1) ** 2).sqrt()
    weights = (radii.view(-1, 1, 1) + 0.5 - distance).clamp(0, 1)
    return weights / weights.sum((1, 2), keepdim=True)


def pad(image: Tensor, amount: int, border: str = "reflect") -> Tensor:
    """Images (B, C, H, W) with `amount` px more on each side; any amount, however small the image.

    border: reflect (c b | a b c), symmetric (b a | a b c) or replicate (a a | a b c). Raises ValueError for others.
    """
    if border == "reflect" and amount < min(image.shape[2:]):
        return F.pad(image, (amount,) * 4, mode="reflect")
    if border == "replicate":
        return F.pad(image, (amount,) * 4, mode="replicate")
    rows, columns = (sent(_mirrored(side, amount, border), image.device) for side in image.shape[2:])
    return image[:, :, rows][..., columns]


def _mirrored(side: int, amount: int, border: str) -> Tensor:
    """For places -amount to side + amount - 1: the place in [0, side) that a mirror at both ends shows."""
    if border not in ("reflect", "symmetric"):
        raise ValueError(f"border {border!r}: expected reflect, symmetric or replicate")
    symmetric = border == "symmetric"
    period = 2 * side if symmetric else max(1, 2 * (side - 1))
    places = torch.arange(-amount, side + amount) % period
    return torch.minimum(places, period - symmetric - places)


def correlate(image: Tensor, kernels: Tensor, border: str = "reflect") -> Tensor:
    """Each image cross-correlated with its own kernel, channel by channel; new images of the same shape and type.

    image: (B, C, H, W) float. kernels: (B, K, K), or (B, C, K, K) for one per channel; K odd. On a CPU image by
    image, which stays in its cache.
    """
    kernels = sent(kernels, image.device).to(torch.promote_types(image.dtype, torch.float32))
    kernels = kernels.unsqueeze(1) if kernels.ndim == 3 else kernels  # (B, 1 or C, K, K)
    work = _direct if kernels.shape[-1] <= _DIRECT else _by_fourier
    if image.device.type != "cpu" or len(image) == 1:
        return work(image, kernels, border)
    result = torch.empty_like(image)
    for i in range(len(image)):
        result[i] = work(image[i : i + 1], kernels[i : i + 1], border)[0]
    return result


def _direct(image: Tensor, kernels: Tensor, border: str) -> Tensor:
    """Multiply and add, in one grouped convolution."""
    padded = pad(image, kernels.shape[-1] // 2, border).to(kernels.dtype)
    weights = kernels.expand(-1, image.shape[1], -1, -1).reshape(-1, 1, *kernels.shape[2:])  # (B*C, 1, K, K)
    joined = F.conv2d(padded.reshape(1, -1, *padded.shape[2:]), weights, groups=len(weights))
    return joined.view(image.shape).to(image.dtype)


def _by_fourier(image: Tensor, kernels: Tensor, border: str) -> Tensor:
    """A product of spectra. The image is padded first, so what wraps around lies outside of what is kept."""
    padded = pad(image, kernels.shape[-1] // 2, border).to(kernels.dtype)
    size = [_fast_length(side) for side in padded.shape[2:]]
    spectrum = torch.fft.rfft2(padded, size) * torch.fft.rfft2(kernels, size).conj()
    height, width = image.shape[2:]
    return torch.fft.irfft2(spectrum, size)[..., :height, :width].to(image.dtype).contiguous()


def _fast_length(length: int) -> int:
    """The next even number >= length without prime factors above 5, which Fourier transforms are fast at."""
    candidate = length + length % 2
    while pow(30, 64, candidate):  # 0 where 2, 3 and 5 are its only factors
        candidate += 2
    return candidate
