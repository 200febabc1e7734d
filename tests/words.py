"""House words that have a plain one: `make lint` runs this over code, help and docs. python -m tests.words"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OLD_NAMES = (
    "bench/data/demo-*.yaml",
    "data/config.py",
    "data/convert/*writer.py",
    "data/demo-*.yaml",
    "data/synthetic/registry.py",
    "docs/data/*",
    "docs/methods/lcp.md",
    "docs/tasks/classify.md",
    "engine/options/prepare.py",
    "engine/preparation/__init__.py",
    "methods/lcp.py",
    "methods/options/*",
    "tests/data/convert/test_unlabelled.py",
    "tests/data/synthetic/*",
    "tests/data/test_config.py",
    "tests/methods/test_lcp*",
    "tests/test_contract.py",
    "tests/utils/options/test_options.py",
)  # they read, or name on disk or in an interface, what users may have typed or rendered
PROCESSES = ("engine/training/*", "tests/engine/training/*")  # a world of ranks
GEOMETRY = ("data/synthetic/*", "tests/data/synthetic/*")  # world coordinates
LCP = (
    "methods/lcp.py",
    "methods/options/lcp.py",
    "tests/methods/test_lcp*",
    "docs/methods/lcp.md",
)  # values of an option


class Word(NamedTuple):
    """A word that is not used, what to write in its place, and the files in which it means something else."""

    pattern: str
    instead: str
    allowed: tuple[str, ...] = ()


WORDS = (
    Word(r"pictures?", "image"),
    Word(r"doors?", "script, entry point", ("data/synthetic/street/*", "tests/data/synthetic/street/*")),
    Word(r"a (annotation|empty|epoch|image|index|object|option|ordinary|unknown)", "an ..."),
    Word(r"made[- ]up (?!for)", "synthetic"),
    Word(
        r"(?<!grey-)(?-i:[Ww]orlds?)(?!_size|\.yaml|\.json)",
        "synthetic data set",
        (
            *PROCESSES,
            *GEOMETRY,
            "engine/preparation/__init__.py",
            "tests/data/test_config.py",
            "tests/engine/preparation/*",
        ),
    ),
    Word(r"surest", "highest-confidence"),
    Word(r"foul", "degraded"),
    Word(r"lonely", "unmatched"),
    Word(r"in vain", "negative"),
    Word(r"dealt anew", "reshuffled"),
    Word(r"held against", "compared with"),
    Word(r"beings", "people"),
    Word(r"stock", "Ultralytics', plain"),
    Word(r"rests|resting", "is frozen, frozen", LCP),
    Word(r"steady", "with fixed BN statistics", LCP),
    Word(r"goes? on with", "resumes"),
    Word(r"shares? of", "fraction of"),
    Word(r"upside down|mirroring", "vertical flip, horizontal flip"),
    Word(r"no numbers? any more|are no numbers", "NaN or Inf"),
    Word(r"what it is worth|good to know|what decides what", "results, notes, precedence"),
    Word(r"darkeners?", "day-to-night translator", OLD_NAMES),
    Word(r"favou?red", "reference", OLD_NAMES),
    Word(r"partners?", "paired image"),
    Word(r"(?<!max_)(?<!maximum )suppression(?! stops)", "NMS"),
    Word(r"(?<!demo-)(nights|days)", "night images, day images", OLD_NAMES),
)
SKIPPED = ("LICENSE", "tests/words.py", "bench/results/*", "tests/fixtures/*", "docs/decisions/*", "CHANGELOG.md")
READ = (".py", ".md", ".yaml", ".toml", "Makefile", ".ci/run")


def found(name: str, words: tuple[Word, ...]) -> Iterator[str]:
    """`file:line: word -> suggestion` of each word in a file that should be another."""
    patterns = [
        (re.compile(rf"(?<![A-Za-z]){word.pattern}(?![A-Za-z])", re.IGNORECASE), word.instead)
        for word in words
        if not any(fnmatch(name, pattern) for pattern in word.allowed)
    ]
    for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), start=1):
        for pattern, instead in patterns:
            if hit := pattern.search(line):
                yield f"{name}:{number}: {hit[0]} -> {instead}"


def main() -> int:
    """Print every word found in the tracked files. Returns 1 if there was one."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    names = [name for name in listed if name.endswith(READ) and (ROOT / name).is_file()]
    hits = [hit for name in names if not any(fnmatch(name, skip) for skip in SKIPPED) for hit in found(name, WORDS)]
    print("\n".join(hits), end="\n" if hits else "")
    return bool(hits)


if __name__ == "__main__":
    sys.exit(main())
