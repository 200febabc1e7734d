"""report.html: texts are shown, never interpreted; in a browser it asks for nothing, says nothing, and is accessible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.reporting import charts
from engine.reporting.images import data_address
from engine.reporting.page import Chart, Figure, Page, Section, Table, full, render, run_facts, save
from tests.engine.reporting.browser import Browser, open_browser
from tests.engine.reporting.cells import Cells
from utils.errors import UserError

HOSTILE = (
    '<script>document.title="taken"</script><img src="http://example.org/x.png" onerror="alert(1)"> $\\frac{1}$ & "\''
)


def image(value: int) -> str:
    return data_address(np.full((60, 80, 3), value, np.uint8), 10_000)


def page() -> Page:
    """Everything that a page can have, under hostile names."""
    rows = [{"class": HOSTILE, "images": 3, "mAP50": 1 / 3}, {"class": "b", "images": 4, "mAP50": float("nan")}]
    points = [
        {"condition": HOSTILE, "part": f"{HOSTILE}{n}", "mAP50": 0.2 * n, "low": 0.1, "high": 0.9} for n in range(1, 4)
    ]
    drawn = [
        Chart(
            "Curves", HOSTILE, charts.lines({HOSTILE: ([0, 1], [0, 1]), "b": ([0, 1], [1, 0])}, "x", HOSTILE, unit=True)
        ),
        Chart("Intervals", "words", charts.intervals(points, "condition", "part", "mAP50")),
        Chart("Bars", "words", charts.bars(points, "condition", "part", "mAP50")),
    ]
    figures = [
        Figure(HOSTILE, "two", ((HOSTILE, image(40)), ("b", image(200)))), Figure("one", HOSTILE, (("", image(90)),)),
    ]  # fmt: skip
    sections = [
        Section(HOSTILE, [HOSTILE], [Table(HOSTILE, rows)], drawn),
        Section("Images", figures=figures),
        Section("None"),
    ]
    return Page(f"Report {HOSTILE}", HOSTILE, [("command", HOSTILE)], sections)


def test_names_are_shown_and_numbers_kept_in_full():
    text = render(page())
    assert Cells(text).found == [
        ("", HOSTILE), ("3", "3"), (repr(1 / 3), "0.333"), ("", "b"), ("4", "4"), ("", "-"),
    ]  # fmt: skip
    assert text.count("<script") == 1
    attributes = Cells(text).attributes
    assert all((value or "").startswith("data:") for name, value in attributes if name == "src")
    assert not [name for name, _ in attributes if name.startswith("on")]
    assert "&lt;script&gt;" in text
    assert "None</h2>" not in text  # an empty section has no heading


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (0.1, "0.1"), (float("nan"), ""), (float("inf"), "")])
def test_full_precision(value, text):
    assert full(value) == text


def test_saving(tmp_path):
    assert save(page(), tmp_path / "new").read_text().startswith("<!DOCTYPE html>")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        save(page(), tmp_path / "file")


def test_what_was_run(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/x/val.py", "--by", "light x size"])
    facts = dict(run_facts("cpu"))
    assert facts["command"] == "python val.py --by 'light x size'" and "torch" in facts["versions"]
    monkeypatch.setattr("sys.argv", ["-c"])
    assert "command" not in dict(run_facts("cpu"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    opened = open_browser()
    yield opened
    opened.close()


ACCESSIBLE = """
const wrong = [], root = document.documentElement;
const luminance = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
  return .2126 * r + .7152 * g + .0722 * b };
const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
const behind = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
  if (c.length === 3 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE"].includes(e.tagName) || e.closest("defs,style")) continue;
  const style = getComputedStyle(e), svg = e instanceof SVGElement;
  const ink = numbers(svg ? style.fill : style.color).slice(0, 3), back = behind(e);
  const [hi, lo] = [luminance(ink), luminance(back)].sort((a, b) => b - a), ratio = (hi + .05) / (lo + .05);
  const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
  if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(1)}: ${walker.currentNode.data.trim().slice(0, 40)}`);
}
if (!root.lang) wrong.push("no language");
if (!document.title) wrong.push("no title");
if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
if (document.querySelectorAll("main").length !== 1) wrong.push("not one main");
let level = 1;
for (const h of document.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
  const own = Number(h.tagName[1]);
  if (own > level + 1) wrong.push(`heading skips: ${h.textContent}`);
  level = own;
}
for (const e of document.querySelectorAll("img")) if (!e.alt.trim()) wrong.push("image without alt");
for (const e of document.querySelectorAll("[role=img],input,[role=region],nav"))
  if (!(e.getAttribute("aria-label") || "").trim()) wrong.push(`no name: ${e.tagName}`);
for (const e of document.querySelectorAll("button,a,th,caption")) if (!e.textContent.trim()) wrong.push(`empty ${e.tagName}`);
for (const e of document.querySelectorAll("[aria-labelledby]"))
  if (!document.getElementById(e.getAttribute("aria-labelledby"))) wrong.push("label is missing");
for (const e of document.querySelectorAll("a[href^='#']"))
  if (!document.querySelector(e.getAttribute("href"))) wrong.push(`no target: ${e.href}`);
const own = [...document.querySelectorAll("[id]:not(svg *)")].map(e => e.id);
if (new Set(own).size !== own.length) wrong.push("an id stands twice");
if (root.scrollWidth > innerWidth) wrong.push(`wider than the window: ${root.scrollWidth}`);
return wrong;
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1440, 820, 390])
def test_in_a_browser(browser: Browser, tmp_path: Path, width: int):
    """No request, no message, names as text, and accessible in both themes at each width."""
    browser.size(width)
    file = save(page(), tmp_path)
    browser.open(file)
    assert browser.logs() == ([], [])
    assert browser.run("return document.title").startswith("Report <script>")
    for theme in ("light", "dark"):
        browser.theme(theme)
        assert browser.run(ACCESSIBLE) == []


@pytest.mark.slow
def test_the_slider_and_the_theme(browser: Browser, tmp_path: Path):
    """Moving the slider uncovers the other image; the button changes the theme; printed, both images stand side by side."""
    browser.size(1440)
    browser.theme("light")
    browser.open(save(page(), tmp_path))
    clip = "return getComputedStyle(document.querySelector('.side:nth-child(2)')).clipPath"
    assert "50%" in browser.run(clip)
    browser.run("const s = document.querySelector('input'); s.value = 20; s.dispatchEvent(new Event('input'))")
    assert "20%" in browser.run(clip)
    back = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(back)
    browser.run("document.getElementById('theme').click()")
    assert browser.run(back) != light
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert browser.logs()[1] == []
