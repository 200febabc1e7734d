"""The recipe of `make demo` and of the comparisons on `demo-night`: small enough for two CPU cores."""

from __future__ import annotations

from typing import Any

DAY_WEIGHTS = "weights/yolov5n-demo-days.safetensors"  # see weights/make.py

RECIPE: dict[str, Any] = {
    "data": "demo-night",
    "weights": DAY_WEIGHTS,
    "cfg": "models/yolov5n.yaml",
    "hyp": "data/hyps/hyp.demo.yaml",
    "optimizer": "AdamW",
    "imgsz": 192,
    "epochs": 8,
    "batch_size": 16,
}
