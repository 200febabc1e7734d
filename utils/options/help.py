"""How options are shown: the text of --help and the tables of the documentation, both made from the declarations."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from utils.options.types import Option, range_text


def help_text(options: Iterable[Option], program: str, about: str) -> str:
    """The whole --help page: use, purpose, then each group of options with defaults, in order of declaration."""
    width = min(max(shutil.get_terminal_size().columns, 60), 120)
    groups: dict[str, list[Option]] = {}
    for option in options:
        groups.setdefault(option.group, []).append(option)
    parts = [f"usage: {program} [--option value | option=value ...]", textwrap.fill(about, width)]
    for title, members in groups.items():
        parts.append("\n".join([f"{title}:", *(_entry(option, width) for option in members)]))
    parts.append("-h, --help shows this page. Dashes and underscores are alike; --no-X turns a switch off.")
    return "\n\n".join(parts) + "\n"


def _entry(option: Option, width: int) -> str:
    """One option of the page: its flags, then its help, indented."""
    flags = ", ".join([option.flag, *("--" + alias.replace("_", "-") for alias in option.aliases)])
    head = f"  {flags} {_placeholder(option)}".rstrip()
    body = textwrap.wrap(
        f"{option.help} {_facts(option)}".strip(), width, initial_indent=" " * 30, subsequent_indent=" " * 30
    )
    if body and len(head) < 29:
        body[0] = head + body[0][len(head) :]
        return "\n".join(body)
    return "\n".join([head, *body])


def _placeholder(option: Option) -> str:
    """What stands for the value: nothing for a switch."""
    if option.kind is bool and not option.many:
        return ""
    name = option.metavar or {int: "N", float: "X", str: "TEXT", Path: "PATH"}.get(option.kind, "VALUE")
    name = f"{name} ..." if option.many else name
    return f"[{name}]" if option.bare is not None else name


def _facts(option: Option) -> str:
    """'(default: ...; range or choices)'."""
    facts = [f"default: {shown_default(option.default)}", *filter(None, [limits(option)])]
    return f"({'; '.join(facts)})"


def limits(option: Option) -> str:
    """The range or the choices of an option, or an empty string."""
    if option.choices is not None:
        return " | ".join(str(choice) for choice in option.choices)
    return range_text(option.low, option.high).strip()


def shown_default(value: Any) -> str:
    """A default as a user would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(str(item) for item in value) or "none"
    return str(value) if str(value) else "''"


def table_text(options: Iterable[Option]) -> str:
    """A Markdown table of the options: flag, default, range or choices, meaning."""
    rows = ["| option | default | range | what it does |", "|---|---|---|---|"]
    for option in options:
        cells = [f"`{option.flag}`", f"`{shown_default(option.default)}`", limits(option), option.help]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"
