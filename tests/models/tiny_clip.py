"""A CLIP of a few numbers with the parts that the teacher uses: a trunk of stride 32 and a pool over 7 x 7 cells."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.clip.load import Clip

WIDTH, DIMENSIONS, SIDE = 6, 8, 224


class Pool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(7 * 7 + 1, WIDTH))
        self.project = nn.Linear(WIDTH, DIMENSIONS)

    def forward(self, features: Tensor) -> Tensor:
        cells = (
            features.flatten(2).transpose(1, 2) + self.positional_embedding[1:]
        )  # (N, 49, WIDTH); fails unless 7 x 7
        return self.project(cells.tanh().mean(1))


class Visual(nn.Module):
    image_size = SIDE

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.layer1 = nn.Identity()
        self.layer2, self.layer3, self.layer4 = (nn.Conv2d(WIDTH, WIDTH, 2, stride=2) for _ in range(3))
        self.attnpool = Pool()

    def forward(self, image: Tensor) -> Tensor:
        return self.attnpool(self.layer4(self.layer3(self.layer2(self.layer1(self.stem(image))))))


class TinyClip(nn.Module):
    def __init__(self, visual: nn.Module | None = None) -> None:
        super().__init__()
        self.visual = visual or Visual()
        self.words = nn.Embedding(256, DIMENSIONS)
        self.logit_scale = nn.Parameter(torch.tensor(100.0).log())

    def encode_image(self, images: Tensor) -> Tensor:
        return self.visual(images)

    def encode_text(self, tokens: Tensor) -> Tensor:
        return self.words(tokens).mean(1)


def tokenise(texts: Sequence[str]) -> Tensor:
    rows = [torch.tensor(list(text.encode())) for text in texts]
    return torch.stack([F.pad(row, (0, 80 - len(row))) for row in rows])


def tiny_clip() -> Clip:
    torch.manual_seed(0)
    return Clip(TinyClip().eval().requires_grad_(False), tokenise, SIDE)
