"""The runs of a comparison: each (run, seed) trained in its own folder, measured, and remembered at once."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.config import DataConfig
from engine.comparison.report import SHARES, Outcome
from engine.evaluation.session import load_subject, measure, present_splits
from engine.options.train import TrainOptions
from engine.options.val import ValOptions
from engine.results import ClassificationStats, DetectionStats, ImageStats, Report
from engine.tasks import entry
from engine.training.resume import can_resume, forget_resume
from utils.errors import UserError
from utils.files import atomic_write
from utils.resource_errors import shortage

WHEREABOUTS = ("device", "workers", "cache", "plots", "save_period", "save_steps")  # change no result

Trainer = Callable[..., Any]
Examiner = Callable[[Path, Mapping[str, Any]], list[Report]]


@dataclass(frozen=True)
class RunSpec:
    """One run of the comparison: its name as the user wrote it, and the train options that are its own."""

    label: str
    own: dict[str, Any]

    @property
    def slug(self) -> str:
        """The name as a folder."""
        words = "".join(letter if letter.isalnum() or letter in "._-" else " " for letter in self.label).split()
        return "-".join(words)[:60] + "-" + hashlib.sha256(self.label.encode()).hexdigest()[:6]


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as plain values, in one order."""

    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value

    return {key: plain(value) for key, value in sorted(options.items())}


def examiner_of(task: str, data: str, split: str) -> Examiner:
    """What measures the checkpoints of a task. Raises UserError for a task that cannot be compared."""
    examine = entry("examine", task)
    if examine is None:
        return Examination(data, split)
    return lambda best, options: examine(best, data, split, str(options.get("device", "")))


def train_as_usual(**options: Any) -> Any:
    """`engine.train`, imported when it is first needed."""
    from engine.training.api import train

    return train(**options)


@dataclass(frozen=True)
class Bench:
    """Trains and measures each (run, seed), and remembers what is done."""

    config: DataConfig
    save_dir: Path
    shared: dict[str, Any]
    trainer: Trainer
    examiner: Examiner

    def run_all(self, specs: list[RunSpec], seeds: range, restart: bool = False) -> list[Outcome]:
        """All runs of the first seed, then of the next, so that early results can already be compared."""
        pairs = [(spec, seed) for seed in seeds for spec in specs]
        outcomes = []
        for number, (spec, seed) in enumerate(pairs, 1):
            known = None if restart else self._recall(spec, seed)
            outcome = known or self._attempt(spec, seed)
            outcomes.append(outcome)
            print(f"[{number}/{len(pairs)}] {outcome.line()}{' (already there)' if known else ''}", flush=True)
        return outcomes

    def options_of(self, spec: RunSpec, seed: int) -> dict[str, Any]:
        """The train options of a pair, less its folder."""
        return {**self.shared, **spec.own, "data": str(self.config.file), "seed": seed}

    def _fingerprint(self, spec: RunSpec, seed: int) -> str:
        """Changes with every option that can change the result."""
        options = {key: value for key, value in self.options_of(spec, seed).items() if key not in WHEREABOUTS}
        return hashlib.sha256(json.dumps(plain_options(options), default=str).encode()).hexdigest()

    def _folder(self, spec: RunSpec, seed: int) -> Path:
        """Where a pair trains."""
        return self.save_dir / "runs" / f"{spec.slug}-seed{seed}"

    def _row(self, spec: RunSpec, seed: int) -> Path:
        """Where the row of a pair is kept; the matches of its images lie beside it."""
        return self.save_dir / "rows" / f"{spec.slug}-seed{seed}.json"

    def _recall(self, spec: RunSpec, seed: int) -> Outcome | None:
        """A finished pair of the same options, or None."""
        path = self._row(spec, seed)
        if not path.is_file():
            return None
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            if row["fingerprint"] != self._fingerprint(spec, seed):
                return None
            reports = [Report(**facts, per_image=_load_images(path, facts)) for facts in row["reports"]]
            return Outcome(spec.label, seed, reports, row["train_seconds"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as problem:
            print(f"note: {path} or what belongs to it cannot be read ({problem}); trained again", flush=True)
            return None

    def _attempt(self, spec: RunSpec, seed: int) -> Outcome:
        """Train and measure; a failure becomes the outcome's error."""
        try:
            outcome = self._train_and_measure(spec, seed)
        except Exception as problem:  # whatever it was: the other runs must go on
            said = str(problem) if isinstance(problem, UserError) else shortage(problem) or f"{problem!r}"
            return Outcome(spec.label, seed, error=" ".join(said.split()))
        self._remember(spec, outcome)
        return outcome

    def _train_and_measure(self, spec: RunSpec, seed: int) -> Outcome:
        """One training in its own folder, then the measurement of its best checkpoint."""
        started = time.perf_counter()
        options = self.options_of(spec, seed)
        folder = self._folder(spec, seed)
        mark = folder / "compare.json"
        begun = can_resume(folder) and mark.is_file()
        if begun and json.loads(mark.read_text())["fingerprint"] == self._fingerprint(spec, seed):
            whereabouts = {key: options[key] for key in ("device", "workers", "cache") if key in options}
            result = self.trainer(resume=str(folder), **whereabouts)
        else:
            atomic_write(mark, json.dumps({"fingerprint": self._fingerprint(spec, seed)}).encode())
            result = self.trainer(**options, project=folder.parent, name=folder.name, exist_ok=True)
        if getattr(result, "interrupted", False):
            print("the same comparison again goes on from here", flush=True)
            raise KeyboardInterrupt
        seconds = sum(row.get("seconds", 0.0) for row in result.rows) or time.perf_counter() - started
        return Outcome(spec.label, seed, self.examiner(result.best, options), seconds)

    def _remember(self, spec: RunSpec, outcome: Outcome) -> None:
        """Write the row after all else: where it is, everything is, and nothing remains to be resumed."""
        path = self._row(spec, outcome.seed)
        for report in outcome.reports:
            _save_images(path, report)
        row = {
            "run": spec.label,
            "seed": outcome.seed,
            "fingerprint": self._fingerprint(spec, outcome.seed),
            "train_seconds": outcome.train_seconds,
            "reports": [{key: value for key, value in vars(r).items() if key != "per_image"} for r in outcome.reports],
        }
        atomic_write(path, json.dumps(row, indent=1).encode())
        forget_resume(self._folder(spec, outcome.seed))


def _matches_file(row: Path, split: str) -> Path:
    """Where the matches of a split's images are kept."""
    return row.with_name(f"{row.stem}-{split}.npz")


def _save_images(row: Path, report: Report) -> None:
    """Keep the matches of each image, for resampling later."""
    images = report.detections
    arrays: dict[str, Any] = {"files": np.array([image.file for image in report.per_image], dtype=str)}
    if SHARES[0] in report.metrics:
        arrays |= {key: np.array([getattr(image, key) for image in report.per_image], bool) for key in SHARES}
    else:
        columns = {key: [getattr(p, key) for p in images] for key in ("tp", "conf", "pred_cls", "target_cls")}
        arrays |= {key: np.concatenate(values) if values else [] for key, values in columns.items()}
        arrays |= {"detections": [len(p.conf) for p in images], "objects": [len(p.target_cls) for p in images]}
    atomic_write(_matches_file(row, report.split), lambda path: np.savez_compressed(path, **arrays))


def _load_images(row: Path, facts: Mapping[str, Any]) -> tuple[ImageStats, ...]:
    """What `_save_images` kept of a report with these facts. Classifiers' files of earlier versions have it in `tp`."""
    with np.load(_matches_file(row, facts["split"]), allow_pickle=False) as kept:
        if SHARES[0] in facts["metrics"]:
            columns = [kept[key] for key in SHARES] if SHARES[0] in kept else [kept["tp"][:, i] for i in (0, 1)]
            return tuple(map(ClassificationStats, map(str, kept["files"]), *(map(bool, right) for right in columns)))
        cuts, ends = np.cumsum(kept["detections"])[:-1], np.cumsum(kept["objects"])[:-1]
        columns = [np.split(kept[key], cuts) for key in ("tp", "conf", "pred_cls")]
        return tuple(map(DetectionStats, map(str, kept["files"]), *columns, np.split(kept["target_cls"], ends)))


@dataclass(frozen=True)
class Examination:
    """Measures a checkpoint on splits that chose nothing (unless the user asks for val)."""

    data: str
    task: str

    def __call__(self, best: Path, options: Mapping[str, Any]) -> list[Report]:
        """One report per split; `options`: the train options of the run."""
        train = TrainOptions(
            **{key: options[key] for key in ("imgsz", "device", "single_cls", "native", "protocol") if key in options}
        )
        device = train.device.split(",")[0]  # several GPUs train, one measures
        chosen = ValOptions(
            data=self.data, weights=best, task=self.task, imgsz=train.imgsz, single_cls=train.single_cls, device=device,
            native=train.native, protocol=train.protocol,
        )  # fmt: skip
        subject = load_subject(chosen)
        return [measure(subject, split, progress=False) for split in present_splits(subject.config, self.task)]
