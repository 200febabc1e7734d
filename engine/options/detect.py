"""Options of detect.py. Free of torch: `detect.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from engine.options import common
from engine.options.common import DETECT, EXIST_OK, NAME, PROJECT, SLICING
from utils.options import Group

INPUT, BOXES, OUTPUT = Group("Source and model"), Group("Detections", DETECT), Group("Output")
TRACKING, EVENTS = Group("Tracking", DETECT), Group("Lines, zones and messages", DETECT)
RECORDING, PAGE = Group("Recording", DETECT), Group("Page", DETECT)
DRAWING, RUNTIME = Group("Display and drawing"), Group("Runtime")
TRACKERS = ("none", "bytetrack", "botsort", "ocsort", "deepocsort", "fasttrack", "tracktrack")

FOREIGN = {  # options of YOLOv5 and Ultralytics that have another name or no meaning here
    "model": "It is --weights.",
    "checkpoint": "It is --weights.",
    "show": "It is --view-img.",
    "save": "Results are saved unless --nosave is given.",
    "visualize": "Feature maps are not saved; --show-map paints a method's map over the image.",
    "update": "best.pt needs no stripping: it holds the detector alone.",
    "save_format": "--save-txt writes YOLO's form: class, then centre, width and height as fractions.",
    "stream": "Frames are read and detected one after the other anyway.",
}


@dataclass(frozen=True)
class DetectOptions:
    """What is read, how predictions become detections, and what is shown and written."""

    foreign: ClassVar = FOREIGN

    weights: Path | None = INPUT.option(
        None,
        ".pt, .safetensors, .onnx or .torchscript file or OpenVINO folder, such as best.pt",
        shown="the newest run's, else a demo detector",
    )
    source: str = INPUT.option(
        "",
        "camera number, image, video, folder, 'glob*', .txt or .streams list, or an rtsp://, rtmp:// or http(s):// address",
        shown="required",
    )
    data: str = INPUT.option("", "data YAML to take class names from, if the weights have none")
    vid_stride: int = INPUT.option(1, "process every N-th frame of videos and streams", low=1)
    retries: int = INPUT.option(
        5, "reconnection attempts to a stream, with a back-off of 1, 2, 4 ... 30 s; 0: unlimited", low=0
    )
    rtsp_transport: str = INPUT.option("tcp", "transport of rtsp:// streams; udp loses packets", choices=("tcp", "udp"))
    watchdog: float = INPUT.option(
        10.0, "seconds after which a frozen or black image of a stream is reported, as are a falling rate and a stale "
        "clock; 0: never", low=0.0,
    )  # fmt: skip

    imgsz: tuple[int, ...] = BOXES.option(
        (640,), "input size, px: one number, or height and width", low=32, aliases=("img", "img-size")
    )
    conf_thres: float = common.confidence_option(BOXES, 0.25)
    iou_thres: float = common.iou_option(BOXES, 0.45)
    max_det: int = BOXES.option(1000, "maximum detections per image", low=1)
    classes: tuple[int, ...] = BOXES.option((), "keep only these classes, by number", low=0, shown="all")
    agnostic_nms: bool = BOXES.option(False, "class-agnostic NMS")
    augment: bool = BOXES.option(False, "test-time augmentation (scale and horizontal flip)")
    end2end: bool = BOXES.option(False, "use the NMS-free (end-to-end) head where the model has one")

    enhance: str = common.enhance_option("none", choices=common.ENHANCERS)
    enhance_weights: Path | None = common.weights_option()
    enhance_scale: int | None = common.scale_option()

    slice: int | None = common.slice_option()
    overlap: float = common.overlap_option()
    merge: str = common.merge_option()
    slice_batch: int = SLICING.option(16, "with --slice: tiles per batch", low=1)
    slice_whole: bool = SLICING.option(
        False, "with --slice: also detect in the whole image, for objects larger than a tile"
    )

    track: str = TRACKING.option("none", "give objects identities with this tracker (package lap)", choices=TRACKERS)
    track_buffer: int = TRACKING.option(30, "frames for which an object that is lost keeps its identity", low=1)
    track_reset: float = TRACKING.option(
        5.0, "seconds without a frame after which a camera or stream starts with new identities", low=0
    )
    trail: int = TRACKING.option(30, "length of the trails that are drawn, frames; 0: none", low=0, high=100_000)
    save_mot: bool = TRACKING.option(False, "save mot/NAME.txt: one row per object and frame in MOTChallenge format")

    line: tuple[str, ...] = EVENTS.option(
        (),
        "with --track: count objects that cross a line, NAME=x1,y1,x2,y2, px or fractions of the image; NAME@2=... is for "
        "the second source; can be repeated",
        shown="none",
    )
    zone: tuple[str, ...] = EVENTS.option(
        (), "with --track: count objects in a polygon and how long they stay, NAME=x1,y1,x2,y2,x3,y3,...", shown="none"
    )
    anchor: str = EVENTS.option(
        "bottom", "point of a box that crosses lines: middle of the lower edge, or center", choices=("bottom", "center")
    )
    save_jsonl: str = EVENTS.option(
        "", "write one JSON object per frame to this file, or to standard output for -", shown="none"
    )
    publish: str = EVENTS.option(
        "", "send frames and events to this MQTT broker, mqtt://HOST/TOPIC (package paho-mqtt)", shown="none"
    )

    nosave: bool = OUTPUT.option(False, "save no images or videos")
    save_txt: bool = OUTPUT.option(
        False, "save labels/NAME.txt in YOLO format (NAME_FRAME.txt for videos)", tasks=DETECT
    )
    save_conf: bool = OUTPUT.option(False, "with --save-txt: add the confidence to each row", tasks=DETECT)
    save_csv: bool = OUTPUT.option(False, "save predictions.csv, one row per detection")
    save_crop: bool = OUTPUT.option(False, "save each detection as crops/CLASS/NAME.jpg", tasks=DETECT)
    project: Path = OUTPUT.option(Path("runs/detect"), PROJECT)
    name: str = OUTPUT.option("exp", NAME)
    exist_ok: bool = OUTPUT.option(False, EXIST_OK)

    codec: str = RECORDING.option(
        "auto", "of videos and recordings; auto: h264, or mpeg4 where the package av is missing; browsers play h264 and av1",
        choices=("auto", "h264", "av1", "mpeg4"),
    )  # fmt: skip
    record: str = RECORDING.option(
        "none", "record streams and videos in segments: everything, or what surrounds events (detections; with --line or "
        "--zone, crossings)", choices=("none", "all", "events"),
    )  # fmt: skip
    record_segment: float = RECORDING.option(60.0, "length of a segment at most, s", low=1.0)
    record_before: float = RECORDING.option(
        5.0, "with --record events: seconds kept before an event", low=0.0, high=60.0
    )
    record_after: float = RECORDING.option(10.0, "with --record events: seconds after the last event", low=0.0)
    record_limit: float = RECORDING.option(10.0, "GiB that recordings take at most; the oldest are deleted", low=0.001)

    serve: str = PAGE.option(
        "", "show all sources on a page in the browser at [HOST:]PORT; HOST is 127.0.0.1 unless given", shown="no page"
    )
    serve_token: str = PAGE.option(
        "", "secret that a browser must show, or @FILE with it; needed for a HOST that others reach", shown="none"
    )

    view_img: bool = DRAWING.option(False, "show images in a window (press q to stop)")
    line_thickness: int = DRAWING.option(
        3, "line width, px, for images of 640 to 1920 px; scaled for others", low=1, high=100
    )
    show_map: bool = DRAWING.option(
        False, "overlay the map of a layer that has one (CruxSplit)", tasks=DETECT, formerly=("show_crux",)
    )
    hide_labels: bool = DRAWING.option(False, "hide class names")
    hide_conf: bool = DRAWING.option(False, "hide confidences")

    device: str = common.device_option(RUNTIME)
    half: bool = RUNTIME.option(False, "float16 inference on a GPU; with OpenVINO the CPU's own half precision")
    backend: str | None = RUNTIME.option(
        None,
        "runtime: onnx and openvino convert a checkpoint once and keep it in runs/.cache/onnx; auto: the fastest installed "
        "one on a CPU",
        choices=("auto", "torch", "onnx", "openvino"),
        shown="the file's own",
        tasks=DETECT,
    )
    dnn: bool = RUNTIME.option(False, "run .onnx files with OpenCV DNN", tasks=DETECT)
    trust: bool = common.trust_option(RUNTIME)


ABOUT = "Detect objects in images, videos and streams; with the weights of an action classifier, recognise actions."
EXAMPLES = (
    "python detect.py --weights runs/train/exp/weights/best.pt --source photos/",
    "python detect.py --weights best.pt --source night.mp4 --enhance zero-dce --view-img",
    "python detect.py --weights best.pt --source cameras.streams --nosave --serve 8000",
)
