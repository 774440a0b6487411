"""Encodes columns as records of a source, for INSERT VALUES, `Database.insert` and `Database.produce`, and writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import ClientError, Span, StatementError, StorageError, unwritable
from ...runtime.clients.records import raw_columns
from ...runtime.clock import now_ms
from ...runtime.host import Token
from ...runtime.source import all_null
from ...storage.formats.base import Malformed
from ...storage.log.ownership import refused_write
from ...storage.log.protocol import HEADERS, Commit, Outcome, Records, TopicConfig, Transaction
from ...storage.values.canonical import canonical
from ..catalog import Catalog, DataSource
from ..intake.rows import columns_of
from ..intake.values import shown
from ..journal import ALONE
from ..serdes import Layout, Side, layout_of
from ..state import Engine


def check_writable(catalog: Catalog, source: DataSource) -> None:
    """Check that rows can be inserted into a source (section 3, INSERT VALUES).

    Raises:
        StatementError: they cannot.
    """
    if source.read_only:
        raise StatementError(
            f"{source.name} is read-only: it was made by CREATE SOURCE",
            suggestion="Declare a stream over the same topic without SOURCE.",
        )
    if source.kind == "TABLE" and source.query_id is not None:
        raise StatementError(
            f"{source.name} is the result of the query {source.query_id}, which alone changes it",
            suggestion="Write to what the query reads.",
        )
    if source.window is not None:
        raise StatementError(
            f"{source.name} is windowed, and rows cannot be inserted into windows",
            suggestion="Write to the topic that its query reads.",
        )
    refused = refused_write(source.topic, None)
    if refused is not None:
        raise StatementError(refused)
    refused = catalog.refused_write(source.topic)
    if refused is not None:
        raise StatementError(refused, suggestion="Write to what the query reads.")


def writable_source(catalog: Catalog, name: str, span: Span) -> DataSource:
    """The source with this name, if rows can be inserted into it.

    Raises:
        StatementError: there is none, or rows cannot be inserted.  The error has ``span``.
    """
    try:
        source = catalog.source(name)
        check_writable(catalog, source)
    except StatementError as error:
        error.span = error.span or span
        raise
    return source


def to_records(engine: Engine, source: DataSource, columns: Mapping[str, Any], timestamps: npt.NDArray[np.int64]) -> Records:
    """Encode rows in the formats of a source.

    Args:
        columns: Arrow arrays of the source's types, by name.  Missing columns are null.
        timestamps: int64[n], in milliseconds.

    Raises:
        StatementError: the formats cannot hold a row.
    """
    n = len(timestamps)
    layout = _layout(engine, source)

    def arrays_of(side: Side) -> list[Any]:
        return [columns[name] if name in columns else pa.nulls(n, type_) for name, type_ in side.fields]

    keys = None
    if layout.key is not None and layout.key.serde is not None:
        arrays = [canonical(array) for array in arrays_of(layout.key)]
        absent = None if any(not array.null_count for array in arrays) else all_null(tuple(arrays), 0, n)
        encoded = layout.key.serde.encode(arrays, layout.key.schema, absent)
        _refuse(encoded.malformed, source, "key")
        keys = encoded.data
    if layout.value.serde is None:
        values = _typed(engine, layout, columns, n)
    else:
        arrays = arrays_of(layout.value)
        count = None if arrays else np.zeros(n, np.bool_)  # without columns, only the mask has the number of rows
        encoded = layout.value.serde.encode(arrays, layout.value.schema, count)
        _refuse(encoded.malformed, source, "value")
        values = encoded.data
    return Records(keys, values, timestamps)


def _layout(engine: Engine, source: DataSource) -> Layout:
    """The source's layout.  It is cached until the catalog has another source of this name."""
    known = engine.layouts.get(source.name)
    if known is None or known.source is not source:
        known = layout_of(source, engine.schemas)
        if known.lasting:
            engine.layouts[source.name] = known
    return known


def _typed(engine: Engine, layout: Layout, columns: Mapping[str, Any], n: int) -> Any:
    """The struct array of a typed topic.  The topic may have more fields than this source."""
    config = engine.topic(layout.source.topic)
    if config is None:
        raise StatementError(f"there is no topic {layout.source.topic}", suggestion="SHOW TOPICS; lists them.")
    wanted: Any = config.value_type
    own = {name for name, _ in layout.value.fields}
    fields = list(wanted)
    arrays = [columns[f.name] if f.name in own and f.name in columns else pa.nulls(n, f.type) for f in fields]
    if not arrays:
        return pa.array([{}] * n, wanted)
    return pa.StructArray.from_arrays(arrays, fields=fields)


def _refuse(malformed: Malformed | None, source: DataSource, side: str) -> None:
    if malformed is not None and len(malformed.rows):
        format_ = source.key_format if side == "key" else source.value_format
        raise StatementError(
            f"row {int(malformed.rows[0]) + 1} cannot be written to {source.name}: its {side} does not fit "
            f"{format_.name}: {malformed.reasons[0]}"
        )


def insert(
    engine: Engine,
    rows: Mapping[str, Any],
    *,
    durable: bool,
    producer: str | None,
    sequence: int | None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> Token:
    """Append rows to sources in one commit, see `Database.insert_many`.

    Args:
        headers: the headers of every record.

    Raises:
        StatementError: there is no such source, or a row does not fit it.
        StorageError: the disk failed.  Nothing was written.
    """
    made: list[tuple[str, Records, int | None]] = []
    for name, given in rows.items():
        target = _target(engine, name)
        now = now_ms()
        few = type(given) is list and 0 < len(given) <= _COMBINED_ROWS_MAX
        if few and len(rows) == 1 and producer is None and not headers:
            _admit(engine, [target.topic], producer, sequence)
            make = partial(_made_together, engine, target)
            token = _combined(engine, _Small(target, make, (given, now), target.topic, None, durable))
            if token is not None:
                return token
        made.append((target.topic, _made(engine, target, *columns_of(given, target, now)), None))
    parts = [part for part in made if len(part[1])]
    if not parts and producer is None:
        return Token()
    return write_all(engine, parts, durable=durable, producer=producer, sequence=sequence, headers=headers)


def _target(engine: Engine, name: str) -> DataSource:
    target = engine.catalog.named(name)
    check_writable(engine.catalog, target)
    return target


def _made(engine: Engine, target: DataSource, arrays: Mapping[str, Any], timestamps: npt.NDArray[np.int64]) -> Records:
    for column in target.schema.keys if target.kind == "TABLE" and len(timestamps) else ():
        keys = arrays.get(column.name)
        if keys is None or keys.null_count:
            row = 1 if keys is None else keys.is_null().index(True).as_py() + 1
            raise StatementError(
                f"{target.name} is a table, and row {row} has no value for its key {column.name}",
                suggestion=f"Give {column.name} a value.",
            )
    return to_records(engine, target, arrays, timestamps)


def produce(
    engine: Engine,
    topic: str,
    config: TopicConfig,
    content: tuple[Any, Any, Any, Any],
    *,
    partition: int | None,
    durable: bool,
    producer: str | None,
    sequence: int | None,
) -> Token:
    """Append one record without conversion: `Database.produce`.

    Args:
        content: key, value, timestamp, headers.

    Raises:
        StatementError: the topic cannot hold it.
    """
    if producer is None and (partition is None or partition in range(config.partitions)):
        _admit(engine, [topic], producer, sequence)
        small = _Small(config, partial(_raw_together, topic, config), content, topic, partition, durable)
        token = _combined(engine, small)
        if token is not None:
            return token
    try:
        made = _raw_together(topic, config, [content])
    except ClientError as error:
        raise StatementError(str(error)) from error
    if partition is not None and partition not in range(config.partitions):
        raise StatementError(f"the topic {topic} has the partitions 0 to {config.partitions - 1}, not {partition!r}")
    return write(engine, topic, made, partition=partition, durable=durable, producer=producer, sequence=sequence)


# ------------------------------------------------------------------------------------- few rows of many callers

_COMBINED_ROWS_MAX = 16
"""Inserts of at most this many rows are combined with those of other callers.  Larger ones are encoded and written alone."""


@dataclass(slots=True, eq=False)
class _Small:
    """A small insert.

    Attributes:
        kind: inserts with the identical ``kind`` and the same partition become records in one call.
        make: turns contents into records.
        commit: the commit with the rows; None if nothing was written.
    """

    kind: Any
    make: Callable[[Sequence[Any]], Records]
    content: Any
    topic: str
    partition: int | None
    durable: bool
    commit: Commit | None = None


def _combined(engine: Engine, small: _Small) -> Token | None:
    """Write an insert in one commit with those of other callers at this moment.

    Returns:
        a token of the commit.  It may also cover rows of others in the same topic.  None if the insert must be written
        alone, because something is wrong.
    """
    engine.combiner.ask(small, partial(_write_together, engine))
    if small.commit is None:
        return None
    return Token({place: end for place, end in small.commit.ends.items() if place[0] == small.topic})


def _write_together(engine: Engine, requests: Sequence[_Small]) -> None:
    by_kind: dict[tuple[int, int | None], list[_Small]] = {}
    for request in requests:
        by_kind.setdefault((id(request.kind), request.partition), []).append(request)
    transaction = engine.log.transaction()
    written: list[_Small] = []
    for alike in by_kind.values():
        first = alike[0]
        try:
            transaction.append(first.topic, first.make([request.content for request in alike]), first.partition)
        except BaseException:  # not hidden: each caller then writes alone, and the error comes again for the insert at fault
            continue
        written.extend(alike)
    if not written:
        return
    outcomes: list[Outcome | None] = [None]
    try:
        engine.log.commit_all([(transaction, any(request.durable for request in written))], outcomes)
    except StorageError:  # not hidden either
        return
    finally:
        (outcome,) = outcomes
        for request in written:
            request.commit = outcome if isinstance(outcome, Commit) else None
    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
        raise outcome  # an interruption of this thread; the other callers then write alone


def _made_together(engine: Engine, target: DataSource, contents: Sequence[tuple[list[Any], int]]) -> Records:
    """The records of the rows of several callers.

    Raises:
        StatementError: a row is not plain, or does not fit.
    """
    if len(contents) == 1:
        ((rows, at),) = contents
        return _made(engine, target, *columns_of(rows, target, at))
    now = np.repeat(np.array([at for _, at in contents], np.int64), [len(rows) for rows, _ in contents])
    return _made(engine, target, *columns_of([row for rows, _ in contents for row in rows], target, now))


def _raw_together(topic: str, config: TopicConfig, contents: Sequence[tuple[Any, Any, Any, Any]]) -> Records:
    """The records of several callers.

    Raises:
        ClientError: the topic cannot hold one of them.
    """
    keys, values, timestamps, headers = zip(*contents, strict=True)
    return raw_columns(topic, config, keys, values, timestamps, headers)


# ------------------------------------------------------------------------------------------------------ writing


def write(
    engine: Engine,
    topic: str,
    records: Records,
    *,
    partition: int | None = None,
    durable: bool,
    also: Callable[[Transaction], None] | None = None,
    producer: str | None = None,
    sequence: int | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> Token:
    """Append records in a commit of their own, see `write_all`."""
    parts = [(topic, records, partition)]
    return write_all(engine, parts, durable=durable, also=also, producer=producer, sequence=sequence, headers=headers)


def write_all(
    engine: Engine,
    parts: Sequence[tuple[str, Records, int | None]],
    *,
    durable: bool,
    also: Callable[[Transaction], None] | None = None,
    producer: str | None = None,
    sequence: int | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> Token:
    """Append records to any number of topics in one commit.

    Args:
        parts: topic, records, and partition (None: by each record's key).
        durable: return when the commit is on disk; otherwise as soon as it is visible.
        also: adds records to the same transaction, which then has a name of its own, see `Log.transaction`.
        producer, sequence: who writes, and a number that rises with each write.  If the number is not above the producer's
            last one, the write is a retry, and nothing is written.
        headers: for each record that has none.

    Raises:
        StatementError: only one of producer and sequence is given.
        PartitionsLostError: another process of the service has begun a transaction of this name.  Nothing was written.
        StorageError: the disk failed.  Nothing was written.
    """
    topics = list(dict.fromkeys(topic for topic, _, _ in parts))
    _admit(engine, topics, producer, sequence)
    transaction = engine.log.transaction(alone=None if also is None else ALONE)
    for topic, records, partition in parts:
        if headers and records.headers is None:
            records = replace(records, headers=pa.array([list(headers)] * len(records), HEADERS))
        transaction.append(topic, records, partition)
    if also is not None:
        also(transaction)
    if producer is not None and sequence is not None:
        transaction.set_sequence(producer, sequence)
    commit = transaction.commit(durable)
    if producer is None or commit.ends:
        return Token.of(commit)
    # A retry: the records of the first attempt are somewhere before the present ends.
    known = engine.log.topics()
    places = [(topic, number) for topic in topics for number in range(known[topic].partitions)]
    return Token(dict(engine.log.end_offsets(places)[1]))


def _admit(engine: Engine, topics: Sequence[str], producer: str | None, sequence: int | None) -> None:
    """Wait until the readers of the topics are not too far behind.

    Raises:
        StatementError: only one of producer and sequence is given, or one of them has a value that is not allowed.
    """
    if (producer is None) != (sequence is None):
        raise StatementError(
            "producer and sequence go together",
            suggestion="Give both, or neither: sequence=1, 2, .. for each insert of a producer.",
        )
    if producer is not None and not isinstance(producer, str):
        raise StatementError(f"a producer is a name, not {shown(producer)}")
    if producer is not None and not producer.isprintable() and (refused := unwritable(producer)) is not None:
        raise StatementError(f"the name of a producer holds {refused}")
    if sequence is not None and (not isinstance(sequence, int) or not 0 <= sequence < 1 << 63):
        raise StatementError(f"a sequence is a whole number from 0 to 2^63 - 1, not {shown(sequence)}")
    engine.host.admit(topics)
