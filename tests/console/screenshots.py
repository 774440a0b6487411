"""Takes the pictures of docs/server/console.md: ``make console-screenshots``.  Look at them before they are committed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "server" / "console.md"
LIVE = "SELECT item, windowstart, sold, revenue FROM sales_per_second EMIT CHANGES;"

FAULT = (
    "SELECT item, SUM(euross) AS revenue FROM orders GROUP BY item EMIT CHANGES;\nSELECT * FROM orders_with_city WHERE ci"
)


def take(page: Any, name: str) -> None:
    """Into the folder of the document that shows it; what none shows, into build/screenshots."""
    shown = f"console/{name}.png" in PAGE.read_text(encoding="utf-8")
    folder = PAGE.with_suffix("") if shown else ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", caret="initial")


def write(page: Any, text: str) -> None:
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_take_all(shop: Any, open_page: Callable[..., Any], look: str) -> None:
    """Each screen, in light, in dark, and at a phone's width."""
    server, opened = shop
    query = next(q for q in opened.database.queries if q.startswith("CTAS_SALES"))
    page = open_page(server, phone=look == "phone", dark=look == "dark")
    write(page, LIVE)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    page.get_by_role("gridcell").first.wait_for()
    page.wait_for_timeout(4_000)
    take(page, f"editor-{look}")
    page.get_by_role("button", name="Chart").click()
    page.locator("canvas").wait_for()
    page.wait_for_timeout(3_000)
    take(page, f"chart-{look}")
    write(page, FAULT)
    page.locator(".cm-tooltip-autocomplete li").first.wait_for()
    page.locator(".cm-lintRange-error").first.wait_for()
    take(page, f"fault-{look}")
    page.goto(f"{server.url}/console/#/flow")
    page.locator(".edge-rate").first.wait_for()
    page.wait_for_timeout(3_000)
    take(page, f"flow-{look}")
    page.goto(f"{server.url}/console/#/queries")
    page.get_by_role("cell").first.wait_for()
    page.wait_for_timeout(2_000)
    take(page, f"queries-{look}")
    page.goto(f"{server.url}/console/#/queries/{query}")
    page.locator("canvas").first.wait_for()
    page.wait_for_timeout(8_000)
    take(page, f"query-{look}")
    page.get_by_role("heading", name="How late rows come").scroll_into_view_if_needed()
    page.get_by_role("region", name="Lateness").scroll_into_view_if_needed()
    take(page, f"lateness-{look}")
    page.locator("h2", has_text="Plan").scroll_into_view_if_needed()
    page.get_by_role("region", name="Bad records").scroll_into_view_if_needed()
    take(page, f"query-end-{look}")
    page.get_by_role("button", name="Terminate").click()
    take(page, f"question-{look}")
    page.keyboard.press("Escape")
    page.goto(f"{server.url}/console/#/topics")
    page.get_by_role("cell").first.wait_for()
    take(page, f"topics-{look}")
    page.goto(f"{server.url}/console/#/topics/orders")
    page.get_by_role("gridcell").first.wait_for()
    page.wait_for_timeout(1_500)
    take(page, f"topic-{look}")


def test_take_the_login(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    """Shown where accounts are."""
    import penstock
    from penstock.server.accounts import hash_password

    users = tmp_path / "users.toml"
    users.write_text(f'[users.ada]\npassword = "{hash_password("pw")}"\nrole = "read"\n')
    with penstock.connect(None) as database, penstock.serve(database, port=0, users=users) as server:
        page = open_page(server, dark=True)
        page.get_by_label("Name").fill("ada")
        take(page, "login-dark")
