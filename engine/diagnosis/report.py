"""A diagnosis on the screen. Names of files and classes are shown so that no control character acts."""

from __future__ import annotations

from collections.abc import Iterator

from data.checks.findings import SEVERITIES, Finding, counted
from engine.diagnosis.answers import answers_to
from engine.diagnosis.diagnosis import Diagnosis


def lines_of(diagnosis: Diagnosis, most: int) -> Iterator[str]:
    """The report, line by line; `most`: files listed for a finding, below the data set's folder."""
    home = f"{diagnosis.config.root}/"
    facts = f"{counted(diagnosis.images, 'image')}, {counted(diagnosis.objects, 'object')}"
    yield f"{diagnosis.config.file}: {facts}, for --imgsz {diagnosis.imgsz}, checked in {diagnosis.seconds:.0f} s"
    width = max((len(finding.kind) for finding in diagnosis.findings), default=0)
    for finding in diagnosis.findings:
        yield ""
        yield f"{finding.severity:<8} {finding.kind:<{width}}  {finding.what}"
        yield from (line.replace(home, "") for line in _places(finding, most))
        yield from (f"    -> {answer}" for answer in answers_to(finding, diagnosis.config))
    yield ""
    yield totals(diagnosis)
    yield diagnosis.advice


def _places(finding: Finding, most: int) -> Iterator[str]:
    """The first files, and how many there are besides."""
    yield from (f"    {place}" for place in finding.places[:most])
    if 0 < most < len(finding.places):
        yield f"    and {len(finding.places) - most:,} more"


def totals(diagnosis: Diagnosis) -> str:
    """How many findings of each severity."""
    words = {
        "error": ("error", "errors"),
        "warning": ("warning", "warnings"),
        "advice": ("piece of advice", "pieces of advice"),
    }
    counts = {name: sum(finding.severity == name for finding in diagnosis.findings) for name in SEVERITIES}
    listed = [counted(number, *words[name]) for name, number in counts.items() if number]
    return ", ".join(listed) if listed else "nothing found"


def printable(text: str) -> str:
    r"""A line without characters that act on a terminal or that it cannot show.

    >>> printable("a\x1b[31m\n\udcff.jpg")
    'a\\x1b[31m\\x0a\\udcff.jpg'
    """
    return "".join(letter if letter.isprintable() else _escaped(ord(letter)) for letter in text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
