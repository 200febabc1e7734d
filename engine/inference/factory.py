"""A predictor from the options of detect.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.config import load_data
from engine.inference.backends import load_backend
from engine.inference.predictor import Predictor, Preprocess
from engine.inference.sliced import SlicedPredictor, tiling_of
from engine.options.detect import DetectOptions
from engine.tracking.trackers import weakest
from utils.errors import UserError
from utils.files import find_weights


def open_predictor(options: DetectOptions, preprocess: Preprocess | None = None) -> Predictor | SlicedPredictor:
    """The detector that the options name. Raises UserError for a missing or unsuitable file, size, class or tile."""
    if options.weights is None:
        raise UserError("--weights: no detector was given. Name a file such as runs/train/exp/weights/best.pt.")
    conf = weakest(options)
    network = load_backend(find_weights(options.weights), options, conf)
    network.names = choose_names(network.names, options.data)
    unknown = [number for number in options.classes if network.names and number not in network.names]
    if unknown:
        raise UserError(f"--classes {unknown[0]}: the detector's classes are 0 to {max(network.names)}.")
    tiling = tiling_of(options, network.stride)
    predictor = Predictor(
        network,
        imgsz=padded_size(options.imgsz, network.stride),
        conf=conf,
        iou=options.iou_thres,
        max_det=options.max_det,
        classes=options.classes,
        agnostic=options.agnostic_nms,
        preprocess=None if tiling else preprocess,
    )
    return SlicedPredictor(predictor, tiling, preprocess) if tiling else predictor


def choose_names(own: Mapping[int, str], data: str) -> dict[int, str]:
    """Class names of a data YAML where one is named, else the detector's own. Raises UserError where counts differ."""
    if not data:
        return dict(own)
    names = load_data(data, need=()).names
    if own and len(own) != len(names):
        raise UserError(f"--data {data}: names {len(names)} classes, the detector has {len(own)}. Leave --data out.")
    return names


def padded_size(imgsz: Sequence[int], stride: int) -> tuple[int, int]:
    """(height, width) in pixels, rounded up to whole strides. Raises UserError for more than two numbers."""
    if len(imgsz) not in (1, 2):
        raise UserError(f"--imgsz {' '.join(map(str, imgsz))}: expected one number, or height and width.")
    height, width = (-(-side // stride) * stride for side in (imgsz[0], imgsz[-1]))
    return height, width
