"""`yolo train` and ours with its recipe, side by side: python -m bench.against_ultralytics --data raccoon.yaml nightcars.yaml

Both start from the same weights and see the same epochs, batch and size. Ultralytics' trainer runs by itself; ours is
`--method none --hyp hyp.ultralytics.yaml`. Both best checkpoints are measured by `engine.validate` on the same split at
an NMS IoU of 0.7. Finished runs are not repeated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import engine
from data.config import load_data
from data.synthetic.generate import make_synthetic
from utils.files import atomic_write, save_yaml
from utils.options import build, option, parse_argv
from utils.tables import save_csv, text_table
from utils.ultralytics_env import contain_ultralytics

HYP = "hyp.ultralytics.yaml"
IOU = 0.7


@dataclass(frozen=True)
class SideOptions:
    """What is trained, and how long."""

    data: tuple[str, ...] = option((), "data YAMLs", shown="required")
    cfg: str = option("yolov8n.yaml", "network, random weights unless --weights")
    weights: str = option("", "official checkpoint that both start from", shown="random weights")
    epochs: int = option(60, "training epochs", low=1)
    batch_size: int = option(16, "batch size", low=1)
    imgsz: int = option(320, "image size, px", low=32)
    seeds: int = option(3, "seeds, from 0", low=1)
    device: str = option("cpu", "cpu, or the number of a GPU")
    workers: int = option(1, "dataloader workers", low=0)
    out: Path = option(Path("runs/against-ultralytics"), "folder of the runs and tables")


def train_theirs(data: Path, folder: Path, seed: int, options: SideOptions) -> Path:
    """Ultralytics' own trainer with its defaults. Returns its best checkpoint."""
    contain_ultralytics()
    from ultralytics import YOLO

    model = YOLO(options.weights or options.cfg)
    model.train(
        data=str(data), epochs=options.epochs, batch=options.batch_size, imgsz=options.imgsz, seed=seed, verbose=False,
        device=options.device, workers=options.workers, project=str(folder.parent.resolve()), name=folder.name,
        exist_ok=True, plots=False,
    )  # fmt: skip
    return folder / "weights" / "best.pt"


def train_ours(data: Path, folder: Path, seed: int, options: SideOptions) -> Path:
    """Ours, with its recipe. Returns the best checkpoint."""
    start = {"weights": options.weights} if options.weights else {"cfg": options.cfg}
    result = engine.train(
        data=str(data), method="none", hyp=HYP, epochs=options.epochs, batch_size=options.batch_size, plots=False,
        imgsz=options.imgsz, seed=seed, device=options.device, workers=options.workers, project=folder.parent,
        name=folder.name, exist_ok=True, **start,
    )  # fmt: skip
    best: Path = result.best
    return best


SIDES = {"yolo train": train_theirs, "ours": train_ours}


def title(data: str) -> str:
    """What a data set is called: its YAML's name, or of a `data.yaml` its folder's.

    >>> title("sets/raccoon/data.yaml"), title("nightcars.yaml")
    ('raccoon', 'nightcars')
    """
    path = Path(data)
    return path.stem if path.stem != "data" or not path.parent.name else path.parent.name


def plain_yaml(data: str, folder: Path) -> Path:
    """The data YAML with absolute folders and no other keys than Ultralytics' trainer reads."""
    config = load_data(data, make_demo=make_synthetic)
    splits = {split: [str(path) for path in config.sources(split)] for split in ("train", "val")}
    path = folder / f"{title(data)}.yaml"
    save_yaml(path, {"path": str(config.root), **splits, "names": dict(config.names)})
    return path


def measure(data: str, best: Path, options: SideOptions) -> list[dict[str, Any]]:
    """mAP of each condition of the test split, or of val where there is none."""
    task = "test" if "test" in load_data(data, make_demo=make_synthetic).splits else "val"
    result = engine.validate(
        data=data, weights=str(best), task=task, imgsz=options.imgsz, iou_thres=IOU, device=options.device, plots=False,
        project=best.parents[1], name="val", exist_ok=True,
    )  # fmt: skip
    return [{"condition": report.condition, **report.metrics} for report in result.reports]


def run(options: SideOptions) -> list[dict[str, Any]]:
    """Every side, seed and data set; one row per condition. Rows are kept as each is made."""
    rows = []
    for data in options.data:
        for seed in range(options.seeds):
            for side, train in SIDES.items():
                folder = options.out / title(data) / f"{side.replace(' ', '-')}-seed{seed}"
                done = folder / "measured.json"
                if not done.is_file():
                    folder.mkdir(parents=True, exist_ok=True)
                    best = train(plain_yaml(data, options.out), folder, seed, options)
                    atomic_write(done, json.dumps(measure(data, best, options)).encode())
                found = json.loads(done.read_text(encoding="utf-8"))
                rows += [{"data": title(data), "seed": seed, "side": side, **row} for row in found]
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and spread of each side over seeds, and the difference with its standard error.

    >>> summary([{"data": "d", "condition": "c", "side": side, "seed": seed, "mAP50": value, "mAP50-95": value}
    ...          for side, values in (("yolo train", (0.4, 0.6)), ("ours", (0.5, 0.7))) for seed, value in enumerate(values)])[0][
    ...     "ours - theirs"]
    0.1
    """
    table = []
    for data, condition in dict.fromkeys((row["data"], row["condition"]) for row in rows):
        for metric in ("mAP50", "mAP50-95"):
            theirs, ours = (
                np.array([
                    row[metric] for row in rows if (row["data"], row["condition"], row["side"]) == (data, condition, side)
                ])
                for side in SIDES
            )  # fmt: skip
            spread = [float(values.std(ddof=1)) if len(values) > 1 else float("nan") for values in (theirs, ours)]
            error = float(np.sqrt((spread[0] ** 2 + spread[1] ** 2) / len(ours)))
            table.append(
                {"data": data, "condition": condition, "metric": metric, "yolo train": round(float(theirs.mean()), 4)}
                | {"sd": spread[0], "ours": round(float(ours.mean()), 4), "sd ours": spread[1]}
                | {"ours - theirs": round(float(ours.mean() - theirs.mean()), 4), "standard error": error}
            )
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Train, measure, print the table and write it."""
    about = __doc__.partition("\n")[0] if __doc__ else ""
    (options,) = build([SideOptions], parse_argv(argv, [SideOptions], "bench.against_ultralytics", about))
    rows = run(options)
    save_csv(options.out / "rows.csv", rows)
    table = summary(rows)
    save_csv(options.out / "summary.csv", table)
    print(text_table(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
