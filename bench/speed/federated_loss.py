"""Time and memory of the class loss with many classes: over all of them, and over a few per image.

python -m bench.speed.federated_loss --out bench/results/federated.md

Only the class loss is measured, forward and backward, on given logits and targets. Memory is the growth of a fresh
process's peak: of the loss alone, and with the gradient of the logits, which is as large as they are for either loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.speed.timing import in_fresh_process, measure, options_of, process_memory, publish, report, table
from methods.federated import FederatedSet, federated_bce, federated_set

OBJECTS = 13  # per image, LVIS's mean
ANCHORS_PER_OBJECT = 10


def inputs(args: argparse.Namespace) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Logits and targets (B, A, C), and the classes of each image."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(args.batch_size, args.anchors, args.classes, generator=generator)
    targets = torch.zeros_like(scores)
    labels = [torch.randint(args.classes, (OBJECTS,), generator=generator) for _ in range(args.batch_size)]
    for image, classes in enumerate(labels):
        points = torch.randint(args.anchors, (OBJECTS, ANCHORS_PER_OBJECT), generator=generator)
        targets[image, points, classes[:, None]] = 0.7
    return scores.requires_grad_(), targets, labels


def candidates(args: argparse.Namespace, backward: bool = True) -> dict[str, Callable[[], None]]:
    """Name -> one call of a loss: forward, and backward."""
    scores, targets, labels = inputs(args)
    plain, frequency = nn.BCEWithLogitsLoss(reduction="none"), torch.ones(args.classes)

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
    return {"all": run(lambda: plain(scores, targets).sum()), **few}


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--anchors", type=int, default=8400, help="of an image of 640 px")
    parser.add_argument("--classes", type=int, default=1203)
    parser.add_argument("--k", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--peak", help="only measure this candidate's memory")
    parser.add_argument("--backward", action="store_true", help="with --peak: the backward pass too")
    args = parser.parse_args()
    steps = candidates(args, backward=args.backward or not args.peak)
    if args.peak:
        before = process_memory("VmRSS")
        steps[args.peak]()
        print(process_memory("VmHWM") - before)
        return
    rows = table(measure(args, steps, warm_up=1), reference="all")
    for title, words in (("loss", ()), ("with gradient", ("--backward",))):
        peaks = {name: in_fresh_process("--peak", name, *words) for name in steps}
        columns = [{f"{title} MiB": value, f"{title} ratio": value / peaks["all"]} for value in peaks.values()]
        rows = [{**row, **more} for row, more in zip(rows, columns, strict=True)]
    title = f"The class loss: {args.batch_size} images of {args.anchors} points, {args.classes} classes"
    publish(args, report(title, rows))


if __name__ == "__main__":
    main()
