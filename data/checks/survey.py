"""Everything that the checks look at, read once: the images and labels of each split, with progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from data.checks.image_facts import ImageFacts, read_image_facts
from data.checks.label_facts import LabelFacts, read_label_facts
from data.config import TESTS, VALS, DataConfig
from data.io.image_measures import stamp_of
from utils.errors import UserError
from utils.files import cores, list_images
from utils.progress import progress

UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Split:
    """One split or view of a data YAML. labels: one per image, or none for images without labels of their own.

    role: train, val or test, or `unlabelled` for images that come along in training.
    """

    name: str
    role: str
    images: tuple[ImageFacts, ...]
    labels: tuple[LabelFacts, ...] = ()
    paired: bool = False

    @property
    def usable(self) -> list[ImageFacts]:
        """The images that can be used."""
        return [image for image in self.images if image.usable]

    @property
    def labelled(self) -> Iterator[tuple[ImageFacts, LabelFacts]]:
        """Usable images with their labels."""
        return ((image, label) for image, label in zip(self.images, self.labels, strict=False) if image.usable)


@dataclass(frozen=True)
class Survey:
    """A data set as it was found."""

    config: DataConfig
    splits: Mapping[str, Split] = field(default_factory=dict)

    @property
    def labelled(self) -> dict[str, Split]:
        """The splits that have labels."""
        return {name: split for name, split in self.splits.items() if split.role != UNLABELLED}

    @property
    def images(self) -> int:
        """How many different images there are."""
        return len({image.path for split in self.splits.values() for image in split.images})


def role_of(split: str) -> str:
    """What a split is for: train, val, test, or unlabelled."""
    if split in ("train", "extra"):
        return "train"
    return "val" if split in VALS else "test" if split in TESTS else UNLABELLED


def survey(config: DataConfig, paired: Iterable[str] = ()) -> Survey:
    """Read every image and label of a data set. paired: the splits that hold paired images.

    Raises UserError for a split that is missing or empty, and for one without a usable image.
    """
    files = {split: _images(config, split) for split in config.splits}
    every = list(dict.fromkeys(path for listed in files.values() for path in listed))
    images = dict(zip(every, progress(_in_threads(every), len(every), "checking images"), strict=True))
    splits = {}
    for name, listed in files.items():
        facts = tuple(images[path] for path in listed)
        if not any(image.usable for image in facts):
            first = facts[0]
            raise UserError(
                f"{config.file}: the '{name}' split has no usable image of {len(facts)}; the first, {first.path}: "
                f"{first.reason}. Restore the files or correct the data YAML."
            )
        role, view = role_of(name), name in paired
        labels = () if role == UNLABELLED else tuple(read_label_facts(path, len(config.names)) for path in listed)
        splits[name] = Split(name, role, facts, labels, view)
    return Survey(config, splits)


def _images(config: DataConfig, split: str) -> list[Path]:
    """The images of a split, each once. Raises UserError where there are none."""
    return list(dict.fromkeys(path for place in config.sources(split) for path in list_images(place, config.root)))


def _in_threads(files: list[Path]) -> Iterator[ImageFacts]:
    """The facts in order, on all cores: decoding and filters leave the interpreter free."""
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        try:
            yield from pool.map(read_image_facts, files)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def changed(survey: Survey) -> list[Path]:
    """The images that changed or vanished since they were read."""
    facts = {image.path: image for split in survey.splits.values() for image in split.images}
    return [path for path, image in facts.items() if stamp_of(path) != image.stamp]
