"""The cost of a method in training, relative to the plain detector: a step, its memory, and the loading of its views.

python -m bench.speed.training_step --cfg yolov5n --imgsz 320 --batch-size 8 --runs none wiid

Memory is the growth of the peak over three steps, in a fresh process per run.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.speed.timing import in_fresh_process, measure, options_of, process_memory, publish, report, table
from data.config import load_data
from data.detection.dataset import ViewDataset, build_dataset
from data.detection.views import IMAGES, View, of_kind
from data.io.labels import Label
from data.synthetic.generate import make_synthetic
from engine.comparison.api import parse_run
from engine.options.train import TRAIN_SCHEMAS, HyperOptions, TrainOptions
from engine.training.batch import draw, in_order, moved
from engine.training.distributed import start
from engine.training.optim import Schedule
from engine.training.step import TrainStep
from methods.base import Method, Run
from methods.registry import create, with_implied
from models.detector import build
from tests.soft_labels import write_cache
from utils.files import save_yaml
from utils.options import build as build_options

OBJECTS = 5  # per image, about as in demo-night
CLASSES = 6
PLAIN = "none"
PARTS = ("step", "memory", "loading")


def make_batch(batch_size: int, imgsz: int) -> dict[str, Any]:
    """Random images with boxes of class 0."""
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(batch_size * OBJECTS, 4, generator=generator) * 0.3 + 0.2
    return {
        "img": torch.rand(batch_size, 3, imgsz, imgsz, generator=generator),
        "bboxes": boxes,
        "cls": torch.zeros(len(boxes), 1),
        "batch_idx": torch.arange(batch_size).repeat_interleave(OBJECTS).float(),
        "seed": list(range(batch_size)),
    }


def with_views(batch: dict[str, Any], methods: Sequence[Method]) -> dict[str, Any]:
    """The batch with what the methods want besides, on its device: more random images, and numbers of its objects."""
    images, views = batch["img"], [view for method in methods for view in method.views]
    generator = torch.Generator().manual_seed(1)
    names = [view.name for view in views if view.kind in IMAGES]
    extra: dict[str, Any] = {name: torch.rand(images.shape, generator=generator).to(images.device) for name in names}
    objects = {name: torch.arange(len(batch["cls"]), device=images.device) for name in of_kind(views, "per_object")}
    return batch | extra | objects


def make_labels(batch: dict[str, Any], classes: int) -> list[Label]:
    """The batch's objects as labels, and a last image with an object of every class."""
    boxes = batch["bboxes"].cpu().numpy().reshape(-1, OBJECTS, 4)
    shape, zeros = tuple(batch["img"].shape[2:]), np.zeros((OBJECTS, 1), np.float32)
    labels = [Label(Path(f"{number}.jpg"), shape, zeros, rows) for number, rows in enumerate(boxes)]
    every = np.arange(classes, dtype=np.float32)[:, None]
    return [*labels, Label(Path("all.jpg"), shape, every, np.full((classes, 4), 0.5, np.float32))]


def make_step(
    run: str,
    cfg: str | dict[str, Any],
    batch: dict[str, Any],
    device: torch.device,
    epoch: int = 0,
    classes: int = CLASSES,
    gauged: bool = True,
) -> Callable[[], None]:
    """A call of one training step of a run such as "aeris restore_weight=0", in that epoch of two.

    gauged: measure in the first steps how strongly terms act, as a run does.
    """
    torch.manual_seed(0)
    names = {number: str(number) for number in range(classes)}
    labels = make_labels(batch, classes)
    with tempfile.TemporaryDirectory() as folder:
        methods = make_methods(run)
        if any(hasattr(method.options, "teacher") for method in methods):
            cache = write_cache(Path(folder) / "cache", labels, list(names.values()))
            methods = make_methods(f"{run} teacher={cache}")
        for method in methods:
            method.resolve_options(2)
            method.check(labels, names)
    hyper = HyperOptions(lr0=1e-4, warmup_epochs=0)
    return repeat_step(build(cfg, names), methods, with_views(batch, methods), hyper, device, epoch, gauged=gauged)


def repeat_step(
    network: Any,
    methods: Sequence[Method],
    batch: dict[str, Any],
    hyper: HyperOptions,
    device: torch.device,
    epoch: int = 0,
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda batch: batch,
    gauged: bool = True,
) -> Callable[[], None]:
    """A call of the trainer's own step, on a batch that is changed each time; random draws differ from step to step.

    As in a run, images lie on the device, in order, and labels on the host, where the methods draw.
    """
    train = TrainOptions(batch_size=hyper.nbs)
    step = TrainStep(network, methods, train, hyper, Schedule(hyper, 2, 1 << 30, hyper.nbs), device)
    state, numbers, size = Run(network, epochs=2), itertools.count(), len(batch["seed"])
    step.begin_epoch(state, epoch)
    step.model.gauge.acts &= gauged
    views = {key: in_order(value.to(device)) for key, value in batch.items() if is_image(value)}
    labels = {key: value.cpu() if isinstance(value, torch.Tensor) else value for key, value in batch.items()}

    def work() -> None:
        state.iteration = next(numbers)
        seeds = [state.iteration * size + index for index in range(size)]
        given = labels | views | {"seed": seeds, "draw": (0, state.iteration)}
        draw(given, methods)
        step(state, change(moved(given, device)))

    return work


def is_image(value: Any) -> bool:
    """Whether an entry of a batch is a view, (B, 3, H, W)."""
    return isinstance(value, torch.Tensor) and value.ndim == 4


def make_methods(run: str) -> list[Method]:
    """The methods of a run, with its own options."""
    own = dict(parse_run(run).own)
    composition = with_implied(own.pop("method", PLAIN), own)
    return create(composition, dict(zip(TRAIN_SCHEMAS, build_options(TRAIN_SCHEMAS, own), strict=True)))


def loaders(folder: Path, imgsz: int, images: int = 64) -> dict[str, Callable[[], None]]:
    """A pass over a small synthetic data set, with decoded images in memory, as single images and as pairs."""
    make_synthetic("demo-night", folder / "demo-night", counts={"train": images, "val": 1, "test": 1}, progress=False)
    splits = {"train": "images/train", "pair": "images/train_night", "val": "images/val"}
    names = [str(i) for i in range(CLASSES)]
    save_yaml(folder / "data.yaml", {"path": str(folder / "demo-night"), **splits, "names": names})
    config = load_data(folder / "data.yaml")

    def passes(views: tuple[View, ...]) -> Callable[[], None]:
        dataset = build_dataset(config, "train", imgsz=imgsz, augment=True, views=views, cache="ram")

        def load() -> None:
            ViewDataset.collate_fn([dataset[(0, index)] for index in range(len(dataset))])

        return load

    return {"single": passes(()), "pair": passes((View("pair", "paired"),))}


def measure_memory(run: str, options: argparse.Namespace, device: torch.device) -> float:
    """Run three steps and return what they added to the peak, MiB."""
    batch = on_device(make_batch(options.batch_size, options.imgsz), device)
    step = make_step(run, options.cfg, batch, device, classes=options.classes)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        [step() for _ in range(3)]
        return (torch.cuda.max_memory_allocated() - held) / 2**20
    before = process_memory("VmRSS")
    [step() for _ in range(3)]
    return process_memory("VmHWM") - before


def on_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch with its tensors on the device."""
    return {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()}


def step_rows(options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """A step of every run."""
    batch = on_device(make_batch(options.batch_size, options.imgsz), device)
    steps = {name: make_step(name, options.cfg, batch, device, classes=options.classes) for name in options.runs}
    return table(measure(options, steps), reference=options.reference)


def memory_rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What a step of every run adds to the peak, in a fresh process each."""
    peaks = {name: in_fresh_process("--only-memory", name) for name in options.runs}
    reference = peaks[options.reference]
    return [{"run": name, "peak MiB": peak, "ratio": peak / reference} for name, peak in peaks.items()]


def loading_rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Pairs relative to single images."""
    with tempfile.TemporaryDirectory() as folder:
        return table(measure(options, loaders(Path(folder), options.imgsz)), reference="single")


def main() -> None:
    """Measure and report."""
    parser = options_of(__doc__, rounds=15)
    parser.add_argument("--cfg", default="yolov5n")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--runs", nargs="+", default=[PLAIN, "wiid"], help='such as "aeris restore_weight=0"')
    parser.add_argument("--reference", default=PLAIN, help="the run that ratios are to")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    parser.add_argument("--only-memory", metavar="RUN", help="print the peak of one run and end")
    options = parser.parse_args()
    device = start(options.device)
    if options.only_memory:
        print(measure_memory(options.only_memory, options, device))
        return
    what = f"{options.cfg}, {options.imgsz} px, batch {options.batch_size}, {options.classes} classes"
    pages = {
        "step": (f"A training step: {what}", lambda: step_rows(options, device)),
        "memory": (f"Peak memory of training steps: {what}", lambda: memory_rows(options)),
        "loading": (f"Loading 64 images at {options.imgsz} px", lambda: loading_rows(options)),
    }
    publish(
        options,
        *(report(title, rows(), options.busy) for part, (title, rows) in pages.items() if part in options.parts),
    )


if __name__ == "__main__":
    main()
