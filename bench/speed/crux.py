"""The cost of LCP's layers: a forward with each form of the crux learner, its parts, a training step in each phase, all scales.

python -m bench.speed.crux --out bench/results/lcp-cost.md
python -m bench.speed.crux --scales yolov8n --only-forwards
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.speed.timing import alternate, options_of, publish, report, table
from bench.speed.training_step import make_batch, make_step, on_device
from engine.training.distributed import start
from models.crux import FORMS, CatchUpFuse, CruxSplit, find_layer, shallow_layers
from models.detector import available, build, describe, flops, parameters

NAMES = {number: str(number) for number in range(80)}
PLAIN = "plain"
SCALES = tuple(f"{family}{scale}" for scale in "nsmlx" for family in ("yolov5", "yolov8", "yolo11", "yolo26"))


def crux_of(name: str, form: str) -> dict[str, Any]:
    """The description of a model's crux form."""
    return describe(f"{name}-crux") | {"crux": form}


def ready(cfg: Any, device: torch.device) -> Any:
    """A detector ready for inference: fused, in evaluation mode."""
    return build(cfg, NAMES).eval().fuse(verbose=False).to(device).requires_grad_(False)


def runner(call: Callable[..., Any], *inputs: Any) -> Callable[[], None]:
    """A call of one forward, without gradients."""

    def run() -> None:
        with torch.inference_mode():
            call(*inputs)

    return run


def forwards(names: Sequence[str], imgsz: int, rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """Rows: a plain detector's milliseconds, and the ratio of each form to them."""
    image = torch.rand(1, 3, imgsz, imgsz, generator=torch.Generator().manual_seed(0)).to(device)
    rows = []
    for name in names:
        nets = {PLAIN: ready(name, device)} | {form: ready(crux_of(name, form), device) for form in FORMS}
        timings = alternate({title: runner(net, image) for title, net in nets.items()}, rounds=rounds, warm_up=1)
        ratios = {form: timings[form].ratio_to(timings[PLAIN]) for form in FORMS}
        rows.append({"model": name, "plain ms": timings[PLAIN].median * 1e3, **ratios})
    return rows


def parts(name: str, imgsz: int, rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """Rows: each added part, relative to the plain detector."""
    image = torch.rand(1, 3, imgsz, imgsz, generator=torch.Generator().manual_seed(0)).to(device)
    net = ready(crux_of(name, "cheap"), device)
    fuse, shallow = find_layer(net, CatchUpFuse), nn.Sequential(*shallow_layers(net))
    first = nn.Sequential(*net.model[1 : fuse.f[0] + 1])
    with torch.inference_mode():
        features: list[Tensor] = [first(image), shallow(image)]
    both = torch.cat([features[1]] * 2, 1)
    candidates = {
        PLAIN: runner(ready(name, device), image),
        "second shallow pass": runner(shallow, image),
        "catch-up learner": runner(fuse.catch_up, features[0]),
        "fusion": runner(fuse.fusion, both),
    }
    for form in FORMS:
        split = find_layer(ready(crux_of(name, form), device), CruxSplit)
        candidates[f"crux learner, {form}"] = runner(split.crux, image)
    return table(alternate(candidates, rounds=rounds), PLAIN)


def steps(name: str, imgsz: int, batch_size: int, rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """Rows: a plain training step, and one of each phase in each form."""
    batch = on_device(make_batch(batch_size, imgsz), device)
    candidates = {PLAIN: make_step("none", name, batch, device)}
    for form in FORMS:
        for epoch, letter in enumerate("UC"):
            candidates[f"{letter}, {form}"] = make_step("lcp", crux_of(name, form), batch, device, epoch)
    return table(alternate(candidates, rounds=rounds, warm_up=1), PLAIN)


def sizes(imgsz: int) -> list[dict[str, Any]]:
    """Rows: parameters and GFLOPs of every crux model, and GFLOPs of the published form."""
    rows = []
    for crux in (name for name in available() if name.endswith("-crux")):
        name = crux.removesuffix("-crux")
        plain, cheap, published = (
            build(cfg, NAMES) for cfg in (name, crux_of(name, "cheap"), crux_of(name, "published"))
        )
        gflops = {
            form: flops(net, imgsz) for form, net in (("plain", plain), ("cheap", cheap), ("published", published))
        }
        row = {"model": crux, "parameters": parameters(cheap), "added": parameters(cheap) - parameters(plain)}
        rows.append(row | {f"{form} GFLOPs": value for form, value in gflops.items()})
    return rows


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=9)
    parser.add_argument("--cfg", default="yolov8n", help="model of the parts and the steps")
    parser.add_argument("--scales", nargs="+", default=SCALES, help="models whose forward is timed")
    parser.add_argument("--only-forwards", action="store_true")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--step-imgsz", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=8, help="of a training step")
    args = parser.parse_args()
    device = start(args.device)
    rows = forwards(args.scales, args.imgsz, args.rounds, device)
    pages = [report(f"A forward, relative to the plain detector's: {args.imgsz} px, batch 1", rows)]
    if not args.only_forwards:
        rows = parts(args.cfg, args.imgsz, args.rounds, device)
        pages.append(report(f"Parts, relative to {args.cfg}: {args.imgsz} px", rows))
        rows = steps(args.cfg, args.step_imgsz, args.batch_size, args.rounds, device)
        pages.append(report(f"A training step of {args.cfg}: {args.step_imgsz} px, batch {args.batch_size}", rows))
        pages.append(report(f"Size of every crux model, 80 classes, {args.imgsz} px", sizes(args.imgsz)))
    publish(args, *pages)


if __name__ == "__main__":
    main()
