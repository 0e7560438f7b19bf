"""The page of `imdm play` as a person meets it: opened in headless Chromium."""

from __future__ import annotations

from typing import Any

import pytest

from browsing import MARKS, browser, open_page  # noqa: F401

pytestmark = MARKS


@pytest.fixture
def visit(open_page: Any, port: int) -> Any:  # noqa: F811
    here = f"http://127.0.0.1:{port}/"
    return lambda width=1200, scheme="light": open_page(here, width, scheme, allowed=here)


def write(page: Any, text: str) -> None:
    page.fill("#text", text)
    page.click("#write")
    page.locator("#write:enabled").wait_for(timeout=60_000)


def test_two_models_write_side_by_side(visit: Any) -> None:
    page = visit()
    assert [page.locator("select.model").nth(side).input_value() for side in (0, 1)] == ["teacher", "imdm/sdtt3"]
    page.locator("select.steps").nth(0).select_option("8")
    page.locator("select.steps").nth(1).select_option("1")
    page.fill("#text", "the list")
    hidden = """side => { const counts = []; new MutationObserver(() => counts.push(side.querySelectorAll('.hidden').length))
        .observe(side, { subtree: true, childList: true, attributes: true }); return counts; }"""
    counts = [page.locator(".side").nth(side).evaluate_handle(hidden) for side in (0, 1)]
    page.click("#write")
    page.locator("#write:enabled").wait_for(timeout=60_000)
    many, one = (sorted(set(count.json_value()), reverse=True) for count in counts)
    assert len(many) > 3 and many[-1] == 0 and many[0] > many[1]  # a token after another, until none is masked
    assert len(one) == 2 and one[-1] == 0  # all at once
    for side in page.locator(".side").all():
        assert "".join(side.locator(".given").all_inner_texts()) == "the list"
        assert side.locator("output").inner_text().startswith("Gen-PPL ")
    assert page.locator("#seed").input_value() == "1"


def test_gaps_and_mistakes(visit: Any) -> None:
    page = visit(width=390)
    write(page, "the ___ of")
    assert page.locator(".side .texts").first.inner_text().startswith("the ")
    assert page.locator(".side .piece:not(.given)").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_typed_is_text(visit: Any) -> None:
    """Also a script, of which the page shows the letters."""
    page = visit(scheme="dark")
    write(page, "<b>1</b>")
    assert page.locator(".side .texts b").count() == 0
    assert "".join(page.locator(".side").first.locator(".given").all_inner_texts()) == "<b>1</b>"


def test_a_mistake_is_shown_in_its_place(visit: Any, open_page: Any) -> None:  # noqa: F811
    page = visit()
    page.evaluate("addEventListener('error', event => event.preventDefault())")
    page.route("**/write", lambda route: route.fulfill(status=200, json={"error": "the text has <i>40</i> tokens"}))
    write(page, "x")
    assert page.locator(".side output").all_inner_texts() == ["the text has <i>40</i> tokens"] * 2
