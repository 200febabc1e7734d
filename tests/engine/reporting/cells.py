"""What stands in the tables of a page."""

from __future__ import annotations

from html.parser import HTMLParser


class Cells(HTMLParser):
    """The cells of all tables: (full value, text) each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.inside, self.attributes = False, list[tuple[str, str | None]]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self.inside = tag == "td"
        if self.inside:
            self.found.append((dict(attrs).get("data-value") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1] = (self.found[-1][0], self.found[-1][1] + data)
