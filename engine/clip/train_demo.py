"""A CLIP of our own: very small, trained in minutes on rendered things and synthetic sentences, for where no weights are.

It is an open_clip model like any other: a ResNet with an attention pool that sees 64 px, and a transformer that reads.
It learns from shelves and close-ups that no split of `demo-longtail` holds: 12 forms in 11 surfaces, of which the
set's 40 names are a part, each shown under a sentence of data/soft_labels/prompts.py, with underscores or spaces. The loss is
CLIP's, except that images of one name in a batch do not repel each other's sentences.
Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision (ICML 2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from data.soft_labels.prompts import TEMPLATES, prompts
from data.synthetic.shelf.objects import EVERY_FORM, EVERY_SURFACE
from data.synthetic.shelf.scene import filled, portrait
from engine.clip.load import DEMO, OWN, open_clip_package
from models.clip_features import resized
from models.normalize import CLIP
from utils.files import atomic_write
from utils.progress import progress

SIDE = OWN[DEMO]["vision_cfg"]["image_size"]  # px that the model sees
BORDER = 4  # px around them that shifted views come from
SHELVES, PORTRAITS = 300, 800  # images that are rendered; a shelf gives about eleven things
STEPS, WARM, BATCH = 500, 40, 128
RATE, DECAY = 2e-3, 0.05
EVERY_NAME = tuple(f"{surface}_{form}" for form in EVERY_FORM for surface in EVERY_SURFACE)


class ObjectImages(NamedTuple):
    """Images (N, 3, SIDE + 2 BORDER, same) uint8 RGB, and the number in EVERY_NAME of what each shows (N,)."""

    images: Tensor
    names: Tensor


def train_demo_clip(out: Path, *, seed: int = 0, shown: ObjectImages | None = None, steps: int = STEPS) -> None:
    """Train the model called DEMO and write its weights, as safetensors. The same seed gives the same weights.

    shown: what it learns from (default: rendered from the seed). Raises UserError where open_clip is missing or `out`
    cannot be written.
    """
    open_clip = open_clip_package()
    shown = shown or draw_objects(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(DEMO, pretrained=None, precision="fp32", device="cpu").train()
        model.to(memory_format=torch.channels_last)  # a third faster on the CPU
        learning = _steps(model, open_clip.get_tokenizer(DEMO), shown, steps, seed)
        for _ in progress(learning, steps, "training a CLIP"):
            pass
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, save(state))


def draw_objects(seed: int, shelves: int = SHELVES, portraits: int = PORTRAITS) -> ObjectImages:
    """Things cut out of shelves as their boxes say, and close-ups; no scene of a synthetic data set has these seeds."""
    rng = np.random.default_rng([seed, 44])
    work = [_from_shelf] * shelves + [_from_portrait] * portraits
    found = [pair for draw in progress(work, len(work), "drawing things to learn from") for pair in draw(rng)]
    return ObjectImages(torch.stack([image for image, _ in found]), torch.tensor([name for _, name in found]))


def _from_shelf(rng: np.random.Generator) -> list[tuple[Tensor, int]]:
    """Every thing of a shelf of any things."""
    names = rng.choice(len(EVERY_NAME), rng.integers(8, 15), replace=False)
    image, labels = filled(rng, [(EVERY_NAME[name], index) for index, name in enumerate(names)], (320, 240))
    return [(crop(image, box), int(names[int(index)])) for index, *box in labels.tolist()]


def _from_portrait(rng: np.random.Generator) -> list[tuple[Tensor, int]]:
    """One thing before a background."""
    name = int(rng.integers(len(EVERY_NAME)))
    return [(crop(portrait(rng, EVERY_NAME[name], (96, 96)), (0.5, 0.5, 1.0, 1.0)), name)]


def crop(image: NDArray[np.uint8], box: Sequence[float]) -> Tensor:
    """A box (x, y, width, height as fractions) of (H, W, 3), stretched to SIDE px, with BORDER px more: (3, S, S) uint8."""
    height, width = image.shape[:2]
    reach = 0.5 + BORDER / SIDE
    x, y, w, h = box
    left, right = max(round((x - reach * w) * width), 0), round((x + reach * w) * width) + 1
    top, bottom = max(round((y - reach * h) * height), 0), round((y + reach * h) * height) + 1
    part = torch.from_numpy(np.ascontiguousarray(image[top:bottom, left:right])).permute(2, 0, 1).float()
    return resized(part, (SIDE + 2 * BORDER, SIDE + 2 * BORDER))[0].round().to(torch.uint8)


def _steps(model: Any, tokenise: Any, shown: ObjectImages, steps: int, seed: int) -> Iterator[float]:
    """Optimise; yields the loss of each step."""
    rng = np.random.default_rng([seed, 45])
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim < 2]  # gains, biases and the scale do not decay
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / WARM, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    for _ in range(steps):
        rows = torch.from_numpy(rng.integers(0, len(shown.names), BATCH))
        names = shown.names[rows]
        tokens = tokenise([_sentence(rng, EVERY_NAME[name]) for name in names.tolist()])
        images = model.encode_image(_varied(rng, shown.images[rows]), normalize=True)
        texts = model.encode_text(tokens, normalize=True)
        loss = clip_loss(images, texts, names, model.logit_scale.exp())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        model.logit_scale.data.clamp_(0, math.log(100))
        yield float(loss.detach())


def _sentence(rng: np.random.Generator, name: str) -> str:
    """The name in one of the templates, with an underscore or a space."""
    template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
    return prompts(name, [template], spaces=bool(rng.random() < 0.5))[0]


def _varied(rng: np.random.Generator, images: Tensor) -> Tensor:
    """(B, 3, S, S) uint8 to normalised (B, 3, SIDE, SIDE): shifted together, flipped, brighter or darker each."""
    x, y = rng.integers(0, 2 * BORDER + 1, 2)
    views = images[..., y : y + SIDE, x : x + SIDE].float() / 255
    flipped = torch.from_numpy(rng.random(len(views)) < 0.5).view(-1, 1, 1, 1)
    views = torch.where(flipped, views.flip(3), views)
    gain = torch.from_numpy(rng.uniform(0.75, 1.3, (len(views), 1, 1, 1)).astype(np.float32))
    return CLIP((views * gain).clamp(0, 1))


def clip_loss(images: Tensor, texts: Tensor, names: Tensor, scale: Tensor) -> Tensor:
    """CLIP's loss on unit rows (B, D), both ways; all that have the same name (B,) count as right, with equal weight.

    >>> one = torch.eye(2)
    >>> clip_loss(one, one, torch.tensor([0, 1]), torch.tensor(0.0)).item()   # ln 2: nothing is told apart
    0.6931...
    """
    logits = scale * images @ texts.T  # (B, B)
    right = (names[:, None] == names).float()
    right = right / right.sum(1, keepdim=True)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
