"""Headless Chromium over a shop behind a server.  Without Playwright or Chromium all of this is skipped, saying why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import penstock

from .shop import ARGUMENTS, Shop, open_shop, traffic

_NETWORK = "Failed to load resource: the server responded with a status of 4"
"""Chromium logs every answer of 4xx; what the console does with it is what is tested."""


def chromium() -> str | None:
    """The browser: named by PENSTOCK_CHROMIUM, or the system's."""
    named = os.environ.get("PENSTOCK_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    reason = "it is not installed: pip install -e '.[console]'"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    pytest.importorskip("axe_playwright_python", reason=reason)
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium, or name one in PENSTOCK_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def shop() -> Iterator[tuple[penstock.Server, Shop]]:
    """One shop for all tests that change nothing, with orders coming all the time."""
    with open_shop() as (server, opened), traffic(opened, 100):
        yield server, opened


@pytest.fixture
def own_shop() -> Iterator[tuple[penstock.Server, Shop]]:
    """A shop of a test's own, in which nothing happens by itself."""
    with open_shop() as opened:
        yield opened


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages of the console; when the test ends, none of them may have logged an error."""
    contexts: list[Any] = []
    errors: list[str] = []

    def open_(server: penstock.Server, place: str = "", *, phone: bool = False, dark: bool = False) -> Any:
        size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 800}
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=phone, is_mobile=phone)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on(
            "console", lambda m: errors.append(m.text) if m.type == "error" and not m.text.startswith(_NETWORK) else None
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{server.url}/console/{place}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


def faults(page: Any) -> list[str]:
    """What axe-core finds of serious or critical impact."""
    import axe_playwright_python as axe

    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(source + "; null")
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{v['id']}: {v['help']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
