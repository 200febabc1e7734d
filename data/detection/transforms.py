"""What happens to a training image: geometry on all its views at once, then colour and format of each.

Ultralytics' transforms do the work; the classes here let what belongs to an object or an image travel with it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from data.detection.columns import cut_fractions, take_indices
from data.detection.options import AugmentOptions
from data.detection.pixels import PixelTransforms
from data.detection.views import View, of_kind
from data.detection.warp import warp_alike
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.data import augment  # noqa: E402

Merges = Mapping[str, Callable[[Sequence[Any]], Any]]
"""View that belongs to an image -> how its values are joined where images are."""


class MixSource(Protocol):
    """A data set that mosaic, mixup and cutmix take more images from."""

    pool: Sequence[int]
    """Indices of the images to draw from; empty: all."""

    def __len__(self) -> int:
        """Its images."""

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """One of them, as the transforms take it."""


class EveryView:
    """A transform of Ultralytics whose geometry is applied to the other views as to `img`: one draw, so that they cannot drift.

    Each view is an image (H, W, 3) of its own: three channels are copied far faster than six.
    """

    views: Sequence[str] = ()

    def apply_image(self, labels: dict[str, Any], params: dict[str, Any] | None = None) -> dict[str, Any]:
        """labels: an item of the transforms, the images that it is mixed with in `mix_labels`; params: what was drawn."""
        transform: Any = super()
        for name in self.views:
            labels[name] = transform.apply_image(image_of(labels, name), params_of(params, name))["img"]
        found: dict[str, Any] = transform.apply_image(labels, params)
        return found


def image_of(labels: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The part of an item that geometry needs, with the view `name` as its image."""
    return {"img": labels[name], "mix_labels": [{"img": other[name]} for other in labels.get("mix_labels", ())]}


def params_of(params: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    """What was drawn, with the view `name` as the image of each tile of a mosaic."""
    if not params or "layout" not in params:
        return params
    tiles = [{**tile, "labels_patch": {"img": tile["labels_patch"][name]}} for tile in params["layout"]]
    return {**params, "layout": tiles}


def stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images (H, W, 3) uint8 as one, (H, W, 3 * images): several times as fast as numpy's concatenation."""
    if len(images) == 1:
        return images[0]
    stack = np.empty((*images[0].shape[:2], 3 * len(images)), np.uint8)
    cv2.mixChannels(list(images), [stack], _each(stack))
    return stack


def unstacked(stack: np.ndarray) -> list[np.ndarray]:
    """The images (H, W, 3) of a stack."""
    if stack.shape[2] == 3:
        return [stack]
    images = [np.empty((*stack.shape[:2], 3), np.uint8) for _ in range(stack.shape[2] // 3)]
    cv2.mixChannels([stack], images, _each(stack))
    return images


def _each(stack: np.ndarray) -> list[int]:
    """Channel k goes to channel k."""
    return [channel for channel in range(stack.shape[2]) for _ in range(2)]


class ViewFlip(augment.RandomFlip):
    """Ultralytics' flip of all views, as images of their own: everything after it is several times slower on a mirrored view."""

    def __init__(self, views: Sequence[str], **base: Any) -> None:
        super().__init__(**base)
        self.names = ("img", *views)

    def apply_image(self, labels: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """labels: an item; params: `flip`, and `direction`."""
        if params["flip"]:
            axis = 0 if params["direction"] == "vertical" else 1
            labels.update({name: cv2.flip(labels[name], axis) for name in self.names})
        return labels


class ColourViews:
    """Pixel and colour changes of each image: `img` and one entry a view, each (H, W, 3) BGR."""

    def __init__(self, views: Sequence[View], colour: augment.RandomHSV, pixels: PixelTransforms | None = None) -> None:
        self.views, self.colour, self.pixels = views, colour, pixels

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """labels: one item of the transforms."""
        draw = int(np.random.randint(2**31)) if self.pixels else 0  # the same for every member
        state = np.random.get_state()
        for name, same_colour in [("img", True), *((view.name, view.same_colour) for view in self.views)]:
            if same_colour:
                np.random.set_state(state)  # draws the same colour change
            image = self.pixels(labels[name], draw) if self.pixels else labels[name]
            labels[name] = self.colour({"img": np.ascontiguousarray(image)})["img"]
        return labels


class FormatViews(augment.Format):
    """Ultralytics' formatting for `img`, and the same for the other views: uint8 (3, H, W) RGB tensors."""

    def __init__(self, views: Sequence[str]) -> None:
        super().__init__(bbox_format="xywh", normalize=True, batch_idx=True)
        self.views = views

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """labels: one item, `img` and every view (H, W, 3) BGR uint8."""
        for view in self.views:
            labels[view] = self._format_img(labels[view])
        return super().__call__(labels)


class Mixing(EveryView):
    """A transform of Ultralytics that joins an image with others of its data set, and what belongs to them."""

    others = 1
    """Images that are added."""

    def __init__(self, source: MixSource, merges: Merges, views: Sequence[str] = (), **base: Any) -> None:
        transform: Any = super()
        transform.__init__(source, **base)
        self.source, self.merges, self.views = source, merges, views

    def get_indexes(self) -> Any:
        """Indices of the images to add: different ones of the source's pool, or as Ultralytics draws from the whole set."""
        transform: Any = super()
        return random.sample(self.source.pool, self.others) if self.source.pool else transform.get_indexes()


class ViewMosaic(Mixing, augment.Mosaic):
    """Ultralytics' mosaic, which notes how much of each object it keeps and joins what belongs to its tiles."""

    others = 3

    def _cat_labels(self, mosaic_labels: list[dict[str, Any]]) -> dict[str, Any]:
        """mosaic_labels: tiles at their places on the canvas of 2 x 2 sizes, boxes in pixels, not yet cut."""
        for labels in mosaic_labels:
            if labels["cls"].shape[1] > 1:
                labels["cls"] = cut_fractions(labels["cls"], labels["instances"].bboxes, 2 * self.imgsz, 2 * self.imgsz)
        joined = {name: merge([tile[name] for tile in mosaic_labels]) for name, merge in self.merges.items()}
        return {**super()._cat_labels(mosaic_labels), **joined}


class ViewMixUp(Mixing, augment.MixUp):
    """Ultralytics' mixup, which joins what belongs to both images."""

    def apply_instances(self, labels: dict[str, Any], params: dict[str, Any] | None = None) -> dict[str, Any]:
        """labels: an item, with the one that it is blended with in `mix_labels`."""
        other = labels["mix_labels"][0]
        labels.update({name: merge([labels[name], other[name]]) for name, merge in self.merges.items()})
        result: dict[str, Any] = super().apply_instances(labels, params)
        return result


class ViewCutMix(Mixing, augment.CutMix):
    """Ultralytics' cutmix, which notes how much of each object it keeps and joins what belongs to both images."""

    def apply_instances(self, labels: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """labels: an item, with the one that it takes a rectangle of in `mix_labels`; params: `area` of it, or `skip`."""
        if params.get("skip"):
            return labels
        other, (left, top, right, bottom) = labels["mix_labels"][0], params["area"]
        if other["cls"].shape[1] > 1:
            moved = other["instances"].bboxes - np.array([left, top, left, top])
            other["cls"] = cut_fractions(other["cls"], moved, int(right - left), int(bottom - top))
        labels.update({name: merge([labels[name], other[name]]) for name, merge in self.merges.items()})
        result: dict[str, Any] = super().apply_instances(labels, params)
        return result


class ViewPerspective(augment.RandomPerspective):
    """Ultralytics' affine, which notes how much of each object it keeps."""

    def __init__(self, views: Sequence[str] = (), **base: Any) -> None:
        super().__init__(**base)
        self.views = views

    def apply_image(self, labels: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """All views as one image: OpenCV's path for more than four channels rounds differently, and runs must stay repeatable."""
        names = ("img", *self.views)
        images = [labels[name] for name in names]
        if self.views and not self.perspective:
            warped = warp_alike(images, params["M"], params["size"])
        else:
            warped = unstacked(augment.RandomPerspective.apply_image(self, {"img": stacked(images)}, params)["img"])
        labels.update(zip(names, warped, strict=True))
        labels["resized_shape"] = warped[0].shape[:2]
        return labels

    def apply_instances(self, labels: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """labels: an item before its boxes move; params: those of the transform, `M` and `size` among them."""
        if labels["cls"].shape[1] > 1:
            instances = labels["instances"]
            instances.convert_bbox(format="xyxy")
            instances.denormalize(*params["orig_shape"][::-1])
            moved = self.apply_bboxes(instances.bboxes, params["M"])
            labels["cls"] = cut_fractions(labels["cls"], moved, *params["size"])
        result: dict[str, Any] = super().apply_instances(labels, params)
        return result


class TakeIndices:
    """The transform after the geometry: `cls` (n, 1) again, and the views that belong to objects, (n,) each."""

    def __init__(self, views: Sequence[str]) -> None:
        self.views = views

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """labels: one item of the transforms, `cls` (n, 3) where there are such views."""
        if self.views:
            labels["cls"], indices = take_indices(labels["cls"])
            labels.update(dict.fromkeys(self.views, indices))
        return labels


def training_transforms(
    source: MixSource, imgsz: int, views: Sequence[View], merges: Merges, options: AugmentOptions, mixing: bool
) -> augment.Compose:
    """Geometry on all views alike, then colour and format of each. Without `mixing`: no mosaic, mixup or cutmix.

    source: where mosaic and mixup take more images from; imgsz: side of the result, px.
    """
    paired = sorted((view for view in views if view.kind == "paired"), key=lambda view: view.name)
    names = [view.name for view in paired]
    affine = {name: getattr(options, name) for name in ("degrees", "translate", "scale", "shear", "perspective")}
    geometry = augment.Compose(
        [
            ViewMosaic(source, merges, names, imgsz=imgsz, p=options.mosaic if mixing else 0.0),
            ViewPerspective(names, **affine, size=(imgsz, imgsz)),
        ]
    )
    pixels = PixelTransforms(Path(options.albumentations)) if options.albumentations else None
    # Left out where it is off: even then it would draw, and change what is drawn after it.
    cutmix = (
        [ViewCutMix(source, merges, names, pre_transform=geometry, p=options.cutmix)]
        if mixing and options.cutmix
        else []
    )
    return augment.Compose(
        [
            geometry,
            ViewMixUp(source, merges, names, pre_transform=geometry, p=options.mixup if mixing else 0.0),
            *cutmix,
            ViewFlip(names, direction="vertical", p=options.flipud),
            ViewFlip(names, direction="horizontal", p=options.fliplr),
            TakeIndices(of_kind(views, "per_object")),
            ColourViews(paired, augment.RandomHSV(options.hsv_h, options.hsv_s, options.hsv_v), pixels),
            FormatViews(names),
        ]
    )
