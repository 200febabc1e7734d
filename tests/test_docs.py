"""Links, files and commands in the documentation exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for folder, pattern in ((".", "*.md"), ("docs", "**/*.md"), ("weights", "*.md"), ("bench/results", "README.md"))
    for page in (ROOT / folder).glob(pattern)
)
HISTORY = "CHANGELOG.md"  # names files and commands of the past
FOLDERS = "bench data docs engine methods models tests utils weights".split()
COMMAND = re.compile(r"(?:python |`)(?:-m ([\w.]+)|([\w/]+\.py)) ?([\w-]*)")
CODE_PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w/.-]+\.(?:py|yaml|md))`")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The ids that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page):
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize("page", [page for page in PAGES if page != HISTORY])
def test_paths_exist(page):
    assert not [path for path in CODE_PATH.findall(text_of(page)) if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", [page for page in PAGES if page != HISTORY])
def test_commands_exist(page):
    from engine.preparation import all_commands

    lost = []
    text = re.sub(r"`[^`]*` of commit \w+", "", text_of(page))
    for module, script, word in COMMAND.findall(text):
        path = Path(*module.split(".")) if module else Path(script)
        ours = path.parts[0] in FOLDERS or not module
        if ours and not any((ROOT / name).exists() for name in (path, path.with_suffix(".py"))):
            lost.append(module or script)
        if script == "prepare.py" and word and not word.startswith("-") and word not in {*all_commands(), "COMMAND"}:
            lost.append(f"{script} {word}")
    assert not lost


def test_pages_are_balanced():
    assert not [page for page in PAGES if len(re.findall(r"^ *```", text_of(page), re.MULTILINE)) % 2]


def test_the_lock_holds_a_hashed_release_of_every_requirement(root: Path) -> None:
    """Of those in range, from no particular registry."""
    from packaging.requirements import Requirement

    text = (root / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ]+)", text, re.MULTILINE))
    lines = [line.partition("#")[0].strip() for line in (root / "requirements.txt").read_text().splitlines()]
    for wanted in map(Requirement, filter(None, lines)):
        assert wanted.specifier.contains(locked[wanted.name.lower()]), wanted
    assert "://" not in text and "--index" not in text
    assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=[A-Za-z0-9_.-]+==)", text, flags=re.MULTILINE)[1:])
