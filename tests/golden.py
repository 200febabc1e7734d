"""Tiny trainings of every method and task, recorded, so that a change of shape can be shown to change no result.

python -m tests.golden before.json                     before the change
python -m tests.golden after.json --same before.json   after it: exit code 1 and a line per difference

Losses, metrics and final weights are compared bit for bit, so both runs belong on one machine. About half a minute.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "YOLO_OFFLINE": "true", "MPLBACKEND": "Agg"}
os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="yolo-config-")

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import _api

import engine
from data.io.labels import scan
from data.synthetic.actions.poses import NAMES
from data.synthetic.actions.scene import film, save_film
from engine.checkpoint import load_weights
from models.action import INPUTS, KINETICS, ClipInput
from tests.engine.classification.tiny_classes import write_classes
from tests.engine.tiny import CRUX_NETWORK, write_crux_dataset, write_dataset
from tests.soft_labels import write_cache
from utils.files import list_images, load_yaml, save_yaml

VARYING = ("seconds", "time", "memory")  # columns that differ from run to run


class SmallClipNetwork(nn.Module):
    """A clip classifier with the parts that torchvision's have, and few parameters."""

    def __init__(self, num_classes: int = 2, weights: None = None) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 8, (1, 4, 4), (1, 4, 4)), nn.ReLU())
        self.fc = nn.Linear(8, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, S, S) to (B, classes)."""
        scores: Tensor = self.fc(self.stem(clips).mean((2, 3, 4)))
        return scores


def runs(root: Path) -> dict[str, dict[str, Any]]:
    """Name -> options of each training; writes their data below root."""
    scratch = {"batch_size": 4, "imgsz": 64, "nbs": 4, "workers": 0, "lr0": 0.01, "epochs": 2}
    detect = write_dataset(root / "set", images=12) | scratch
    crux = write_crux_dataset(root / "crux", images=8) | scratch
    data = load_yaml(root / "set/world.yaml")
    save_yaml(root / "set/world.yaml", data | {"reference": "images/val_day"})
    save_yaml(root / "set/tiny8n-crux.yaml", CRUX_NETWORK)
    labels = scan(list_images(root / "set/images/train", root), 2, what="train").labels
    teacher = write_cache(root / "set/cache", labels, ["square", "bar"], dimensions=8)
    classify = write_classes(root / "classes")
    action = {
        "data": str(write_clips(root / "clips")), "cfg": "small", "imgsz": 32, "frames": 2, "interval": 8, "test_clips": 2,
        "batch_size": 3, "epochs": 2,
    }  # fmt: skip
    return {
        "none": detect | {"method": "none"},
        "wiid": detect | {"front_ratio": 0.3, "back_ratio": 0.5, "use_mmd": True, "mask_token": "learned"},
        "wiid, boxes": detect | {"highlight": "boxes"},
        "wiid, saliency": detect | {"highlight": "saliency", "multi_scale": True},
        "rfla": detect | {"method": "rfla"},
        "rfla, paper": detect | {"method": "rfla", "rfla_mode": "paper"},
        "rfla, yolo26": detect | {"method": "rfla", "cfg": "yolo26n.yaml", "epochs": 1},
        "aeris": detect | {"method": "aeris"},
        "aeris, consistency": detect | {"method": "aeris", "consistency_weight": 1.0},
        "richsem": detect | {"method": "richsem", "teacher": teacher},
        "longtail": detect | {"method": "longtail", "federated": 2},
        "wiid+rfla": detect | {"method": "wiid+rfla"},
        "aeris+richsem": detect | {"method": "aeris+richsem", "teacher": teacher},
        "lcp, UC": crux | {"method": "lcp", "lcp_schedule": "UC"},
        "lcp": crux | {"method": "lcp", "epochs": 4},
        "classify, none": classify | {"method": "none"},
        "classify, wiid": classify | {"method": "wiid"},
        "classify, linear": classify | {"lr_schedule": "linear", "crops": "independent", "mask_squares": 0.0},
        "action, none": action | {"method": "none"},
        "action, wiid": action | {"method": "wiid", "front_ratio": 0.3},
    }


def write_clips(root: Path) -> Path:
    """Six small films by day to train on, the same six by night to measure. Returns the data YAML."""
    for seed in range(6):
        looks, label = film(seed, (32, 32), {"day", "night"}, frames=20)
        for split, look, shift in (("train", "day", 0), ("val", "night", 1), ("test", "night", 2)):
            save_film(root / split / NAMES[label] / f"{split}{seed}.avi", np.roll(looks[look], shift, 1))
    content = {"path": ".", "task": "action", "method": "wiid", "train": "train", "val": "val", "test": "test"}
    save_yaml(root / "data.yaml", content | {"conditions": {"val": "night", "test": "night"}, "names": list(NAMES)})
    return root / "data.yaml"


def record(root: Path, names: Container[str] | None = None) -> dict[str, Any]:
    """Rows of results.csv and a hash of the last weights, per run; of these names only, if given."""
    facts = {}
    with (
        mock.patch.dict(_api.BUILTIN_MODELS, small=SmallClipNetwork),
        mock.patch.dict(INPUTS, small=ClipInput(32, KINETICS)),
    ):
        for name, options in runs(root).items():
            if names is not None and name not in names:
                continue
            shared = {"project": root / "runs", "name": name, "device": "cpu", "plots": False}
            folder = engine.train(**options | shared).save_dir
            with open(folder / "results.csv") as file:
                rows = [{k: v for k, v in row.items() if k not in VARYING} for row in csv.DictReader(file)]
            facts[name] = {"rows": rows, "weights": hash_of(load_weights(folder / "weights/last.pt").state)}
    return facts


def hash_of(state: dict[str, Tensor]) -> str:
    """A hash of names and values."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + state[name].float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def differences(now: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    """A line per run that is not the same to the last bit."""
    for name in before:
        if name not in now:
            yield f"{name}: is missing"
        elif now[name] != before[name]:
            old, new = (
                [row.get("train/box_loss", row.get("train/day")) for row in f["rows"]]
                for f in (before[name], now[name])
            )
            yield f"{name}: first loss per epoch {old} -> {new}"


def main() -> int:
    """Record, and compare where asked. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--same", type=Path, help="a record that this one must equal")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("hardsight").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as root:
        facts = record(Path(root))
    options.out.write_text(json.dumps(facts, indent=1))
    found = list(differences(facts, json.loads(options.same.read_text()))) if options.same else []
    print("\n".join(found) or f"{len(facts)} runs recorded{' and equal' if options.same else ''}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
