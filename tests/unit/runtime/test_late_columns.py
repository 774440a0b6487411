"""Columns that stay where they lie in the log until somebody reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock
from penstock.kernels.gathering import Later
from penstock.runtime import source as source_module
from penstock.runtime.batch import Batch, gathered, whole
from penstock.runtime.dataflow import Source
from penstock.runtime.query.late_columns import late_columns, late_names
from penstock.runtime.source import DecodedTopics
from penstock.storage.files import MemoryFiles
from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

VALUE = pa.schema([("A", pa.string()), ("B", pa.int64()), ("C", pa.string())])
ROW = st.none() | st.tuples(st.none() | st.text(max_size=6), st.none() | st.integers(-9, 9), st.text(max_size=6))


def columns_of(chunk: Any) -> list[list[Any]]:
    """The values of a chunk."""
    return [(c.all() if isinstance(c, Later) else c).to_pylist() for c in chunk.values]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(ROW, min_size=1, max_size=6), min_size=1, max_size=6),
    st.integers(0, 8),
    st.integers(1, 40),
    st.sampled_from((2, 9)),
)
def test_late_columns_are_those_that_are_read_at_once(
    steps: list[list[Any]], offset: int, rows_max: int, tried: int
) -> None:
    """Frames, with nulls and tombstones, from any offset and cut anywhere, also where frames are small."""
    log = LocalLog(prepare(MemoryFiles()), LogSettings(background=False))
    log.create_topic("t", TopicConfig(1, pa.struct(list(VALUE))))
    for rows in steps:
        values = pa.array([None if r is None else dict(zip(VALUE.names, r)) for r in rows], pa.struct(list(VALUE)))
        transaction = log.transaction()
        transaction.append("t", Records(None, values, np.arange(len(rows), dtype=np.int64)), 0)
        transaction.commit()
    end = log.end_offset("t", 0)
    offset = min(offset, end - 1)
    source = Source("S", "t", False, None, pa.schema([]), None, VALUE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "_FRAMES_TRIED", tried)
        patch.setattr(source_module, "_FRAME_ROWS_MIN", 3)
        late, first = DecodedTopics(log).fetch(source, 0, offset, end, rows_max, frozenset(("A", "B")))
    plain, first_plain = DecodedTopics(log).fetch(source, 0, offset, end, rows_max)
    assert first == first_plain == 0
    assert late.records.next_offset == plain.records.next_offset
    assert late.records.offsets.tolist() == plain.records.offsets.tolist()
    assert late.records.arrivals.tolist() == plain.records.arrivals.tolist()
    assert late.timestamps.tolist() == plain.timestamps.tolist()
    assert (late.nulls is None, plain.nulls is None) in ((True, True), (False, False))
    if plain.nulls is not None:
        assert late.nulls.tolist() == plain.nulls.tolist()
    assert columns_of(late) == columns_of(plain)
    log.close()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=4), st.data())
def test_gathering_late_columns_is_gathering_columns(shapes: list[tuple[bool, int]], data: st.DataObject) -> None:
    """Batches of which some have a column late; what is gathered, sliced and gathered again is the same."""
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    plain, late = [], []
    for number, (is_late, length) in enumerate(shapes):
        texts = pa.array([f"{number}-{i}" if i % 3 else None for i in range(length)], pa.string())
        numbers = np.arange(length, dtype=np.int64)
        columns = pa.array(numbers), texts
        plain.append(Batch(schema, 0, columns, numbers, numbers))
        backwards = Later([pa.array(["no"]), texts.take(pa.array(numbers[::-1]))], (1 << 32) | numbers[::-1])
        late.append(Batch(schema, 0, (columns[0], backwards if is_late else texts), numbers, numbers))
    places = [(n, i) for n, (_, length) in enumerate(shapes) for i in range(length)]
    chosen = data.draw(st.lists(st.sampled_from(places), max_size=12)) if places else []
    rows = np.array([(n << 32) | i for n, i in chosen], np.int64)
    for later in (None, (), (1,)):
        expected, found = gathered(plain, rows), gathered(late, rows, later)
        if later is not None:
            assert isinstance(found.columns[1], Later) == bool(later)
        for start in (0, len(rows) // 2):
            one, other = expected.slice(start, len(rows)), whole(found.slice(start, len(rows)))
            assert [c.to_pylist() for c in one.columns] == [c.to_pylist() for c in other.columns]
        again = np.arange(len(rows), dtype=np.int64)[::-2]
        assert whole(found.take(again)).columns[1].to_pylist() == expected.take(again).columns[1].to_pylist()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT k, LATEST_BY_OFFSET(a) AS a, MAX(n) AS n FROM s WHERE b = 'x' GROUP BY k", {"A", "N"}),
        ("SELECT b, LATEST_BY_OFFSET(a) AS a FROM s GROUP BY b", {"A"}),
        (
            "SELECT k, LATEST_BY_OFFSET(UCASE(a)) AS u, LATEST_BY_OFFSET(a) AS a, MAX(b) AS b FROM s GROUP BY k",
            {"B"},
        ),
        ("SELECT s.k, s.a, s.n, r.b FROM s JOIN s2 r WITHIN 1 DAYS ON s.b = r.b", {"A", "K", "N"}),
        ("SELECT a, b FROM s WHERE n > 1", set()),
    ],
)
def test_what_nobody_reads_before_it_moves_is_late(tmp_path: Path, query: str, expected: set[str]) -> None:
    """Columns of a filter, of a key, of an expression and of the timestamp are read at once."""
    with penstock.connect(tmp_path, threads=0) as db:
        for name in ("s", "s2"):
            db.execute(
                f"CREATE STREAM {name} (k BIGINT, a STRING, b STRING, n BIGINT, t BIGINT) WITH (KAFKA_TOPIC='{name}', "
                "VALUE_FORMAT='ARROW', PARTITIONS=2, TIMESTAMP='t');"
            )
        kind = "STREAM" if "GROUP BY" not in query else "TABLE"
        db.execute(f"CREATE {kind} made AS {query} EMIT CHANGES;")
        (run,) = db._engine.host.runs.values()
        late = late_columns(run.dataflow)
        names = [
            late_names(n, late[i]) for i, n in enumerate(run.dataflow.nodes) if isinstance(n, Source) and n.topic == "s"
        ]
        assert names == [expected]
