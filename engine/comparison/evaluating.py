"""What measures the checkpoints of a comparison: each split of the data, and its parts (`--by`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.evaluation.analysis import report_of, subsets_of
from engine.evaluation.session import EvalSession, load_session, present_splits
from engine.evaluation.subsets import Partitioner, SplitResults, asked_for
from engine.options.train import TrainOptions
from engine.options.val import ValOptions
from engine.results import Report
from engine.tasks import resolve
from utils.errors import UserError

Evaluate = Callable[[Path, Mapping[str, Any]], list[Report]]
Measured = list[tuple[Report, SplitResults]]


def evaluator_of(task: str, data: str, split: str, by: str | None = None, keep: bool = False) -> Evaluate:
    """What evaluates the checkpoints of a task. Raises UserError for a task that cannot be compared, and for --by where the
    task has no objects.

    keep: keep the detections of each checkpoint (`DetectorEvaluation.kept`).
    """
    evaluate = resolve("evaluate", task)
    if evaluate is None:
        return DetectorEvaluation(data, split, by, keep)
    wrong = {"--by": by is not None, "--report": keep}
    for name in (name for name, given in wrong.items() if given):
        raise UserError(f"{name}: is of detectors; the evaluation of task '{task}' does not use it.")
    return lambda best, options: evaluate(best, data, split, str(options.get("device", "")))


@dataclass
class DetectorEvaluation:
    """Measures detectors: one report per split of `task` (test chose nothing, val the best epoch), and one per part of it."""

    data: str
    task: str
    by: str | None = None
    keep: bool = False
    kept: dict[Path, Measured] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def __call__(self, best: Path, options: Mapping[str, Any]) -> list[Report]:
        """options: the train options of the run."""
        session = self._session(best, options)
        self.names = dict(session.model.names)
        partitioner = Partitioner(session, asked_for(self.by)) if self.by else None
        if partitioner:
            partitioner.check()
        measured, parts = [], []
        for split in present_splits(session.config, self.task):
            found = SplitResults()
            listeners = [found] if partitioner or self.keep else []
            report = session.measure(split, progress=False, listeners=listeners)
            found.stats = report.detections
            measured.append((report, found))
            parts += list(reports_of_parts(report, found, partitioner)) if partitioner else []
        if self.keep:
            self.kept[best] = measured
        return [report for report, _ in measured] + parts

    def _session(self, best: Path, options: Mapping[str, Any]) -> EvalSession:
        """The detector with the data set."""
        names = ("imgsz", "device", "single_cls", "native", "protocol")
        same = {name: options.get(name, getattr(TrainOptions, name)) for name in names}
        same["device"] = same["device"].split(",")[0]  # several GPUs train, one measures
        return load_session(ValOptions(data=self.data, weights=best, task=self.task, by=self.by, **same))


def reports_of_parts(report: Report, split: SplitResults, partitioner: Partitioner) -> Iterator[Report]:
    """The reports on the parts that have objects; each has a split of its own name."""
    for partition in partitioner.of(split):
        for subset in subsets_of(split, partition):
            if subset.objects.any():
                number = hashlib.sha256(f"{partition.by} {subset.name}".encode()).hexdigest()[:10]
                yield replace(report_of(report, partition.by, subset), split=f"{report.split}-{number}")
