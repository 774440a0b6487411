"""The exchange: which partition rows go to, and in which order they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.runtime.batch import Batch
from penstock.runtime.dataflow import Exchange
from penstock.runtime.query.exchange import exchange
from penstock.storage.files import MemoryFiles
from penstock.storage.formats import make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.settings import LogSettings

SCHEMA = pa.schema([("k", pa.int64()), ("v", pa.int64())])


def batch(keys: list[Any], positions: list[int], key_type: Any) -> Batch:
    values = np.array(positions, np.int64)
    schema = SCHEMA.set(0, pa.field("k", key_type))
    return Batch(schema, 1, (pa.array(keys, key_type), pa.array(values * 10)), values + 1000, values)


@pytest.mark.parametrize(
    ("key_type", "keys"),
    [
        (pa.int64(), [[7, 7, 7], [7, 7], [7]]),
        (pa.string(), [["seven"] * 3, ["seven"] * 2, ["eight"]]),
        (pa.int64(), [[7, 8, 7], [1, 2], [3]]),
        (pa.int64(), [[None, None, None], [7, None], [None]]),
        (pa.int64(), [[7, 7, 7], [], [9]]),
    ],
    ids=["one key", "one text in each partition", "several", "nulls", "an empty partition"],
)
def test_rows_go_to_the_partition_of_their_key_by_position(key_type: Any, keys: list[list[Any]]) -> None:
    """Rows of one key all go the same way, and rows without a key stay where they are."""
    log = LocalLog(prepare(MemoryFiles()), LogSettings(background=False))
    serde = make_serde("KAFKA", SerdeOptions(is_key=True))
    node = Exchange("Exchange", 0, serde)
    positions = [[0, 3, 4], [1, 5], [2]]
    parts = [batch(own, places[: len(own)], key_type) for own, places in zip(keys, positions, strict=True)]
    expected: list[list[tuple[int, Any]]] = [[] for _ in parts]
    for origin, part in enumerate(parts):
        for key, position in zip(part.columns[0].to_pylist(), part.positions.tolist(), strict=True):
            schema = pa.schema([pa.field("k", key_type)])
            encoded = serde.encode((pa.array([key], key_type),), schema, np.array([key is None])).data
            target = origin if key is None else int(log.partitions_of(encoded, 3)[0])
            expected[target].append((position, key))
    moved = exchange(node, log, parts)
    assert [list(zip(m.positions.tolist(), m.columns[0].to_pylist(), strict=True)) for m in moved] == [
        sorted(own) for own in expected
    ]
    for own in moved:
        assert own.timestamps.tolist() == [p + 1000 for p in own.positions.tolist()]
        assert own.columns[1].to_pylist() == [p * 10 for p in own.positions.tolist()]
    log.close()
