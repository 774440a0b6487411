"""Topics: sizes, a live tail, search by key, offset and time."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import faults

pytestmark = pytest.mark.xdist_group("console-others")


def values(page: Any) -> list[str]:
    found: list[str] = page.locator(".grid-row > :last-child").all_text_contents()
    return found


def test_sizes(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Of all topics, and of a topic's partitions."""
    server, shop = own_shop
    page = open_page(server, "#/topics")
    row = page.get_by_role("row", name="customers")
    row.wait_for()
    assert row.get_by_role("cell").all_text_contents()[1:3] == ["3", "6"]
    page.get_by_role("link", name="orders", exact=True).click()
    partitions = page.get_by_role("region", name="Partitions")
    partitions.wait_for()
    ends = partitions.locator("tbody tr > :nth-child(3)").all_text_contents()
    assert sum(int(end.replace(",", "")) for end in ends) == shop.orders + 4
    page.get_by_text("Config").click()
    page.get_by_role("cell", name="retention.ms", exact=True).wait_for()


def test_the_tail_is_live(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """New records come at the end; paused, they wait."""
    server, shop = own_shop
    shop.database.create_topic("notes")
    page = open_page(server, "#/topics/notes")
    page.get_by_text("live", exact=True).wait_for()
    shop.database.produce("notes", key=b"a", value=b"one")
    page.get_by_role("gridcell", name="one").wait_for()
    page.get_by_role("button", name="Pause").click()
    shop.database.produce("notes", key=b"a", value=b"two")
    page.wait_for_timeout(1_200)
    assert values(page) == ["one"]
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("gridcell", name="two").wait_for()
    assert values(page) == ["one", "two"]


def test_search(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """By key over all partitions, by offset in one, by time; what is no time is said to be none."""
    server, shop = own_shop
    shop.database.create_topic("notes", partitions=2)
    start = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    for i in range(250):
        when = int((start + datetime.timedelta(minutes=i)).timestamp() * 1_000)
        shop.database.produce("notes", key=f"k{i % 7}".encode(), value=f"note {i}".encode(), timestamp=when)
    shop.database.produce("notes", key=b"k1")
    page = open_page(server, "#/topics/notes")
    page.get_by_text("live", exact=True).wait_for()
    choice = page.get_by_label("From")
    choice.select_option("beginning")
    page.get_by_role("textbox", name="Key").fill("k1")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("37 records, to the end").wait_for()
    page.get_by_role("grid").focus()
    page.keyboard.press("Home")
    page.get_by_role("gridcell", name="note 1", exact=True).wait_for()
    page.keyboard.press("End")
    page.locator(".grid-row.muted", has_text="NULL").wait_for()

    page.get_by_role("textbox", name="Key").fill("")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("200 records").wait_for()
    page.get_by_role("button", name="Read on").click()
    page.get_by_text("251 records, to the end").wait_for()

    choice.select_option("time")
    page.get_by_label("Time (UTC)").fill("2026-01-31 16:00")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("11 records, to the end").wait_for()
    page.get_by_role("gridcell", name="note 240", exact=True).wait_for()
    page.get_by_label("Time (UTC)").fill("yesterday")
    page.get_by_role("button", name="Search").click()
    assert "yesterday is no time" in page.get_by_role("alert").inner_text()

    choice.select_option("offset")
    page.get_by_label("Offset", exact=True).fill("5")
    page.get_by_role("combobox", name="Partition").select_option("0")
    page.get_by_role("button", name="Search").click()
    first = page.locator("[role=row][aria-rowindex='2'] [role=gridcell]")
    page.locator(".state", has_text="to the end").wait_for()
    assert first.all_text_contents()[1:3] == ["0", "5"]
    assert faults(page) == []


def test_a_topic_that_is_not_there(own_shop: Any, open_page: Callable[..., Any]) -> None:
    """Is said not to be."""
    server, _ = own_shop
    page = open_page(server, "#/topics/nothing")
    page.get_by_role("alert").first.wait_for()
    assert "there is no topic nothing" in page.get_by_role("alert").first.inner_text()
