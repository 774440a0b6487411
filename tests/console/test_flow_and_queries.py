"""The flow graph and the pages of queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import faults

pytestmark = pytest.mark.xdist_group("console-others")


def test_what_flows_is_seen(shop: Any, open_page: Callable[..., Any]) -> None:
    """All of it, with rates on the edges; a query leads to its page."""
    server, opened = shop
    page = open_page(server, "#/flow")
    page.locator(".edge-rate").first.wait_for()
    nodes = page.locator("a.node").evaluate_all("found => found.map(n => n.getAttribute('aria-label').split(':')[0])")
    graph = opened.database.graph()
    assert sorted(nodes) == sorted(f"{n.kind} {n.name}" for n in graph.nodes)
    assert page.locator(".edge").count() == len(graph.edges)
    page.get_by_role("button", name="Larger").click()
    page.get_by_role("link", name="query CSAS_LARGE").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="CSAS_LARGE_ORDERS").wait_for()


def test_lag_is_seen_where_it_is(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """On the edge into a query that stands still."""
    server, shop = own_shop
    query = next(q for q in shop.database.queries if q.startswith("CSAS_LARGE"))
    shop.database.queries[query].pause()
    shop.order(1_500)
    page = open_page(server, "#/flow")
    # the other queries may be behind for a moment, too
    from playwright.sync_api import expect

    expect(page.locator(".edge-lag")).to_have_text(["1.5k wait"], timeout=30_000)
    page.get_by_role("link", name=f"query {query}: paused").wait_for()
    assert faults(page) == []


def test_nothing_flows_yet(open_page: Callable[..., Any]) -> None:
    """An empty database says what to do."""
    import penstock

    with penstock.connect(None) as database, penstock.serve(database, port=0) as server:
        page = open_page(server, "#/flow")
        page.get_by_text("Nothing flows yet").wait_for()
        page.goto(f"{server.url}/console/#/queries")
        page.get_by_text("No query runs").wait_for()


def test_a_query_is_paused_and_ended(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Only after a question, which Esc says no to."""
    server, shop = own_shop
    query = next(q for q in shop.database.queries if q.startswith("CTAS_SALES"))
    page = open_page(server, f"#/queries/{query}")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    page.locator("h1 + .state", has_text="PAUSED").wait_for()
    assert shop.database.queries[query].state == "PAUSED"
    page.get_by_role("button", name="Resume").click()
    page.locator("h1 + .state", has_text="RUNNING").wait_for()
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").wait_for()
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert query in shop.database.queries
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    page.get_by_role("heading", name="Queries", level=1).wait_for()
    assert query not in shop.database.queries
    page.get_by_role("link", name="CSAS_LARGE").wait_for()
    assert page.get_by_role("link", name=query).count() == 0


def test_only_queries_with_windows_have_late_rows(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """The page of another says nothing of lateness."""
    server, shop = own_shop
    query = next(q for q in shop.database.queries if q.startswith("CSAS_LARGE"))
    page = open_page(server, f"#/queries/{query}")
    page.locator(".tile").first.wait_for()
    assert page.get_by_text("How late rows come").count() == 0


def test_what_a_query_says_of_itself(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Counts, plan, positions; late records; bad ones with the reason, and the way to the record."""
    server, shop = own_shop
    query = next(q for q in shop.database.queries if q.startswith("CTAS_SALES"))
    page = open_page(server, f"#/queries/{query}")
    tile = page.locator(".tile", has_text="Late")
    tile.wait_for()
    account = shop.database.queries[query].progress().account
    assert tile.locator(".tile-value").inner_text() == str(account.late) != "0"
    assert page.locator(".tile", has_text="Bad").locator(".tile-value").inner_text() == "3"
    lateness = page.get_by_role("region", name="Lateness").get_by_role("row")
    counts = list(shop.database.queries[query].progress().lateness)
    assert lateness.count() == 1 + next(i for i in reversed(range(len(counts))) if counts[i]) + 1
    assert lateness.nth(1).inner_text().split("\t")[:1] == ["up to 100 ms"]
    shown = [int(cell.replace(",", "")) for cell in lateness.locator("td:nth-child(3)").all_inner_texts()]
    assert shown == counts[: len(shown)]
    assert sum(shown) == sum(counts) > 0
    assert lateness.last.locator("td").last.inner_text() == "100.00 %"
    page.locator("code.operator", has_text="WindowAggregate").wait_for()
    positions = page.get_by_role("region", name="Positions").get_by_role("row")
    assert positions.count() == 4
    page.get_by_role("button", name="Why no rows?").click()
    why = page.get_by_role("region", name="What holds rows back")
    why.get_by_role("cell", name="late rows").wait_for()
    assert faults(page) == []
    bad = page.get_by_role("region", name="Bad records")
    bad.get_by_role("row").nth(3).wait_for()
    assert "not JSON" in bad.inner_text()
    bad.get_by_role("link").first.click()
    page.get_by_role("heading", name="orders").wait_for()
    first = page.locator("[role=row][aria-rowindex='2'] [role=gridcell]").last
    first.wait_for()
    assert "mallory" in first.inner_text()
