"""`prepare.py train-translator`: CUT on unpaired day and night images: day images become night images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data.io.images import encode
from engine.darkening.translator import save_generator, translate_image
from engine.enhancement.train import ResizedImages, TrainedNetwork, check_finite, means, read_resized, training_facts
from engine.options.prepare import TrainTranslatorOptions
from engine.training.resume import load_resume, save_resume
from models.cut import MULTIPLE, Discriminator, Generator, PatchSampler, discriminator_loss, generator_terms
from utils.devices import pick_device
from utils.disk.locks import locked, sweep
from utils.errors import UserError
from utils.files import atomic_write, free_file, list_images
from utils.log import LOGGER
from utils.options import build, schema_fields
from utils.progress import progress

BETAS = (0.5, 0.999)  # of Adam, as published
SHOWN = 4  # day images on a sample sheet
_FREE = {"day", "night", "out", "resume", "sheet_period", "device"}  # a resumed training may have others


class CUTTrainer(nn.Module):
    """Generator, discriminator and the small networks of PatchNCE, drawn from a seed, with their optimisers."""

    def __init__(self, options: TrainTranslatorOptions, device: torch.device) -> None:
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
        loss_d = discriminator_loss(self.discriminator, night, made[:batch])
        self._move(loss_d, "discriminator")  # comes first, as published
        self.discriminator.requires_grad_(False)
        target = (night, made[batch:]) if self.identity else None
        networks = (self.generator, self.discriminator, self.sampler)
        terms = generator_terms(*networks, (day, made[:batch]), target, self.weight, rng)
        self._move(torch.stack(list(terms.values())).sum(), "generator", "sampler")
        self.discriminator.requires_grad_(True)
        grey = (made[:batch].mean() + 1) / 2
        return {name: value.detach() for name, value in {**terms, "discriminator": loss_d, "grey": grey}.items()}

    def _move(self, loss: Tensor, *names: str) -> None:
        for name in names:
            self.optimisers[name].zero_grad()
        loss.backward()
        for name in names:
            self.optimisers[name].step()

    def set_lr(self, fraction: float) -> None:
        """Set the learning rates to that fraction of --lr."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = fraction * self.rate

    def state(self) -> dict[str, Any]:
        """All of it, to resume from."""
        return {"networks": self.state_dict(), **{name: part.state_dict() for name, part in self.optimisers.items()}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """What `state` gave, of the same options."""
        self.load_state_dict(state["networks"])
        for name, part in self.optimisers.items():
            part.load_state_dict(state[name])


class CUTRun:
    """The images, the networks and how far they are."""

    def __init__(self, options: TrainTranslatorOptions, day: ResizedImages, night: ResizedImages) -> None:
        self.options, self.day, self.night = options, day, night
        self.device = pick_device(options.device)
        self.trainer = CUTTrainer(options, self.device)
        self.rng = torch.Generator().manual_seed(options.seed)  # on the CPU: the same draws on every device
        self.epoch = 0

    @property
    def folder(self) -> Path:
        """Of the sample sheets and of resume.pt: beside the weights, named like them."""
        return self.options.out.with_suffix("")

    @property
    def last(self) -> int:
        """The number of the last epoch."""
        return self.options.epochs + self.options.decay_epochs

    def next_epoch(self) -> dict[str, float]:
        """Once over the larger folder; then weights, sheet and state are written. Returns the means of the terms."""
        epoch = self.epoch + 1
        self.trainer.set_lr(lr_fraction(epoch, self.options))
        total = math.ceil(max(len(self.day), len(self.night)) / self.options.batch_size)
        shown = progress(self._batches(), total, f"epoch {epoch} of {self.last}")
        terms = means(self.trainer.step(day, night, self.rng) for day, night in shown)
        check_finite(terms, self.options.lr, self.options.out)
        self.epoch = epoch
        self._write(terms)
        return terms

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Day images in a new order each time, beside random night images; the smaller folder repeats."""
        count, size, side = max(len(self.day), len(self.night)), self.options.batch_size, self.options.imgsz
        day_order = torch.randperm(count, generator=self.rng) % len(self.day)
        night_order = torch.randperm(count, generator=self.rng) % len(self.night)
        for day_rows, night_rows in zip(day_order.split(size), night_order.split(size), strict=True):
            day = random_crops(self.day.batch(day_rows), side, self.rng).to(self.device)
            night = random_crops(self.night.batch(night_rows), side, self.rng).to(self.device)
            yield day * 2 - 1, night * 2 - 1

    def _write(self, terms: Mapping[str, float]) -> None:
        """The state last: what it says is done is on the disk."""
        own = {key: value for key, value in asdict(self.options).items() if key not in _FREE}
        counts = [len(self.day), len(self.night)]
        facts = training_facts("train-translator", own, self.epoch, counts, terms)
        save_generator(self.options.out, self.trainer.generator, facts)
        if self.options.sheet_period and (self.epoch % self.options.sheet_period == 0 or self.epoch == self.last):
            atomic_write(self.folder / f"epoch_{self.epoch:03d}.png", sample_sheet(self.trainer.generator, self.day))
        state = {"options": own, "epoch": self.epoch, "rng": self.rng.get_state(), **self.trainer.state()}
        save_resume(self.folder, {**state, **_names(self.day, self.night)})

    def load(self, state: Mapping[str, Any]) -> None:
        """Resume from a state of the same options and images."""
        for kind, names in _names(self.day, self.night).items():
            if state[kind] != names:
                raise UserError(
                    f"--{kind}: holds other images than when this training began ({len(names)} now, "
                    f"{len(state[kind])} then, by name). Give it the same ones, or start a new training."
                )
        self.trainer.load_state(state)
        self.rng.set_state(state["rng"])
        self.epoch = state["epoch"]


def train_translator(options: TrainTranslatorOptions) -> TrainedNetwork:
    """Train CUT on --day and --night; after every epoch its weights are in --out, whole each time.

    Beside them, in a folder of their name, lie sample sheets and resume.pt. Ctrl-C loses the running epoch only; a resumed
    training ends, on one machine, at the weights of one that was never stopped. Raises UserError for folders without
    readable images, an --out that is taken or that another process trains, sizes that do not fit, and an unfit resume file.
    """
    options, state = _begun(options) if options.resume is not None else (options, None)
    day, night = _images(options)
    training = CUTRun(options, day, night)
    if state is not None:
        training.load(state)
    with locked(options.out, "trains", beside=True):
        sweep([training.folder])
        result = _train(training)
    _report(result, training)
    return result


def _train(training: CUTRun) -> TrainedNetwork:
    """Epoch after epoch, to the last one or until Ctrl-C."""
    result = TrainedNetwork(training.options.out, skipped=training.day.skipped + training.night.skipped)
    try:
        while training.epoch < training.last:
            terms = training.next_epoch()
            result.epochs.append(terms)
            listed = ", ".join(f"{name} {value:.3f}" for name, value in terms.items())
            LOGGER.info(f"epoch {training.epoch}/{training.last}: {listed}")
    except KeyboardInterrupt:
        result.interrupted = True
    return result


def lr_fraction(epoch: int, options: TrainTranslatorOptions) -> float:
    """The fraction of --lr in an epoch, counted from 1: 1 at first, then in equal steps towards 0, never 0.

    >>> [lr_fraction(epoch, TrainTranslatorOptions(epochs=2, decay_epochs=3)) for epoch in (1, 2, 3, 4, 5)]
    [1.0, 1.0, 0.75, 0.5, 0.25]
    """
    return 1.0 - max(0, epoch - options.epochs) / (options.decay_epochs + 1)


def random_crops(images: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """A random square of `side` px of each image, flipped half of the time. images: (B, 3, L, L) uint8 or float."""
    room = images.shape[-1] - side
    made = []
    for image in images:
        top, left, flipped = (int(torch.randint(n, (), generator=rng)) for n in (room + 1, room + 1, 2))
        part = image[:, top : top + side, left : left + side]
        made.append(part.flip(2) if flipped else part)
    return torch.stack(made)


def sample_sheet(generator: Generator, day: ResizedImages) -> bytes:
    """A PNG: some day images, spread over the folder, each beside what the generator makes of it."""
    places = sorted({number * len(day) // SHOWN for number in range(SHOWN)})
    lights = [(light.permute(1, 2, 0) * 255).round().byte().numpy() for light in day.batch(places)]
    device = next(generator.parameters()).device
    rows = [np.hstack([light, translate_image(generator, light, device)]) for light in lights]
    coded = encode(np.vstack(rows)[..., ::-1], ".png")
    assert coded is not None  # PNG is always there
    return coded


def _begun(options: TrainTranslatorOptions) -> tuple[TrainTranslatorOptions, dict[str, Any]]:
    """The options and the state of the training that --resume names; what is given besides must agree with it."""
    assert options.resume is not None
    file = options.resume / "resume.pt" if options.resume.is_dir() else options.resume
    state = load_resume(file, needed=set())
    if not {"options", "epoch", "rng", "networks", "day", "night"} <= state.keys():
        raise UserError(
            f"--resume {file}: is not a state of prepare.py train-translator. Name the folder beside its weights."
        )
    home = file.resolve().parent
    kept = {**state["options"], "out": home.with_name(f"{home.name}.safetensors")}
    for name, entry in schema_fields([TrainTranslatorOptions]).items():
        given = getattr(options, name)
        if name in kept and given != entry.default and given != kept[name]:
            raise UserError(
                f"--{name.replace('_', '-')} {given}: the training in {file.parent} began with {kept[name]}. Leave that "
                "option out, or start a new training."
            )
    (options,) = build([TrainTranslatorOptions], {**asdict(options), **kept})
    if state["epoch"] >= options.epochs + options.decay_epochs:
        raise UserError(f"--resume {file}: all of its {state['epoch']} epochs are done; the weights are {options.out}.")
    return options, state


def _images(options: TrainTranslatorOptions) -> tuple[ResizedImages, ResizedImages]:
    """The squares of both folders. Raises UserError where anything is missing or does not fit."""
    if options.day is None or options.night is None:
        raise UserError("prepare.py train-translator: expected two folders of images, --day DIR and --night DIR.")
    if options.day.resolve() == options.night.resolve():
        raise UserError(f"--night {options.night}: is the folder of --day too. Give it night images of its own.")
    if options.imgsz % MULTIPLE or options.imgsz > options.load:
        raise UserError(
            f"--imgsz {options.imgsz}: expected a multiple of {MULTIPLE}, and no more than --load {options.load}."
        )
    if options.resume is None:
        folder = options.out.with_suffix("")
        free_file(options.out, ".safetensors", folder, remedy=f"resume it: --resume {folder}")
    files = [list_images(folder) for folder in (options.day, options.night)]
    day, night = (read_resized(part, options.load) for part in files)
    return day, night


def _names(day: ResizedImages, night: ResizedImages) -> dict[str, list[str]]:
    """The images' names, in order: an exact continuation needs the same ones. Their folders may have moved."""
    return {"day": [file.name for file in day.files], "night": [file.name for file in night.files]}


def _report(result: TrainedNetwork, training: CUTRun) -> None:
    """Where the weights are, what was skipped, and what to do next."""
    for path, reason in result.skipped:
        LOGGER.info(f"  skipped {path}: {reason}")
    if result.interrupted:
        folders = f"--day {training.options.day} --night {training.options.night}"
        command = f"; resume: python prepare.py train-translator {folders} --resume {training.folder}"
        LOGGER.info(f"stopped after epoch {training.epoch}{command if training.epoch else ''}")
        return
    LOGGER.info(
        f"{result.out}: written, from {len(training.day)} day and {len(training.night)} night images; "
        f"sample sheets are in {training.folder}."
    )
    LOGGER.info(f"next: python prepare.py darken --model cut --weights {result.out} --source ... --out ...")
