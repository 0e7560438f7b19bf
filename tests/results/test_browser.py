"""report.html and the pages of samples as a reader meets them: opened in headless Chromium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from browsing import MARKS, browser, open_page  # noqa: F401

pytestmark = MARKS
UNFOLD = "document.querySelectorAll('details').forEach(details => details.open = true)"


@pytest.fixture
def visit(open_page: Callable[..., Any], run: Path) -> Callable[..., Any]:  # noqa: F811
    """Opens a page of the run, by default the report."""
    return lambda width=1200, scheme="light", name="report.html": open_page((run / name).resolve().as_uri(), width, scheme)


def test_figures_are_visible(visit):
    page = visit()
    boxes = page.evaluate("[...document.querySelectorAll('figure.plot svg')].map(svg => svg.getBBox()).map(b => [b.width, b.height])")
    assert len(boxes) >= 3 and all(width > 100 and height > 50 for width, height in boxes)
    assert page.locator("#figure02 svg path").count() > 20
    assert page.locator("#figure02 svg").is_visible()


def test_tables_sort_on_click(visit):
    page = visit()
    page.evaluate(UNFOLD)
    values = "[...document.querySelectorAll('#table05 tbody tr')].map(row => Number(row.cells[2].dataset.sort))"
    before = page.evaluate(values)
    page.locator("#table05 th button").nth(2).click()
    assert page.evaluate(values) == sorted(before) != before
    page.locator("#table05 th button").nth(2).click()
    assert page.evaluate(values) == sorted(before, reverse=True)
    assert page.locator("#table05 th").nth(2).get_attribute("aria-sort") == "descending"
    # The paper's IMDM: cells without a number go last.
    column = page.locator("#table04 th").all_text_contents().index("paper IMDM")
    page.locator("#table04 th button").nth(column).click()
    shown = page.locator(f"#table04 tbody tr td:nth-child({column + 1})").all_inner_texts()
    assert shown[0] == "52.51" and shown[-1] == "–"


def test_the_slider_shows_the_order(visit):
    page = visit()
    page.select_option("#model", "imdm/redi")
    page.select_option("#steps", "4")
    hidden = []
    for step in (4, 2, 1, 0):
        page.locator("#frame").fill(str(step))
        hidden.append(page.locator("#texts .hidden").count())
    assert hidden[0] == 0 < hidden[1] < hidden[2] < hidden[3] == page.locator("#texts .piece:not(.given)").count()
    page.locator("#frame").fill("1")
    assert page.locator("#now").inner_text() == "after step 1 of 4"


def test_samples_are_text_with_colours_and_a_legend(visit):
    page = visit()
    page.select_option("#model", "teacher")
    page.select_option("#steps", "16")
    assert page.locator("#legend span").count() == 16
    assert page.locator("#texts li").first.inner_text().startswith("◇<script>alert(1)")
    colours = page.evaluate("[...document.querySelectorAll('#texts .piece')].map(node => getComputedStyle(node).backgroundColor)")
    assert len(set(colours)) > 5


def test_no_sideways_scrolling_on_a_phone(visit):
    page = visit(width=390)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for details in page.locator("details summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 15


def test_a_wide_table_keeps_the_names_of_its_rows(visit):
    page = visit(width=390)
    place = "document.querySelector('#table04 tbody td').getBoundingClientRect().left"
    before = page.evaluate(place)
    moved = page.evaluate("(box => { box.scrollLeft = 300; return box.scrollLeft; })(document.querySelector('#table04 .scroll'))")
    assert moved == 300 and page.evaluate(place) == before


def test_words_stand_left_and_numbers_right(visit):
    page = visit()
    align = "[...document.querySelectorAll('#copies tbody tr:first-child td')].map(cell => getComputedStyle(cell).textAlign)"
    assert page.evaluate(align)[:4] == ["left", "left", "right", "right"]


def test_dark_mode_differs(visit):
    styles = "['body', '#figure02 text', '#table04 td'].map(name => getComputedStyle(document.querySelector(name)))"
    look = f"{styles}.map(style => [style.backgroundColor, style.color, style.fill])"
    light, dark = visit(scheme="light").evaluate(look), visit(scheme="dark").evaluate(look)
    assert all(one != other for one, other in zip(light, dark, strict=True))


def test_exhibits_are_shown(visit):
    page = visit()
    page.locator("#exhibits > details > summary").click()
    assert page.locator("#table03 td.disagree").first.inner_text().endswith("†")
    assert page.locator("#figure03 svg").is_visible()
    completions = page.locator("#exhibits details details").first
    assert not completions.locator("li").first.is_visible()
    completions.locator("summary").click()
    assert completions.locator("li").first.is_visible()
    page.locator("#table07 th button").nth(2).click()  # by MDLM's Gen-PPL
    assert page.locator("#table07 tbody td:nth-child(3)").first.inner_text().startswith("78.00")


def test_prompts_are_red(visit):
    page = visit(width=390, name="figures/figure04.html")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    red = page.evaluate("getComputedStyle(document.querySelector('.given:not(.break)')).color")
    assert red == "rgb(179, 38, 30)"
    assert page.evaluate("getComputedStyle(document.querySelector('.piece:not(.given)')).color") != red
    assert page.locator(".legend span").count() == 8


def test_samples_have_the_colour_of_their_step(visit):
    page = visit(scheme="dark", name="figures/figure06.html")
    colours = page.evaluate("[...document.querySelectorAll('.piece:not(.given)')].map(node => getComputedStyle(node).backgroundColor)")
    assert len(set(colours)) == page.locator(".legend span").count() == 4
