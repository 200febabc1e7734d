"""The class loss of many classes: over all of them, and over a few an image. Its time and its memory.

python -m bench.speed.federated_loss --out bench/results/federated.md

Measured is the class loss itself, forward and backward, on logits and targets that are there already. Memory is the growth
of the peak of a fresh process: of the loss alone, and with the gradient of the logits, which is as large as they are
whatever the loss looks at.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.speed.timing import alternate, report, table
from bench.speed.training_step import process_memory
from methods.federated import FederatedSet, federated_bce, federated_set

OBJECTS = 13  # an image, LVIS's mean
ANCHORS_OF_AN_OBJECT = 10


def inputs(args: argparse.Namespace) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Logits and targets (B, A, C), and the classes of each image."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(args.batch_size, args.anchors, args.classes, generator=generator)
    targets = torch.zeros_like(scores)
    labels = [torch.randint(args.classes, (OBJECTS,), generator=generator) for _ in range(args.batch_size)]
    for image, classes in enumerate(labels):
        places = torch.randint(args.anchors, (OBJECTS, ANCHORS_OF_AN_OBJECT), generator=generator)
        targets[image, places, classes[:, None]] = 0.7
    return scores.requires_grad_(), targets, labels


def candidates(args: argparse.Namespace, backward: bool = True) -> dict[str, Callable[[], None]]:
    """One call a loss: forward, and backward."""
    scores, targets, labels = inputs(args)
    stock, frequency = nn.BCEWithLogitsLoss(reduction="none"), torch.ones(args.classes)

    def chosen(k: int) -> FederatedSet:
        return federated_set(labels, frequency, k, torch.Generator().manual_seed(0))

    def run(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def step() -> None:
            scores.grad = None
            value = loss()
            if backward:
                value.backward()

        return step

    few = {f"{k} an image": run(lambda k=k: federated_bce(scores, targets, chosen(k))) for k in args.k}  # type: ignore[misc]
    return {"all": run(lambda: stock(scores, targets).sum()), **few}


def peak(args: argparse.Namespace, name: str, backward: bool) -> float:
    """What one call adds to the peak of a fresh process, MiB."""
    words = [f"--batch-size={args.batch_size}", f"--anchors={args.anchors}", f"--classes={args.classes}"]
    command = [
        sys.executable,
        "-m",
        "bench.speed.federated_loss",
        *words,
        "--k",
        *map(str, args.k),
        "--peak",
        name,
        *(["--backward"] if backward else []),
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--anchors", type=int, default=8400, help="of an image of 640 px")
    parser.add_argument("--classes", type=int, default=1203)
    parser.add_argument("--k", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", help="only measure this candidate's memory")
    parser.add_argument("--backward", action="store_true", help="with --peak: the backward pass too")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    steps = candidates(args, backward=args.backward or not args.peak)
    if args.peak:
        before = process_memory("VmRSS")
        steps[args.peak]()
        print(process_memory("VmHWM") - before)
        return
    rows = table(alternate(steps, rounds=args.rounds, warm_up=1), reference="all")
    for title, backward in (("loss", False), ("with gradient", True)):
        peaks = {name: peak(args, name, backward) for name in steps}
        columns = [{f"{title} MiB": value, f"{title} ratio": value / peaks["all"]} for value in peaks.values()]
        rows = [{**row, **more} for row, more in zip(rows, columns, strict=True)]
    page = report(f"The class loss: {args.batch_size} images of {args.anchors} points, {args.classes} classes", rows)
    print(page)
    if args.out:
        args.out.write_text(page)


if __name__ == "__main__":
    main()
