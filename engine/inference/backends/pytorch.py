"""A detector in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.inference.backends.base import rgb
from engine.inference.backends.candidates import boxes_of_candidates
from engine.inference.backends.fused import fuse_activations
from utils.devices import on_gpu


class TorchBackend:
    """An Ultralytics `DetectionModel`, fused for inference (which changes the model), in float16 on request.

    On a CPU weights and images have their channels last in memory, as its convolutions work, and these apply their SiLU.
    There, cells without a class above `conf` get no box (0 in its place), which takes a fifth less time; None: all do.
    """

    size: tuple[int, int] | None = None

    def __init__(
        self,
        model: Any,
        device: torch.device | str = "cpu",
        *,
        half: bool = False,
        augment: bool = False,
        max_det: int = 1000,
        agnostic: bool = False,
        end2end: bool = False,
        conf: float | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.names: Mapping[int, str] = dict(model.names)
        self.stride = int(max(model.stride))
        head = model.model[-1]
        if getattr(head, "one2one_cv2", None) is not None and head.cv2 is not None:  # fusing removes one of the two
            model.end2end = end2end
        self.overlaps = not getattr(model, "end2end", False)
        head.max_det, head.agnostic_nms = max_det, agnostic
        self.augment = {"augment": True} if augment else {}
        self.half = half and on_gpu(self.device)
        model = model.eval().fuse(verbose=False).to(self.device).requires_grad_(False)
        model = model.half() if self.half else model.float()
        if self.device.type == "cpu":
            model = model.to(memory_format=torch.channels_last)
            if conf is not None:
                boxes_of_candidates(model, conf)
            fuse_activations(model)
        self.model = model

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """See Backend."""
        output = self.model(self._batch(images), **self.augment)
        return (output[0] if isinstance(output, (tuple, list)) else output).float()

    def _batch(self, images: Sequence[np.ndarray]) -> Tensor:
        """Images as a network takes them: (B, 3, H, W), red-green-blue, in [0, 1]."""
        if self.device.type == "cpu":
            return rgb(images).float().div_(255)
        bytes_ = torch.from_numpy(np.stack(images)).to(self.device)  # a quarter of the traffic of floats
        batch = bytes_.permute(0, 3, 1, 2).flip(1)
        return (batch.half() if self.half else batch.float()) / 255
