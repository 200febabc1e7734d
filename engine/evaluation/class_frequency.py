"""What the LVIS protocol needs to know about a data set: class frequencies and federated labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.config import DataConfig
from data.detection.federated import FederatedLabels, read_verified, verified_of
from data.io.labels import Label, scan
from utils.errors import UserError
from utils.files import list_images
from utils.metrics import FREQUENCIES

MOST_RARE, MOST_COMMON = 10, 100  # training images: LVIS's own limits


@dataclass(frozen=True)
class LVISLabels:
    """frequency: of each class r, c, f, or '' where no training image has it; verified: of the images in the data
    set's folder `root`, None if every image is annotated for every class.
    """

    frequency: tuple[str, ...]
    root: Path
    verified: Mapping[str, FederatedLabels] | None = None

    def of(self, file: str) -> FederatedLabels | None:
        """The federated labels of an image; None if it is annotated for every class."""
        return None if self.verified is None else verified_of(self.verified, self.root, file)


def lvis_labels(
    config: DataConfig,
    labels: Sequence[Label] | None = None,
    single_cls: bool = False,
    asked: str = "--protocol lvis",
) -> LVISLabels:
    """The frequencies and federated labels of a data set. asked: the option that needs them, for messages.

    labels: of the training split, whose images are counted where the data YAML has no `frequency`; they are read from
    the disk where they are not given. Raises UserError for a federated file that cannot be used, where there is nothing
    to count, and for `single_cls`, which leaves no frequencies.
    """
    if single_cls:
        raise UserError("--single-cls: --protocol lvis compares rare and frequent classes. Leave one of the two out.")
    verified = read_verified(config.federated, len(config.names)) if config.federated else None
    if config.frequency is not None:
        return LVISLabels(config.frequency, config.root, verified)
    known = _training_labels(config, asked) if labels is None else labels
    counted = letters_of((label.classes.ravel() for label in known), len(config.names))
    return LVISLabels(counted, config.root, verified)


def _training_labels(config: DataConfig, asked: str) -> Sequence[Label]:
    """The labels of the training split, from the disk."""
    places = config.splits.get("train", ())
    missing = next((place for place in places if not place.exists()), None)
    if missing is not None or not places:
        what = f"'train' is {missing}, which is missing" if places else "there is no 'train' split"
        raise UserError(
            f"{config.file}: {asked} needs the frequency of each class, and {what}, so that nothing can be "
            "counted. Add a line such as 'frequency: [f, r]', one letter per class."
        )
    images = [image for place in places for image in list_images(place, config.root)]
    return scan(images, len(config.names), what="train").labels


def letters_of(images: Iterable[np.ndarray], classes: int) -> tuple[str, ...]:
    """The letter of each class by the number of training images that have it: to 10 rare, to 100 common.

    images: of each, its class numbers (n,), of which an equal one counts once. A class of no image gets ''.

    >>> letters_of([np.array([0, 0])] + [np.array([1])] * 11 + [np.array([2])] * 101, 4)
    ('r', 'c', 'f', '')
    """
    counts = np.zeros(classes, np.int64)
    for numbers in images:
        counts[np.unique(numbers).astype(int)] += 1
    return tuple("" if not n else "r" if n <= MOST_RARE else "c" if n <= MOST_COMMON else "f" for n in counts.tolist())


def absent_groups(metrics: Collection[str]) -> list[str]:
    """The frequencies for which there is no metric, as words."""
    return [word for letter, word in FREQUENCIES.items() if f"AP{letter}" not in metrics]
