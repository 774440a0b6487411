"""Every screen in light, dark and at a phone's width: nothing that axe-core calls serious, no errors, nothing cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import faults

pytestmark = pytest.mark.xdist_group("console-screens")

SCREENS = {
    "editor": ("#/editor?sql=SELECT%20*%20FROM%20orders%20EMIT%20CHANGES%3B", ".cm-content"),
    "flow": ("#/flow", ".node.query"),
    "queries": ("#/queries", "td a"),
    "query": ("#/queries/{query}", "td .operator"),
    "topics": ("#/topics", "td a"),
    "topic": ("#/topics/orders", "[role=gridcell]"),
}


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen(shop: Any, open_page: Callable[..., Any], screen: str, look: str) -> None:
    """It fills, and axe-core finds no serious fault in it."""
    server, opened = shop
    query = next(q for q in opened.database.queries if q.startswith("CTAS_SALES"))
    place, sign = SCREENS[screen]
    page = open_page(server, place.format(query=query), phone=look == "phone", dark=look == "dark")
    page.locator(sign).first.wait_for()
    if screen == "editor":
        assert page.locator(".results").count() == 0, "a link's text is not run by itself"
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_role("gridcell").first.wait_for()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if look == "dark" else "light")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the window"


def test_the_keyboard_leads_everywhere(shop: Any, open_page: Callable[..., Any]) -> None:
    """Alt and a digit to each screen; the first Tab offers to skip the menu; ? lists the keys, and Esc closes the list."""
    server, _ = shop
    page = open_page(server, "#/topics")
    page.locator("td a").first.wait_for()
    for digit, heading in (("2", "Flow"), ("3", "Queries"), ("4", "Topics")):
        page.keyboard.press(f"Alt+{digit}")
        page.get_by_role("heading", name=heading, level=1).wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def test_colours_are_chosen_and_kept(shop: Any, open_page: Callable[..., Any]) -> None:
    """As the system has them, light, dark; also after the page is loaded again."""
    server, _ = shop
    page = open_page(server, "#/topics", dark=True)
    theme = "document.documentElement.dataset.theme"
    button = page.get_by_role("button", name="Colours")
    button.wait_for()
    assert page.evaluate(theme) == "dark"
    button.click()
    assert page.evaluate(theme) == "light"
    page.reload()
    button.wait_for()
    assert page.evaluate(theme) == "light"


def test_the_policy_holds(shop: Any, browser: Any) -> None:
    """Neither inline code nor another host's is run in the page."""
    server, _ = shop
    page = browser.new_page()  # (of its own: Chromium logs what it refuses)
    page.goto(f"{server.url}/console/#/topics")
    page.locator("td a").first.wait_for()
    run = """() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.head.append(script);
        return window.ran === undefined;
    }"""
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    assert page.evaluate(run)
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:1/')")
    assert any("Content Security Policy" in text for text in seen)
    page.close()


def test_a_server_that_has_gone(own_shop: Any, browser: Any) -> None:
    """Is said to have, on the screen that shows what was true before."""
    server, _ = own_shop
    page = browser.new_page()  # (of its own: Chromium logs each answer that does not come)
    page.goto(f"{server.url}/console/#/topics")
    page.get_by_role("link", name="orders", exact=True).wait_for()
    server.stop()
    page.get_by_text("The server does not answer.").wait_for()
    assert page.get_by_role("link", name="orders", exact=True).is_visible()
    assert faults(page) == []
    page.close()
