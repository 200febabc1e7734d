"""`bench/gpu.sh --cpu` runs to its end at toy size, whatever its parts do; each measurement on its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = ("tests", "exports", "step", "memory", "degradations", "enhancers", "loading")
STAND_IN = f"""#!{sys.executable}
import sys
words = sys.argv[1:]
print(*words)
if "--out" in words:
    open(words[words.index("--out") + 1], "w").write("# Table of " + words[1])
sys.exit(3 if "bench.speed.enhancers" in words and FAILS else 0)
"""


def measured(root: Path, out: Path, **environment: str) -> tuple[int, str]:
    """The exit code of the script, and its page."""
    environment = {**os.environ, "OUT": str(out), "PYTHON": sys.executable, **environment}
    done = subprocess.run(
        ["bash", "bench/gpu.sh", "--cpu"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    logs = "\n".join(log.read_text()[-2000:] for log in out.glob("*.log"))
    print(done.stdout, done.stderr, logs, sep="\n")
    return done.returncode, (out / "gpu.md").read_text()


@pytest.mark.parametrize("fails", [False, True])
def test_every_part_has_its_turn_and_its_place_on_the_page(root: Path, tmp_path: Path, fails: bool) -> None:
    """With a stand-in for Python, which only writes what it was asked for. A part that fails ends no other."""
    python = tmp_path / "python"
    python.write_text(STAND_IN.replace("FAILS", str(fails)))
    python.chmod(0o755)
    code, page = measured(root, tmp_path / "out", PYTHON=str(python))
    rows = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert rows == [[f"| {part}", "failed (3)" if fails and part == "enhancers" else "done"] for part in PARTS]
    assert code == int(fails) and page.count("\n## Table of bench.speed.") == 5
    asked = [word for log in (tmp_path / "out").glob("*.log") for word in log.read_text().split()]
    assert {word for word in asked if word.startswith("tests/") and not (root / word).is_file()} == set()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["step", "degradations", "enhancers", "loading"])
def test_a_part_measures_on_the_cpu(root: Path, tmp_path: Path, part: str) -> None:
    code, page = measured(root, tmp_path, PARTS=part)
    assert code == 0 and f"| {part} | done |" in page and "- torch: " in page
