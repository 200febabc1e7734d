"""Options of val.py. Free of torch: `val.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.options.enhance import enhance_option, scale_option, weights_option
from utils.options import option

DETECT = ("detect",)


@dataclass(frozen=True)
class ValOptions:
    """What is measured, how images become detections, and what is written."""

    data: str = option("demo-night", "data YAML, or the name of one in data/", group="What")
    weights: Path | None = option(
        None, "checkpoint to measure (needed), such as runs/train/exp/weights/best.pt", group="What"
    )
    task: str = option(
        "val",
        "split to measure (val takes val and val2, test takes test and test2), or speed: milliseconds one image at "
        "a time, or study: the val splits at many sizes",
        group="What",
        choices=("train", "val", "test", "speed", "study"),
    )
    trust: bool = option(False, "load the checkpoint the ordinary way, which runs the code inside it", group="What")

    batch_size: int = option(32, "images in a batch", group="Images", low=1, aliases=("batch",))
    imgsz: int = option(
        640,
        "longer side in pixels; rounded up to the detector's stride",
        group="Images",
        low=32,
        aliases=("img", "img-size"),
        tasks=("detect", "classify"),
    )
    native: bool = option(
        False,
        "every image at its own size, padded to a multiple of the stride, instead of brought to --imgsz",
        group="Images",
        tasks=DETECT,
    )
    study_sizes: tuple[int, ...] = option(
        tuple(range(256, 1537, 128)), "sizes of --task study in pixels", group="Images", low=32, tasks=DETECT
    )
    device: str = option("", "cpu, or a GPU's number; empty takes the first GPU if there is one", group="Images")
    workers: int | None = option(
        None, "loader processes; left out, 8 beside a GPU and none on the CPU", group="Images", low=0
    )

    conf_thres: float = option(
        0.001, "lowest confidence that counts", group="Detections", low=0.0, high=1.0, aliases=("conf",), tasks=DETECT
    )
    iou_thres: float = option(
        0.6,
        "overlap at which the weaker box is dropped",
        group="Detections",
        low=0.0,
        high=1.0,
        aliases=("iou",),
        tasks=DETECT,
    )
    max_det: int | None = option(
        None,
        "detections kept of an image; left out, it follows the data: as many as the fullest image has objects, in "
        "whole hundreds, at least 300, and 1500 with --protocol aitod; with --protocol lvis it is 300",
        group="Detections",
        low=1,
        tasks=DETECT,
    )
    single_cls: bool = option(False, "treat all classes as one", group="Detections", tasks=DETECT)
    augment: bool = option(False, "add a smaller and a mirrored view of each image", group="Detections", tasks=DETECT)
    half: bool = option(False, "float16 arithmetic (GPU only)", group="Detections")
    end2end: bool = option(
        False, "use the suppression-free head of models that have one", group="Detections", tasks=DETECT
    )

    protocol: str | None = option(
        None,
        "also measure as COCO (AP, AP50, AP75, APs, APm, APl), AI-TOD (AP, AP50, AP75, APvt, APt, APs, APm) or LVIS does "
        "(AP, AP50, AP75, APr, APc, APf)",
        group="Measure",
        choices=("coco", "aitod", "lvis"),
        tasks=DETECT,
    )

    enhance: str = enhance_option("Light")
    enhance_weights: Path | None = weights_option("Light")
    enhance_scale: int | None = scale_option("Light")

    corruptions: str | None = option(
        None,
        "measure under corruptions too: all, coco-c, physical, weather (fog, low light, rain, snow), or names, joined by "
        "commas; see docs/robustness.md",
        group="Corruptions",
        bare="coco-c",
        tasks=DETECT,
    )
    severities: str = option(
        "1-5", "with --corruptions: how strong, such as 1-5, 3 or 1,3,5", group="Corruptions", tasks=DETECT
    )

    slice: int | None = option(
        None,
        "cut images into tiles of this side in pixels, detect in each, and join the boxes",
        group="Slices",
        low=32,
        tasks=DETECT,
    )
    overlap: float = option(
        0.2, "with --slice: share of a tile that its neighbour has too", group="Slices", low=0.0, high=0.9, tasks=DETECT
    )
    merge: str = option(
        "nmm",
        "with --slice: boxes of one object from two tiles become their union (nmm) or the better of them (nms)",
        group="Slices",
        choices=("nmm", "nms"),
        tasks=DETECT,
    )

    verbose: bool = option(False, "print every class", group="Output")
    plots: bool = option(True, "draw curves, confusion matrices and sample images", group="Output")
    show_crux: bool = option(
        False,
        "write crux.jpg: the map of a crux model (method lcp) over up to 16 images of each split",
        group="Output",
        tasks=DETECT,
    )
    save_txt: bool = option(False, "write detections as label files", group="Output", tasks=DETECT)
    save_conf: bool = option(False, "with the confidence in each row of these files", group="Output", tasks=DETECT)
    save_json: bool = option(
        False,
        "write detections and labels as COCO JSON, and measure by the COCO protocol too",
        group="Output",
        tasks=DETECT,
    )
    project: Path = option(Path("runs/val"), "folder of the runs", group="Output")
    name: str = option("exp", "folder of this run; numbered if taken", group="Output")
    exist_ok: bool = option(False, "write into the folder even if it is there", group="Output")


VAL_SCHEMAS: tuple[type, ...] = (ValOptions,)
ABOUT = "Measure a detector on the splits of a data YAML."
