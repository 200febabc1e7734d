"""What answers a finding: options of train.py, commands, or a step in words. Methods say in their registry what they suit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from data.checks.findings import Finding
from data.config import DataConfig
from methods import registry

TRANSLATED = "python prepare.py darken --source {train} --out {made}"


class Remedy(NamedTuple):
    """What helps against one kind of finding. Texts may hold {train}, {data}, {made} and the finding's own fields.

    options: of train.py; makes: the line of the data YAML that the first command fills; commands: of the other scripts;
    text: in words; first: options and text come before any method.
    """

    options: str = ""
    makes: str = ""
    commands: tuple[str, ...] = ()
    text: str = ""
    first: bool = False


REMEDIES: dict[str, Remedy] = {
    "image-missing": Remedy(text="restore the files or take the lines out of the list"),
    "image-unreadable": Remedy(text="restore the files or remove them; training skips them"),
    "image-truncated": Remedy(text="copy the files again from their source; training skips them"),
    "image-format": Remedy(text="rename the files: some programs read by the suffix"),
    "image-exif": Remedy(
        text="training turns the images as the mark says: see in train_batch0.jpg whether the boxes fit, or turn the pixels "
        "and remove the mark before labelling"
    ),
    "image-blank": Remedy(text="remove the files with their labels"),
    "image-changed": Remedy(text="wait until nothing writes to the set, and check again"),
    "label-unreadable": Remedy(text="save the files as UTF-8 text"),
    "label-row": Remedy(text="correct the rows: 'class x y width height'; training refuses them"),
    "label-class": Remedy(text="correct the rows, or 'names' in {data}; training refuses them"),
    "label-range": Remedy(text="divide pixels by the image's width and height; training refuses the rows"),
    "label-no-area": Remedy(text="remove the rows; training skips them"),
    "label-over-edge": Remedy(text="clip the boxes to the image"),
    "label-doubled": Remedy(text="remove one row of each two: unless they are equal, both count as objects"),
    "label-two-classes": Remedy(text="keep the right class"),
    "label-orphan": Remedy(text="restore the images, or remove the label files"),
    "label-missing": Remedy(text="write an empty file where the image shows nothing, and label the others"),
    "duplicate": Remedy(text="keep one of each: copies count twice"),
    "duplicate-conflict": Remedy(text="keep one of each with the right labels"),
    "near-duplicate": Remedy(text="frames of one scene say less than their number; keep a scene in one split"),
    "leak": Remedy(text="take the images out of {other} or {split}: results on them say little"),
    "near-leak": Remedy(text="take the images out of {other} or {split}, and split by scene or video, not by frame"),
    "pair-missing": Remedy(commands=(TRANSLATED,), text="each image of train needs one of the same name in '{view}'"),
    "pair-size": Remedy(text="make the paired images again from the images as they are now"),
    "pair-content": Remedy(text="pair the right images: they are matched by name"),
    "split-missing": Remedy(
        commands=("python prepare.py convert yolo --source {root} --out {root}-split --val-share 0.1",),
        text="or correct the line in {data}",
    ),
    "split-small": Remedy(text="add images; trust the intervals of compare.py, not single values"),
    "class-absent": Remedy(text="add images of these classes, or take them out of 'names'"),
    "class-rare": Remedy("--repeat-threshold {threshold}"),
    "tiny-objects": Remedy(
        "--cfg models/yolov8n-p2.yaml", text="or cut large images into tiles: prepare.py slice, --slice"
    ),
    "shift-dark": Remedy(makes="pair", commands=(TRANSLATED,)),
    "shift-bright": Remedy("--hsv-v 0.7"),
    "shift-haze": Remedy(
        commands=("python prepare.py degrade fog --source {train} --out {train}_fog",),
        text="and train on both, 'train: [..., ...]'; labelled images of that weather help more",
    ),
    "shift-clear": Remedy(
        "--weights CLEAR.pt --method none",
        text="start from a detector of clear images and train plainly on these",
        first=True,
    ),
    "shift-blur": Remedy(commands=("python prepare.py degrade blur --source {train} --out {train}_blur",)),
    "shift-noise": Remedy(commands=("python prepare.py degrade noise --source {train} --out {train}_noise",)),
    "shift-low-resolution": Remedy(text="val.py --native measures such images at their own size"),
    "shift-sharp": Remedy(text="add sharp images to train"),
    "shift-clean": Remedy(text="add images without noise to train"),
    "shift-cast": Remedy("--hsv-h 0.05 --hsv-s 0.9", text="under water: prepare.py degrade underwater"),
    "shift-high-resolution": Remedy(text="raise --imgsz, or add such images to train"),
    "shift-small-objects": Remedy("--scale 0.9", text="or a larger --imgsz; in large images detect.py --slice 640"),
    "shift-large-objects": Remedy("--scale 0.9"),
    "contradicted-missing": Remedy(text="label these objects, if they are there"),
    "contradicted-class": Remedy(text="look at these labels: the class may be wrong"),
    "contradicted-empty": Remedy(text="look at these labels: there may be no object"),
}


def answers_to(finding: Finding, config: DataConfig) -> list[str]:
    """What to do, best first: commands, options of train.py, words."""
    remedy, words = REMEDIES[finding.kind], words_of(finding, config)
    options, text = remedy.options.format(**words), remedy.text.format(**words)
    methods = methods_for(finding.kind)
    if remedy.first:  # a step of training comes before any method
        return [f"{options}: {text}", *(f"compare it with {method}" for method in methods)]
    there = remedy.makes in config.splits
    note = f" ('{remedy.makes}' is there; prepare.py {_name(remedy)} made such)" if there else ""
    best = " ".join(filter(None, [options, *methods[:1]]))
    return [*_commands(remedy, config, words), *filter(None, [best and best + note, *methods[1:], text])]


def in_short(finding: Finding, config: DataConfig) -> str:
    """The best of it in a few words: `prepare.py darken, --method NAME`."""
    remedy, words, methods = REMEDIES[finding.kind], words_of(finding, config), methods_for(finding.kind)
    if remedy.first:
        return f"{remedy.options}; compare it with {methods[0]}" if methods else remedy.options
    named = [f"prepare.py {_name(remedy)}"] if remedy.commands else []
    options = " ".join(filter(None, [remedy.options.format(**words), *methods[:1]]))
    return ", ".join([*named, *filter(None, [options])]) or remedy.text.format(**words)


def methods_for(kind: str) -> list[str]:
    """The methods that answer a finding, as options, in the order of the registry."""
    return [f"--method {name} {own}".strip() for name, own in registry.suitable_methods(kind).items()]


def general_answer(kind: str) -> str:
    """What answers a kind of finding in any data set, for the documentation."""
    remedy = REMEDIES[kind]
    commands = [f"`prepare.py {_name(remedy)}`"] if remedy.commands else []
    options = [f"`{words}`" for words in (remedy.options, *methods_for(kind)) if words]
    text = [remedy.text] if remedy.text else []
    return re.sub(r"{(\w+)}", lambda word: word[1].upper(), "; ".join([*commands, *options, *text]))


def _name(remedy: Remedy) -> str:
    """The command that a remedy names first: its word and recipe."""
    words = remedy.commands[0].split()[2:4]
    return " ".join(word for word in words if not word.startswith("-"))


def _commands(remedy: Remedy, config: DataConfig, words: Mapping[str, str]) -> list[str]:
    """The commands, without one that makes what the data YAML has already."""
    commands = [command.format(**words) for command in remedy.commands]
    if not remedy.makes:
        return commands
    made, *others = commands
    if remedy.makes in config.splits:
        return others
    return [f"{made}, then '{remedy.makes}: {words['made']}' in {words['data']}", *others]


def words_of(finding: Finding, config: DataConfig) -> Mapping[str, str]:
    """What the texts of a remedy may hold. Paths are quoted for a shell."""
    train = (config.splits.get("train") or (config.root,))[0]
    paths = {
        "train": str(train),
        "made": f"{train.with_suffix('')}_night",
        "data": str(config.file),
        "root": str(config.root),
    }
    return {**{key: shlex.quote(path) for key, path in paths.items()}, "split": finding.split, **finding.fields}
