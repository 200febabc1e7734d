"""The option tables of the documentation, rewritten from the declarations: python -m docs.make_tables

A table stands between `<!-- options -->` (in prepare.md `<!-- COMMAND options -->`) and `<!-- end of options -->`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.checks.findings import KINDS
from engine.diagnosis.answers import general_answer
from engine.options.action import ActionOptions
from engine.options.classify import ClassifyOptions
from engine.options.compare import CompareOptions
from engine.options.detect import DetectOptions
from engine.options.export import ExportOptions
from engine.options.train import COMMON_SCHEMAS
from engine.options.val import ValOptions
from engine.preparation import all_commands
from utils.cli import load
from utils.options import markdown_table
from utils.tables import markdown_table as rows_table

PAGES: dict[str, tuple[type, ...]] = {
    "scripts/train.md": COMMON_SCHEMAS,
    "scripts/val.md": (ValOptions,),
    "scripts/detect.md": (DetectOptions,),
    "scripts/export.md": (ExportOptions,),
    "scripts/compare.md": (CompareOptions,),
    "tasks/classify.md": (ClassifyOptions,),
    "tasks/action.md": (ActionOptions,),
}
START, END = "<!-- {}options -->\n", "<!-- end of options -->"


def tables() -> Iterator[tuple[str, str, str]]:
    """(page below docs/, the line above the table, the table) of each one."""
    for page, schemas in PAGES.items():
        yield page, START.format(""), markdown_table(*schemas)
    yield "data/check.md", "<!-- findings -->\n", findings_table()
    for name, command in all_commands().items():
        yield "scripts/prepare.md", START.format(f"{name} "), markdown_table(load(command.options))


def findings_table() -> str:
    """Every finding of prepare.py check: severity, meaning, answer."""
    rows = [
        {"id": f"`{kind}`", "severity": severity, "what": about, "answer": general_answer(kind)}
        for kind, (severity, about) in KINDS.items()
    ]
    return f"{rows_table(rows)}\n"


def with_table(text: str, start: str, table: str) -> str:
    """The text of a page with its table replaced. Raises ValueError where the page has no such place."""
    before, found, rest = text.partition(start)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise ValueError(f"the page has no table between {start.strip()} and {END}")
    return f"{before}{start}{table}{end}{after}"


if __name__ == "__main__":
    for name, start, table in tables():
        path = Path(__file__).parent / name
        path.write_text(with_table(path.read_text(encoding="utf-8"), start, table), encoding="utf-8")
