"""Options of val.py. Free of torch: `val.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from engine.options import common
from engine.options.common import DETECT, EXIST_OK, NAME, PROJECT
from utils.options import Group

INPUT, RUNTIME, OUTPUT = Group("Data and model"), Group("Runtime"), Group("Output")
BOXES, ROBUSTNESS = Group("Detections", DETECT), Group("Robustness", DETECT)
FAILURES = Group("Where and why it fails", DETECT)

FOREIGN = {  # options of YOLOv5, Ultralytics, WiiD, MMDetection and DINO that have another name or no meaning here
    "rect": "Validation is rectangular already; --native pads each image by itself.",
    "save_hybrid": "It mixed labels into detections, which makes results too good.",
    "dnn": "An .onnx file runs with ONNX Runtime; name it as --weights.",
    "multi_val": "Name a second split in the data YAML, 'val2: FOLDER'; both are then evaluated.",
    "split": "It is --task: train, val or test.",
    "eval": "val.py does nothing else; --protocol coco, aitod or lvis chooses the metric.",
    "format": "It is --protocol: coco, aitod or lvis.",
    "checkpoint": "It is --weights.",
    "out": "It is --save-json.",
    "show": "Images stand in the run's folder; --project and --name choose it.",
    "show_dir": "It is --project FOLDER --name RUN.",
    "cfg_options": "Every option has its own name here; --help lists them.",
    "launcher": "Evaluation runs on one device, --device.",
}


@dataclass(frozen=True)
class ValOptions:
    """What is evaluated, how predictions become detections, and what is written."""

    data: str = INPUT.option("demo-night", "data YAML, or the name of one in data/")
    weights: Path | None = INPUT.option(
        None,
        "checkpoint, such as runs/train/exp/weights/best.pt, or an exported .onnx, .torchscript or OpenVINO network",
        shown="the newest run's, with its data",
    )
    task: str = INPUT.option(
        "val",
        "split to evaluate (val includes val2, test includes test2); speed: latency at batch size 1; study: the val "
        "splits at several image sizes",
        choices=("train", "val", "test", "speed", "study"),
    )
    imgsz: int = common.imgsz_option(INPUT)
    native: bool = INPUT.option(
        False, "evaluate images at their own size, padded to the stride; ignores --imgsz", tasks=DETECT
    )
    study_sizes: tuple[int, ...] = INPUT.option(
        tuple(range(256, 1537, 128)), "image sizes of --task study, px", low=32, tasks=DETECT
    )
    trust: bool = common.trust_option(INPUT)
    foreign: ClassVar = FOREIGN

    batch_size: int = RUNTIME.option(32, "images per batch", low=1, aliases=("batch",))
    device: str = common.device_option(RUNTIME)
    workers: int | None = RUNTIME.option(None, "dataloader workers", low=0, shown="8 with a GPU, 0 on the CPU")
    half: bool = RUNTIME.option(False, "float16 inference (GPU only)")

    conf_thres: float = common.confidence_option(BOXES, 0.001)
    iou_thres: float = common.iou_option(BOXES, 0.6)
    max_det: int | None = BOXES.option(
        None,
        "maximum detections per image; by default the largest number of objects in an image, rounded up to hundreds, "
        "at least 300 (1500 with --protocol aitod); 300 with --protocol lvis",
        low=1,
        shown="by the data",
    )
    single_cls: bool = BOXES.option(False, "treat all classes as one")
    augment: bool = BOXES.option(False, "test-time augmentation (scale and horizontal flip)")
    end2end: bool = BOXES.option(False, "use the NMS-free (end-to-end) head where the model has one")
    protocol: str | None = common.protocol_option(BOXES, "evaluate")

    enhance: str = common.enhance_option("none", choices=common.ENHANCERS)
    enhance_weights: Path | None = common.weights_option()
    enhance_scale: int | None = common.scale_option()

    corruptions: str | None = ROBUSTNESS.option(
        None,
        "also evaluate under corruptions: all, coco-c, physical, weather (fog, low light, rain, snow), or a list of names; "
        "see docs/robustness.md",
        bare="coco-c",
    )
    severities: str = ROBUSTNESS.option("1-5", "with --corruptions: severities, such as 1-5, 3 or 1,3,5")

    by: str | None = common.by_option(FAILURES)
    at_precision: float = FAILURES.fraction(0.8, "with --by: precision at which the recall of each part is stated")
    worst: int = FAILURES.option(
        0, "save so many images of each split with the most mistakes: hits green, misses red, false alarms blue", low=0
    )
    calibrate: bool = FAILURES.option(
        False, "fit a temperature to the confidences, and save a copy of the checkpoint that has it"
    )
    report: bool = FAILURES.option(False, "write report.html: tables, curves and the worst images in one file")

    slice: int | None = common.slice_option()
    overlap: float = common.overlap_option()
    merge: str = common.merge_option()

    verbose: bool = OUTPUT.option(False, "print every class")
    plots: bool = OUTPUT.option(True, "save curves, confusion matrices and sample images")
    show_map: bool = OUTPUT.option(
        False,
        "save map.jpg: the map of a layer that has one (CruxSplit), over 16 images of each split",
        formerly=("show_crux",),
        tasks=DETECT,
    )
    save_txt: bool = OUTPUT.option(False, "save detections as YOLO label files", tasks=DETECT)
    save_conf: bool = OUTPUT.option(False, "with --save-txt: add the confidence to each row", tasks=DETECT)
    save_json: bool = OUTPUT.option(
        False, "save detections and labels as COCO JSON, and evaluate by the COCO protocol", tasks=DETECT
    )
    project: Path = OUTPUT.option(Path("runs/val"), PROJECT)
    name: str = OUTPUT.option("exp", NAME)
    exist_ok: bool = OUTPUT.option(False, EXIST_OK)


VAL_SCHEMAS: tuple[type, ...] = (ValOptions,)
ABOUT = (
    "Evaluate a detector or classifier on the splits of a data YAML, for each condition (day, night, ...) by itself."
)
EXAMPLES = (
    "python val.py --data demo-night --weights runs/train/exp/weights/best.pt --task test",
    "python val.py --data visdrone.yaml --weights best.pt --slice 640 --protocol coco",
    "python val.py --data demo-night --weights best.pt --corruptions weather --severities 1,3,5",
)
