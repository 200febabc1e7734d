"""The site builds without a warning, from the same files that GitHub shows, and asks no other host for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.docs
@pytest.mark.slow
def test_the_site_builds(root: Path, tmp_path: Path) -> None:
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package, reason="the site's packages are missing: make docs installs them")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-q",
        "-d",
        tmp_path / "tree",
        "-c",
        "docs/site",
        "-b",
        "html",
        ".",
    ]
    done = subprocess.run([*command, tmp_path / "site"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/docs/README.html").read_text(encoding="utf-8")
    assert "docs/which-method" in (tmp_path / "site/README.html").read_text(encoding="utf-8")
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//', page)
