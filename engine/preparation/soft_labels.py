"""`prepare.py teacher`: a frozen CLIP looks once at every object of a training set; RichSem reads what it said from the disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.config import DataConfig, load_data
from data.io.images import read_image
from data.io.labels import Label, scan
from data.io.letterbox import to_tensor
from data.soft_labels.cache import CacheWriter, Meta, TeacherCache, label_hash
from data.soft_labels.prompts import prompt_hash, prompts
from data.synthetic.generate import make_synthetic
from engine.clip.load import DEMO, Clip, load_clip, open_clip_package
from engine.clip.train_demo import train_demo_clip
from engine.options.prepare import TeacherOptions
from models.clip_features import crop_embeddings, crops, fitted, is_cnn, roi_embeddings, text_embedding
from utils.dataloader import workers_that_fit
from utils.devices import pick_device
from utils.errors import UserError
from utils.files import file_digest, list_images
from utils.log import LOGGER
from utils.progress import progress

SOME = 4096  # objects that are compared with all class names at once
KEEP_EVERY = 20.0  # seconds of work that a broken run may lose

Look = tuple[int, Tensor, Tensor]
"""Place of an image, its pixels as the teacher wants them, and its boxes in them (crop: none)."""


def teacher(options: TeacherOptions) -> TeacherCache:
    """Embed every object and every class name, and write the cache; an interrupted run resumes.

    Raises UserError for missing data, a model or checkpoint that does not fit, and an --out that is taken.
    """
    if not options.data or (options.checkpoint is None and not options.train_demo):
        raise UserError("prepare.py teacher: expected --data YAML and --checkpoint FILE (or --train-demo).")
    if options.train_demo:
        check_demo(options)
    splits = [options.split, *["extra"] * options.extra]
    config = load_data(options.data, make_demo=make_synthetic, need=splits)
    parts = [_labels(config, split) for split in splits]
    if options.train_demo:
        options = with_demo(options)
    clip = load_clip(options.model, Path(options.checkpoint or ""), options.trust)
    mode = chosen_mode(options, clip)
    labels = [label for part in parts for label in part]
    names = list(config.names.values())
    meta = Meta(
        labels="+".join(map(label_hash, parts)), prompts=prompt_hash(names, spaces=options.spaces),
        model=options.model, checkpoint=file_digest(Path(options.checkpoint or "")), mode=mode,
        short=options.short if mode == "roi" else 0, spaces=options.spaces, scale=clip.scale,
    )  # fmt: skip
    device = pick_device(options.device)
    clip.model.to(device)
    out = options.out or Path("runs/teacher") / f"{config.file.stem}-{options.model}-{mode}"
    with CacheWriter(out, meta, labels, lambda: _texts(clip, names, options.spaces, device)) as writer:
        _fill(clip, labels, writer, mode, options, device)
        cache = writer.finish()
    _report(cache, labels)
    return cache


def check_demo(options: TeacherOptions) -> None:
    """Raise UserError where --train-demo cannot be: before its synthetic data set is drawn."""
    if options.checkpoint is not None or options.model != TeacherOptions().model:
        raise UserError("--train-demo: trains a model and weights of its own. Leave --model and --checkpoint out.")
    open_clip_package()


def with_demo(options: TeacherOptions) -> TeacherOptions:
    """The options with the demo model and its weights, which are trained where this seed's are not there yet."""
    file = Path("runs/teacher") / f"{DEMO}-{options.seed}.safetensors"
    if file.is_file():
        LOGGER.info(f"{file}: is trained already and is reused.")
    else:
        train_demo_clip(file, seed=options.seed)
    mode = "crop" if options.mode == "auto" else options.mode  # it has seen single things only, no whole images
    return replace(options, model=DEMO, checkpoint=file, mode=mode)


def chosen_mode(options: TeacherOptions, clip: Clip) -> str:
    """`roi` or `crop`. Raises UserError where the model has no trunk for `roi`."""
    if is_cnn(clip.model.visual):
        return "roi" if options.mode == "auto" else options.mode
    if options.mode == "roi":
        raise UserError(f"--mode roi: {options.model} has no ResNet with an attention pool. Give --mode crop.")
    return "crop"


def _labels(config: DataConfig, split: str) -> list[Label]:
    """The labels of a split, as the training scans them."""
    if split not in config.splits:
        raise UserError(f"split {split!r}: {config.file} has no such split; it names {', '.join(config.splits)}.")
    images = [image for place in config.splits[split] for image in list_images(place, config.root)]
    return scan(images, len(config.names), what=split).labels


@torch.no_grad()
def _texts(clip: Clip, names: Sequence[str], spaces: bool, device: torch.device) -> NDArray[np.float32]:
    """(C, D): the mean embedding of each class's prompts."""
    sentences = [prompts(name, spaces=spaces) for name in names]
    rows = [
        text_embedding(clip.model, clip.tokenise(texts).to(device)).cpu()
        for texts in progress(sentences, len(sentences), "reading class names")
    ]
    return torch.stack(rows).numpy()


class TeacherDataset(Dataset[Look]):
    """The images that are still to do, read and scaled as the teacher wants them."""

    def __init__(self, labels: Sequence[Label], places: Sequence[int], mode: str, size: int) -> None:
        """size: px, the shorter side of whole images (roi) or the side of the crops."""
        self.labels, self.places, self.mode, self.size = labels, places, mode, size

    def __len__(self) -> int:
        """Images that have objects."""
        return len(self.places)

    def __getitem__(self, index: int) -> Look:
        """roi: (1, 3, h, w) and boxes (n, 4) px in it; crop: (n, 3, size, size) and no boxes."""
        place = self.places[index]
        label = self.labels[place]
        image = to_tensor(read_image(label.image)).float() / 255  # (3, H, W) RGB
        if self.mode == "crop":
            return place, crops(image, corners(label.boxes, image.shape[1:]), self.size), torch.zeros(0, 4)
        fit, size = fitted(image, self.size)
        return place, fit, corners(label.boxes, size)


def corners(boxes: NDArray[np.float32], size: Sequence[int]) -> Tensor:
    """Boxes (n, 4) xywh, fractions, as x1 y1 x2 y2 px of an image of size (height, width)."""
    centre, half = torch.from_numpy(boxes[:, :2]), torch.from_numpy(boxes[:, 2:]) / 2
    scale = torch.tensor([size[1], size[0]] * 2, dtype=torch.float32)
    return torch.cat([centre - half, centre + half], 1) * scale


def _fill(
    clip: Clip, labels: Sequence[Label], writer: CacheWriter, mode: str, options: TeacherOptions, device: torch.device
) -> None:
    """Fill the cache; what is done is kept every few seconds."""
    places = []
    for place in writer.missing():
        if len(labels[place].boxes):
            places.append(place)
        else:
            writer.skip(place)
    dataset = TeacherDataset(labels, places, mode, options.short if mode == "roi" else clip.side)
    workers = workers_that_fit(min(options.workers, len(places)), dataset)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    kept = time.monotonic()
    for place, embeddings in progress(_embedded(clip, loader, mode, device), len(places), "embedding images"):
        writer.put(place, embeddings)
        if time.monotonic() - kept > KEEP_EVERY:
            writer.keep()
            kept = time.monotonic()


@torch.no_grad()
def _embedded(clip: Clip, looks: Any, mode: str, device: torch.device) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(place, embeddings (n, D)) of each image."""
    for place, pixels, boxes in looks:
        pixels = pixels.to(device)
        if mode == "roi":
            found = roi_embeddings(clip.model.visual, pixels, boxes.to(device))
        else:
            found = crop_embeddings(clip.model, pixels)
        yield place, found.float().cpu().numpy()


def _report(cache: TeacherCache, labels: Sequence[Label]) -> None:
    """How much there is, what the teacher alone would make of it, and the next step."""
    rows, dimensions = cache.embeddings.shape
    LOGGER.info(
        f"{cache.folder}: {rows} objects in {len(cache.offsets) - 1} images and {len(cache.text)} class names, "
        f"{dimensions} numbers each ({rows * dimensions * 2 / 1e6:.1f} MB)."
    )
    if rows:
        LOGGER.info(f"Of the objects the teacher names {100 * zero_shot(cache, labels):.1f} % as their labels do.")
    LOGGER.info(f"To train with it: --teacher {cache.folder}")


def zero_shot(cache: TeacherCache, labels: Sequence[Label]) -> float:
    """Fraction of the objects (at least one) that lie nearest to the text of their own class, by the cosine."""
    classes = np.concatenate([label.classes[:, 0] for label in labels]).astype(np.int64)
    text = (cache.text / np.linalg.norm(cache.text, axis=1, keepdims=True)).T  # (D, C)
    parts = range(0, len(classes), SOME)
    right = sum(((cache.embeddings[i : i + SOME] @ text).argmax(1) == classes[i : i + SOME]).sum() for i in parts)
    return float(right / len(classes))
