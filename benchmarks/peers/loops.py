"""The loop that somebody might write instead: a dict for each event, dicts for the state; no log, no late events, nothing
durable.  What is slower than this is of no use."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

Row = dict[str, Any]


def q0(bids: Iterable[Row]) -> Iterator[Any]:
    """Copies."""
    for r in bids:
        yield {k: r[k] for k in ("auction", "bidder", "price", "date_time", "extra")}


def q1(bids: Iterable[Row]) -> Iterator[Any]:
    """Another currency."""
    for r in bids:
        yield {
            "auction": r["auction"],
            "bidder": r["bidder"],
            "price": r["price"] * 0.908,
            "date_time": r["date_time"],
            "extra": r["extra"],
        }


def q2(bids: Iterable[Row]) -> Iterator[Any]:
    """Some auctions."""
    for r in bids:
        if r["auction"] % 123 == 0:
            yield {"auction": r["auction"], "price": r["price"]}


def _tagged(side: int, rows: Iterable[Row]) -> Iterator[tuple[int, int, int, Row]]:
    return ((r["date_time"], side, n, r) for n, r in enumerate(rows))


def in_order(left: Iterable[Row], right: Iterable[Row]) -> Iterator[tuple[int, Row]]:
    """(0 or 1, row) of both by time."""
    merged = heapq.merge(_tagged(0, left), _tagged(1, right), key=lambda t: t[:3])
    return ((side, row) for _, side, _, row in merged)


def q3(persons: Iterable[Row], auctions: Iterable[Row]) -> Iterator[Any]:
    """A join that keeps both sides."""
    known: dict[int, Row] = {}
    waiting: dict[int, list[Row]] = defaultdict(list)
    for side, r in in_order(persons, auctions):
        if side == 0:
            if r["state"] in ("OR", "ID", "CA"):
                known[r["id"]] = r
                for a in waiting.get(r["id"], ()):
                    yield r["name"], r["city"], r["state"], a["id"]
        elif r["category"] == 10:
            waiting[r["seller"]].append(r)
            p = known.get(r["seller"])
            if p is not None:
                yield p["name"], p["city"], p["state"], r["id"]


def q5(bids: Iterable[Row]) -> Iterator[Any]:
    """Counts in five windows for each bid; a window goes out when it is over."""
    windows: dict[int, dict[int, int]] = {}
    due = -1
    for r in bids:
        pane = r["date_time"] // 2000 * 2000
        if pane > due:
            for start in sorted(w for w in windows if w + 10_000 <= pane):
                yield start, max(windows.pop(start).values())
            due = pane
        for start in range(pane - 8000, pane + 1, 2000):
            counts = windows.get(start)
            if counts is None:
                counts = windows[start] = defaultdict(int)
            counts[r["auction"]] += 1
    yield from windows.items()


def q7(bids: Iterable[Row]) -> Iterator[Any]:
    """The highest bids of a window, ties too."""
    current, best, highest = -1, [], -1
    for r in bids:
        window = r["date_time"] // 10_000
        if window != current:
            yield from best
            current, best, highest = window, [], -1
        price = r["price"]
        if price > highest:
            highest, best = price, [r]
        elif price == highest:
            best.append(r)
    yield from best


def q8(persons: Iterable[Row], auctions: Iterable[Row]) -> Iterator[Any]:
    """Persons and sellers of a window."""
    current, names, sellers = -1, {}, set()
    for side, r in in_order(persons, auctions):
        window = r["date_time"] // 10_000
        if window != current:
            yield from ((i, names[i], current) for i in sellers if i in names)
            current, names, sellers = window, {}, set()
        if side == 0:
            names[r["id"]] = r["name"]
        else:
            sellers.add(r["seller"])
    yield from ((i, names[i], current) for i in sellers if i in names)


def q11(bids: Iterable[Row]) -> Iterator[Any]:
    """Sessions, looked through for those that are over once a second."""
    open_: dict[int, list[int]] = {}
    look_ms = 0
    for r in bids:
        time, bidder = r["date_time"], r["bidder"]
        session = open_.get(bidder)
        if session is None:
            open_[bidder] = [time, time, 1]
        elif time - session[1] < 10_000:
            session[1] = time
            session[2] += 1
        else:
            yield bidder, *session
            open_[bidder] = [time, time, 1]
        if time >= look_ms:
            for key in [k for k, s in open_.items() if s[1] + 10_000 <= time]:
                yield key, *open_.pop(key)
            look_ms = time + 1000
    yield from open_.items()


def q18(bids: Iterable[Row]) -> Iterator[Any]:
    """The last bid of each bidder and auction, put out as it changes."""
    latest: dict[tuple[int, int], Row] = {}
    for r in bids:
        key = r["bidder"], r["auction"]
        old = latest.get(key)
        if old is None or r["date_time"] >= old["date_time"]:
            latest[key] = r
            yield r


def q20(bids: Iterable[Row], auctions: Iterable[Row]) -> Iterator[Any]:
    """Bids beside their auction, those of before it too."""
    wanted: dict[int, Row] = {}
    seen: set[int] = set()
    early: dict[int, list[Row]] = defaultdict(list)
    for side, r in in_order(auctions, bids):
        if side == 0:
            seen.add(r["id"])
            waiting = early.pop(r["id"], ())
            if r["category"] == 10:
                wanted[r["id"]] = r
                for b in waiting:
                    yield {**r, **b}
        else:
            a = wanted.get(r["auction"])
            if a is not None:
                yield {**a, **r}
            elif r["auction"] not in seen:
                early[r["auction"]].append(r)


LOOPS: Final[dict[str, Callable[..., Iterator[Any]]]] = {f.__name__: f for f in (q0, q1, q2, q3, q5, q7, q8, q11, q18, q20)}
