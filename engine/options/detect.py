"""Options of detect.py. Free of torch: `detect.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.options.enhance import enhance_option, scale_option, weights_option
from utils.options import option

_WHAT, _BOXES, _LIGHT, _SLICES, _SAVING = "What", "Detections", "Light", "Slices", "Saving"
_LOOKS, _RUN = "Drawing", "Running"
DETECT = ("detect",)


@dataclass(frozen=True)
class DetectOptions:
    """What is read, how it becomes boxes, and what is shown and written."""

    weights: Path | None = option(
        None, "detector (needed): .pt, .safetensors or .onnx, such as runs/train/exp/weights/best.pt", group=_WHAT
    )
    source: str = option(
        "",
        "what to look at (needed): a camera number, image, video, folder, 'pattern*', .txt or .streams list, "
        "rtsp://, rtmp:// or http(s):// address",
        group=_WHAT,
    )
    data: str = option("", "data YAML to take class names from, for a network file that has none", group=_WHAT)
    vid_stride: int = option(1, "look at every N-th frame of videos and streams", group=_WHAT, low=1)
    retries: int = option(
        5, "tries in a row to reach a silent stream, 1, 2, 4 ... 30 s apart; 0: for ever", group=_WHAT, low=0
    )

    imgsz: tuple[int, ...] = option(
        (640,),
        "size that images are fitted into, px: one number, or height and width",
        group=_BOXES,
        low=32,
        aliases=("img", "img-size"),
        tasks=DETECT,
    )
    conf_thres: float = option(
        0.25, "lowest confidence", group=_BOXES, low=0.0, high=1.0, aliases=("conf",), tasks=DETECT
    )
    iou_thres: float = option(
        0.45,
        "overlap (IoU) at which the weaker box is dropped",
        group=_BOXES,
        low=0.0,
        high=1.0,
        aliases=("iou",),
        tasks=DETECT,
    )
    max_det: int = option(1000, "detections kept of an image", group=_BOXES, low=1, tasks=DETECT)
    classes: tuple[int, ...] = option(
        (), "numbers of the classes to keep; none given: all", group=_BOXES, low=0, tasks=DETECT
    )
    agnostic_nms: bool = option(False, "let boxes of different classes suppress each other", group=_BOXES, tasks=DETECT)
    augment: bool = option(False, "add a smaller and a mirrored view of each image", group=_BOXES, tasks=DETECT)
    end2end: bool = option(False, "use the suppression-free head of models that have one", group=_BOXES, tasks=DETECT)

    enhance: str = enhance_option(_LIGHT)
    enhance_weights: Path | None = weights_option(_LIGHT)
    enhance_scale: int | None = scale_option(_LIGHT)

    slice: int | None = option(
        None,
        "cut images into tiles of this side in pixels, detect in each, and join the boxes",
        group=_SLICES,
        low=32,
        tasks=DETECT,
    )
    overlap: float = option(
        0.2,
        "with --slice: share of a tile that its neighbour has too; objects up to that size are seen whole",
        group=_SLICES,
        low=0.0,
        high=0.9,
        tasks=DETECT,
    )
    merge: str = option(
        "nmm",
        "with --slice: the pieces of a larger object become their union (nmm) or the most confident of them (nms)",
        group=_SLICES,
        choices=("nmm", "nms"),
        tasks=DETECT,
    )
    slice_batch: int = option(
        16, "with --slice: tiles that go through the network together", group=_SLICES, low=1, tasks=DETECT
    )
    slice_whole: bool = option(
        False, "with --slice: look at the whole image too, for objects larger than a tile", group=_SLICES, tasks=DETECT
    )

    nosave: bool = option(False, "write no images and no videos", group=_SAVING)
    save_txt: bool = option(
        False, "write labels/NAME.txt (of videos NAME_FRAME.txt) in YOLO format", group=_SAVING, tasks=DETECT
    )
    save_conf: bool = option(False, "with the confidence as last number of each row", group=_SAVING, tasks=DETECT)
    save_csv: bool = option(False, "write predictions.csv, a row a detection", group=_SAVING)
    save_crop: bool = option(
        False, "write each detection as an image, crops/CLASS/NAME.jpg", group=_SAVING, tasks=DETECT
    )
    project: Path = option(Path("runs/detect"), "folder of the runs", group=_SAVING)
    name: str = option("exp", "folder of this run; numbered if taken", group=_SAVING)
    exist_ok: bool = option(False, "write into this run's folder even if it is taken", group=_SAVING)

    view_img: bool = option(False, "show images in a window (q ends the run)", group=_LOOKS)
    line_thickness: int = option(
        3, "lines, px, in images of 640 to 1920 px; others in proportion", group=_LOOKS, low=1, high=100
    )
    show_crux: bool = option(
        False, "paint the map of a crux model (method lcp) over the images, below the boxes", group=_LOOKS, tasks=DETECT
    )
    hide_labels: bool = option(False, "draw boxes without names", group=_LOOKS)
    hide_conf: bool = option(False, "draw names without confidence", group=_LOOKS)

    device: str = option("", "cpu, or a GPU's number; empty takes the first GPU if there is one", group=_RUN)
    half: bool = option(False, "float16 arithmetic (GPU only)", group=_RUN)
    dnn: bool = option(False, "run an .onnx file with OpenCV's own engine", group=_RUN, tasks=DETECT)
    trust: bool = option(False, "load the checkpoint the ordinary way, which runs the code inside it", group=_RUN)
