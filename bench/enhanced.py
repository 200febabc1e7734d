"""Accuracy with images enhanced at test time, of every run of a comparison (mean over seeds) or of one checkpoint.

python -m bench.enhanced runs/compare/demo-codan --out bench/results/demo-codan-enhanced.md
python -m bench.enhanced weights/yolov5n-demo-days.safetensors --data demo-night --imgsz 192
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import engine
from utils.cli import run_cli
from utils.files import atomic_write, load_yaml
from utils.tables import markdown_table

ENHANCERS = ("none", "gamma", "clahe", "zero-dce", "zero-dce:1")
METRICS = ("top1", "mAP50")  # of a task: the first that its reports have


def checkpoints(source: Path) -> dict[str, list[Path]]:
    """Run -> the checkpoint of each of its seeds; of a single file, itself."""
    if source.is_file():
        return {source.stem: [source]}
    runs = defaultdict(list)
    for row in sorted((source / "rows").glob("*.json")):
        runs[json.loads(row.read_text())["run"]].append(source / f"runs/{row.stem}/weights/best.safetensors")
    return runs


def scores(weights: Path, enhancer: str, options: dict[str, Any]) -> dict[str, float]:
    """Condition -> metric of one checkpoint on the test splits."""
    name, _, scale = enhancer.partition(":")
    chosen = {**options, "enhance": name, **({"enhance_scale": int(scale)} if scale else {})}
    with tempfile.TemporaryDirectory() as folder:
        result = engine.validate(weights=weights, task="test", plots=False, project=Path(folder), **chosen)
    metric = next(name for name in METRICS if name in result.reports[0].metrics)
    return {report.condition: report.metrics[metric] for report in result.reports}


def main() -> None:
    """Evaluate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of a comparison, or a checkpoint")
    parser.add_argument("--data", help="of a checkpoint; a comparison has its own")
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--enhancers", nargs="+", default=ENHANCERS, help="names of val.py --enhance; NAME:SCALE")
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    common: dict[str, Any] = {"data": options.data or load_yaml(options.source / "compare.yaml")["data"]}
    common |= {"imgsz": options.imgsz} if options.imgsz else {}
    rows = []
    for run, files in checkpoints(options.source).items():
        for enhancer in options.enhancers:
            results = [scores(file, enhancer, common) for file in files]
            means = {condition: mean(one[condition] for one in results) for condition in results[0]}
            rows.append({"run": run, "enhance": enhancer, "seeds": len(files), **means})
    table = markdown_table(rows)
    print(table)
    if options.out:
        title = f"# Enhanced at test time, {Path(common['data']).stem}, mean over seeds"
        atomic_write(options.out, f"{title}\n\n{table}\n".encode())


if __name__ == "__main__":
    sys.exit(run_cli(main))
