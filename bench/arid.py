"""Actions in the dark on the made-up world: what each part of WiiD is worth, and how fast clips are loaded.

    python -m bench.arid                 # day only, pair, WiiD without masks, WiiD; three seeds; test by night and by day
    python -m bench.arid enhanced        # the runs of that comparison once more, with frames enhanced at test
    python -m bench.arid loading         # clips against OpenCV's raw decoding of the same frames

The network starts from nothing, and every run has the same budget.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import cv2

import engine
from bench.timing import alternate, report, table
from data.augment_options import AugmentOptions
from data.clip_lists import Split, Video
from data.clip_reading import Facts, look, read_frames
from data.clips import ClipSet, ClipShape
from data.config import load_data
from data.scenes import make_world, night_clip
from utils.files import atomic_write
from utils.options import run_door
from utils.report import markdown_table, text_table

RESULTS = Path("bench/results")
RUNS = (
    "none",
    "wiid byol_weight=0 front_ratio=0 back_ratio=0",  # the pair as augmentation
    "wiid front_ratio=0 back_ratio=0",  # without masks
    "wiid",
)
RECIPE: dict[str, Any] = {
    "data": "demo-arid",
    "cfg": "mc3_18",
    "imgsz": 48,
    "frames": 8,
    "interval": 4,
    "epochs": 20,
    "batch_size": 12,
    "optimizer": "Adam",
    "lr0": 0.001,
    "lr_schedule": "linear",
    "front_ratio": 0.1,
    "back_ratio": 0.3,
}
PROJECT, NAME = Path("runs/compare"), "arid"
ENHANCERS = ("none", "zero-dce", "clahe", "gamma")
SHAPE = ClipShape(16, 2, 112)
ROUNDS = 20


def compare(seeds: int = 3) -> None:
    """The comparison, resumable: what is done is not done again."""
    given = {key: value for key, value in RECIPE.items() if key not in {"front_ratio", "back_ratio"}}
    masks = f" front_ratio={RECIPE['front_ratio']} back_ratio={RECIPE['back_ratio']}"
    runs = tuple(run + masks if run == "wiid" else run for run in RUNS)
    engine.compare(
        run=runs, seeds=seeds, metric="top1", project=PROJECT, name=NAME, plots=False, out=RESULTS / "arid", **given
    )


def enhanced() -> None:
    """Top-1 on test of every run of the comparison, with each enhancer."""
    rows: list[dict[str, Any]] = []
    for folder in sorted((PROJECT / NAME / "runs").glob("*")):
        for way in ENHANCERS:
            found = engine.validate(
                data=RECIPE["data"], weights=folder / "weights/best.safetensors", task="test", enhance=way, plots=False
            )
            scores = {entry.condition: entry.metrics["top1"] for entry in found.reports}
            run, _, seed = folder.name.rpartition("-seed")
            rows.append({"run": run, "seed": seed, "enhance": way, **scores})
    means = averaged(rows)
    print(text_table(means))
    atomic_write(
        RESULTS / "arid-enhanced.md",
        f"# Frames enhanced at test, demo-arid, top-1\n\n{markdown_table(means)}\n".encode(),
    )


def averaged(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, a row a run and enhancer."""
    keys = list(dict.fromkeys((row["run"], row["enhance"]) for row in rows))
    table = []
    for run, way in keys:
        mine = [row for row in rows if (row["run"], row["enhance"]) == (run, way)]
        scores = {name: mean(row[name] for row in mine) for name in mine[0] if name not in {"run", "seed", "enhance"}}
        table.append({"run": run, "enhance": way, "seeds": len(mine), **scores})
    return table


def loading() -> None:
    """Time a clip of a made-up street at night, 320 x 240 px, against decoding its frames and no more."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "street.mp4"
        night_clip(video, seconds=4, size=(320, 240), progress=False)
        facts = look(video)
        assert isinstance(facts, Facts)
        split = Split([Video(video, 0, None, Facts(facts.size, SHAPE.span))])  # every clip begins at its first frame
        common: dict[str, Any] = {"cache": "none"}
        plain = ClipSet(split, SHAPE, augment=AugmentOptions(hsv_h=0, hsv_s=0, hsv_v=0), **common)
        coloured = ClipSet(split, SHAPE, augment=AugmentOptions(), **common)
        moving = ClipSet(split, SHAPE, augment=AugmentOptions(), motion=True, **common)
        tests = ClipSet(split, SHAPE, **common)
        numbers = SHAPE.numbers(0)
        cv2.setNumThreads(1)
        timings = alternate(
            {
                "raw decoding": lambda: read_frames(video, numbers),
                "test clip": lambda: tests[0],
                "training clip, as it is": lambda: plain[0],
                "training clip, coloured": lambda: coloured[0],
                "training clip, coloured, with motion": lambda: moving[0],
            },
            rounds=ROUNDS,
        )
    rows = [{**row, "share of raw rate": 1 / row["ratio to raw decoding"]} for row in table(timings, "raw decoding")]
    print(text_table(rows))
    atomic_write(RESULTS / "clip-loading.md", report("Clip loading against OpenCV's raw decoding", rows).encode())


def main() -> None:
    """What the first word asks for."""
    word = sys.argv[1] if len(sys.argv) > 1 else "compare"
    if word != "loading":
        load_data(RECIPE["data"], make_demo=make_world)
    {"compare": compare, "enhanced": enhanced, "loading": loading}[word]()


if __name__ == "__main__":
    sys.exit(run_door(main))
