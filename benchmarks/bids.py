"""Events of an auction site, after the Nexmark benchmark: persons, auctions and bids as 1 : 3 : 46, with its key skew.

Everything is a function of the seed.  Ids count from 1000; half of all bids are for a hot auction and three quarters come
from a hot bidder (one of every hundred ids); prices are spread evenly over six orders of magnitude; event time advances at
10,000 events a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]

FIRST_ID = 1000
BIDS_PER_EPOCH = 46
"""An epoch is 50 events: one person, three auctions, then the bids."""
EVENTS_PER_EPOCH = 50
START_MS = 1_700_000_000_000
EVENTS_PER_MS = 10
HOT_STRIDE = 100
AUCTIONS_OPEN = 100
PERSONS_ACTIVE = 1000
BLOCK_EPOCHS = 2048

BID_COLUMNS = "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, date_time BIGINT, extra STRING"
AUCTION_COLUMNS = (
    "id BIGINT, item_name STRING, initial_bid BIGINT, reserve BIGINT, date_time BIGINT, expires BIGINT, seller BIGINT, "
    "category BIGINT"
)
PERSON_COLUMNS = "id BIGINT, name STRING, email STRING, city STRING, state STRING, date_time BIGINT"

_NAMES = pa.array(
    [f"{a} {b}" for a in ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn") for b in ("Ash", "Birch", "Cedar", "Elm")]
)
_CITIES = pa.array(["Bend", "Boise", "Kent", "Phoenix", "Portland", "Seattle"])
_STATES = pa.array(["AZ", "CA", "ID", "OR", "WA", "WY"])
_CHANNELS = pa.array(["Google", "Facebook", "Baidu", "Apple", *(f"channel-{i}" for i in range(10_000))])
_URLS = pa.array([f"https://www.auctions.example/{i % 97}/{i % 89}/{i % 83}/item?channel={i}" for i in range(10_004)])
_EXTRAS = pa.array(["x" * (20 + i % 40) for i in range(64)])
_ITEMS = pa.array([f"item {i * 7919 % 100_003}" for i in range(4096)])


def _time(event: Int64s) -> Int64s:
    times: Int64s = START_MS + event // EVENTS_PER_MS
    return times


def _person(rng: np.random.Generator, newest: Int64s) -> Int64s:
    """One of the persons who are active when the newest has the number ``newest`` (some are yet to come)."""
    active = np.minimum(newest + 1, PERSONS_ACTIVE)
    chosen: Int64s = newest + 1 - active + (rng.random(len(newest)) * (active + 10)).astype(np.int64)
    return chosen


def _pick(rng: np.random.Generator, values: Any, n: int) -> Any:
    return values.take(pa.array(rng.integers(0, len(values), n)))


def _prices(rng: np.random.Generator, n: int) -> Int64s:
    prices: Int64s = np.rint(100 * 10.0 ** (6 * rng.random(n))).astype(np.int64)
    return prices


def bid_block(block: int, seed: int = 1, strings: bool = True) -> pa.Table:
    """Bids of one block of epochs: about 94,000 rows in order of time."""
    rng = np.random.default_rng([seed, block, 2])
    epochs = np.repeat(np.arange(block * BLOCK_EPOCHS, (block + 1) * BLOCK_EPOCHS, dtype=np.int64), BIDS_PER_EPOCH)
    n = len(epochs)
    newest = epochs * 3 + 2
    oldest = np.maximum(newest - AUCTIONS_OPEN, 0)
    cold = oldest + (rng.random(n) * (newest - oldest + 11)).astype(np.int64)
    auction = np.where(rng.random(n) < 0.5, newest // HOT_STRIDE * HOT_STRIDE, cold) + FIRST_ID
    bidder = np.where(rng.random(n) < 0.75, epochs // HOT_STRIDE * HOT_STRIDE + 1, _person(rng, epochs)) + FIRST_ID
    within = np.tile(np.arange(BIDS_PER_EPOCH), BLOCK_EPOCHS)
    times = _time(epochs * EVENTS_PER_EPOCH + 4 + within)
    columns: dict[str, Any] = {"auction": auction, "bidder": bidder, "price": _prices(rng, n)}
    if strings:
        channel = np.where(rng.random(n) < 0.5, rng.integers(0, 4, n), rng.integers(4, len(_CHANNELS), n))
        columns["channel"] = _CHANNELS.take(pa.array(channel))
        columns["url"] = _URLS.take(pa.array(channel))
    columns["date_time"] = times
    if strings:
        columns["extra"] = _pick(rng, _EXTRAS, n)
    columns["rowtime"] = times
    return pa.table(columns)


def auction_block(block: int, seed: int = 1) -> pa.Table:
    """Auctions of one block of epochs."""
    rng = np.random.default_rng([seed, block, 1])
    epochs = np.repeat(np.arange(block * BLOCK_EPOCHS, (block + 1) * BLOCK_EPOCHS, dtype=np.int64), 3)
    n = len(epochs)
    within = np.tile(np.arange(3), BLOCK_EPOCHS)
    times = _time(epochs * EVENTS_PER_EPOCH + 1 + within)
    seller = np.where(rng.random(n) < 0.75, epochs // HOT_STRIDE * HOT_STRIDE, _person(rng, epochs)) + FIRST_ID
    price = _prices(rng, n)
    return pa.table(
        {
            "id": epochs * 3 + within + FIRST_ID,
            "item_name": _pick(rng, _ITEMS, n),
            "initial_bid": price,
            "reserve": price + _prices(rng, n),
            "date_time": times,
            "expires": times + 1 + rng.integers(0, 3300, n),
            "seller": seller,
            "category": 10 + rng.integers(0, 5, n),
            "rowtime": times,
        }
    )


def person_block(block: int, seed: int = 1) -> pa.Table:
    """Persons of one block of epochs."""
    rng = np.random.default_rng([seed, block, 0])
    epochs = np.arange(block * BLOCK_EPOCHS, (block + 1) * BLOCK_EPOCHS, dtype=np.int64)
    n = len(epochs)
    times = _time(epochs * EVENTS_PER_EPOCH)
    name = _pick(rng, _NAMES, n)
    return pa.table(
        {
            "id": epochs + FIRST_ID,
            "name": name,
            "email": pa.compute.binary_join_element_wise(name, "mail.example", "@"),
            "city": _pick(rng, _CITIES, n),
            "state": _pick(rng, _STATES, n),
            "date_time": times,
            "rowtime": times,
        }
    )


def bids(rows: int, seed: int = 1, strings: bool = True) -> Iterator[pa.Table]:
    """The first ``rows`` bids, a block at a time."""
    for block in range(-(-rows // (BLOCK_EPOCHS * BIDS_PER_EPOCH))):
        made = bid_block(block, seed, strings)
        yield made.slice(0, min(len(made), rows))
        rows -= len(made)


def blocks_of(bid_rows: int) -> int:
    """Whole blocks that hold about so many bids, at least one."""
    return max(1, round(bid_rows / (BLOCK_EPOCHS * BIDS_PER_EPOCH)))


def payments(rows: int, keys: int, seed: int = 1, block_rows: int = 65_536) -> Iterator[pa.Table]:
    """Amounts for evenly spread accounts: (account, amount, rowtime), for measuring the cost of a key."""
    for start in range(0, rows, block_rows):
        n = min(block_rows, rows - start)
        rng = np.random.default_rng([seed, keys, start])
        yield pa.table(
            {
                "account": rng.integers(0, keys, n),
                "amount": rng.integers(0, 1000, n),
                "rowtime": START_MS + np.arange(start, start + n) // EVENTS_PER_MS,
            }
        )
