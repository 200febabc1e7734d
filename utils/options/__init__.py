"""Options, declared once as typed dataclass fields; flags, YAML keys, --help, docs tables and args.yaml come from them.

@dataclass(frozen=True)
class Training:
    epochs: int = option(30, "passes over the training images", low=1)

given = parse_argv(None, [Training], "train.py", "Train a detector.")    # only what the user wrote
(training,) = build([Training], given)                                   # checked, defaults filled in
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from utils.errors import UserError, suggestion
from utils.files import plain
from utils.log import LOGGER
from utils.options.help import help_text, table_text
from utils.options.types import SWITCH_WORDS, Group, Option, RemovedOption, convert, option, read_type, spelt  # noqa: F401

Shown = Callable[[Mapping[str, Any]], Sequence[Option]]  # given options -> those that --help lists


def schema_fields(schemas: Sequence[type]) -> Mapping[str, Option]:
    """All options of the schemas by name, in order. A name may stand in several schemas, of the same type in each.

    Raises TypeError on an annotation that options cannot have or two types of one name: our mistakes, not the user's.
    """
    return _fields(tuple(schemas))


@functools.cache
def _fields(schemas: tuple[type, ...]) -> Mapping[str, Option]:
    found: dict[str, Option] = {}
    for schema in schemas:
        hints = typing.get_type_hints(schema)
        for field in dataclasses.fields(schema):
            kind, optional, many = read_type(hints[field.name])
            entry = Option(field.name, kind, field.default, optional, many, **field.metadata)
            known = found.setdefault(field.name, entry)
            if (known.kind, known.many) != (kind, many):
                raise TypeError(f"option {field.name} has two types, {known.kind} and {kind}")
    return MappingProxyType(found)


def options_for(schemas: Sequence[type], task: str) -> dict[str, Option]:
    """The options of the schemas that mean something for a task, by name."""
    return {name: entry for name, entry in schema_fields(schemas).items() if task in (entry.tasks or (task,))}


def build(schemas: Sequence[type], given: Mapping[str, Any]) -> tuple[Any, ...]:
    """One frozen dataclass instance a schema, from given values (texts are converted) and defaults.

    Names and values as in `canonical`, which also says what is refused.
    """
    values = canonical(given, schemas)
    return tuple(
        schema(**{field.name: values[field.name] for field in dataclasses.fields(schema) if field.name in values})
        for schema in schemas
    )


def canonical(given: Mapping[str, Any], schemas: Sequence[type]) -> dict[str, Any]:
    """The given options under their own names, each value of its option's type.

    Names may carry dashes, be aliases, or be former names. Raises UserError for an unknown name (nearest offered), one
    that was removed (with what to do instead), or an unfit value.
    """
    options = schema_fields(schemas)
    own = ((_own_name(key, schemas), value) for key, value in given.items())
    return {name: convert(options[name], value) for name, value in own}


def from_file(saved: Mapping[str, Any], schemas: Sequence[type]) -> dict[str, Any]:
    """Options that an older version may have written, under their present names; removed ones at their default are dropped."""
    former = {old: name for name, entry in schema_fields(schemas).items() for old in entry.formerly}
    gone = _removed(tuple(schemas))
    return {
        former.get(key, key): value
        for key, value in saved.items()
        if key not in gone or plain(value) != plain(gone[key].default)
    }


def as_words(options: Mapping[str, Any]) -> list[str]:
    """Options as a command line writes them.

    >>> as_words({"epochs": 3, "classes": (0, 2)})
    ['epochs=3', 'classes=0,2']
    """
    lists = {key: value if isinstance(value, (tuple, list)) else [value] for key, value in options.items()}
    return [f"{key}={','.join(map(str, values))}" for key, values in lists.items()]


def parse_argv(
    argv: Sequence[str] | None,
    schemas: Sequence[type],
    program: str,
    about: str,
    examples: Sequence[str] = (),
    shown: Shown | None = None,
) -> dict[str, Any]:
    """Read a command line (None: this process's). Returns only what was written, by canonical name, typed and checked.

    Understood: --a-b, --a_b, --flag value, --flag=value, key=value, aliases; switches --x, --x false, --no-x; lists
    --classes 0 2 3 or 0,2,3. The last of two equal options wins, except that a repeated list grows. -h prints the grouped
    help and exits with 0; `shown` picks from the other options what it lists, `--help all` lists all. Raises UserError.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = schema_fields(schemas)
    asked = next((word for word in words if word in {"-h", "--help"}), None)
    if asked is not None:
        where = words.index(asked)
        every = words[where + 1 : where + 2] == ["all"]
        rest = words[:where] + words[where + 1 + every :]
        listed = [*options.values()] if shown is None or every else shown(parse_argv(rest, schemas, program, about))
        print(help_text(listed, program, about, examples, partial=shown is not None and not every), end="")
        raise SystemExit(0)
    given: dict[str, Any] = {}
    while words:
        name, value = _take(words, schemas)
        value = convert(options[name], value)
        given[name] = (*(given.get(name) or ()), *value) if options[name].many and value is not None else value
    return given


@functools.cache
def _names(schemas: tuple[type, ...]) -> Mapping[str, str]:
    """Every spelling of every option -> its name."""
    options = schema_fields(schemas)
    others = {word: name for name, entry in options.items() for word in (*entry.aliases, *entry.formerly)}
    return {**others, **{name: name for name in options}}


@functools.cache
def _removed(schemas: tuple[type, ...]) -> Mapping[str, RemovedOption]:
    """Options that schemas no longer have, by name: their class attribute `removed`."""
    return {name: entry for schema in schemas for name, entry in getattr(schema, "removed", {}).items()}


@functools.cache
def _foreign(schemas: tuple[type, ...]) -> Mapping[str, str]:
    """Options of other tools -> a sentence on what to do here: the schemas' class attribute `foreign`."""
    return {name: text for schema in schemas for name, text in getattr(schema, "foreign", {}).items()}


def _own_name(key: str, schemas: Sequence[type]) -> str:
    """The name of the option with this spelling. Raises UserError where there is none, or none any more."""
    names, removed, word = _names(tuple(schemas)), _removed(tuple(schemas)), spelt(key)
    name = names.get(word)
    if name is None and word in removed:
        raise UserError(f"option {key}: it is no longer there. {removed[word].instead}")
    if name is None and (instead := _foreign(tuple(schemas)).get(word.lower())):
        raise UserError(f"option {key}: there is no such option here. {instead}")
    if name is None:
        near = suggestion(word, names).replace("_", "-")
        raise UserError(f"option {key}: there is no such option.{near} --help lists them.")
    if word in schema_fields(schemas)[name].formerly:
        _note(f"--{word} is now --{name}".replace("_", "-"))
    return name


@functools.cache
def _note(text: str) -> None:
    """Say it on stderr, once."""
    LOGGER.warning(f"note: {text}")


def _take(words: list[str], schemas: Sequence[type]) -> tuple[str, Any]:
    """Take one option and its value off the front of the words."""
    options, names = schema_fields(schemas), _names(tuple(schemas))
    word = words.pop(0)
    key, equals, value = word.partition("=")
    if not word.startswith("--") and not equals:
        hint = f" Did you mean --{word.lstrip('-')}?" if spelt(word) in names else ""
        raise UserError(f"{word!r} on the command line belongs to no option; write --name value or name=value.{hint}")
    if spelt(key) not in names and spelt(key).startswith("no_") and not equals:
        switch = names.get(spelt(key)[3:])
        if switch is not None and (options[switch].kind is bool or options[switch].switch):
            return switch, False
    name = _own_name(key, schemas)
    return name, value if equals else _following(options[name], key, words, names)


def _following(entry: Option, key: str, words: list[str], names: Mapping[str, str]) -> Any:
    """The value of an option that was written without '='; takes it off the front of the words."""
    if entry.many:
        values = []
        while _is_value(words, names):
            values.append(words.pop(0))
        if values:
            return values
    elif entry.kind is bool:
        return words.pop(0) if words and words[0].lower() in SWITCH_WORDS else True
    elif _is_value(words, names):
        return words.pop(0)
    if entry.bare is not None:
        return entry.bare
    raise UserError(f"option {key}: a value must follow; expected {entry.expected}.")


def _is_value(words: list[str], names: Mapping[str, str]) -> bool:
    """Is the next word a value, rather than the start of the next option (--x, or x=... of a known x)?"""
    if not words or words[0].startswith("--"):
        return False
    key, equals, _ = words[0].partition("=")
    return not (equals and spelt(key) in names)


def markdown_table(*schemas: type) -> str:
    """The options of the schemas as a Markdown table, for the documentation."""
    return table_text(schema_fields(schemas).values())


def as_dict(*instances: Any) -> dict[str, Any]:
    """Options as plain values that YAML and JSON can hold: paths become texts, tuples lists."""
    return {name: plain(value) for instance in instances for name, value in vars(instance).items()}
