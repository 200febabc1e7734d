"""Sphinx: the Markdown of the repository as a site (make docs). Links to code become downloads, those to
folders plain text."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

project, author, root_doc = "Hardsight", "Hardsight", "README"
extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md", "weights/*.md", "bench/results/*.md", "bench/results/**/*.md"]
exclude_patterns = ["docs/site"]
html_theme, html_title, html_show_copyright = "furo", "Hardsight", False
html_theme_options: dict[str, Any] = {"top_of_page_buttons": []}
myst_heading_anchors = 4
suppress_warnings = ["myst.header", "myst.xref_missing"]  # links are checked by tests/test_docs.py
PARTS = {  # of the side bar: title -> pages
    "Start": "docs/README docs/which-method docs/migration docs/models docs/checkpoints docs/best-pt-elsewhere",
    "Scripts": "docs/scripts/*",
    "Methods": "docs/methods/* docs/method-protocol docs/longtail",
    "Guides": "docs/*",
    "Tasks": "docs/tasks/*",
    "Data": "docs/data/* weights/README",
    "Results": "bench/results/README bench/results/* bench/results/*/*",
    "Project": "CONTRIBUTING CHANGELOG docs/decisions/*",
}


def with_side_bar(app: Sphinx, name: str, source: list[str]) -> None:
    """Append the table of contents to the first page: GitHub shows the same files without it."""
    if name == root_doc:
        for title, pages in PARTS.items():
            listed = "\n".join(pages.split())
            source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {title}\n\n{listed}\n```\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", with_side_bar)
    return {"parallel_read_safe": True}
