"""The options in the documentation are the options of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.options.compare import CompareOptions
from engine.options.val import ValOptions
from utils.options import markdown_table


@pytest.mark.parametrize(("page", "schema"), [("val", ValOptions), ("compare", CompareOptions)])
def test_page_lists_every_option(root: Path, page: str, schema: type):
    text = (root / "docs" / "scripts" / f"{page}.md").read_text(encoding="utf-8")
    table = text.partition("<!-- options -->\n")[2].partition("<!-- end of options -->")[0]
    assert table.strip() == markdown_table(schema).strip()
