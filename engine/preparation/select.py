"""`prepare.py select`: the images of a labelled set on which a detector does well, as the reference set of LCP.

Source: DFUI, the reference set of Fu et al. (TCSVT 2024): training images on which a detector reaches AP 60.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.config import TESTS, VALS, DataConfig, load_data
from data.detection.unpaired import refuse_leaks
from data.synthetic.generate import make_synthetic
from engine.evaluation.evaluator import label_areas
from engine.evaluation.session import open_session
from engine.options.prepare import SelectOptions
from engine.options.val import ValOptions
from engine.results import ImageResult
from utils.errors import UserError
from utils.files import atomic_folder, free_folder, list_images, save_yaml
from utils.log import LOGGER
from utils.metrics.streaming_ap import ProtocolMeter
from utils.tables import save_csv

TABLE, LIST, DATA = "select.csv", "select.txt", "select.yaml"
LABELLED, HELD_OUT = ("train", "extra", *VALS), TESTS
TOLERANCE = 1e-9  # a mean of 101 equal numbers may lie this much below them


@dataclass(frozen=True)
class ImageAP:
    """One image: its name below the split's folder, and its AP, a fraction of 1, nan without objects."""

    file: Path
    name: str
    ap: float


@dataclass(frozen=True)
class Selection:
    """All images with their AP, by name; and those that reached --min-ap and were copied to `out`."""

    out: Path
    scored: tuple[ImageAP, ...]
    kept: tuple[ImageAP, ...]


def select(options: SelectOptions) -> Selection:
    """Score every image of a split and copy the good ones to --out with a table of all; all or nothing.

    `select.yaml` beside them is the data set with these images alone to train on, where they lie, with their labels.
    Raises UserError for missing data, a test split or an image of one, an --out that is taken or lies among the
    images, and where no image or every image is good enough.
    """
    if options.weights is None or not options.data or options.out is None:
        raise UserError("prepare.py select: expected --weights CHECKPOINT, --data YAML and --out DIR.")
    config = _data_of(options)
    out = free_folder(options.out, *(place for places in config.splits.values() for place in places))
    scored = _measure(options, config)
    kept = tuple(one for one in scored if one.ap >= options.min_ap - TOLERANCE)  # nan is not
    if not kept:
        raise UserError(_none_kept(options, scored))
    if len(kept) == len(scored):
        raise UserError(
            f"--min-ap {options.min_ap:g}: all {len(scored)} images of '{options.split}' reach it, so that nothing is "
            "selected. Give a higher --min-ap."
        )
    _write(out, scored, kept, config)
    LOGGER.info(
        f"{out}: {len(kept)} of {len(scored)} images of '{options.split}' have AP {options.min_ap:g} or more, the best "
        f"{max(one.ap for one in kept):.3f}; {TABLE} has all.\n"
        f"Name it in the data YAML, 'reference: {out}', to train with them; --data {out / DATA} trains a detector of these "
        "images alone."
    )
    return Selection(out, scored, kept)


def image_ap(result: ImageResult) -> float:
    """COCO's AP over IoU 0.50:0.95 of one image alone, a mean over the classes that it has; nan without objects."""
    meter = ProtocolMeter("coco")
    truth = (result.targets, label_areas(result.targets), result.target_classes)
    meter.add(result.boxes, result.scores, result.classes, *truth)
    return meter.result()[0]["AP"] if len(result.targets) else math.nan


def _data_of(options: SelectOptions) -> DataConfig:
    """The data set. Raises UserError for a split that is held out, has no labels or shares images with a test split."""
    if options.split in HELD_OUT:
        raise UserError(
            f"--split {options.split}: training would see images that it is tested on. Choose from --split train."
        )
    config = load_data(options.data, make_demo=make_synthetic, need=[options.split])
    if options.split not in LABELLED or options.split not in config.splits:
        known = ", ".join(split for split in LABELLED if split in config.splits) or "none"
        raise UserError(f"--split {options.split}: expected a labelled split of {config.file}, which has: {known}.")
    tests = [place for split in HELD_OUT for place in config.splits.get(split, ()) if place.exists()]
    pool, held_out = (
        [image for place in places for image in list_images(place, config.root) if image.is_file()]
        for places in (config.splits[options.split], tests)
    )
    refuse_leaks(pool, held_out, f"--split {options.split}")
    return config


def _measure(options: SelectOptions, config: DataConfig) -> tuple[ImageAP, ...]:
    """Every readable image with its AP, by name."""
    chosen = ValOptions(
        data=options.data, weights=options.weights, trust=options.trust, batch_size=options.batch_size,
        imgsz=options.imgsz, device=options.device, conf_thres=options.conf_thres,
    )  # fmt: skip
    found: dict[Path, float] = {}
    session = open_session(chosen, config)
    session.measure(options.split, listeners=[lambda result: found.update({Path(result.file): image_ap(result)})])
    home = os.path.commonpath([file.parent for file in found])  # what is below it cannot be called the same twice
    return tuple(ImageAP(file, file.relative_to(home).as_posix(), found[file]) for file in sorted(found))


def _none_kept(options: SelectOptions, scored: Sequence[ImageAP]) -> str:
    """Why there is nothing to keep, and what to do."""
    with_objects = [one for one in scored if not math.isnan(one.ap)]
    if not with_objects:
        return f"--split {options.split}: no image has an object, so none can be scored. Check its label files."
    best = max(with_objects, key=lambda one: one.ap)
    return (
        f"--min-ap {options.min_ap:g}: no image of '{options.split}' reaches it; the best is {best.name} with AP "
        f"{best.ap:.3f}. Give a lower --min-ap, or a detector that is better on this set."
    )


def _write(out: Path, scored: Sequence[ImageAP], kept: Sequence[ImageAP], config: DataConfig) -> None:
    """The table, the images, and the data set of these images, all or nothing."""
    good = set(kept)
    rows = [{"file": one.name, "AP": "" if math.isnan(one.ap) else one.ap, "kept": int(one in good)} for one in scored]
    with atomic_folder(out) as work:
        save_csv(work / TABLE, rows)
        for one in kept:
            target = work / one.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one.file, target)
        (work / LIST).write_text("".join(f"{one.file.absolute()}\n" for one in kept))
        splits = {split: [str(place.absolute()) for place in places] for split, places in config.splits.items()}
        train = {"train": str((out / LIST).absolute()), "reference": str(out.absolute())}
        facts = {"conditions": config.conditions, "names": config.names}
        save_yaml(work / DATA, {"path": str(config.root), **splits, **train, **facts})
