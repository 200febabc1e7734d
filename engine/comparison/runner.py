"""The runs of a comparison: each (run, seed) trained in its own folder, evaluated, and its row saved at once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.config import DataConfig
from engine.comparison.config import fill
from engine.comparison.evaluating import Evaluate
from engine.comparison.report import ACCURACIES, RunOutcome
from engine.options.train import TRAIN_SCHEMAS
from engine.results import ClassificationStats, DetectionStats, ImageStats, Report
from engine.tasks import train_task
from engine.training.resume import FinishedRun, can_resume, forget_resume
from utils.disk.archives import stored_arrays
from utils.disk.locks import locked, sweep
from utils.disk.reading import read_json
from utils.errors import UserError
from utils.files import REPOSITORY, atomic_write, file_digest, find_file, plain
from utils.log import LOGGER
from utils.options import schema_fields
from utils.resource_errors import shortage

RUNTIME_OPTIONS = (
    "device",
    "workers",
    "cache",
    "plots",
    "save_period",
    "save_steps",
    "logger",
    "report",
)  # change no result

FILE_OPTIONS = ("hyp", "weights", "cfg", "teacher")  # whose files change the result with their content
FOLDERS = (REPOSITORY, REPOSITORY / "data" / "hyps", REPOSITORY / "weights")  # where their bare names are looked up
MOST_MATCHES = 1 << 31  # bytes, of the matches of a run, which are kept compressed

Train = Callable[..., Any]


@dataclass(frozen=True)
class RunSpec:
    """One run: its name (the text of its options unless `named`), and the train options that only it has."""

    label: str
    own: dict[str, Any]
    named: bool = False

    @property
    def slug(self) -> str:
        """The name as a folder."""
        words = "".join(letter if letter.isalnum() or letter in "._-" else " " for letter in self.label).split()
        return "-".join(words)[:60] + "-" + hashlib.sha256(self.label.encode()).hexdigest()[:6]


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as plain values, in one order."""
    return {key: plain(value) for key, value in sorted(options.items())}


@dataclass(frozen=True)
class ComparisonRunner:
    """Trains and evaluates each (run, seed), and skips those that are done."""

    config: DataConfig
    save_dir: Path
    shared: dict[str, Any]
    train: Train
    evaluate: Evaluate
    by: str | None = None

    def run_all(self, specs: list[RunSpec], seeds: range, restart: bool = False) -> list[RunOutcome]:
        """All runs of the first seed, then of the next, so that early results can already be compared.

        restart: forget first what earlier calls trained. Raises UserError where another process runs this comparison.
        """
        pairs = [(spec, seed) for seed in seeds for spec in specs]
        outcomes = []
        with locked(self.save_dir, "runs the comparison in"):
            sweep((self.save_dir, self.save_dir / "rows"))
            for spec, seed in pairs if restart else ():
                self._row(spec, seed).unlink(missing_ok=True)
                self._mark(spec, seed).unlink(missing_ok=True)
            for number, (spec, seed) in enumerate(pairs, 1):
                finished = self._load_row(spec, seed)
                outcome = finished or self._attempt(spec, seed)
                outcomes.append(outcome)
                LOGGER.info(f"[{number}/{len(pairs)}] {outcome.line()}{' (already done)' if finished else ''}")
        return outcomes

    def options_of(self, spec: RunSpec, seed: int) -> dict[str, Any]:
        """The train options of a pair, less its folder."""
        options = {key: fill(value, seed) for key, value in {**self.shared, **spec.own}.items()}
        return {**options, "data": str(self.config.file), "seed": seed}

    def _fingerprint(self, spec: RunSpec, seed: int, names: Mapping[str, str] | None = None) -> str:
        """Changes with every option that can change the result. names: other names of some options."""
        options = {key: value for key, value in self.options_of(spec, seed).items() if key not in RUNTIME_OPTIONS}
        named = plain_options({(names or {}).get(key, key): value for key, value in options.items()})
        return hashlib.sha256(json.dumps(named, default=str).encode()).hexdigest()

    def _is_of(self, record: Mapping[str, Any], spec: RunSpec, seed: int) -> bool:
        """Whether a mark or row is that of a pair, also under the names that options had in earlier versions.

        Those kept no digests: their files count as unchanged.
        """
        former = {name: entry.formerly[0] for name, entry in schema_fields(TRAIN_SCHEMAS).items() if entry.formerly}
        if record["fingerprint"] not in (self._fingerprint(spec, seed), self._fingerprint(spec, seed, former)):
            return False
        digests = self._digests(spec, seed)
        return bool(record.get("files", digests) == digests)

    def _digests(self, spec: RunSpec, seed: int) -> dict[str, str]:
        """The digest of each file that options of a pair name."""
        options = self.options_of(spec, seed)
        found = {name: _named_file(options[name]) for name in FILE_OPTIONS if options.get(name)}
        return {name: file_digest(path) for name, path in found.items() if path}

    def _folder(self, spec: RunSpec, seed: int) -> Path:
        """Where a pair trains."""
        return self.save_dir / "runs" / f"{spec.slug}-seed{seed}"

    def _mark(self, spec: RunSpec, seed: int) -> Path:
        """What a training was asked for, and once it is over its seconds."""
        return self._folder(spec, seed) / "compare.json"

    def _row(self, spec: RunSpec, seed: int) -> Path:
        """Where the row of a pair is kept; the matches of its images lie beside it."""
        return self.save_dir / "rows" / f"{spec.slug}-seed{seed}.json"

    def _load_row(self, spec: RunSpec, seed: int) -> RunOutcome | None:
        """A finished pair of the same options, or None."""
        path = self._row(spec, seed)
        if not path.is_file():
            return None
        try:
            row = read_json(path)
            if not self._is_of(row, spec, seed) or row.get("by") != self.by:
                return None
            reports = [Report(**facts, per_image=_load_images(path, facts)) for facts in row["reports"]]
            return RunOutcome(spec.label, seed, reports, float(row["train_seconds"]))
        except (OSError, UserError, ValueError, LookupError, TypeError, AttributeError) as problem:
            LOGGER.info(
                f"note: {path} or what belongs to it cannot be read ({problem!s:.200}); evaluated again, or trained again where "
                "its checkpoint is gone"
            )
            return None

    def _attempt(self, spec: RunSpec, seed: int) -> RunOutcome:
        """Train, unless that is done, and evaluate; a failure becomes the outcome's error."""
        try:
            best, seconds = self._trained(spec, seed) or self._train(spec, seed)
            outcome = RunOutcome(spec.label, seed, self.evaluate(best, self.options_of(spec, seed)), seconds)
        except Exception as problem:  # whatever it was: the other runs must go on
            reason = str(problem) if isinstance(problem, UserError) else shortage(problem) or f"{problem!r}"
            return RunOutcome(spec.label, seed, error=" ".join(reason.split()))
        self._save_row(spec, outcome)
        return outcome

    def _best(self, spec: RunSpec, seed: int) -> Path:
        """The best checkpoint of a pair."""
        return self._folder(spec, seed) / "weights" / str(train_task(self.config.task).best)

    def _trained(self, spec: RunSpec, seed: int) -> tuple[Path, float] | None:
        """The checkpoint of a training that is over, and its seconds; None where there is none.

        Earlier versions kept the seconds in the row alone.
        """
        best, mark, row = self._best(spec, seed), _record(self._mark(spec, seed)), _record(self._row(spec, seed))
        if not best.is_file() or not self._is_of(mark, spec, seed):
            return None
        seconds = (mark | (row if self._is_of(row, spec, seed) else {})).get("train_seconds")
        return (best, float(seconds)) if isinstance(seconds, int | float) else None

    def _train(self, spec: RunSpec, seed: int) -> tuple[Path, float]:
        """Train in the pair's own folder, from where an earlier call stopped. Returns the checkpoint and the seconds."""
        started = time.perf_counter()
        options, folder, mark = self.options_of(spec, seed), self._folder(spec, seed), self._mark(spec, seed)
        try:
            if can_resume(folder) and self._is_of(_record(mark), spec, seed):
                runtime = {key: options[key] for key in ("device", "workers", "cache", "logger") if key in options}
                result = self.train(resume=str(folder), **runtime)
            else:
                forget_resume(folder)
                self._row(spec, seed).unlink(missing_ok=True)  # it speaks of the training before
                _save(mark, {"fingerprint": self._fingerprint(spec, seed), "files": self._digests(spec, seed)})
                result = self.train(**options, project=folder.parent, name=folder.name, exist_ok=True)
            if getattr(result, "interrupted", False):
                LOGGER.info("the same command resumes the comparison from here")
                raise KeyboardInterrupt
            best, rows = result.best, result.rows
        except FinishedRun as finished:  # interrupted before its mark said so
            best, rows = self._best(spec, seed), finished.rows
        seconds = sum(row.get("seconds", 0.0) for row in rows) or time.perf_counter() - started
        _save(mark, {**_record(mark), "train_seconds": seconds})
        forget_resume(folder)
        return best, seconds

    def _save_row(self, spec: RunSpec, outcome: RunOutcome) -> None:
        """Write the row after all else: where it is, everything is."""
        path, mark = self._row(spec, outcome.seed), _record(self._mark(spec, outcome.seed))
        for report in outcome.reports:
            _save_images(path, report)
        row = {
            "run": spec.label,
            "seed": outcome.seed,
            **{key: value for key, value in mark.items() if key in ("fingerprint", "files")},
            "by": self.by,
            "train_seconds": outcome.train_seconds,
            "reports": [{key: value for key, value in vars(r).items() if key != "per_image"} for r in outcome.reports],
        }
        _save(path, row)


def _matches_file(row: Path, split: str) -> Path:
    """Where the matches of a split's images are kept."""
    return row.with_name(f"{row.stem}-{split}.npz")


def _save_images(row: Path, report: Report) -> None:
    """Keep the matches of each image, for resampling later."""
    images = report.detections
    arrays: dict[str, Any] = {"files": np.array([image.file for image in report.per_image], dtype=str)}
    if ACCURACIES[0] in report.metrics:
        arrays |= {key: np.array([getattr(image, key) for image in report.per_image], bool) for key in ACCURACIES}
    else:
        columns = {key: [getattr(p, key) for p in images] for key in ("tp", "conf", "pred_cls", "target_cls")}
        arrays |= {key: np.concatenate(values) if values else [] for key, values in columns.items()}
        arrays |= {"detections": [len(p.conf) for p in images], "objects": [len(p.target_cls) for p in images]}
    atomic_write(_matches_file(row, report.split), lambda path: np.savez_compressed(path, **arrays))


def _load_images(row: Path, facts: Mapping[str, Any]) -> tuple[ImageStats, ...]:
    """What `_save_images` wrote of a report with these facts. Classifiers' files of earlier versions have it in `tp`."""
    with stored_arrays(_matches_file(row, facts["split"]), MOST_MATCHES) as saved:
        if ACCURACIES[0] in facts["metrics"]:
            columns = (
                [saved[key] for key in ACCURACIES] if ACCURACIES[0] in saved else [saved["tp"][:, i] for i in (0, 1)]
            )
            return tuple(map(ClassificationStats, map(str, saved["files"]), *(map(bool, right) for right in columns)))
        cuts, ends = np.cumsum(saved["detections"])[:-1], np.cumsum(saved["objects"])[:-1]
        columns = [np.split(saved[key], cuts) for key in ("tp", "conf", "pred_cls")]
        return tuple(map(DetectionStats, map(str, saved["files"]), *columns, np.split(saved["target_cls"], ends)))


def _named_file(name: str | Path) -> Path | None:
    """The file that an option names; None for the name of a network or of an official checkpoint."""
    try:
        return find_file(name, *FOLDERS)
    except UserError:
        return None


def _save(path: Path, record: Mapping[str, Any]) -> None:
    atomic_write(path, json.dumps(record, indent=1).encode())


def _record(path: Path) -> dict[str, Any]:
    """What a mark or row holds; its fingerprint is "" where there is none, or it is damaged: that is of no run."""
    try:
        record = read_json(path)
    except (OSError, UserError, ValueError):
        record = {}
    return {"fingerprint": "", **record} if isinstance(record, dict) else {"fingerprint": ""}
