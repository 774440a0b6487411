"""The editor: suggestions, faults under the text, results, live rows with pause, charts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from .conftest import faults

pytestmark = pytest.mark.xdist_group("console-editor")


def write(page: Any, text: str) -> None:
    """Replace the editor's text."""
    editor = page.locator(".cm-content")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.type(text)
    page.keyboard.press("Escape")  # whatever is suggested


def run(page: Any, text: str, *, all_: bool = False) -> None:
    write(page, text)
    page.keyboard.press("Control+Shift+Enter" if all_ else "Control+Enter")


def cells(page: Any, row: int = 2) -> list[str]:
    """The cells of a row, by the number that screen readers say: the heading is 1."""
    page.locator(f"[role=row][aria-rowindex='{row}'] [role=gridcell]").first.wait_for()
    found: list[str] = page.locator(f"[role=row][aria-rowindex='{row}'] [role=gridcell]").all_text_contents()
    return found


def test_the_engine_suggests(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Names of this database, by the completer that the prompt has."""
    server, _ = own_shop
    page = open_page(server)
    editor = page.locator(".cm-content")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("SELECT * FROM large")
    page.locator(".cm-tooltip-autocomplete li", has_text="large_orders").wait_for()
    assert faults(page) == []
    page.wait_for_timeout(150)  # the list takes no key in the first moment, lest somebody who types on chooses by mistake
    page.keyboard.press("Enter")
    page.keyboard.type(" WHERE ")
    page.keyboard.press("Control+Space")
    page.locator(".cm-tooltip-autocomplete li", has_text="city").first.wait_for()
    assert editor.inner_text().strip() == "SELECT * FROM large_orders WHERE"


def test_bounds_of_windows_are_times(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """As at the prompt; the row in full has them, too.  Other numbers stay numbers."""
    server, shop = own_shop
    shop.order(20)
    assert shop.database.wait_idle(60)
    page = open_page(server)
    run(page, "SELECT item, WINDOWSTART, WINDOWEND, sold FROM sales_per_second;")
    _, start, end, sold = cells(page)
    assert datetime.fromisoformat(end) - datetime.fromisoformat(start) == timedelta(seconds=1)
    assert sold.isdigit()
    page.locator("[role=row][aria-rowindex='2']").click()
    page.locator("dd", has_text=re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000$")).first.wait_for()
    assert faults(page) == []


def test_faults_are_underlined(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """While one types; the bar says what is wrong, and leads there."""
    server, _ = own_shop
    page = open_page(server)
    write(page, "SELECT customr FROM orders EMIT CHANGES;")
    mark = page.locator(".cm-lintRange-error")
    mark.first.wait_for()
    assert "".join(mark.all_text_contents()) == "customr"
    bar = page.get_by_role("button", name="Line 1:")
    assert "CUSTOMR" in bar.inner_text()
    bar.click()
    page.keyboard.type("customer")
    mark.first.wait_for(state="detached")
    assert page.locator(".cm-content").inner_text() == "SELECT customer FROM orders EMIT CHANGES;"


def test_what_fails_when_it_is_run(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Is underlined as well, in its statement; those before it were run, those behind were not."""
    server, shop = own_shop
    page = open_page(server)
    text = "CREATE STREAM a AS SELECT * FROM orders;\nDROP STREAM nothing;\nCREATE STREAM b AS SELECT * FROM orders;"
    run(page, text, all_=True)
    page.get_by_role("alert").wait_for()
    assert "NOTHING" in page.get_by_role("alert").inner_text()
    assert "".join(page.locator(".cm-lintRange-error").all_text_contents()) == "nothing"
    assert [name in shop.database.catalog.sources for name in ("A", "B")] == [True, False]
    page.get_by_role("tab", name="1 CREATE STREAM a").click()
    assert "A" in page.get_by_role("status").first.inner_text()


def test_a_pull_query(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Numbers keep all their digits; the arrow keys and Enter show a row in full."""
    server, _ = own_shop
    page = open_page(server)
    run(page, "SELECT id, euros, city FROM orders_with_city WHERE id > 9000000000;")
    assert cells(page) == ["9007199254740993", "12.50", "London"]
    grid = page.get_by_role("grid")
    grid.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert "9007199254740993" in page.get_by_role("region", name="The chosen row").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("region", name="The chosen row").wait_for(state="detached")


def test_live_rows_pause_and_go_on(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Rows come as they are made; paused, the table stands still; resumed, nothing is missing."""
    server, shop = own_shop
    page = open_page(server)
    run(page, "SET 'auto.offset.reset' = 'latest';")
    page.get_by_role("status").first.wait_for()
    run(page, "SELECT id, customer FROM orders EMIT CHANGES;")
    page.get_by_text("live", exact=True).wait_for()
    first = shop.orders + 1
    shop.order(5)
    page.get_by_text("5 rows").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("paused", exact=True).wait_for()
    shop.order(20)
    shop.order(20)
    assert shop.database.wait_idle(20)
    page.wait_for_timeout(300)
    paused = int(page.locator(".note", has_text="row").first.inner_text().split()[0])
    assert paused == 5
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("45 rows").wait_for()
    page.get_by_role("grid").focus()
    page.keyboard.press("Home")
    assert int(cells(page)[0]) >= first
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("stopped", exact=True).wait_for()


def test_deleted_rows_are_marked(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """A tombstone of a table's push query is a row that is struck through."""
    server, shop = own_shop
    page = open_page(server)
    run(page, "SET 'auto.offset.reset' = 'latest';")
    page.get_by_role("status").first.wait_for()
    run(page, "SELECT * FROM customers EMIT CHANGES;")
    page.get_by_text("live", exact=True).wait_for()
    shop.database.execute("DELETE FROM customers WHERE name = 'fay';")
    page.locator(".grid-row.muted", has_text="fay").wait_for()


def test_many_rows_are_few_elements(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Of 30,000 rows only those that can be seen are in the page, and the last one can be reached."""
    server, shop = own_shop
    for _ in range(30):
        shop.order(1_000)
    assert shop.database.wait_idle(30)
    page = open_page(server)
    run(page, f"SELECT id, item FROM orders WHERE id BETWEEN 601 AND {shop.orders} ORDER BY id;")
    page.get_by_text(f"{shop.orders - 600:,} rows").wait_for()
    assert page.locator("[role=gridcell]").count() < 200
    page.get_by_role("grid").focus()
    page.keyboard.press("End")
    page.get_by_role("gridcell", name=str(shop.orders), exact=True).wait_for()
    assert page.locator("[role=gridcell]").count() < 200


def test_statements_and_lists(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Each statement has a tab; lists are tables, descriptions are texts and tables; SET and DEFINE last."""
    server, _ = own_shop
    page = open_page(server)
    run(page, "DEFINE what = 'customer';\nSHOW STREAMS;\nDESCRIBE orders;\nSELECT ${what} FROM orders LIMIT 1;", all_=True)
    page.get_by_role("tab").nth(3).wait_for()
    page.get_by_role("columnheader", name="CUSTOMER").wait_for()
    page.get_by_role("tab").nth(3).focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("heading", name="ORDERS", exact=True).wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("cell", name="ORDERS_WITH_CITY").first.wait_for()
    assert faults(page) == []


def test_print_shows_records(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Line by line."""
    server, _ = own_shop
    page = open_page(server)
    run(page, "PRINT customers FROM BEGINNING LIMIT 6;")
    page.get_by_role("gridcell", name="ada").first.wait_for()


def test_charts_of_numbers(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Bars of a table by its names; lines over time, one for each name."""
    server, _ = own_shop
    page = open_page(server)
    run(page, "SELECT * FROM revenue_by_city;")
    page.get_by_role("button", name="Chart").click()
    page.get_by_role("img", name="Chart of ORDERS").locator("canvas").wait_for()
    assert page.get_by_label("Across").input_value() == "0"
    page.get_by_role("checkbox", name="REVENUE").check()
    page.get_by_role("img", name="Chart of ORDERS, REVENUE").locator("canvas").wait_for()
    assert faults(page) == []
    run(page, "SELECT item, windowstart, sold FROM sales_per_second;")
    page.get_by_role("button", name="Chart").click()
    page.get_by_role("img", name="honey").locator("canvas").wait_for()


def test_the_list_of_sources_leads_on(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Columns with their types, and statements ready to run."""
    server, _ = own_shop
    page = open_page(server)
    page.locator("summary", has_text=re.compile(r"S ORDERS$")).click()
    page.locator("details[open]").get_by_text("DECIMAL(8, 2)").wait_for()
    page.get_by_role("button", name="Follow").click()
    assert page.locator(".cm-content").inner_text() == "SELECT * FROM orders EMIT CHANGES;"
