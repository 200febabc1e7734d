"""What a method asks of the loader beside the labelled image. Torch-free; `methods.base` exports it too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from data.config import DataConfig
from utils.errors import UserError

Kind = Literal["paired", "unpaired", "per_object", "per_image"]
IMAGES = ("paired", "unpaired")
"""Kinds that are images of their own, (B, 3, H, W), named by a line of the data YAML that bears the view's name."""


class View(NamedTuple):
    """An entry of a batch that a method declares.

    name: its key in the batch; of images, their line in the data YAML too. kind, and what the batch holds:
    paired, an image of the same stem and size that shares the geometry of `img`, (B, 3, H, W);
    unpaired, an unlabelled image from a pool, another one each time, (B, 3, H, W);
    per_object, the index of each object among all labels of the split, (objects,) int64, -1 once more than half is cut off;
    per_image, a list of what `load(config)` finds for each file; `merge` joins the values of a mosaic or mixup. Where `load`
    returns None, the batch has no such entry.
    hint: the sentence that tells how to get the images. same_colour: of paired images, one colour change for both.
    """

    name: str
    kind: Kind
    hint: str = ""
    same_colour: bool = True
    load: Callable[[DataConfig], Callable[[Path], Any] | None] | None = None
    merge: Callable[[Sequence[Any]], Any] | None = None


def of_kind(views: Iterable[View], *kinds: str) -> list[str]:
    """Names of the views of these kinds, sorted."""
    return sorted(view.name for view in views if view.kind in kinds)


def check_views(config: DataConfig, views: Sequence[View]) -> None:
    """Raise UserError for a view that nothing provides: an unknown kind, or no line in the data YAML."""
    for view in views:
        if view.kind not in get_args(Kind) or (view.kind == "per_image" and not (view.load and view.merge)):
            raise UserError(
                f"view '{view.name}': nothing provides the kind {view.kind!r} that its method declares; expected one of "
                f"{', '.join(get_args(Kind))}, and `load` and `merge` with per_image."
            )
        if view.kind in IMAGES and view.name not in config.splits:
            hint = view.hint or f"Name a folder of images ('{view.name}: images/{view.name}')"
            raise UserError(
                f"{config.file}: the method trains with {view.kind} images '{view.name}', but the file has no "
                f"'{view.name}' line. {hint}, or use --method none."
            )
