"""What a report is made of, and how it becomes one HTML file that needs nothing else."""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from utils.devices import machine_line
from utils.files import atomic_write
from utils.log import LOGGER
from utils.tables import Row, cell, columns_of

FOLDER = Path(__file__).parent
NAME = "report.html"


@dataclass(frozen=True)
class Table:
    """Rows with a caption; numbers are shown to `digits`, and kept in full in the page."""

    caption: str
    rows: Sequence[Row]
    digits: int = 3

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return columns_of(self.rows)

    def numeric(self, column: str) -> bool:
        """Whether a column holds numbers."""
        return any(is_number(row.get(column)) for row in self.rows)

    def shown(self, value: Any) -> str:
        """A cell as a reader sees it."""
        return cell(value, self.digits)


@dataclass(frozen=True)
class Chart:
    """An SVG with its title, and what it shows in words for those who do not see it."""

    title: str
    words: str
    svg: Markup


@dataclass(frozen=True)
class Figure:
    """One image, or two of the same scene under a slider: (label, data: address) each. words: what is on it."""

    title: str
    words: str
    images: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs and what follows them."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    figures: Sequence[Figure] = ()

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return "s-" + re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def __bool__(self) -> bool:
        return bool(self.paragraphs or self.tables or self.charts or self.figures)


@dataclass(frozen=True)
class Page:
    """A report. facts: what was run, as (name, value); it is completed by command, versions and date."""

    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section] = field(default_factory=list)


def render(page: Page) -> str:
    """The page as HTML. Every text is escaped: names of files, classes and runs are shown, never interpreted."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.tests["number"] = is_number
    environment.filters["full"] = full
    parts = {name: Markup((FOLDER / file).read_text("utf-8")) for name, file in FILES.items()}  # noqa: S704  our own
    sections = [section for section in page.sections if section]
    return environment.get_template("report.html.j2").render(page=page, sections=sections, **parts)


FILES = {"style": "style.css", "script": "script.js"}


def is_number(value: Any) -> bool:
    """Whether a cell holds a number, which stands to the right."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def full(value: Any) -> str:
    """A number in full precision; empty for NaN."""
    return "" if isinstance(value, float) and not math.isfinite(value) else repr(value)


def save(page: Page, folder: Path) -> Path:
    """Write the page, whole or not at all, and say where. Raises UserError where the place is not writable."""
    target = folder / NAME
    atomic_write(target, render(page).encode("utf-8", "backslashreplace"))
    LOGGER.info(f"report: {target}")
    return target


def run_facts(device: str = "") -> list[tuple[str, str]]:
    """What was run: command, versions and device, date."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv and sys.argv[0].endswith(".py") else []
    command = [("command", shlex.join(["python", *words]))] if words else []
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return [*command, ("versions", machine_line(device)), ("date", now)]
