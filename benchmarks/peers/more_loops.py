"""Plain loops for `more_queries`, see `loops`."""

from __future__ import annotations

import re
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from .loops import Row, in_order


def _bids_in_time(bids: Iterable[Row], auctions: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """(auction, bid); auctions come before their bids."""
    known: dict[int, Row] = {}
    for side, r in in_order(auctions, bids):
        if side == 0:
            known[r["id"]] = r
        else:
            a = known.get(r["auction"])
            if a is not None and a["date_time"] <= r["date_time"] <= a["expires"]:
                yield a, r


def q4(bids: Iterable[Row], auctions: Iterable[Row]) -> Iterator[Any]:
    """The mean of the highest bids of a category's auctions."""
    best: dict[int, int] = {}
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for a, b in _bids_in_time(bids, auctions):
        old, price, entry = best.get(a["id"]), b["price"], sums[a["category"]]
        if old is None:
            entry[1] += 1
        elif price <= old:
            continue
        entry[0] += price - (old or 0)
        best[a["id"]] = price
        yield a["category"], entry[0] / entry[1]


def q9(bids: Iterable[Row], auctions: Iterable[Row]) -> Iterator[Any]:
    """The highest bid of each auction."""
    best: dict[int, Row] = {}
    for _, b in _bids_in_time(bids, auctions):
        old = best.get(b["auction"])
        if old is None or b["price"] > old["price"]:
            best[b["auction"]] = b
            yield b


def q12(bids: Iterable[Row]) -> Iterator[Any]:
    """Bids of a bidder in ten seconds."""
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for r in bids:
        counts[r["bidder"], r["date_time"] // 10_000] += 1
    yield from counts.items()


def q13(bids: Iterable[Row]) -> Iterator[Any]:
    """A table looked up."""
    side = {key: f"value-{key}" for key in range(10_000)}
    for r in bids:
        yield r["auction"], r["bidder"], r["price"], r["date_time"], side[r["auction"] % 10_000]


def q14(bids: Iterable[Row]) -> Iterator[Any]:
    """A calculation for some bids."""
    for r in bids:
        price = 0.908 * r["price"]
        if 1_000_000 < price < 50_000_000:
            hour = r["date_time"] // 3_600_000 % 24
            hours = "dayTime" if 8 <= hour <= 18 else "nightTime" if hour <= 6 or hour >= 20 else "otherTime"
            yield r["auction"], r["bidder"], price, hours, r["date_time"], r["extra"], r["extra"].count("c")


def q17(bids: Iterable[Row]) -> Iterator[Any]:
    """Numbers of each auction and day."""
    groups: dict[tuple[int, int], list[int]] = {}
    for r in bids:
        key, price = (r["auction"], r["date_time"] // 86_400_000), r["price"]
        g = groups.get(key)
        if g is None:
            g = groups[key] = [0, 0, 0, 0, price, price, 0]
        g[0] += 1
        g[1 if price < 10_000 else 2 if price < 1_000_000 else 3] += 1
        g[4] = min(g[4], price)
        g[5] = max(g[5], price)
        g[6] += price
    yield from groups.items()


def q19(bids: Iterable[Row]) -> Iterator[Any]:
    """The ten highest bids of each auction."""
    tops: dict[int, list[tuple[int, int, Row]]] = defaultdict(list)
    for n, r in enumerate(bids):
        top = tops[r["auction"]]
        if len(top) == 10:
            if r["price"] <= -top[-1][0]:
                continue
            top.pop()
        insort(top, (-r["price"], n, r))
    yield from tops.items()


def q21(bids: Iterable[Row]) -> Iterator[Any]:
    """The number of a channel."""
    known = {"apple": "0", "google": "1", "facebook": "2", "baidu": "3"}
    find = re.compile("[&^]channel_id=([^&]*)").search
    for r in bids:
        number = known.get(r["channel"].lower())
        if number is None:
            found = find(r["url"])
            if found is None:
                continue
            number = found[1]
        yield r["auction"], r["bidder"], r["price"], r["channel"], number


def q22(bids: Iterable[Row]) -> Iterator[Any]:
    """Parts of a URL."""
    for r in bids:
        parts = r["url"].split("/")
        yield r["auction"], r["bidder"], r["price"], r["channel"], parts[3], parts[4], parts[5]


MORE_LOOPS: Final[dict[str, Callable[..., Iterator[Any]]]] = {
    f.__name__: f for f in (q4, q9, q12, q13, q14, q17, q19, q21, q22)
}
