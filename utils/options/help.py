"""How options are shown: the text of --help and the tables of the documentation, both made from the declarations."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path

from utils.options.types import Option, range_text


def help_text(
    options: Iterable[Option], program: str, about: str, examples: Iterable[str] = (), partial: bool = False
) -> str:
    """The whole --help page: use, purpose, each group of options with defaults in order of declaration, and examples.

    partial: whether there are options that the page does not show.
    """
    width = min(max(shutil.get_terminal_size().columns, 60), 100)
    groups: dict[str, list[Option]] = {}
    for option in options:
        groups.setdefault(option.group, []).append(option)
    parts = [f"usage: {program} [--option value | option=value ...]", textwrap.fill(about, width)]
    for title, members in groups.items():
        parts.append("\n".join([f"{title}:", *(_entry(option, width) for option in members)]))
    parts += ["\n".join(["Examples:", *(f"  {line}" for line in examples)])] if examples else []
    notes = "--help all lists every option. " * partial
    parts.append(textwrap.fill(f"{notes}Dashes and underscores are alike; --no-X turns a switch off.", width))
    return "\n\n".join(parts) + "\n"


def _entry(option: Option, width: int) -> str:
    """One option of the page: its flags, then its help, indented."""
    flags = ", ".join([option.flag, *("--" + alias.replace("_", "-") for alias in option.aliases)])
    head = f"  {flags} {_placeholder(option)}".rstrip()
    indent = " " * 30
    body = textwrap.wrap(
        f"{option.help} {_facts(option)}".strip(), width, initial_indent=indent, subsequent_indent=indent,
        break_on_hyphens=False,
    )  # fmt: skip
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
    """'(range or choices; default: ...)'."""
    default = default_text(option)
    default = default if (option.shown or "").startswith("required") else f"default: {default}"
    return f"({'; '.join(filter(None, [limits(option), default]))})"


def limits(option: Option) -> str:
    """The range or the choices of an option, or an empty string."""
    if option.choices is not None:
        return " | ".join(str(choice) for choice in option.choices)
    return range_text(option.low, option.high).strip()


def default_text(option: Option) -> str:
    """The default as a user would write it, or what the option says that it stands for."""
    value = False if option.kind is bool and option.default is None else option.default
    if option.shown is not None:
        return option.shown
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(str(item) for item in value) or "none"
    return "none" if value is None else str(value) or "none"


def table_text(options: Iterable[Option]) -> str:
    """A Markdown table of the options, with a row per group: flag, default, range or choices, meaning."""
    rows, listed = ["| option | default | range | what it does |", "|---|---|---|---|"], list(options)
    several, group = len({option.group for option in listed}) > 1, None
    for option in listed:
        if several and option.group != group:
            rows.append(f"| **{option.group}** | | | |")
        group = option.group
        default = f"`{default_text(option)}`" if option.shown is None else option.shown
        cells = [f"`{option.flag}`", default, limits(option), option.help]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"
