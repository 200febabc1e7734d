"""Loading training images together with their other views.

A pair travels through mosaic, mixup, affine and flips with one draw for all its images, so that they cannot drift apart; colour
is changed after that. What is drawn for an image depends on (seed, epoch, index) alone, in long epochs also on their
order (data/sampling.py), so the same batch comes back on any rank, with any number of workers, and after a resume.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from data.config import TESTS, DataConfig
from data.detection.columns import first_indices, with_indices
from data.detection.memory import disk_cache, keeps, recent_images
from data.detection.options import AugmentOptions
from data.detection.transforms import FormatViews, training_transforms
from data.detection.unpaired import UnpairedImages, refuse_leaks
from data.detection.views import View, check_views, of_kind
from data.io.damaged import Damaged
from data.io.image_cache import Decoded, ImageCache
from data.io.images import DamagedImage, probe, read_image, reduction
from data.io.labels import Label, scan, unreadable
from data.io.pairs import check_pair_sizes, match_pairs
from data.io.recent_images import RecentImages
from data.sampling import REACH, EarlierBatches, EpochSampler
from utils.errors import UserError
from utils.files import list_images
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.data.augment import Compose, LetterBox  # noqa: E402
from ultralytics.data.dataset import YOLODataset  # noqa: E402
from ultralytics.utils import DEFAULT_CFG  # noqa: E402

Key = int | tuple[int, ...]  # index, (epoch, index), or (epoch, index, copy)
LABEL_TENSORS = {"img", "cls", "bboxes", "batch_idx"}


@contextmanager
def seeded(*entropy: int) -> Iterator[int]:
    """Seed python's and numpy's global generators for the block, as Ultralytics' transforms draw from them; restore after.

    Yields one 32-bit number that depends on the entropy alone.
    """
    state_python, state_numpy = random.getstate(), np.random.get_state()
    first, second, number = (int(word) for word in np.random.SeedSequence(entropy).generate_state(3))
    random.seed(first)
    np.random.seed(second)
    try:
        yield number
    finally:
        random.setstate(state_python)
        np.random.set_state(state_numpy)


class ViewDataset(YOLODataset):
    """A split of labelled images with the views that methods declared (data/detection/views.py).

    Items are Ultralytics' batch entries (`img`, `cls`, `bboxes`, `batch_idx`, `im_file`, ...) plus one entry per view, images
    as uint8 (3, H, W), and `seed`, an integer of the seed and the key: an index, (epoch, index), or (epoch, index, copy).
    `scanned` are all labels of the split, also of images that were skipped because of their paired image.
    With `native`, images keep their own size, see `set_rectangle`.
    """

    labels: list[dict[str, Any]]
    im_files: list[str]

    def __init__(
        self,
        labels: Sequence[Label],
        names: dict[int, str],
        *,
        views: Sequence[View] = (),
        paired: dict[str, dict[Path, Path]] | None = None,
        unpaired: dict[str, UnpairedViews] | None = None,
        per_image: dict[str, Callable[[Path], Any]] | None = None,
        first: Sequence[int] | None = None,
        options: AugmentOptions | None = None,
        epochs: int = 0,
        seed: int = 0,
        keep_in_memory: bool = False,
        native: bool = False,
        disk: ImageCache | None = None,
        **base: Any,
    ) -> None:
        """paired, unpaired, per_image: what each view by that name holds; first: index of each image's first object."""
        self.source = list(labels)
        self.scanned = self.source
        self.paired = paired or {}
        self.stacked = sorted(self.paired)
        self.unpaired = unpaired or {}
        self.per_image = per_image or {}
        self.first = first if of_kind(views, "per_object") else None
        self.options = options or AugmentOptions()
        self.last_mixed_epoch = epochs - self.options.close_mosaic if epochs else 1 << 30
        self.seed = seed
        self.skipped: list[tuple[Path, str]] = []
        self.damaged = Damaged(len(self.source))
        self.native, self.disk = native, disk
        self.earlier: EarlierBatches | None = None
        self.recent: RecentImages | None = None
        self.pool: list[int] = []  # images that the present item is mixed with; empty: all
        self.batches: list[list[int]] = []  # native: places of images that can go through the network together
        super().__init__(img_path="", data={"names": names, "channels": 3}, hyp=DEFAULT_CFG, cache=False, **base)
        self.cache = "ram"  # mosaic then draws from the whole set instead of from what happens to be in a buffer
        self.keep_in_memory = keep_in_memory
        if self.augment:
            merges = {view.name: view.merge for view in views if view.merge and view.name in self.per_image}
            self.transforms, self.closing_transforms = (
                training_transforms(self, self.imgsz, views, merges, self.options, mixing) for mixing in (True, False)
            )

    def mix_in_order(self, sampler: EpochSampler) -> None:
        """In long epochs of this sampler, mix images with those of a few batches before, which are then kept in memory.

        At most an eighth of the free memory is taken, and none where images are cached anyway, or never mixed.
        """
        self.earlier = EarlierBatches(sampler)
        if len(sampler) >= REACH and self.options.mixes and not self.disk and not self.keep_in_memory:
            self.recent = recent_images(sampler, self.source, self.imgsz, 1 + len(self.paired))

    def get_img_files(self, img_path: str | list[str]) -> list[str]:
        """The images that were scanned, in order."""
        return [str(label.image) for label in self.source]

    def get_labels(self) -> list[dict[str, Any]]:
        """The scanned labels in Ultralytics' form; `first` is the index of the image's first object."""
        first = [0] * len(self.source) if self.first is None else self.first
        form = {"keypoints": None, "normalized": True, "bbox_format": "xywh"}
        return [
            {
                "im_file": str(label.image),
                "shape": label.shape,
                "cls": label.classes.copy(),
                "bboxes": label.boxes.copy(),
            }
            | {"segments": [], **form, "first": int(index)}
            for label, index in zip(self.source, first, strict=False)
        ]

    def update_labels_info(self, label: dict[str, Any]) -> dict[str, Any]:
        """Ultralytics' form, each paired image by itself; `cls` (n, 3) with the index of each object, if a view asks for it."""
        first, image = label.pop("first"), label["img"]
        if self.stacked:  # (members, H, W, 3)
            label["img"], others = image[0], dict(zip(self.stacked, image[1:], strict=True))
            label |= others
        label = super().update_labels_info(label)
        if self.first is not None and self.augment:
            label["cls"] = with_indices(label["cls"], first)
        return label | {name: value(Path(label["im_file"])) for name, value in self.per_image.items()}

    def build_transforms(self, hyp: Any = None) -> Compose:
        """Validation: letterbox and format. Training transforms are set once the dataset is complete."""
        return Compose([LetterBox(new_shape=self.imgsz, scaleup=False), FormatViews([])])

    def set_rectangle(self) -> None:
        """Sort images by shape and give each the shape that it is padded to.

        Native: the next multiple of the stride, for every image by itself, so that no result depends on its
        neighbours; `batches` then holds images of one padded shape each. Else as Ultralytics does it.
        """
        if not self.native:
            super().set_rectangle()
            return
        shapes = np.array([label.pop("shape") for label in self.labels])  # (n, 2) height, width
        padded = -(-shapes // self.stride) * self.stride
        order = np.lexsort((padded[:, 1], padded[:, 0]))
        self.im_files = [self.im_files[place] for place in order]
        self.labels = [self.labels[place] for place in order]
        self.batch_shapes, self.batch = padded[order], np.arange(len(order))
        self.batches = runs_of_equal(padded[order], self.batch_size)

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """Image `i` (H, W, 3) uint8, or before its paired ones (members, H, W, 3), fitted to imgsz unless native; both sizes."""
        if self.ims[i] is not None:
            return self.ims[i], self.im_hw0[i], self.im_hw[i]
        img = Path(self.im_files[i])
        files = (img, *(self.paired[view][img] for view in self.stacked))
        decode = partial(self._decoded, files, self.source[i].shape if self.augment else None)
        decode = partial(self.disk, files, decode) if self.disk and not self.native else decode
        # One of the pool is not kept again: it would push out those that are needed for longer.
        image, original = self.recent(i, decode, keep=i not in self.pool) if self.recent else decode()
        if self.keep_in_memory:
            self.ims[i], self.im_hw0[i], self.im_hw[i] = image, original, image.shape[-3:-1]
        return image, original, image.shape[-3:-1]

    def _decoded(self, files: Sequence[Path], shape: tuple[int, int] | None = None) -> Decoded:
        """The images of these files, stacked if there are several, at the size of the network, and the size of the first file.

        shape: (height, width) px of the files. Where it is known, files that are at least twice too large are decoded at a
        fraction of it (docs/decisions/0014-reduced-decoding.md).
        """
        fraction = reduction(max(shape) / self.imgsz) if shape and not self.native else 1
        members = [read_image(file, fraction) for file in files]
        found = members[0].shape[:2]
        stated = (shape, tuple(-(-side // fraction) for side in shape)) if shape else (found,)
        if found not in stated or any(member.shape != members[0].shape for member in members):
            raise DamagedImage(f"{files[0]}: its header states another size than is decoded. Replace it.")
        height, width = shape if shape and fraction > 1 else members[0].shape[:2]
        members = [self._resized(member, (height, width)) for member in members]
        return (members[0] if len(members) == 1 else np.stack(members)), (height, width)

    def _resized(self, image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The image of a file of this (height, width) at the size of the network."""
        height, width = shape
        ratio = self.imgsz / max(height, width)
        if ratio == 1 or self.native:
            return image
        size = (min(int(np.ceil(width * ratio)), self.imgsz), min(int(np.ceil(height * ratio)), self.imgsz))
        if image.shape[1::-1] == size:
            return image
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)

    def _image_and_label(self, index: int) -> dict[str, Any]:
        """The image of an index with its labels, which transforms may change, in Ultralytics' form."""
        kept = self.labels[index]
        label = {**kept, "cls": kept["cls"].copy(), "bboxes": kept["bboxes"].copy(), "segments": []}
        label.pop("shape", None)
        label["img"], label["ori_shape"], label["resized_shape"] = self.load_image(index)
        height, width = label["ori_shape"]
        label["ratio_pad"] = label["resized_shape"][0] / height, label["resized_shape"][1] / width
        if self.rect:
            label["rect_shape"] = self.batch_shapes[self.batch[index]]
        return self.update_labels_info(label)

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """An image with its labels, for the transforms; while training, mosaics included, never a damaged one."""
        load = self._image_and_label
        return self.damaged.or_next(index, load) if self.augment else load(index)

    def left_out(self) -> list[tuple[Path, str]]:
        """Images that are not used, and why: those that were skipped, and those found damaged so far."""
        others = [entry for views in self.unpaired.values() for entry in views.images.left_out()]
        return [*self.skipped, *self.damaged.among(self.im_files), *others]

    def __getitem__(self, key: Key) -> Any:
        """The item of an index, as drawn in an epoch (0 when only an index is given), each copy another way.

        None for a damaged image, unless augmented: training then takes the next one in its place.
        """
        epoch, index, *copy = key if isinstance(key, tuple) else (0, key)
        if not self.augment:
            return self.damaged.or_none(index, lambda place: self.transforms(self.get_image_and_label(place)))
        item = self.augmented(index, epoch, index, *copy)
        others = {view: images(epoch, index, *copy) for view, images in self.unpaired.items()}
        return {**item, **others}

    def augmented(self, place: int, epoch: int, *draw: int) -> dict[str, Any]:
        """The image at a place with its labels, augmented as an epoch's draw says."""
        self.pool = self.earlier(epoch, *draw) if self.earlier else []
        transforms = self.closing_transforms if epoch >= self.last_mixed_epoch else self.transforms
        with seeded(self.seed, epoch, *draw) as number:
            return {**transforms(self.get_image_and_label(place)), "seed": number}

    @staticmethod
    def collate_fn(batch: Sequence[Any]) -> dict[str, Any]:
        """Items to a batch: images of every view stacked, labels concatenated, `seed` and the like one after another.

        Damaged images are left out; a batch of them alone is empty.
        """
        batch = [item for item in batch if item is not None]
        if not batch:
            return {}
        tensors = [name for name, value in batch[0].items() if isinstance(value, Tensor) and name not in LABEL_TENSORS]
        join = {3: torch.stack, 1: torch.cat}  # of images (B, 3, H, W), of objects (objects,)
        views = {name: join[batch[0][name].ndim]([item.pop(name) for item in batch]) for name in tensors}
        return {**YOLODataset.collate_fn(batch), **views}


@dataclass(frozen=True)
class UnpairedViews:
    """Unlabelled images that come along, augmented by the draw of the labelled image that each comes with."""

    order: UnpairedImages
    images: ViewDataset

    def __call__(self, epoch: int, *draw: int) -> Tensor:
        """The image (3, imgsz, imgsz) uint8 RGB that comes with item `draw[0]` of an epoch."""
        image: Tensor = self.images.augmented(self.order.place(epoch, draw[0]), epoch, *draw)["img"]
        return image


def runs_of_equal(rows: np.ndarray, most: int) -> list[list[int]]:
    """Places of neighbouring equal rows (n, k), at most `most` together.

    >>> runs_of_equal(np.array([[64], [64], [64], [96]]), 2)
    [[0, 1], [2], [3]]
    """
    starts = np.flatnonzero((rows[1:] != rows[:-1]).any(1)) + 1
    runs = np.split(np.arange(len(rows)), starts)
    return [run[at : at + most].tolist() for run in runs for at in range(0, len(run), most)]


def build_dataset(
    config: DataConfig,
    split: str,
    *,
    imgsz: int,
    augment: bool = False,
    views: Sequence[View] = (),
    rect: bool | None = None,
    cache: str = "auto",
    seed: int = 0,
    native: bool = False,
    first_index: int = 0,
    cache_folder: Path = Path("runs/.cache"),
    **base: Any,
) -> ViewDataset:
    """A split of a data YAML as a dataset.

    views: what to load beside each image. cache: `ram`, `disk` (in cache_folder), `none`, or `auto` (ram when it fits
    easily). native: not for
    training; every image keeps its own size, centred in grey (114) up to the next multiple of the stride, and imgsz
    does nothing. first_index: of the split's first object.
    base: what `ViewDataset` takes besides: options, epochs, batch_size (16), stride (32 px), single_cls.
    Unreadable images are skipped with their paired images and listed in `dataset.skipped`.
    Raises UserError for a missing split, a missing or mismatched paired image, or labels that make no sense.
    """
    base |= {"seed": seed, "imgsz": imgsz, "augment": augment, "pad": 0.5}
    check_views(config, views)
    result = scan(_split_images(config, split), len(config.names), what=split)
    kept = [label.image for label in result.labels]
    paired = {view: _paired_images(config, view, kept) for view in of_kind(views, "paired")}
    dropped = [entry for files in paired.values() for entry in unreadable(list(files.values()))]
    lost = {path for path, _ in dropped}
    labels = [label for label in result.labels if not any(files[label.image] in lost for files in paired.values())]
    base |= {"disk": disk_cache(cache_folder, labels, imgsz, 1 + len(paired))} if cache == "disk" and not native else {}
    first = dict(zip(kept, first_indices([len(label.classes) for label in result.labels]) + first_index, strict=False))
    dataset = ViewDataset(
        labels,
        config.names,
        views=views,
        paired=paired,
        unpaired=_unpaired_views(config, views, cache, **base),
        per_image={view.name: value for view in views if view.load and (value := view.load(config)) is not None},
        first=[int(first[label.image]) for label in labels],
        keep_in_memory=keeps(cache, labels, None if native else imgsz, 1 + len(paired)),
        native=native,
        rect=native or (not augment if rect is None else rect),
        **base,
    )
    dataset.scanned, dataset.skipped = result.labels, [*result.skipped, *dropped]
    return dataset


def _split_images(config: DataConfig, split: str) -> list[Path]:
    sources = config.sources(split)
    images = [image for source in sources for image in list_images(source, config.root)]
    if not images:
        raise UserError(f"{config.file}: the '{split}' split holds no images ({', '.join(map(str, sources))}).")
    return images


def _paired_images(config: DataConfig, view: str, images: list[Path]) -> dict[Path, Path]:
    paired = match_pairs(images, _split_images(config, view))
    check_pair_sizes(images, paired)
    return dict(zip(images, paired, strict=True))


def _unpaired_views(config: DataConfig, views: Sequence[View], cache: str, **base: Any) -> dict[str, UnpairedViews]:
    """The images of each view without labels, as a dataset of backgrounds."""
    found = {}
    for view in of_kind(views, "unpaired"):
        order = unpaired_images(config, view, base["seed"])
        nothing = np.zeros((0, 1), np.float32), np.zeros((0, 4), np.float32)
        labels = [Label(file, probe(file), *nothing) for file in order.files]
        kept = keeps(cache, labels, base["imgsz"], 1)
        images = ViewDataset(labels, config.names, keep_in_memory=kept, rect=False, **base)
        images.skipped = order.skipped
        found[view] = UnpairedViews(order, images)
    return found


def unpaired_images(config: DataConfig, view: str, seed: int) -> UnpairedImages:
    """The readable images of a view without labels. Raises UserError where one is a test image, or none can be read."""
    files = _split_images(config, view)
    held_out = [path for split in TESTS if split in config.splits for path in _split_images(config, split)]
    refuse_leaks(files, held_out, f"{config.file}: '{view}'")
    bad = dict(unreadable(files))
    if not (readable := [path for path in files if path not in bad]):
        file, reason = next(iter(bad.items()))
        raise UserError(
            f"{config.file}: '{view}': none of {len(files)} images can be read, the first: {file}: {reason}."
        )
    return UnpairedImages(readable, seed, list(bad.items()))
