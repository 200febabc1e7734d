"""A detector in a .torchscript file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from engine.inference.backends.base import ExportedBackend, unreadable
from utils.errors import UserError

FACTS = "config.txt"  # where Ultralytics' exporter stores them inside the file


class TorchScriptBackend(ExportedBackend):
    """A detector as a TorchScript program, which is code: only files that are trusted are opened."""

    def __init__(self, path: Path, device: torch.device | str = "cpu", *, trust: bool = False) -> None:
        if not trust:
            raise UserError(
                f"--weights {path}: a TorchScript file is a program. Add --trust if you made it or know who did; or use "
                "the .pt, .safetensors or .onnx file of the same detector."
            )
        stored = {FACTS: ""}
        try:
            self.network = torch.jit.load(path, map_location=device, _extra_files=stored).eval()
            facts = {key: str(value) for key, value in json.loads(stored[FACTS] or "{}").items()}
        except Exception as problem:
            raise UserError(unreadable(path, problem, "a TorchScript")) from None
        self.device = torch.device(device)
        sides = json.loads(facts.get("imgsz", "[640, 640]"))  # traced for one size only
        self._describe(path, facts, (int(facts.get("batch", 1)), 3, *sides))

    @torch.inference_mode()
    def _run(self, batch: np.ndarray) -> np.ndarray:
        output = self.network(torch.from_numpy(batch).to(self.device))
        found = output[0] if isinstance(output, (tuple, list)) else output
        return np.asarray(found.float().cpu().numpy())
