"""A diagnosis: everything that was found in a data set, and the advice that follows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from data.checks.classes import class_findings, size_findings, usual_imgsz
from data.checks.duplicates import duplicate_findings
from data.checks.files import file_findings
from data.checks.findings import SEVERITIES, Finding, Place, counted
from data.checks.pairs import pair_findings
from data.checks.shift import shift_findings
from data.checks.survey import Survey, changed, survey
from data.config import DECLARED, SPLITS, DataConfig, load_data, task_of
from data.synthetic.generate import make_synthetic
from engine.diagnosis.answers import answers_to, in_short
from engine.tasks import DETECT
from utils.errors import UserError

FIRST = (  # findings that decide what to try, the weightiest first
    "shift-dark", "shift-haze", "shift-low-resolution", "shift-blur", "shift-noise", "tiny-objects", "class-rare",
    "shift-clear", "shift-small-objects", "shift-large-objects", "shift-bright", "shift-cast",
)  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """What was found, the gravest first. imgsz: the size for which objects were measured; images: how many were read."""

    config: DataConfig
    imgsz: int
    images: int
    objects: int
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 for a clean set, 1 where something was found."""
        return int(bool(self.findings))

    @property
    def leading(self) -> list[Finding]:
        """The findings that say what to try, one of a kind, the weightiest first; of two splits the first."""
        by_kind: dict[str, Finding] = {}
        for finding in self.findings:
            by_kind.setdefault(finding.kind, finding)
        return [by_kind[kind] for kind in FIRST if kind in by_kind]

    @property
    def advice(self) -> str:
        """One sentence: what to try first."""
        if not self.leading:
            return "Nothing found here calls for a method: train plainly (--method none)."
        first = self.leading[0]
        return f"To try first: {first.gist}: {in_short(first, self.config)}"

    def content(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        counts = {name: sum(f.severity == name for f in self.findings) for name in SEVERITIES}
        return {
            "data": str(self.config.file),
            "imgsz": self.imgsz,
            "images": self.images,
            "objects": self.objects,
            "seconds": round(self.seconds, 1),
            "counts": counts,
            "advice": self.advice,
            "findings": [self._row(finding) for finding in self.findings],
        }

    def _row(self, finding: Finding) -> dict[str, Any]:
        places = [{"file": str(place.file), "line": place.line, "note": place.note} for place in finding.places]
        head = {"id": finding.kind, "severity": finding.severity, "split": finding.split, "what": finding.what}
        numbers = {key: value for key, value in finding.numbers.items() if value == value}  # JSON has no NaN
        return {**head, "answers": answers_to(finding, self.config), "numbers": numbers, "files": places}


def load_set(data: str) -> tuple[DataConfig, list[Finding]]:
    """A data set, without the splits that are missing on disk, and a finding for each of those.

    Raises UserError for a YAML that cannot be read, a missing train or val, and a task other than detection.
    """
    if not data:
        raise UserError("--data: name the data YAML to check, such as --data my-set/data.yaml.")
    if (task := task_of(data)) != DETECT:  # before a synthetic set is rendered
        raise UserError(f"{data}: 'task: {task}' is not checked yet; expected a data set of task detect.")
    config = load_data(data, make_demo=make_synthetic, need=("train", "val"))
    config = config.existing(config.splits)
    lost = [
        Finding(
            "split-missing", split, f"'{split}' names a place that does not exist", [Place(place) for place in places]
        )
        for split, places in config.missing.items()
    ]
    if not set(config.splits) & set(SPLITS):
        raise UserError(f"{config.file}: names no split of labelled images. Add 'train: FOLDER' and 'val: FOLDER'.")
    return config, lost


def diagnose(data: str, imgsz: int | None = None, least: str = SEVERITIES[-1]) -> tuple[Diagnosis, Survey]:
    """Check a data set of detection. Changes nothing; progress on stderr.

    imgsz: what the network will see, px; None: 640, or the images' own size. least: the least severity of what is reported.
    Raises UserError for a set that cannot be checked: a YAML that cannot be read, a split without a usable image.
    """
    started = time.perf_counter()
    config, lost = load_set(data)
    paired = [key.name for key in DECLARED.values() if key.paired and key.name in config.splits]
    found = survey(config, paired)
    size = imgsz or usual_imgsz(found)
    findings = [*lost, *file_findings(found), *duplicate_findings(found), *pair_findings(found), *class_findings(found)]
    findings += [*size_findings(found, size), *shift_findings(found, size), *change_findings(found)]
    objects = sum(len(label.rows) for split in found.labelled.values() for _, label in split.labelled)
    kept = ordered(findings, least)
    return Diagnosis(config, size, found.images, objects, kept, time.perf_counter() - started), found


def ordered(findings: Iterable[Finding], least: str = SEVERITIES[-1]) -> tuple[Finding, ...]:
    """Those of at least this severity, the gravest first, else in their order."""
    allowed = SEVERITIES[: SEVERITIES.index(least) + 1]
    return tuple(sorted((f for f in findings if f.severity in allowed), key=lambda f: SEVERITIES.index(f.severity)))


def change_findings(found: Survey) -> list[Finding]:
    """Images that changed while they were checked."""
    paths = changed(found)
    what = f"{counted(len(paths), 'image')} changed during the check"
    return [Finding("image-changed", "", what, [Place(path) for path in paths])] if paths else []
