"""The shape of the tree, read from the source: which way imports point, how large things are, what stands where."""

from __future__ import annotations

import ast
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from engine.loggers import LOGGERS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("utils", "data", "models", "methods", "engine")
SCRIPTS = ("train", "val", "detect", "export", "prepare", "compare")
TOOLS = ("bench", "weights", "docs")  # may import anything; nothing imports them

# What a package may import besides itself.
ARROWS = {
    "utils": set(),
    "data": {"utils"},
    "models": {"utils"},
    "methods": {"utils", "data", "models"},
    "engine": {"utils", "data", "models", "methods"},
    "scripts": {"utils", "engine"},
}

# The rooms of the engine, from the ground up: each may import those above it in this list and those of its own line.
ENGINE = (
    ("options", "results", "tasks", "latest", "callbacks", "loggers"),
    ("reporting",),
    ("checkpoint",),
    ("conversion",),
    ("enhancement.enhancer",),
    ("visual", "tracking"),
    ("streams", "messages"),
    ("recording", "serving"),
    ("inference",),
    ("evaluation",),
    ("training",),
    ("classification", "action"),
    ("darkening", "enhancement", "clip", "exporters", "preparation", "diagnosis"),
    ("comparison",),
)
# Arrows between rooms that still point the wrong way. This set only shrinks.
KNOWN_BREACHES: set[tuple[str, str]] = set()
KNOWN_CIRCLES: set[frozenset[str]] = set()
# Folders, files and functions that are still too large. This set only shrinks.
TOO_LARGE: set[str] = set()

# Arithmetic over tensors and arrays: testable alone, and no upgrade of Ultralytics reaches it.
PURE = (
    "methods.rfla_math", "methods.richsem", "methods.federated",
    "models.crux", "models.byol", "models.restore", "models.semantic", "models.zero_dce", "models.cut",
    "data.degrade", "data.degradations", "data.sampling", "utils.metrics",
)  # fmt: skip

METHODS = re.compile(r"(?<![a-z])(wiid|lcp|aeris|richsem|rfla)(?![a-z])", re.IGNORECASE)
# Tests of something wider than one module.
UNMIRRORED = {
    "tests/external_method/test_sketch.py", "tests/fuzz/test_attacks.py", "tests/fuzz/test_readers.py",
    "tests/chaos/test_kills.py", "tests/accelerator/test_cases.py", "tests/accelerator/test_training.py",
    "tests/test_architecture.py", "tests/test_contract.py", "tests/test_docs.py", "tests/test_docs_commands.py",
    "tests/test_earlier_files.py",
    "tests/test_golden.py", "tests/bench/test_gpu.py",
    "tests/test_detect_script.py", "tests/test_offline.py", "tests/test_scripts.py", "tests/test_ultralytics_seams.py",
    "tests/data/detection/test_native_size.py", "tests/data/detection/test_long_epochs.py",
    "tests/engine/training/test_ultralytics_recipe.py",
    "tests/engine/enhancement/test_scripts.py", "tests/engine/preparation/test_prepare.py", "tests/methods/test_compositions.py",
    "tests/engine/training/test_usual_datasets.py", "tests/engine/serving/test_browser.py",
    "tests/bench/test_comparisons.py", "tests/methods/test_lcp_training.py", "tests/methods/test_longtail_training.py",
}  # fmt: skip


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the packages and scripts."""
    files = [ROOT / f"{script}.py" for script in SCRIPTS]
    files += sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return {dotted(file): file for file in files}


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


@cache
def imported(module: str) -> frozenset[str]:
    """What a module imports anywhere in it, inside functions and under TYPE_CHECKING too."""
    names = set()
    for node in ast.walk(tree(modules()[module])):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in modules() else str(node.module) for name in whole}
    return frozenset(names)


@cache
def graph() -> dict[str, set[str]]:
    """Module -> those of ours that it imports."""
    return {module: {name for name in imported(module) if name in modules()} for module in modules()}


def edges() -> list[tuple[str, str]]:
    """(importer, imported) for all imports of ours."""
    return [(module, name) for module, names in graph().items() for name in names]


def package(module: str) -> str:
    return "scripts" if module in SCRIPTS else module.partition(".")[0]


def room(module: str) -> str | None:
    """The room of the engine that a module is in, by the longest name of the table; None outside."""
    inside = module.removeprefix("engine.")
    rooms = [name for level in ENGINE for name in level if f"{inside}.".startswith(f"{name}.")]
    return max(rooms, key=len) if inside != module and rooms else None


def test_packages_import_downwards():
    wrong = [edge for edge in edges() if package(edge[1]) not in ARROWS[package(edge[0])] | {package(edge[0])}]
    assert wrong == []


def test_nothing_imports_a_script_or_a_tool():
    wrong = [(a, b) for a in modules() for b in imported(a) if b.partition(".")[0] in SCRIPTS + TOOLS]
    assert wrong == []


def test_every_module_of_the_engine_has_a_level():
    inside = [module for module in modules() if module.startswith("engine.")]
    assert [module for module in inside if room(module) is None] == []


def test_rooms_of_the_engine_import_downwards():
    level = {name: height for height, names in enumerate(ENGINE) for name in names}
    rooms = {(a, b): (room(a), room(b)) for a, b in edges() if room(a) and room(b)}
    wrong = {edge: pair for edge, pair in rooms.items() if level[pair[0]] < level[pair[1]]}
    assert {edge: pair for edge, pair in wrong.items() if pair not in KNOWN_BREACHES} == {}
    assert set(wrong.values()) >= KNOWN_BREACHES, "a breach is mended: take it off the list"


def test_no_circles():
    found = circles(graph())
    assert found - KNOWN_CIRCLES == set()
    assert found >= KNOWN_CIRCLES, "a circle is opened: take it off the list"


def circles(arrows: dict[str, set[str]]) -> set[frozenset[str]]:
    """Groups of modules that reach each other."""
    reach = {start: reachable(arrows, start) for start in arrows}
    return {frozenset(b for b in reach[a] if a in reach[b]) for a in arrows if a in reach[a]}


def reachable(arrows: dict[str, set[str]], start: str) -> set[str]:
    """All modules that `start` imports, directly or through others."""
    found: set[str] = set()
    waiting = list(arrows[start])
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += arrows[name]
    return found


def test_mathematics_does_without_ultralytics():
    seen = {m for m in modules() if any(name.partition(".")[0] == "ultralytics" for name in imported(m))}
    for name in PURE:
        assert name in modules()
        inside = [module for module in modules() if f"{module}.".startswith(f"{name}.")]
        assert {module for module in inside if (reachable(graph(), module) | {module}) & seen} == set()


def sources() -> list[Path]:
    """Every Python file outside the tests."""
    tools = [file for tool in TOOLS for file in (ROOT / tool).rglob("*.py")]
    return sorted({*modules().values(), *tools})


@cache
def functions(file: Path) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    return tuple(node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_folders_are_small():
    count = Counter(str(file.parent.relative_to(ROOT)) for file in sources())
    del count["data/convert"]  # one file for each data set
    assert {folder for folder, number in count.items() if number > 15} - TOO_LARGE == set()


def test_files_are_short():
    lines = {str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in sources()}
    assert {name for name, number in lines.items() if number > 400} - TOO_LARGE == set()


def test_functions_are_short():
    spans = {
        f"{file.relative_to(ROOT)} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for file in [*sources(), *(ROOT / "tests").rglob("*.py")]
        for node in functions(file)
    }
    assert {name for name, span in spans.items() if span > 50} - TOO_LARGE == set()


def public(file: Path) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Functions, classes and methods without a leading underscore."""
    for node in tree(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            inner = node.body if isinstance(node, ast.ClassDef) else ()
            yield from (part for part in inner if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"))


def test_everything_public_is_documented():
    bare = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in sources()
        for node in public(file)
        if not ast.get_docstring(node)
        and not any(name in ast.unparse(mark) for mark in node.decorator_list for name in ("overload", "setter"))
    ]
    assert bare == []


def test_every_function_is_typed():
    bare = []
    for file in sources():
        for node in functions(file):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
            untyped = [one.arg for one in arguments if one.annotation is None and one.arg not in ("self", "cls")]
            if untyped or node.returns is None:
                bare.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name} {untyped}")
    assert bare == []


def test_tests_mirror_the_tree():
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert {str(file.relative_to(ROOT)) for file in files if not module_of(file).exists()} - UNMIRRORED == set()


def module_of(file: Path) -> Path:
    """The module that a test file stands for; a package's own __init__ is tested in `package/test_package.py`."""
    place = (ROOT / file.relative_to(ROOT / "tests")).with_name(file.stem.removeprefix("test_"))
    whole = place.parent if place.name == place.parent.name else place
    return whole / "__init__.py" if (whole / "__init__.py").exists() else place.with_suffix(".py")


def test_only_methods_name_a_method():
    """A new method needs nothing outside methods/: so nothing there knows the present ones by name. Prose may."""
    named = [
        f"{file.relative_to(ROOT)}:{token.start[0]} {token.string}"
        for name, file in modules().items()
        if package(name) != "methods" and not name.startswith("data.degrad")  # a degradation may bear a paper's name
        for token in code_tokens(file)
        if METHODS.search(token.string)
    ]
    assert named == []


def test_only_loggers_name_a_logger():
    """A new logger needs nothing outside engine/loggers/."""
    named = [
        f"{file.relative_to(ROOT)}:{token.start[0]} {token.string}"
        for name, file in modules().items()
        if not name.startswith("engine.loggers")
        for token in code_tokens(file)
        if re.search("|".join(LOGGERS), token.string, re.IGNORECASE)
    ]
    assert named == []


def code_tokens(file: Path) -> Iterator[tokenize.TokenInfo]:
    """Names and texts of a file, without comments and docstrings."""
    first = None
    with file.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            docstring = token.type == tokenize.STRING and first is None
            if token.type in (tokenize.NAME, tokenize.STRING) and not docstring:
                yield token
            if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING):
                first = None
            elif token.type not in (tokenize.COMMENT, tokenize.NL):
                first = token
