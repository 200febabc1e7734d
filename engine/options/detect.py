"""Options of detect.py. Free of torch: `detect.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.options.common import (
    LIGHT,
    SLICING,
    enhance_option,
    merge_option,
    overlap_option,
    scale_option,
    slice_option,
    weights_option,
)
from utils.options import Group, option
from utils.options.shared import (
    DETECT,
    EXIST_OK,
    NAME,
    PROJECT,
    confidence_option,
    device_option,
    iou_option,
    trust_option,
)

INPUT, BOXES, OUTPUT = Group("Source and model"), Group("Detections", DETECT), Group("Output")
DRAWING, RUNTIME = Group("Display and drawing"), Group("Runtime")


@dataclass(frozen=True)
class DetectOptions:
    """What is read, how predictions become detections, and what is shown and written."""

    weights: Path | None = option(
        None, ".pt, .safetensors or .onnx file, such as best.pt", group=INPUT, shown="required"
    )
    source: str = option(
        "",
        "camera number, image, video, folder, 'glob*', .txt or .streams list, or an rtsp://, rtmp:// or http(s):// address",
        group=INPUT,
        shown="required",
    )
    data: str = option("", "data YAML to take class names from, if the weights have none", group=INPUT)
    vid_stride: int = option(1, "process every N-th frame of videos and streams", group=INPUT, low=1)
    retries: int = option(
        5, "reconnection attempts to a stream, with a back-off of 1, 2, 4 ... 30 s; 0: unlimited", group=INPUT, low=0
    )

    imgsz: tuple[int, ...] = option(
        (640,), "input size, px: one number, or height and width", group=BOXES, low=32, aliases=("img", "img-size")
    )
    conf_thres: float = confidence_option(BOXES, 0.25)
    iou_thres: float = iou_option(BOXES, 0.45)
    max_det: int = option(1000, "maximum detections per image", group=BOXES, low=1)
    classes: tuple[int, ...] = option((), "keep only these classes, by number", group=BOXES, low=0, shown="all")
    agnostic_nms: bool = option(False, "class-agnostic NMS", group=BOXES)
    augment: bool = option(False, "test-time augmentation (scale and horizontal flip)", group=BOXES)
    end2end: bool = option(False, "use the NMS-free (end-to-end) head where the model has one", group=BOXES)

    enhance: str = enhance_option(LIGHT)
    enhance_weights: Path | None = weights_option(LIGHT)
    enhance_scale: int | None = scale_option(LIGHT)

    slice: int | None = slice_option()
    overlap: float = overlap_option()
    merge: str = merge_option()
    slice_batch: int = option(16, "with --slice: tiles per batch", group=SLICING, low=1)
    slice_whole: bool = option(
        False, "with --slice: also detect in the whole image, for objects larger than a tile", group=SLICING
    )

    nosave: bool = option(False, "save no images or videos", group=OUTPUT)
    save_txt: bool = option(
        False, "save labels/NAME.txt in YOLO format (NAME_FRAME.txt for videos)", group=OUTPUT, tasks=DETECT
    )
    save_conf: bool = option(False, "with --save-txt: add the confidence to each row", group=OUTPUT, tasks=DETECT)
    save_csv: bool = option(False, "save predictions.csv, one row per detection", group=OUTPUT)
    save_crop: bool = option(False, "save each detection as crops/CLASS/NAME.jpg", group=OUTPUT, tasks=DETECT)
    project: Path = option(Path("runs/detect"), PROJECT, group=OUTPUT)
    name: str = option("exp", NAME, group=OUTPUT)
    exist_ok: bool = option(False, EXIST_OK, group=OUTPUT)

    view_img: bool = option(False, "show images in a window (press q to stop)", group=DRAWING)
    line_thickness: int = option(
        3, "line width, px, for images of 640 to 1920 px; scaled for others", group=DRAWING, low=1, high=100
    )
    show_map: bool = option(
        False,
        "overlay the map of a layer that has one (CruxSplit)",
        group=DRAWING,
        tasks=DETECT,
        formerly=("show_crux",),
    )
    hide_labels: bool = option(False, "hide class names", group=DRAWING)
    hide_conf: bool = option(False, "hide confidences", group=DRAWING)

    device: str = device_option(RUNTIME)
    half: bool = option(False, "float16 inference (GPU only)", group=RUNTIME)
    dnn: bool = option(False, "run .onnx files with OpenCV DNN", group=RUNTIME, tasks=DETECT)
    trust: bool = trust_option(RUNTIME)


ABOUT = "Detect objects in images, videos and streams; with the weights of an action classifier, recognise actions."
EXAMPLES = (
    "python detect.py --weights runs/train/exp/weights/best.pt --source photos/",
    "python detect.py --weights best.pt --source night.mp4 --enhance zero-dce --view-img",
    "python detect.py --weights best.onnx --source rtsp://camera/stream --nosave --save-csv",
)
