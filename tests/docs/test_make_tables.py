"""The option tables in the documentation are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.make_tables import tables, with_table

TABLES = [*tables()]


@pytest.mark.parametrize(("page", "start", "table"), TABLES, ids=[f"{page} {start[5:-5]}" for page, start, _ in TABLES])
def test_page_lists_every_option(root: Path, page: str, start: str, table: str):
    text = (root / "docs" / page).read_text(encoding="utf-8")
    assert with_table(text, start, table) == text, "python -m docs.make_tables rewrites it"


def test_a_page_without_a_place_for_the_table():
    with pytest.raises(ValueError, match="the page has no table between <!-- options -->"):
        with_table("# Page\n", "<!-- options -->\n", "| option |\n")
