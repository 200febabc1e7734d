"""Data YAMLs: where the images are, what the classes are called. Read safely; nothing in one is executed."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from data.class_names import class_names
from data.dialects import FOREIGN, beside, describe_folder, translated, yaml_in
from utils.disk.slashes import with_slashes
from utils.errors import UserError, nearest
from utils.files import REPOSITORY, find_file, load_yaml, typed_path
from utils.log import LOGGER

VALS, TESTS = (
    tuple(f"{split}{number}" for number in ("", *range(2, 10))) for split in ("val", "test")
)  # val, val2, ...
SPLITS = ("train", "extra", *VALS, *TESTS)
SLIP = 0.78  # likeness of two keys, 0 to 1, from which one is a misspelling of the other
LONGEST_WORD = 60  # letters of a condition
TASKS = ("detect", "classify", "action")
FORMER_FOLDERS = {"reference": "favoured", "unlabeled": "nights"}  # what earlier versions called those they converted
_OTHER_KEYS = set("path names nc frequency federated method task demo conditions prepare download".split())


class DataKey(NamedTuple):
    """A line of a data YAML that a method reads: images beside the splits, or the default of one of its options.

    option: whether it is a path for the option of the same name. aliases: other names of it, in data YAMLs of these tasks.
    paired: whether its images belong to those of train, one to one.
    """

    name: str
    option: bool = False
    aliases: tuple[str, ...] = ()
    tasks: tuple[str, ...] = TASKS
    paired: bool = False


DECLARED: dict[str, DataKey] = {}
"""What methods declared, by name."""


def declare_keys(*keys: DataKey) -> None:
    """Let data YAMLs have these lines. Raises UserError where one already exists and means something else."""
    for key in keys:
        if key.name in {*SPLITS, *_OTHER_KEYS} or DECLARED.setdefault(key.name, key) != key:
            raise UserError(f"data YAML: the key '{key.name}' is declared twice. Rename the method's.")


@dataclass(frozen=True)
class DataConfig:
    """A data YAML, checked. All paths are absolute."""

    file: Path
    root: Path
    names: dict[int, str]  # class number -> name; numbers run from 0 without a gap
    splits: dict[str, tuple[Path, ...]]  # split -> folders or .txt lists
    conditions: dict[str, str] = field(default_factory=dict)  # split -> the word that reports use for it ("night")
    method: str = "none"
    demo: str | None = None  # the synthetic data set to generate where the folder is missing
    task: str = "detect"
    frequency: tuple[str, ...] | None = None  # of each class: r rare, c common, f frequent; None: not said
    options: dict[str, Path] = field(default_factory=dict)  # defaults of options of methods, such as `teacher`
    federated: Path | None = None  # see data.verified; None: every class was looked for in every image
    missing: dict[str, tuple[Path, ...]] = field(default_factory=dict)  # of splits that were left out

    def sources(self, split: str) -> tuple[Path, ...]:
        """The folders or lists of a split. Raises UserError where it has none."""
        if not self.splits.get(split):
            raise self.lacks(split, f"Add a line '{split}: FOLDER'.")
        return self.splits[split]

    def lacks(self, split: str, advice: str) -> UserError:
        """What to raise where a split is needed that is not named, or that was left out because it is missing."""
        if split in self.missing:
            return UserError(
                f"{self.file}: '{split}' is {self.missing[split][0]}, which is missing. Put the data there."
            )
        known = ", ".join(self.splits) or "none"
        return UserError(f"{self.file}: there is no '{split}' split. It has: {known}. {advice}")

    def existing(self, optional: Collection[str]) -> DataConfig:
        """Without those of the optional splits that are missing on disk; `missing` has their places."""
        lost = {split: gone for split, gone in missing_places(self.splits).items() if split in optional}
        kept = {split: places for split, places in self.splits.items() if split not in lost}
        words = {split: word for split, word in self.conditions.items() if split not in lost}
        return replace(self, splits=kept, conditions=words, missing={**self.missing, **lost})


def missing_places(splits: Mapping[str, tuple[Path, ...]]) -> dict[str, tuple[Path, ...]]:
    """Split -> its folders and lists that do not exist, of the splits that have such."""
    found = {split: tuple(place for place in places if not place.exists()) for split, places in splits.items()}
    return {split: gone for split, gone in found.items() if gone}


def load_data(
    source: str | Path,
    *,
    make_demo: Callable[[str, Path], None] | None = None,
    need: Collection[str] | None = None,
) -> DataConfig:
    """Read and check a data YAML, given as a path, its folder, or a name in the project's data/ folder (with or without .yaml).

    YAMLs and folders of other tools are understood too (data/dialects.py). `path` is relative to the YAML's folder, then to
    the current one, then to datasets/. `names` may also name a YAML file in that folder, which
    then says the names and, where it is not said here, the frequency. Where the folder is missing and the file names a
    synthetic data set (`demo`), `make_demo(name, folder)` is called to make it. `need`: the splits that must exist on disk
    (None: all but test splits beside others). Other test splits that do not exist are left out with a note.
    Raises UserError, naming the file and the next step, for anything missing or of the wrong kind.
    """
    file, content = _read(source)
    content = translated(file, content)
    _check_keys(file, content)
    content = _own_names(file, content)
    root = _root(file, content.get("path"))
    demo = _text(file, content, "demo")
    if demo is not None and make_demo is not None and not root.exists():
        make_demo(demo, root)
    splits = _splits(file, root, content)
    missing = missing_places(splits)
    needed = (set(splits) - set(TESTS) or set(splits)) if need is None else need
    if first := next((split for split in missing if split in needed), None):
        raise _missing(file, content, f"'{first}' is {missing[first][0]}")
    given = content.get("federated")
    federated = None if given is None else _place(file, root, "federated", given)
    if federated is not None and not federated.is_file() and (need is None or len(need)):
        raise _missing(file, content, f"'federated' is {federated}")
    listing, classes = _listing(file, root, content)
    names = class_names(listing, classes)
    own = [key.name for key in DECLARED.values() if key.option]
    config = DataConfig(
        file,
        root,
        names,
        splits,
        conditions=_conditions(file, content, splits),
        method=_text(file, content, "method") or "none",
        demo=demo,
        task=_task(file, content),
        frequency=_frequency(listing, {**classes, **content}, names),
        options={key: _place(file, root, key, content[key]) for key in own if content.get(key)},
        federated=federated,
    )
    return _without_tests(config) if root.is_dir() and set(splits) - set(TESTS) else config


def _without_tests(config: DataConfig) -> DataConfig:
    """A data set without the test splits that are missing on disk, which a note says."""
    config = config.existing(TESTS)
    for split, places in config.missing.items():
        LOGGER.info("%s: '%s' is left out: %s is missing", config.file, split, places[0])
    return config


def task_of(source: str | Path) -> str:
    """The task of a data YAML, of which nothing else is looked at. Raises UserError as `load_data`."""
    return _task(*_read(source))


def method_of(source: str | Path) -> str:
    """The methods that a data YAML names, of which nothing else is looked at. Raises UserError as `load_data`."""
    return _text(*_read(source), "method") or "none"


def _read(source: str | Path) -> tuple[Path, dict[str, Any]]:
    """The YAML of a path, a folder or a name, and its content; a folder without one stands for itself."""
    given = typed_path(source)
    if given.is_dir() and not (given.parent / f"{given.name}.yaml").is_file():
        folder = Path(os.path.abspath(given))
        file = yaml_in(folder)
        return (file, load_yaml(file)) if file is not None else (folder, describe_folder(folder))
    file = _find(given)
    return file, load_yaml(file)


def _find(given: Path) -> Path:
    """The YAML file of a path or a name."""
    name = given if given.suffix.lower() in {".yaml", ".yml"} else given.parent / f"{given.name}.yaml"
    return Path(os.path.abspath(find_file(name, Path("data"), REPOSITORY / "data")))


def _check_keys(file: Path, content: dict[str, Any]) -> None:
    """Say once what is not used; refuse what looks like a misspelt key, as it would change the training in silence."""
    known = {*SPLITS, *_OTHER_KEYS, *DECLARED, *(alias for key in DECLARED.values() for alias in key.aliases)}
    if content.get("download"):
        LOGGER.warning("%s: 'download' is never executed. Download the data yourself; see its page in docs/data.", file)
    unused = [key for key in content if key not in known]
    for key in unused:
        if key not in FOREIGN and (meant := _meant(key, known)):
            raise UserError(f"{file}: there is no key {key!r}. Did you mean {meant!r}? Correct or remove that line.")
    if unused:
        LOGGER.info("%s: not used here: %s", file, ", ".join(unused))


def _meant(key: str, known: Collection[str]) -> str | None:
    """The key that this one is a slip of: the same letters in another order, or nearly the same."""
    letters = sorted(key.lower())
    return next((other for other in known if sorted(other) == letters), None) or nearest(key, known, SLIP)


def _own_names(file: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The content with declared keys under their own names. Raises UserError where one stands under two of its names."""
    task, result = _task(file, content), dict(content)
    for key in DECLARED.values():
        for alias in (name for name in key.aliases if name in content and task in key.tasks):
            if key.name in result:
                raise UserError(f"{file}: '{key.name}' and '{alias}' are two names of one key. Keep one of them.")
            LOGGER.info("%s: '%s' is read as '%s'", file, alias, key.name)
            result[key.name] = result.pop(alias)
    return result


def _root(file: Path, path: Any) -> Path:
    """The data set's folder: `path` from the YAML's folder, else from the current one, datasets/ here or in the project."""
    if path is None:
        return file.parent
    if not isinstance(path, str) or not path:
        raise UserError(f"{file}: 'path' must be the data set's folder as text, not {path!r}.")
    home = REPOSITORY / "datasets" if file.parent == REPOSITORY / "data" else file.parent
    bases = (file.parent, Path(), Path("datasets"), home)
    places = [Path(os.path.abspath(base / with_slashes(base, str(typed_path(path))))) for base in bases]
    return next((place for place in places if place.is_dir()), places[-1])


def _splits(file: Path, root: Path, content: dict[str, Any]) -> dict[str, tuple[Path, ...]]:
    """Split -> absolute folders or lists. Relative entries stay inside the data set's folder."""
    splits = {}
    task = _task(file, content)
    images = [key.name for key in DECLARED.values() if not key.option and task in key.tasks]
    for key in (SPLITS[0], *images, *SPLITS[1:]):
        value = content.get(key)
        if value is not None and value != []:
            entries = value if isinstance(value, list) else [value]
            places = [_place(file, root, key, entry) for entry in entries]
            splits[key] = tuple(dict.fromkeys(places))
            if len(splits[key]) < len(places):
                LOGGER.warning("%s: '%s' names a folder or list more than once; it counts once", file, key)
    return splits


def _place(file: Path, root: Path, key: str, entry: Any) -> Path:
    """One folder or list of a split."""
    if not isinstance(entry, str) or not entry:
        raise UserError(f"{file}: '{key}' must be a folder or a .txt list as text (or several), not {entry!r}.")
    given = with_slashes(root, str(typed_path(entry)))
    path = Path(os.path.abspath(beside(root, given)))
    if not Path(given).is_absolute() and not path.is_relative_to(root):
        raise UserError(
            f"{file}: '{key}: {entry}' lies outside the data set's folder {root}. "
            "Correct 'path', or give an absolute path if this is intended."
        )
    former = path.parent / FORMER_FOLDERS.get(path.name, path.name)
    if former.exists() and not path.exists():
        LOGGER.info("%s: '%s' is read from %s, the folder's former name", file, key, former)
        return former
    return path


def _missing(file: Path, content: dict[str, Any], what: str) -> UserError:
    """What is missing, and how to make it: the YAML's own `prepare` hint, the synthetic data set, or a word on `path`."""
    hint = content.get("prepare")
    if isinstance(hint, list):
        hint = " && ".join(map(str, hint))
    if not hint and content.get("demo"):
        hint = f"python prepare.py synthetic {content['demo']}"
    advice = f"Make it with: {hint}" if hint else "Put the data there, or correct 'path' in that file."
    return UserError(f"{file}: {what}, which is missing. {advice}")


def _listing(file: Path, root: Path, content: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The YAML that lists the classes, and what it says: the file itself, or the one that `names` refers to."""
    given = content.get("names")
    if not isinstance(given, str) or not given.endswith((".yaml", ".yml")):
        return file, content
    place = _place(file, root, "names", given)
    if not place.is_file():
        raise _missing(file, content, f"'names' are in {place}")
    return place, load_yaml(place)


def _frequency(file: Path, content: dict[str, Any], names: dict[int, str]) -> tuple[str, ...] | None:
    """The letter of each class, in class order."""
    letters = content.get("frequency")
    if letters is None:
        return None
    from utils.metrics import FREQUENCIES  # numpy, which --help does without

    listed = letters if isinstance(letters, list) else [letters]
    wrong = [letter for letter in listed if letter not in list(FREQUENCIES) or listed is not letters]
    if wrong:
        raise UserError(
            f"{file}: 'frequency' has {wrong[0]!r}; expected a list of r (rare), c (common) or f (frequent), one per "
            "class, such as 'frequency: [f, r]'."
        )
    if len(letters) != len(names):
        raise UserError(
            f"{file}: 'frequency' has {len(letters)} letters, but 'names' has {len(names)} classes. Give one per class, "
            "in the order of their numbers."
        )
    return tuple(letters)


def _text(file: Path, content: dict[str, Any], key: str) -> str | None:
    """An optional text."""
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{file}: '{key}' must be a text, not {value!r}.")
    return value


def _task(file: Path, content: dict[str, Any]) -> str:
    """The task, one of TASKS."""
    task = _text(file, content, "task") or "detect"
    if task not in TASKS:
        raise UserError(f"{file}: 'task: {task}' is not known; expected one of {', '.join(TASKS)}.")
    return task


def _names_a_folder(word: str) -> bool:
    """Whether a condition can stand in names of files and columns."""
    return 0 < len(word) <= LONGEST_WORD and word.isprintable() and word[0] != "." and not {"/", "\\"} & set(word)


def _conditions(file: Path, content: dict[str, Any], splits: Collection[str]) -> dict[str, str]:
    """Split -> the word for it in reports; a split's own name where none is given."""
    given = content.get("conditions") or {}
    if not isinstance(given, dict) or not all(isinstance(word, str) for word in given.values()):
        raise UserError(
            f"{file}: 'conditions' must map splits to words, such as 'conditions: {{val: night, val2: day}}'."
        )
    wrong = next((str(key) for key in given if key not in splits), None)
    if wrong is not None:
        raise UserError(
            f"{file}: 'conditions' names {wrong!r}, which is not a split of this file ({', '.join(splits)})."
        )
    words = {split: given.get(split, split) for split in splits}
    odd = next((reprlib.repr(word) for word in words.values() if not _names_a_folder(word)), None)
    if odd is not None:
        raise UserError(f"{file}: 'conditions' has {odd}; expected a plain word, as it names folders and columns.")
    for family in (VALS, TESTS):
        own = [words[split] for split in family if split in words]
        twice = next((word for word in own if own.count(word) > 1), None)
        if twice is not None:
            both = " and ".join(split for split in family if words.get(split) == twice)
            raise UserError(
                f"{file}: 'conditions' calls both {both} {twice!r}, so that reports could not tell them apart. Choose two words."
            )
    return words
