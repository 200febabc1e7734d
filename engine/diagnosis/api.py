"""`prepare.py check`: prints a diagnosis, as text or JSON; its exit code says whether something was found."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from engine.diagnosis.diagnosis import Diagnosis, diagnose, ordered
from engine.diagnosis.report import lines_of, printable
from engine.options.check import CheckOptions
from utils.cli import load
from utils.log import LOGGER


def check(options: CheckOptions) -> Diagnosis:
    """Check a data set and print what was found; nothing is changed. Raises UserError for a set that cannot be checked."""
    with notes_silenced(options.json):
        detector = load("engine.diagnosis.contradictions:open_detector") if options.weights else None  # imports torch
        if detector:
            detector(options)  # what is wrong with the file is said before minutes are spent
        diagnosis, found = diagnose(options.data, options.imgsz, options.least)
        if detector:
            more = load("engine.diagnosis.contradictions:contradictions")(found, options, diagnosis.imgsz)
            diagnosis = replace(diagnosis, findings=ordered([*diagnosis.findings, *more], options.least))
    if options.json:
        print(json.dumps(diagnosis.content(), indent=1))
    else:
        print("\n".join(map(printable, lines_of(diagnosis, options.most))))
    return diagnosis


@contextmanager
def notes_silenced(active: bool) -> Iterator[None]:
    """Notes go to stdout, where only JSON is expected; warnings, on stderr, stay."""
    level = LOGGER.level
    try:
        if active:
            LOGGER.setLevel(max(level, logging.WARNING))
        yield
    finally:
        LOGGER.setLevel(level)
