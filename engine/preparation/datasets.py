"""`prepare.py synthetic`, `clip` and `convert`: sets that are drawn or brought into the YOLO layout."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from data.convert import check_name
from data.convert import run as run_converter
from data.convert.writer import Summary
from data.synthetic.clips import street_clip
from data.synthetic.generate import is_complete, make_synthetic
from engine.options.prepare import ClipOptions, ConvertOptions, SyntheticOptions
from utils.errors import UserError
from utils.files import load_yaml
from utils.log import LOGGER
from utils.tables import whole


def synthetic(options: SyntheticOptions) -> Path:
    """Render a synthetic data set; returns its folder. Raises UserError for unusable options or a folder that is taken."""
    home = Path("datasets") / options.name
    out = options.out or home
    stood = is_complete(out)
    size = _pair(options.size) if options.size else None
    counts = dict(map(_count, options.counts)) or None
    make_synthetic(options.name, out, seed=options.seed, size=size, counts=counts, workers=options.workers)
    way = f"python train.py --data {options.name}"
    if out.absolute() != home.absolute():
        way = f"a copy of data/{options.name}.yaml whose 'path' is {out.absolute()}"
    LOGGER.info(f"{out} {'exists already' if stood else 'is ready'}. Train on it with {way}")
    return out


def clip(options: ClipOptions) -> Path:
    """Render a video of a synthetic street; returns the file. Raises UserError where it cannot be written."""
    out = options.out
    street_clip(
        out, look=options.look, seconds=options.seconds, fps=options.fps, size=_pair(options.size), seed=options.seed,
        labels=options.labels, workers=options.workers,
    )  # fmt: skip
    LOGGER.info(f"{out} is ready. Run a detector on it with: python detect.py --weights best.pt --source {out}")
    return out


def convert(options: ConvertOptions) -> Summary:
    """Convert a published data set; returns what was done. Raises UserError for what is missing or unknown."""
    if options.name is not None:
        check_name(options.name)
    if options.name is None or options.source is None or options.out is None:
        raise UserError(
            f"prepare.py convert: expected a data set and two folders: convert {options.name or 'exdark'} --source DIR "
            "--out DIR."
        )
    summary = run_converter(**asdict(options))
    LOGGER.info("\n".join(summary.lines()))
    LOGGER.info(f"{options.out} is ready. {_next_step(options.out / 'data.yaml')}")
    return summary


def _next_step(data: Path) -> str:
    """The command that trains on a converted set, or what it lacks for that."""
    splits = load_yaml(data) if data.is_file() else {}
    if "train" in splits and "val" not in splits:
        return (
            "It has no images to choose the best epoch with: convert it again with --val-share 0.1, or add a line "
            f"'val: FOLDER' to {data}."
        )
    if "train" not in splits and "val" in splits:
        return f"It has nothing to train on. Evaluate on it with: python val.py --data {data} --weights best.pt"
    return f"Train on it with: python train.py --data {data}"


def _pair(size: tuple[int, ...]) -> tuple[int, int]:
    """Width and height; one number stands for both."""
    if len(size) not in (1, 2):
        raise UserError(f"--size {' '.join(map(str, size))}: expected width and height, such as --size 320 240.")
    return size[0], size[-1]


def _count(text: str) -> tuple[str, int]:
    """'train=40' as a pair."""
    split, _, number = text.partition("=")
    count = whole(number)
    if count is None or (split == "train" and not count):
        raise UserError(
            f"--counts {text}: expected split=number, such as train=40, which trains on one image at least."
        )
    return split, count
