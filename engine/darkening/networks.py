"""What `prepare.py train-darkener` trains: CUT's three networks, their optimisers, and one step of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engine.options.prepare import TrainDarkenerOptions
from models.cut import Discriminator, Generator, PatchSampler, discriminator_loss, generator_terms

BETAS = (0.5, 0.999)  # of Adam, as published


class Trio(nn.Module):
    """Generator, discriminator and the small networks of PatchNCE, drawn from a seed, with their optimisers."""

    def __init__(self, options: TrainDarkenerOptions, device: torch.device) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.generator = Generator(options.blocks, options.width)
            self.discriminator = Discriminator(options.width)
            self.sampler = PatchSampler(self.generator.nce_channels)
        self.to(device)
        self.weight, self.identity, self.rate = options.lambda_nce, options.identity, options.lr
        self.optimisers = {
            name: torch.optim.Adam(part.parameters(), lr=options.lr, betas=BETAS)
            for name, part in self.named_children()
        }

    def step(self, day: Tensor, night: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """One step of all three on (B, 3, H, W) in [-1, 1]. Returns the weighted terms, detached, and "grey" in [0, 1]."""
        batch = len(day)
        made = self.generator(torch.cat([day, night]) if self.identity else day)
        judged = self._judge(night, made[:batch])
        self.discriminator.requires_grad_(False)
        target = (night, made[batch:]) if self.identity else None
        terms = generator_terms(
            self.generator, self.discriminator, self.sampler, (day, made[:batch]), target, self.weight, rng
        )
        self._move(torch.stack(list(terms.values())).sum(), "generator", "sampler")
        self.discriminator.requires_grad_(True)
        grey = (made[:batch].mean() + 1) / 2
        return {name: value.detach() for name, value in {**terms, "judge": judged, "grey": grey}.items()}

    def _judge(self, night: Tensor, made: Tensor) -> Tensor:
        """The discriminator's step comes first, as published."""
        loss = discriminator_loss(self.discriminator, night, made)
        self._move(loss, "discriminator")
        return loss

    def _move(self, loss: Tensor, *names: str) -> None:
        for name in names:
            self.optimisers[name].zero_grad()
        loss.backward()
        for name in names:
            self.optimisers[name].step()

    def slow(self, share: float) -> None:
        """Set the learning rates to that share of --lr."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = share * self.rate

    def state(self) -> dict[str, Any]:
        """All of it, to go on from."""
        return {"networks": self.state_dict(), **{name: part.state_dict() for name, part in self.optimisers.items()}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """What `state` gave, of the same options."""
        self.load_state_dict(state["networks"])
        for name, part in self.optimisers.items():
            part.load_state_dict(state[name])
