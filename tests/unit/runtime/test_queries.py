"""Running queries over a log: steps, positions, accounts, recovery, bad records, exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from penstock.runtime.dataflow import Dataflow, Exchange, OperatorNode, Sink, Source
from penstock.runtime.host import QueryHost, Token
from penstock.runtime.kernel import Evaluated
from penstock.runtime.operators.filter import Filter
from penstock.runtime.operators.table_source import TableSource
from penstock.runtime.processing_log import TOPIC
from penstock.storage.files import MemoryFiles
from penstock.storage.formats import make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.storage.state.checkpoint import CheckpointFiles

KEY = pa.schema([("K", pa.int64())])
VALUE = pa.schema([("V", pa.int64())])
QUIET = LogSettings(background=False)


def key_serde() -> Any:
    return make_serde("KAFKA", SerdeOptions(is_key=True))


def make_log(partitions: int = 1, value_format: str = "ARROW") -> LocalLog:
    """A log with topics ``in`` and ``out``."""
    log = LocalLog(prepare(MemoryFiles()), QUIET)
    type_ = pa.struct(list(VALUE)) if value_format == "ARROW" else None
    for name in ("in", "out"):
        log.create_topic(name, TopicConfig(partitions, type_))
    return log


def produce(log: LocalLog, rows: Sequence[tuple[int | None, int | None]], topic: str = "in") -> Token:
    """Append (key, value) rows; the timestamp is the row's number; value None is a tombstone."""
    keys = key_serde().encode([pa.array([k for k, _ in rows], pa.int64())], KEY, np.array([k is None for k, _ in rows]))
    values = pa.array([None if v is None else {"V": v} for _, v in rows], pa.struct(list(VALUE)))
    transaction = log.transaction()
    transaction.append(topic, Records(keys.data, values, np.arange(len(rows), dtype=np.int64)))
    return Token.of(transaction.commit())


def rows_of(log: LocalLog, topic: str = "out") -> list[tuple[int | None, int | None]]:
    """All (key, value) rows of a topic, partition by partition."""
    found = []
    for partition in range(log.topics()[topic].partitions):
        records = log.read(topic, partition, 0, rows_max=1_000_000)
        keys = (
            key_serde().decode(records.keys, KEY).columns[0].to_pylist()
            if records.keys is not None
            else [None] * len(records)
        )
        found += list(zip(keys, [None if v is None else v["V"] for v in records.values.to_pylist()], strict=True))
    return found


def source(is_table: bool = False) -> Source:
    return Source("S", "in", is_table, key_serde(), KEY, None, VALUE)


def positive(columns: Sequence[Any], length: int) -> Evaluated:
    return Evaluated(pc.greater(columns[1], 0))


def filtering(every_update: bool = True) -> Dataflow:
    """in -> V > 0 -> out"""
    return Dataflow(
        (
            source(),
            OperatorNode("Filter", (0,), lambda context: Filter(context, positive)),
            Sink("Sink", 1, "out", key_serde(), None),
        ),
        1,
        every_update=every_update,
    )


def materialising() -> Dataflow:
    """A table and its changes, through an exchange."""
    schema = pa.schema([*KEY, *VALUE])
    return Dataflow(
        (
            source(is_table=True),
            Exchange("Exchange", 0, key_serde()),
            OperatorNode("Table", (1,), lambda context: TableSource(context, schema, 1)),
            Sink("Sink", 2, "out", key_serde(), None, is_table=True),
        ),
        1,
    )


def test_a_query_reads_filters_writes_and_accounts() -> None:
    """Rows read = used + filtered + late + bad, and the output is what the filter lets through."""
    log = make_log()
    host = QueryHost(log, None, threads=0)
    run = host.start("Q", filtering(), 1)
    produce(log, [(1, 5), (2, -1), (3, 7), (4, None)])
    host.drain()
    assert rows_of(log) == [(1, 5), (3, 7)]
    account = run.status.account
    assert (account.read, account.used, account.filtered, account.late, account.bad) == (4, 2, 2, 0, 0)
    assert (account.written, run.status.lag) == (2, 0)


@pytest.mark.parametrize("rows_max", [1, 2, 7, 1000])
def test_the_cut_into_steps_cannot_be_seen(rows_max: int) -> None:
    """Any number of rows per step gives the same output."""
    log = make_log()
    host = QueryHost(log, None, threads=0, rows_max=rows_max)
    host.start("Q", filtering(), 1)
    rows = [(i % 5, (i * 7) % 11 - 5) for i in range(60)]
    produce(log, rows[:20])
    produce(log, rows[20:])
    host.drain()
    assert rows_of(log) == [(k, v) for k, v in rows if v > 0]


def test_a_query_resumes_where_it_committed() -> None:
    """After a restart nothing is processed twice, nothing is lost, and the account goes on."""
    log = make_log()
    first = QueryHost(log, None, threads=0)
    first.start("Q", filtering(), 1)
    produce(log, [(1, 1), (2, 2)])
    first.drain()
    produce(log, [(3, 3)])
    second = QueryHost(log, None, threads=0)
    run = second.start("Q", filtering(), 1)
    second.drain()
    assert rows_of(log) == [(1, 1), (2, 2), (3, 3)]
    assert run.status.account.read == 3


class KeptCheckpoints(CheckpointFiles):
    """Checkpoints in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryFiles())


@pytest.mark.parametrize("checkpoint", [False, True])
def test_state_recovers_from_checkpoint_and_changelog(checkpoint: bool) -> None:
    """A new process finds the store as the last commit left it, with or without a checkpoint on the way."""
    log = make_log(partitions=3)
    checkpoints = KeptCheckpoints()
    first = QueryHost(log, checkpoints, threads=0)
    run = first.start("Q", materialising(), 1)
    produce(log, [(k, k) for k in range(20)])
    first.drain()
    if checkpoint:
        for durable in run.parts.keeper.stores:
            run.parts.keeper.checkpoint(durable)
    produce(log, [(k, None if k % 2 else k * 10) for k in range(10)])
    first.drain()
    second = QueryHost(log, checkpoints, threads=0)
    recovered = second.start("Q", materialising(), 1)
    second.drain()

    def contents(query: Any) -> set[tuple[Any, ...]]:
        found = set()
        for task in query.tasks():
            for row in task.operators[2].stores[0].snapshot().table().to_pylist():
                found.add((row["K"], row["V"]))
        return found

    expected = {(k, k) for k in range(10, 20)} | {(k, k * 10) for k in range(0, 10, 2)}
    assert contents(run) == contents(recovered) == expected


def test_bad_records_go_to_the_processing_log() -> None:
    """A table's record without a key is counted and logged with its place; the query goes on."""
    log = make_log()
    host = QueryHost(log, None, threads=0)
    run = host.start("Q", materialising(), 1)
    produce(log, [(1, 1), (None, 2), (3, 3)])
    host.drain()
    assert rows_of(log) == [(1, 1), (3, 3)]
    assert run.status.account.bad == 1
    (report,) = log.read(TOPIC, 0, 0, rows_max=10).values.to_pylist()
    place = report["MESSAGE"]["deserializationError"]
    assert (place["topic"], place["partition"], place["offset"], place["target"]) == ("in", 0, 1, "key")


def test_an_exchange_brings_each_key_to_one_partition() -> None:
    """Rows are written to the partition that Kafka's partitioner gives their key."""
    log = make_log(partitions=4)
    host = QueryHost(log, None, threads=0)
    host.start("Q", materialising(), 1)
    produce(log, [(k, k) for k in range(50)])
    host.drain()
    for partition in range(4):
        records = log.read("out", partition, 0, rows_max=100)
        assert set(log.partitions_of(records.keys, 4)) <= {partition}
    assert sorted(rows_of(log)) == [(k, k) for k in range(50)]


def test_pause_holds_and_resume_goes_on() -> None:
    """A paused query takes nothing in; resumed, it continues where it was."""
    log = make_log()
    host = QueryHost(log, None, threads=0)
    run = host.start("Q", filtering(), 1)
    run.pause()
    produce(log, [(1, 1)])
    host.drain()
    assert rows_of(log) == []
    host.resume("Q")
    host.drain()
    assert rows_of(log) == [(1, 1)]


def test_terminate_forgets_state_and_positions() -> None:
    """A terminated query leaves no positions, changelogs or checkpoints behind."""
    log = make_log()
    host = QueryHost(log, KeptCheckpoints(), threads=0)
    host.start("Q", materialising(), 1)
    produce(log, [(1, 1)])
    host.drain()
    host.terminate("Q")
    assert not [t for t in log.topics() if t.startswith("_changelog")]
    assert not log.positions("Q/S")


def test_threads_process_in_the_background_and_tokens_wait() -> None:
    """With workers, a write's token is reached without drain()."""
    log = make_log()
    host = QueryHost(log, None, threads=2)
    host.start("Q", filtering(), 1)
    token = produce(log, [(1, 1), (2, -2)])
    host.wait_for(token, ["Q"], timeout_s=10)
    assert rows_of(log) == [(1, 1)]
    host.close()


def test_a_replaced_query_reads_state_that_had_other_columns() -> None:
    """Stores are matched by the names of their columns: in memory, from a checkpoint, and from the changelog."""
    log = make_log(partitions=2)
    checkpoints = KeptCheckpoints()

    def keeping(*names: str) -> Dataflow:
        values = pa.schema([(n, pa.int64()) for n in names])
        table = pa.schema([*KEY, *values])
        read = Source("S", "in", True, key_serde(), KEY, None, values)
        step = OperatorNode("Table", (0,), lambda context: TableSource(context, table, 1))
        return Dataflow((read, step, Sink("Sink", 1, None, key_serde(), None, is_table=True)), 2)

    def contents(run: Any) -> list[dict[str, Any]]:
        tables = [task.operators[1].stores[0].snapshot().table() for task in run.tasks()]
        return sorted(pa.concat_tables(tables).drop_columns(["rowtime"]).to_pylist(), key=lambda row: row["K"])

    log.alter_topic("in", TopicConfig(2, pa.struct([*VALUE, pa.field("W", pa.int64())])))
    host = QueryHost(log, checkpoints, threads=0)
    host.start("Q", keeping("V"), 1)
    produce(log, [(k, k) for k in range(3)])
    host.drain()
    replaced = host.replace("Q", keeping("W", "V"), 1)
    expected = [{"K": k, "W": None, "V": k} for k in range(3)]
    assert contents(replaced) == expected
    assert contents(QueryHost(log, checkpoints, threads=0).start("Q", keeping("W", "V"), 1)) == expected
    produce(log, [(1, 10)])
    host.drain()
    expected[1] = {"K": 1, "W": None, "V": 10}
    assert contents(replaced) == expected
    assert contents(QueryHost(log, checkpoints, threads=0).start("Q", keeping("W", "V"), 1)) == expected
    for durable in replaced.parts.keeper.stores:
        replaced.parts.keeper.checkpoint(durable)
    narrower = QueryHost(log, checkpoints, threads=0).start("Q", keeping("V"), 1)
    assert contents(narrower) == [{"K": k, "V": v["V"]} for k, v in enumerate(expected)]
