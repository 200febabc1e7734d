"""CUT: translate images of one domain into another without pairs (Park et al., ECCV 2020); here day into night.

A generator repaints, a discriminator judges patches, and PatchNCE ties each place of the output to the same place of the
input, so that geometry - and with it every box - stays. Images are in [-1, 1] inside; `translate` takes [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NCE_LOCATIONS = 256  # places of each feature map that PatchNCE compares
TEMPERATURE = 0.07
MULTIPLE = 4  # px: two halvings; other sizes come out rounded up
LEAST = 8  # px: below it a reflected border is wider than the map it mirrors
FIRST_BLOCK = 12  # row of the generator's first residual block


class _Blur(nn.Module):
    """Resampling behind a small blur, against aliasing (Zhang, ICML 2019).

    The buffer `filt` (channels, 1, n, n) is the outer product of `taps` with itself, scaled to the given sum; one copy
    per channel, as published networks store it.
    """

    filt: Tensor

    def __init__(self, channels: int, taps: Sequence[float], total: float) -> None:
        super().__init__()
        row = torch.tensor(taps)
        square = torch.outer(row, row)
        self.register_buffer("filt", (total * square / square.sum()).repeat(channels, 1, 1, 1))


class BlurDown(_Blur):
    """(B, C, H, W) to half the size, rounded up: [1, 2, 1] x [1, 2, 1] / 16, mirrored border, stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, (1.0, 2.0, 1.0), total=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


class BlurUp(_Blur):
    """(B, C, H, W) to twice the size: [1, 3, 3, 1] x [1, 3, 3, 1] / 16, repeated border."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, (1.0, 3.0, 3.0, 1.0), total=4.0)  # three of four samples are zeros put between

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(padded, self.filt, stride=2, padding=2, groups=x.shape[1])[..., 1:-1, 1:-1]


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions with instance norm, ReLU between them; (B, dim, H, W) to the same."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), nn.InstanceNorm2d(dim), nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), nn.InstanceNorm2d(dim),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x + self.conv_block(x)


class Generator(nn.Module):
    """Image to image, (B, 3, H, W) in [-1, 1]; sides come out rounded up to a multiple of 4.

    blocks: residual blocks at a quarter of the size. width: channels at full size. 11,378,179 parameters as published
    (`resnet_9blocks`, blurred resampling), whose tensors have the names used here. Source: Johnson et al., ECCV 2016, as
    in CUT. Raises ValueError for another number of channels and for sides below 8 px.

    nce_layers: the rows of `model` that PatchNCE compares: the bordered image, two convolutions, and the first and the
    middle block, as published for nine. nce_channels: theirs.
    """

    def __init__(self, blocks: int = 9, width: int = 64) -> None:
        super().__init__()
        w1, w2, w4 = width, 2 * width, 4 * width
        self.nce_layers = (0, 4, 8, *sorted({FIRST_BLOCK, FIRST_BLOCK + blocks // 2}))
        self.nce_channels = (3, w2, *[w4] * (len(self.nce_layers) - 2))
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(3, w1, 7), *_normed(w1),
            nn.Conv2d(w1, w2, 3, padding=1), *_normed(w2), BlurDown(w2),
            nn.Conv2d(w2, w4, 3, padding=1), *_normed(w4), BlurDown(w4),
            *(ResidualBlock(w4) for _ in range(blocks)),
            BlurUp(w4), nn.Conv2d(w4, w2, 3, padding=1), *_normed(w2),
            BlurUp(w2), nn.Conv2d(w2, w1, 3, padding=1), *_normed(w1),
            nn.ReflectionPad2d(3), nn.Conv2d(w1, 3, 7), nn.Tanh(),
        )  # fmt: skip
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.model(_checked(x))

    def features(self, x: Tensor) -> list[Tensor]:
        """Outputs of `nce_layers`, computed no further than the last; x: (B, 3, H, W) in [-1, 1].

        At 256 px of the published network 3 x 262 x 262 (the image with its mirrored border), 128 x 256 x 256,
        256 x 128 x 128, and 256 x 64 x 64 twice.
        """
        kept, x = [], _checked(x)
        for row, layer in enumerate(self.model[: self.nce_layers[-1] + 1]):
            x = layer(x)
            if row in self.nce_layers:
                kept.append(x)
        return kept


class Discriminator(nn.Module):
    """Image (B, 3, H, W) to one score a patch, (B, 1, h, w): 30 x 30 for 256 px; 2,764,737 parameters.

    PatchGAN of three levels with blurred downsampling: each score sees 84 px. Source: Isola et al., CVPR 2017, as in CUT.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, padding=1), nn.LeakyReLU(0.2), BlurDown(width)]
        for c1, c2 in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(c1, c2, 4, padding=1), nn.InstanceNorm2d(c2), nn.LeakyReLU(0.2), BlurDown(c2)]
        layers[-1] = nn.Conv2d(widths[-1], 1, 4, padding=1)  # the last level keeps its size
        self.model = nn.Sequential(*layers)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.model(x)


class PatchSampler(nn.Module):
    """Feature maps to unit vectors at given places, one small MLP a map; 560,384 parameters for the published maps."""

    def __init__(self, channels: Sequence[int] = (3, 128, 256, 256, 256), dim: int = 256) -> None:
        super().__init__()
        self.mlps = nn.ModuleList(nn.Sequential(nn.Linear(c, dim), nn.ReLU(), nn.Linear(dim, dim)) for c in channels)
        _initialise(self)

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """features: (B, C, H, W) each; places: (P,) row * W + column each. Returns (B, P, dim) each, of length 1."""
        picked = (x.flatten(2)[:, :, at].transpose(1, 2) for x, at in zip(features, places, strict=True))  # (B, P, C)
        return [F.normalize(mlp(x), dim=2) for mlp, x in zip(self.mlps, picked, strict=True)]


def random_places(
    features: Sequence[Tensor], count: int = NCE_LOCATIONS, rng: torch.Generator | None = None
) -> list[Tensor]:
    """Up to `count` different places of each map (B, C, H, W), as indices (P,) into its H * W cells. `rng`: on the CPU."""
    return [torch.randperm(x[0, 0].numel(), generator=rng)[:count].to(x.device) for x in features]


def patch_nce(query: Tensor, key: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Cross-entropy of finding, among the places of the same image, the one that a vector belongs to.

    query, key: (B, P, D), of length 1; the keys are not differentiated. Returns a scalar. ln P where all are equal.
    Source: Park et al., eq. 4. The original adds a column that is exp(-10 / temperature), 0 in any float used here.
    """
    logits = query @ key.detach().transpose(1, 2) / temperature  # (B, P, P)
    places = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return F.cross_entropy(logits.flatten(0, 1), places.flatten())


def nce_loss(
    generator: Generator, sampler: PatchSampler, source: Tensor, translated: Tensor, rng: torch.Generator | None = None
) -> Tensor:
    """PatchNCE of an image and its translation, mean over the maps. Both (B, 3, H, W) in [-1, 1]."""
    with torch.no_grad():
        before = generator.features(source)
        places = random_places(before, rng=rng)
        keys = sampler(before, places)
    queries = sampler(generator.features(translated), places)
    return torch.stack([patch_nce(q, k) for q, k in zip(queries, keys, strict=True)]).mean()


def lsgan_loss(scores: Tensor, real: bool) -> Tensor:
    """Mean squared distance of the scores to 1 (real) or 0 (Mao et al., ICCV 2017)."""
    return (scores - float(real)).square().mean()


def discriminator_loss(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """Half the sum of both LSGAN losses; nothing reaches the generator that made `fake`."""
    return 0.5 * (lsgan_loss(discriminator(fake.detach()), False) + lsgan_loss(discriminator(real), True))


def generator_terms(
    generator: Generator,
    discriminator: Discriminator,
    sampler: PatchSampler,
    source: tuple[Tensor, Tensor],
    target: tuple[Tensor, Tensor] | None,
    weight: float = 1.0,
    rng: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The generator's weighted terms by name; their sum is CUT's loss.

    source, target: an image of that domain and what the generator makes of it, (B, 3, H, W) in [-1, 1]; weight: of
    PatchNCE. `gan`: the translation passes for the target domain. `nce`: it keeps its places. `identity`: what is of the
    target domain already stays as it is; without `target` that term is left out, and `nce` counts twice as much.
    """
    gan = lsgan_loss(discriminator(source[1]), True)
    nce = weight * nce_loss(generator, sampler, *source, rng=rng)
    if target is None:
        return {"gan": gan, "nce": nce}
    return {"gan": gan, "nce": 0.5 * nce, "identity": 0.5 * weight * nce_loss(generator, sampler, *target, rng=rng)}


def translate(generator: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """RGB (B, 3, H, W) in [0, 1] to the same size and range, pixel on pixel.

    Mirrored beyond its right and lower border up to a multiple of 4, at least 8 px, and cut back.
    """
    height, width = image.shape[-2:]
    rows, columns = (_mirrored(side, image.device) for side in (height, width))
    out = generator(image[..., rows, :][..., columns] * 2 - 1)
    return (out[..., :height, :width] + 1) / 2


def _mirrored(side: int, device: torch.device) -> Tensor:
    """Places of a side's pixels, going back where it ends, up to a size that a generator keeps.

    >>> _mirrored(6, torch.device("cpu"))
    tensor([0, 1, 2, 3, 4, 5, 4, 3])
    """
    places = torch.arange(max(LEAST, side + -side % MULTIPLE), device=device) % max(1, 2 * side - 2)
    return torch.minimum(places, (2 * side - 2 - places).abs())


def _normed(channels: int) -> tuple[nn.Module, nn.Module]:
    """Instance norm without learnt terms, and ReLU."""
    return nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)


def _checked(x: Tensor) -> Tensor:
    """The image itself, where its shape will do."""
    if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < LEAST:
        raise ValueError(f"CUT takes RGB images (B, 3, H, W) with sides of {LEAST} px or more, got {tuple(x.shape)}")
    return x


def _initialise(module: nn.Module) -> None:
    """Xavier-normal weights of gain 0.02 and biases of 0, as CUT starts."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_normal_(layer.weight, gain=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
