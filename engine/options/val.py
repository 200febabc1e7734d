"""Options of val.py. Free of torch: `val.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.options.common import (
    LIGHT,
    enhance_option,
    merge_option,
    overlap_option,
    protocol_option,
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
    imgsz_option,
    iou_option,
    trust_option,
)

INPUT, RUNTIME, OUTPUT = Group("Data and model"), Group("Runtime"), Group("Output")
BOXES, ROBUSTNESS = Group("Detections", DETECT), Group("Robustness", DETECT)


@dataclass(frozen=True)
class ValOptions:
    """What is evaluated, how predictions become detections, and what is written."""

    data: str = option("demo-night", "data YAML, or the name of one in data/", group=INPUT)
    weights: Path | None = option(
        None, "checkpoint, such as runs/train/exp/weights/best.pt", group=INPUT, shown="required"
    )
    task: str = option(
        "val",
        "split to evaluate (val includes val2, test includes test2); speed: latency at batch size 1; study: the val "
        "splits at several image sizes",
        group=INPUT,
        choices=("train", "val", "test", "speed", "study"),
    )
    imgsz: int = imgsz_option(INPUT)
    native: bool = option(
        False, "evaluate images at their own size, padded to the stride; ignores --imgsz", group=INPUT, tasks=DETECT
    )
    study_sizes: tuple[int, ...] = option(
        tuple(range(256, 1537, 128)), "image sizes of --task study, px", group=INPUT, low=32, tasks=DETECT
    )
    trust: bool = trust_option(INPUT)

    batch_size: int = option(32, "images per batch", group=RUNTIME, low=1, aliases=("batch",))
    device: str = device_option(RUNTIME)
    workers: int | None = option(None, "dataloader workers", group=RUNTIME, low=0, shown="8 with a GPU, 0 on the CPU")
    half: bool = option(False, "float16 inference (GPU only)", group=RUNTIME)

    conf_thres: float = confidence_option(BOXES, 0.001)
    iou_thres: float = iou_option(BOXES, 0.6)
    max_det: int | None = option(
        None,
        "maximum detections per image; by default the largest number of objects in an image, rounded up to hundreds, "
        "at least 300 (1500 with --protocol aitod); 300 with --protocol lvis",
        group=BOXES,
        low=1,
        shown="by the data",
    )
    single_cls: bool = option(False, "treat all classes as one", group=BOXES)
    augment: bool = option(False, "test-time augmentation (scale and horizontal flip)", group=BOXES)
    end2end: bool = option(False, "use the NMS-free (end-to-end) head where the model has one", group=BOXES)
    protocol: str | None = protocol_option(BOXES, "evaluate")

    enhance: str = enhance_option(LIGHT)
    enhance_weights: Path | None = weights_option(LIGHT)
    enhance_scale: int | None = scale_option(LIGHT)

    corruptions: str | None = option(
        None,
        "also evaluate under corruptions: all, coco-c, physical, weather (fog, low light, rain, snow), or a list of names; "
        "see docs/robustness.md",
        group=ROBUSTNESS,
        bare="coco-c",
    )
    severities: str = option("1-5", "with --corruptions: severities, such as 1-5, 3 or 1,3,5", group=ROBUSTNESS)

    slice: int | None = slice_option()
    overlap: float = overlap_option()
    merge: str = merge_option()

    verbose: bool = option(False, "print every class", group=OUTPUT)
    plots: bool = option(True, "save curves, confusion matrices and sample images", group=OUTPUT)
    show_map: bool = option(
        False,
        "save map.jpg: the map of a layer that has one (CruxSplit), over 16 images of each split",
        formerly=("show_crux",),
        group=OUTPUT,
        tasks=DETECT,
    )
    save_txt: bool = option(False, "save detections as YOLO label files", group=OUTPUT, tasks=DETECT)
    save_conf: bool = option(False, "with --save-txt: add the confidence to each row", group=OUTPUT, tasks=DETECT)
    save_json: bool = option(
        False, "save detections and labels as COCO JSON, and evaluate by the COCO protocol", group=OUTPUT, tasks=DETECT
    )
    project: Path = option(Path("runs/val"), PROJECT, group=OUTPUT)
    name: str = option("exp", NAME, group=OUTPUT)
    exist_ok: bool = option(False, EXIST_OK, group=OUTPUT)


VAL_SCHEMAS: tuple[type, ...] = (ValOptions,)
ABOUT = (
    "Evaluate a detector or classifier on the splits of a data YAML, for each condition (day, night, ...) by itself."
)
EXAMPLES = (
    "python val.py --data demo-night --weights runs/train/exp/weights/best.pt --task test",
    "python val.py --data visdrone.yaml --weights best.pt --slice 640 --protocol coco",
    "python val.py --data demo-night --weights best.pt --corruptions weather --severities 1,3,5",
)
