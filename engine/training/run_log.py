"""What a run writes and says: results.csv, checkpoints, args.yaml, one line per epoch."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from data.detection.dataset import ViewDataset
from data.detection.views import IMAGES, of_kind
from engine.checkpoint import load_detector, save_checkpoint, save_safetensors
from engine.results import Report
from engine.training.distributed import WORLD
from engine.training.plan import Plan
from models.detector import flops, parameters
from utils.draw import draw_boxes
from utils.files import atomic_write, save_yaml
from utils.plots import plot_results
from utils.tables import cell

IN_LINE = ("mAP50", "mAP50-95", "AP", "APvt", "APt", "APr")  # metrics of an epoch's line, those that were asked for
MAP_SHARES = {"mAP50": 0.1, "mAP50-95": 0.9}  # YOLOv5's fitness


def fitness(metrics: dict[str, float]) -> float:
    """What the best epoch is chosen by: 0.1 mAP50 + 0.9 mAP50-95."""
    return sum(share * metrics[name] for name, share in MAP_SHARES.items())


class Records:
    """The files and lines of one run; silent on every rank but the main one."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rows: list[dict[str, Any]] = []
        self.best, self.best_epoch = -1.0, -1
        self.seconds_before = 0.0
        self.skipped: list[tuple[Path, str]] = []
        self.started = time.perf_counter()

    @property
    def weights(self) -> Path:
        """Folder of the checkpoints."""
        return self.plan.save_dir / "weights"

    def say(self, text: str) -> None:
        """Print a line, from the main rank only."""
        if WORLD.main:
            print(text, flush=True)

    def start(self, detector: nn.Module, datasets: dict[str, ViewDataset]) -> None:
        """Say what will be trained, and write args.yaml."""
        if not WORLD.main:
            return
        self.weights.mkdir(parents=True, exist_ok=True)
        save_yaml(self.plan.save_dir / "args.yaml", self.plan.given_text())
        for note in self.plan.notes:
            self.say(note)
        train = self.plan.train
        millions = parameters(detector) / 1e6
        self.say(
            f"{self.plan.data.file.name}: method {self.plan.composition}, {millions:.2f} M parameters, "
            f"{flops(detector, train.imgsz):.1f} GFLOPs at {train.imgsz} px; "
            + ", ".join(f"{len(dataset)} {split}" for split, dataset in datasets.items())
            + " images"
        )
        self.say(f"results in {self.plan.save_dir}")
        self.skipped = [entry for dataset in datasets.values() for entry in dataset.skipped]
        if self.skipped:
            self.say(f"{len(self.skipped)} images cannot be read and are left out; they are listed at the end")

    @contextlib.contextmanager
    def progress(self, epoch: int, batches: int, first: int) -> Iterator[Callable[..., None]]:
        """A live line during an epoch, on a terminal only."""
        live = WORLD.main and sys.stderr.isatty()
        began = time.perf_counter()

        def show(number: int, batch: dict[str, Any], sums: dict[str, Tensor], seen: int) -> None:
            if live:
                rate = seen * len(batch["im_file"]) * WORLD.size / (time.perf_counter() - began)
                parts = "  ".join(f"{name} {float(value) / seen:.3f}" for name, value in sums.items())
                head = f"epoch {epoch + 1}/{self.plan.train.epochs}  {number + 1}/{batches}"
                print(f"\r{head}  {parts}  {rate:.0f} img/s\x1b[K", end="", file=sys.stderr, flush=True)

        yield show
        if live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def epoch(
        self,
        epoch: int,
        losses: dict[str, float],
        rates: dict[str, float],
        seconds: float,
        report: Report | None,
        ema: nn.Module,
    ) -> None:
        """Add a row, print it, and write last.pt and, when it is the best so far, best.pt."""
        metrics = {f"val/{name}": value for name, value in report.metrics.items()} if report else {}
        row = {"epoch": epoch + 1, "seconds": round(seconds, 2), **losses, **metrics, **rates}
        self.rows.append(row)
        self._write_rows()
        score = fitness(report.metrics) if report else -1.0
        better = score > self.best or self.best_epoch < 0
        if better:
            self.best, self.best_epoch = score, epoch
        self.say(self._line(row, report, seconds, better and report is not None))
        names = ["last.pt"] + ["best.pt"] * better
        period = self.plan.train.save_period
        names += [f"epoch{epoch + 1}.pt"] * (period > 0 and (epoch + 1) % period == 0)
        for name in names:
            save_checkpoint(
                self.weights / name, ema, epoch=epoch, options=self.plan.given_text(), metrics=metrics,
                results=rows_text(self.rows),
            )  # fmt: skip

    def sample(self, batch: dict[str, Any]) -> None:
        """Save the first images of a batch with their boxes, a row a view, as the network saw them."""
        if not (WORLD.main and self.plan.train.plots):
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

    def _line(self, row: dict[str, Any], report: Report | None, seconds: float, better: bool) -> str:
        losses = "  ".join(
            f"{name.removeprefix('train/')} {row[name]:.3f}" for name in row if name.startswith("train/")
        )
        head = f"epoch {row['epoch']:>3}/{self.plan.train.epochs}  {losses}"
        if report is None:
            return f"{head}  ({seconds:.0f} s)"
        scores = f"{report.condition}: " + "  ".join(
            f"{name} {cell(report.metrics[name])}" for name in IN_LINE if name in report.metrics
        )
        return f"{head}  | {scores}{' *' if better else ''}  ({seconds:.0f} s)"

    def _write_rows(self) -> None:
        atomic_write(self.plan.save_dir / "results.csv", rows_text(self.rows).encode())

    def out_of_patience(self) -> bool:
        """Whether validation has not improved for `--patience` epochs (0: never)."""
        patience = self.plan.train.patience
        return bool(WORLD.main and patience and self.rows and self.rows[-1]["epoch"] - 1 - self.best_epoch >= patience)

    def finish(self, measure: Callable[[nn.Module], list[Report]]) -> list[Report]:
        """Measure best.pt as saved, write best.safetensors and the curves, and say where everything is."""
        best = self.weights / "best.pt"
        detector, _ = load_detector(best)
        reports = measure(detector)
        metrics = {f"{report.condition}/{name}": value for report in reports for name, value in report.metrics.items()}
        metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}  # JSON knows no nan
        save_safetensors(
            best.with_suffix(".safetensors"), detector.cpu(), options=self.plan.given_text(), metrics=metrics,
            method=self.plan.composition,
        )  # fmt: skip
        if self.plan.train.plots:
            plot_results(self.plan.save_dir / "results.csv", self.plan.save_dir / "results.png")
        for report in reports:
            self.say(
                f"best epoch {self.best_epoch + 1}, {report.condition:>8}: "
                + "  ".join(f"{name} {cell(value)}" for name, value in report.metrics.items())
            )
        minutes = (self.seconds_before + time.perf_counter() - self.started) / 60
        for path, reason in self.skipped:
            self.say(f"left out: {path} ({reason})")
        self.say(f"{len(self.rows)} epochs in {minutes:.1f} min. Detector: {best}")
        return reports

    def state(self) -> dict[str, Any]:
        """Rows and the best so far, for `resume.pt`."""
        seconds = self.seconds_before + time.perf_counter() - self.started
        return {"rows": self.rows, "best": self.best, "best_epoch": self.best_epoch, "seconds": seconds}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from noted rows; rows of results.csv beyond them are dropped."""
        self.rows, self.best, self.best_epoch = state["rows"], state["best"], state["best_epoch"]
        self.seconds_before = state["seconds"]


def rows_text(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV; a column that only later rows have is empty in the earlier ones."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{name: _short(value) for name, value in row.items()} for row in rows])
    return text.getvalue()


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
