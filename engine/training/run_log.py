"""What a run writes and prints: results.csv, checkpoints, args.yaml, one line per epoch."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from data.detection.views import IMAGES, of_kind
from engine.results import Report
from engine.training.batch import read
from engine.training.distributed import WORLD
from engine.training.plan import TrainPlan
from utils.draw import draw_boxes
from utils.files import atomic_write, save_yaml
from utils.log import LOGGER
from utils.plots import plot_results
from utils.tables import cell, csv_text

EVERY = 0.5  # seconds between two looks at the losses, for which a GPU must finish what it was given
IN_LINE = ("mAP50", "mAP50-95", "AP", "APvt", "APt", "APr", "top1", "top5")  # of those that an epoch has


class RunLog:
    """The files and lines of one run; silent on every rank but the main one."""

    def __init__(self, plan: TrainPlan) -> None:
        self.plan = plan
        self.rows: list[dict[str, Any]] = []
        self.datasets: dict[str, Any] = {}
        self.told = 0  # images left out that a line has told of
        self.best, self.best_epoch = -1.0, -1
        self.seconds_before, self.started = 0.0, time.perf_counter()
        self.pauses: list[float] = []  # seconds of each epoch that are not training
        self.trained = self.started  # when the last batches ended
        self.key = uuid.uuid4().hex[:12]  # of this run, for whoever follows it across --resume

    def log(self, text: str) -> None:
        """Print a line, from the main rank only."""
        if WORLD.main:
            LOGGER.info(text)

    def start(self, model: nn.Module, datasets: dict[str, Any]) -> None:
        """Print what will be trained, and write args.yaml."""
        if not WORLD.main:
            return
        plan = self.plan
        plan.weights.mkdir(parents=True, exist_ok=True)
        save_yaml(plan.save_dir / "args.yaml", plan.options)
        for note in plan.notes:
            self.log(note)
        sizes = ", ".join(f"{len(dataset)} {split}" for split, dataset in datasets.items())
        self.log(f"{plan.data.file.name}: method {plan.composition}, {plan.task.describe(plan, model)}; {sizes} images")
        self.log(f"results in {plan.save_dir}")
        self.datasets = datasets
        self.tell_left_out()

    def left_out(self) -> list[tuple[Path, str]]:
        """Images that are not used, and why: some turn out damaged only when they are decoded."""
        return list(dict.fromkeys(entry for dataset in self.datasets.values() for entry in dataset.left_out()))

    def tell_left_out(self) -> None:
        """A line where more images are left out than the last one said."""
        found = len(self.left_out())
        if found > self.told:
            self.log(f"{found} images cannot be read and are skipped; they are listed at the end")
            self.told = found

    @contextlib.contextmanager
    def progress(self, epoch: int, batches: int) -> Iterator[Callable[..., None]]:
        """A live line during an epoch, on a terminal only."""
        live = WORLD.main and sys.stderr.isatty()
        began = time.perf_counter()
        shown = -EVERY

        def show(number: int, batch: dict[str, Any], sums: dict[str, Tensor], seen: int) -> None:
            nonlocal shown
            now = time.perf_counter()
            if live and (now - shown >= EVERY or number + 1 == batches):
                shown = now
                rate = seen * len(batch["im_file"]) * WORLD.size / (now - began)
                parts = "  ".join(f"{name} {value / seen:.3f}" for name, value in read(sums).items())
                head = f"epoch {epoch + 1}/{self.plan.train.epochs}  {number + 1}/{batches}"
                left = batches - number - 1 + (self.plan.train.epochs - epoch - 1) * batches
                eta = duration(left * (now - began) / seen + self._validations(epoch))
                tail = f"{rate:.0f} img/s{memory(batch)}  ETA {eta}"
                print(f"\r{head}  {parts}  {tail}\x1b[K", end="", file=sys.stderr, flush=True)

        yield show
        self.trained = time.perf_counter()
        if live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def epoch(
        self, epoch: int, losses: dict[str, float], rates: dict[str, float], seconds: float, reports: Sequence[Report],
        model: nn.Module,
    ) -> None:  # fmt: skip
        """Add a row, print it, and write last.* and, when it is the best so far, best.*."""
        task = self.plan.task
        metrics = {
            f"{task.column(report)}/{name}": value
            for report in reports
            for name, value in {**report.metrics, **report.losses}.items()
        }
        self.pauses.append(time.perf_counter() - self.trained)
        row = {"epoch": epoch + 1, "seconds": round(seconds, 2), **losses, **metrics, **rates}
        self.rows.append(row)
        text = csv_text(self.rows, task.digits)
        atomic_write(self.plan.save_dir / "results.csv", text.encode())
        score = fitness(task.fitness, reports[0].metrics) if reports else -1.0
        better = score > self.best or self.best < 0  # until something is validated, the newest
        if better:
            self.best, self.best_epoch = score, epoch
        self.log(self._line(row, reports, better and bool(reports)))
        self.tell_left_out()
        files = task.save(self.plan, model, {"epoch": epoch, "metrics": metrics, "results": text})
        period = self.plan.train.save_period
        for stem in ["best"] * better + [f"epoch{epoch + 1}"] * (period > 0 and (epoch + 1) % period == 0):
            for file in files:
                atomic_write(file.with_stem(stem), partial(shutil.copyfile, file))

    def _validations(self, epoch: int) -> float:
        """Seconds of all that is not training in the epochs to come, from this one on, judged by those before."""
        return (self.plan.train.epochs - epoch) * sum(self.pauses) / max(len(self.pauses), 1)

    def sample(self, batch: dict[str, Any]) -> None:
        """Save the first images of a batch with their boxes, a row per view, as the network saw them."""
        if not (WORLD.main and self.plan.train.plots and "bboxes" in batch):
            return
        views = [view for view in ("img", *of_kind(self.plan.views, *IMAGES)) if view in batch]
        rows = [
            np.concatenate([self._drawn(batch, view, i) for i in range(min(4, len(batch["img"])))], 1) for view in views
        ]
        cv2.imwrite(str(self.plan.save_dir / f"train_batch{len(self.rows)}.jpg"), np.concatenate(rows, 0))

    def _drawn(self, batch: dict[str, Any], view: str, index: int) -> np.ndarray:
        """One image of a view, (H, W, 3) BGR uint8, with its boxes."""
        image = (batch[view][index].detach().clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()[..., ::-1]
        height, width = image.shape[:2]
        own = batch["batch_idx"] == index
        centre, size = batch["bboxes"][own].split(2, 1)  # (n, 2) each
        corners = torch.cat([centre - size / 2, centre + size / 2], 1) * torch.tensor([width, height] * 2).to(centre)
        rows = torch.cat([corners, torch.ones_like(corners[:, :1]), batch["cls"][own].to(corners)], 1)  # (n, 6)
        return draw_boxes(image, rows.cpu().numpy(), self.plan.data.names, thickness=2, conf=False)

    def _line(self, row: dict[str, Any], reports: Sequence[Report], better: bool) -> str:
        losses = [f"{name[6:]} {value:.3f}" for name, value in row.items() if name.startswith("train/")]
        if self.plan.train.show_shares:
            losses += [f"{name} {100 * value:.2g} %" for name, value in row.items() if name.startswith("share/")]
        parts = [f"epoch {row['epoch']:>3}/{self.plan.train.epochs}  {'  '.join(losses)}"]
        for report in reports:
            scores = [f"{name} {cell(report.metrics[name])}" for name in IN_LINE if name in report.metrics]
            parts.append(f"| {report.condition}: {'  '.join(scores)}")
        return f"{'  '.join(parts)}{' *' if better else ''}  ({row['seconds']:.0f} s)"

    def out_of_patience(self) -> bool:
        """Whether validation has not improved for `--patience` epochs (0: never; nor where --noval skips it)."""
        train = self.plan.train
        if not (WORLD.main and train.patience and self.rows) or train.noval:
            return False
        return bool(self.rows[-1]["epoch"] - 1 - self.best_epoch >= train.patience)

    def out_of_time(self) -> bool:
        """Whether --time is over, counted over all parts of a resumed run."""
        limit = self.plan.train.time
        return bool(WORLD.main and limit and self._seconds() > limit * 3600)

    def finish(self, reports: Sequence[Report]) -> None:
        """Draw the curves, and print the final metrics and where everything is."""
        plan = self.plan
        if plan.train.plots:
            plot_results(plan.save_dir / "results.csv", plan.save_dir / "results.png")
        for report in reports:
            scores = "  ".join(f"{name} {cell(value)}" for name, value in report.metrics.items())
            self.log(f"best epoch {self.best_epoch + 1}, {report.condition:>8}: {scores}")
        for path, reason in self.left_out():
            self.log(f"skipped: {path} ({reason})")
        epochs = f"{len(self.rows)} epoch{'s' if len(self.rows) != 1 else ''}"
        self.log(f"{epochs} in {self._seconds() / 60:.1f} min. {plan.task.noun}: {plan.best}")

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def state(self) -> dict[str, Any]:
        """Rows and the best so far, for `resume.pt`."""
        return {"rows": self.rows, "best": self.best, "best_epoch": self.best_epoch, "seconds": self._seconds()} | {
            "key": self.key
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume after these rows; rows of results.csv beyond them are dropped."""
        self.rows, self.best, self.best_epoch = state["rows"], state["best"], state["best_epoch"]
        self.seconds_before, self.key = state["seconds"], state.get("key", self.key)  # earlier files have no key
        if self.best < 0:  # nothing is validated yet; earlier files kept the first epoch
            self.best_epoch = len(self.rows) - 1


def memory(batch: Mapping[str, Any]) -> str:
    """What the process holds of the GPU that a batch lies on; empty elsewhere."""
    device = batch["img"].device
    return f"  {torch.cuda.memory_reserved(device) / 2**30:.1f} GiB" if device.type == "cuda" else ""


def duration(seconds: float) -> str:
    """Seconds as a clock reads them.

    >>> duration(75), duration(3725), duration(93784)
    ('1:15', '1:02:05', '26:03:04')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fitness(weights: Mapping[str, float], metrics: dict[str, float]) -> float:
    """What the best epoch is chosen by: the weighted sum of some metrics, such as YOLOv5's 0.1 mAP50 + 0.9 mAP50-95."""
    return sum(weight * metrics[name] for name, weight in weights.items())
