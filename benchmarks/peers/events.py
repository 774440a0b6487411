"""The auction site's events, after the facts of the Nexmark benchmark: of 50 events one is a person, three are auctions
and 46 are bids; half of the bids go to a hot auction, three quarters are of a hot bidder, three quarters of the auctions are
of a hot seller; 10,000 events are a second of event time.

Events come in blocks, each with a generator of its own, so a longer run begins with the events of a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc

PERSONS, AUCTIONS, BIDS = 1, 3, 46
ROUND: Final = PERSONS + AUCTIONS + BIDS
ROUNDS_PER_BLOCK: Final = 4_000
FIRST_ID: Final = 1_000
FIRST_CATEGORY: Final = 10
HOT_EVERY: Final = 100
OPEN_AUCTIONS: Final = 100
ACTIVE_PERSONS: Final = 1_000
AHEAD: Final = 10
EVENTS_PER_S: Final = 10_000
BEGIN_MS: Final = 1_700_000_000_000

BID = pa.schema(
    [
        ("auction", pa.int64()),
        ("bidder", pa.int64()),
        ("price", pa.int64()),
        ("channel", pa.string()),
        ("url", pa.string()),
        ("date_time", pa.int64()),
        ("extra", pa.string()),
    ]
)
AUCTION = pa.schema(
    [
        ("id", pa.int64()),
        ("item_name", pa.string()),
        ("description", pa.string()),
        ("initial_bid", pa.int64()),
        ("reserve", pa.int64()),
        ("date_time", pa.int64()),
        ("expires", pa.int64()),
        ("seller", pa.int64()),
        ("category", pa.int64()),
        ("extra", pa.string()),
    ]
)
PERSON = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("email_address", pa.string()),
        ("credit_card", pa.string()),
        ("city", pa.string()),
        ("state", pa.string()),
        ("date_time", pa.int64()),
        ("extra", pa.string()),
    ]
)
STREAMS: Final = {"persons": PERSON, "auctions": AUCTION, "bids": BID}

_CITIES = ("Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne")
_STATES = ("AZ", "CA", "ID", "OR", "WA", "WY")
_NAMES = tuple(f"{a} {b}" for a in ("Ada", "Bert", "Cora", "Dan", "Eva", "Finn") for b in ("Abel", "Berg", "Cole", "Dorn"))


def _texts(chance: np.random.Generator, lengths: Any) -> Any:
    """Random small letters."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    letters = chance.integers(97, 123, int(offsets[-1]), np.uint8)
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(letters))


def _among(chance: np.random.Generator, values: tuple[str, ...], count: int) -> Any:
    return pa.array(values).take(pa.array(chance.integers(0, len(values), count)))


def _about(chance: np.random.Generator, length: int, count: int) -> Any:
    """Lengths within a fifth of the given one."""
    return chance.integers(length - length // 5, length + length // 5 + 1, count)


def _prices(chance: np.random.Generator, count: int) -> Any:
    return np.rint(10.0 ** (chance.random(count) * 6 + 2)).astype(np.int64)


def _times(numbers: Any) -> Any:
    return BEGIN_MS + numbers * 1000 // EVENTS_PER_S


def _channels() -> tuple[Any, Any]:
    """10,000 rare channels with a URL each, and four hot ones behind them."""
    chance = np.random.default_rng(7)
    paths = _texts(chance, np.full(10_004, 24)).to_pylist()
    names = [*(f"channel-{i}" for i in range(10_000)), "Apple", "Google", "Facebook", "Baidu"]
    urls = [
        f"https://auctions.example/{p[:8]}/{p[8:16]}/{p[16:]}/item.htm?query=1&channel_id={i}" for i, p in enumerate(paths)
    ]
    return pa.array(names), pa.array(urls)


_CHANNELS, _URLS = _channels()


def _person_near(chance: np.random.Generator, rounds: Any) -> Any:
    active = np.minimum(rounds + 1, ACTIVE_PERSONS)
    return rounds + 1 - active + (chance.random(len(rounds)) * (active + AHEAD)).astype(np.int64)


def block(number: int, rounds: int = ROUNDS_PER_BLOCK) -> dict[str, Any]:
    """Record batches of one block's first so many rounds, by stream."""
    chance = np.random.default_rng([42, number])
    every = np.arange(ROUNDS_PER_BLOCK, dtype=np.int64) + number * ROUNDS_PER_BLOCK
    n = len(every)
    mail = pa.array([f"{a}@{a[:3]}.example" for a in _texts(chance, np.full(n, 8)).to_pylist()])
    cards = pa.array([f"{c:016d}" for c in chance.integers(0, 10**16, n).tolist()])
    persons = [
        every + FIRST_ID,
        _among(chance, _NAMES, n),
        mail,
        cards,
        _among(chance, _CITIES, n),
        _among(chance, _STATES, n),
        _times(every * ROUND),
        _texts(chance, _about(chance, 110, n)),
    ]
    own, which = np.repeat(every, AUCTIONS), np.tile(np.arange(AUCTIONS), n)
    count = len(own)
    hot_seller = chance.integers(0, 4, count) > 0
    first = _prices(chance, count)
    opened = _times(own * ROUND + PERSONS + which)
    auctions = [
        own * AUCTIONS + which + FIRST_ID,
        _texts(chance, chance.integers(3, 20, count)),
        _texts(chance, chance.integers(3, 100, count)),
        first,
        first + _prices(chance, count),
        opened,
        opened + chance.integers(1, 2 * OPEN_AUCTIONS * ROUND // AUCTIONS * 1000 // EVENTS_PER_S, count),
        np.where(hot_seller, own // HOT_EVERY * HOT_EVERY, _person_near(chance, own)) + FIRST_ID,
        chance.integers(0, 5, count) + FIRST_CATEGORY,
        _texts(chance, _about(chance, 390, count)),
    ]
    own, which = np.repeat(every, BIDS), np.tile(np.arange(BIDS), n)
    count = len(own)
    latest = own * AUCTIONS + AUCTIONS - 1
    oldest = np.maximum(latest - OPEN_AUCTIONS, 0)
    usual = oldest + (chance.random(count) * (latest - oldest + 1 + AHEAD)).astype(np.int64)
    hot_auction, hot_bidder = chance.integers(0, 2, count) > 0, chance.integers(0, 4, count) > 0
    hot_channel = chance.integers(0, 2, count) > 0
    channel = pa.array(np.where(hot_channel, 10_000 + chance.integers(0, 4, count), chance.integers(0, 10_000, count)))
    bids = [
        np.where(hot_auction, latest // HOT_EVERY * HOT_EVERY, usual) + FIRST_ID,
        np.where(hot_bidder, own // HOT_EVERY * HOT_EVERY + 1, _person_near(chance, own)) + FIRST_ID,
        _prices(chance, count),
        _CHANNELS.take(channel),
        _URLS.take(channel),
        _times(own * ROUND + PERSONS + AUCTIONS + which),
        _texts(chance, _about(chance, 68, count)),
    ]
    made = {}
    for (name, schema), columns, each in zip(STREAMS.items(), (persons, auctions, bids), (PERSONS, AUCTIONS, BIDS)):
        made[name] = pa.record_batch([c if isinstance(c, pa.Array) else pa.array(c) for c in columns], schema=schema)
        made[name] = made[name].slice(0, rounds * each)
    return made


def blocks(events: int) -> Iterator[dict[str, Any]]:
    """All blocks of so many events (whole rounds of 50)."""
    rounds = events // ROUND
    for number in range(-(-rounds // ROUNDS_PER_BLOCK)):
        yield block(number, min(ROUNDS_PER_BLOCK, rounds - number * ROUNDS_PER_BLOCK))


def write(folder: Path, events: int) -> dict[str, int]:
    """Write ``<stream>.arrow`` files, in batches of 65,536 rows at most; returns the rows of each stream."""
    writers = {name: ipc.new_file(str(folder / f"{name}.arrow"), schema) for name, schema in STREAMS.items()}
    counts = dict.fromkeys(STREAMS, 0)
    for made in blocks(events):
        for name, batch in made.items():
            counts[name] += batch.num_rows
            for start in range(0, batch.num_rows, 1 << 16):
                writers[name].write_batch(pa.concat_batches([batch.slice(start, 1 << 16)]))
    for writer in writers.values():
        writer.close()
    return counts


def read(folder: Path, name: str) -> list[Any]:
    """The record batches of a stream, mapped."""
    source = ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow")))
    return [source.get_batch(i) for i in range(source.num_record_batches)]
