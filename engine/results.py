"""What `Database.execute` and `Database.sql` give back: one result object per statement.

``kind`` names the statement in the words of the dialect (``create stream``, ``show streams``), so that whoever shows or
translates a result need not parse its text.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..runtime.batch import python_values
from ..runtime.subscriptions import PushRow, Subscription
from ..runtime.topic_tail import TopicRecord, TopicTail
from .schema import Schema
from .types import from_arrow, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Description",
    "Listing",
    "Message",
    "PrintResult",
    "PrintedRecord",
    "ProtobufRows",
    "PushResult",
    "PushRow",
    "Result",
    "Submitted",
    "Table",
]


@dataclass(frozen=True, slots=True)
class Message:
    """A statement that changed something.

    Attributes:
        kind: ``create stream``, ``insert values``, ``terminate``, ``set``, ..
        text: one sentence saying what happened.
        statement: canonical text of the statement.
        warning: nothing changed, and that is worth a word (IF NOT EXISTS).
        details: facts for programs: ``query_id``, ``source``, ``topic``, ``type`` (as far as they apply).
    """

    kind: str
    text: str
    statement: str = ""
    warning: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of things: SHOW .., DESCRIBE FUNCTION.

    Attributes:
        kind: ``show streams``, ``show queries``, ..
        columns: headings.
        rows: plain Python values, one tuple per line.
    """

    kind: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """Something described in full: DESCRIBE, EXPLAIN.

    Attributes:
        kind: ``describe source``, ``describe query``, ``explain``, ``describe function``.
        title: the name of what is described.
        sections: (heading, content) in order; the content is a text (a plan, a statement) or a `Listing`.
        details: the same as facts for programs.
    """

    kind: str
    title: str
    sections: tuple[tuple[str, str | Listing], ...]
    statement: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProtobufRows:
    """Rows as protobuf messages.

    Attributes:
        schema: the ``.proto`` text; its first message is the rows'.
        messages: the bytes of each row.  NULL is not written, so a primitive reads back as its default.
    """

    schema: str
    messages: tuple[bytes, ...]


class Table:
    """The rows of a pull query, held as Arrow.

    Attributes:
        schema: the columns with their SQL types and roles; None for a query that DuckDB answered.
        limit_reached: LIMIT cut the result.
        final_message: what a server would say after the last row: why a stream was not read further; None for tables.
    """

    def __init__(
        self, table: pa.Table, schema: Schema | None = None, *, limit_reached: bool = False, final_message: str | None = None
    ) -> None:
        self._table = table
        self.schema = schema
        self.limit_reached = limit_reached
        self.final_message = final_message

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._table.column_names)

    def arrow(self) -> pa.Table:
        """As a `pyarrow.Table`, without copying."""
        return self._table

    def df(self) -> Any:
        """As a pandas DataFrame.  Raises: ImportError, if pandas is not installed."""
        return self._table.to_pandas()

    def pl(self) -> Any:
        """As a polars DataFrame.  Raises: ImportError, if polars is not installed."""
        import polars

        return polars.from_arrow(self._table)

    def protobuf(self) -> ProtobufRows:
        """As protobuf messages, one per row, with the schema that reads them.

        Raises:
            StatementError: a column's name or type has no counterpart in protobuf, or the package is not installed.
        """
        from ..storage.formats.protobuf_rows import messages_of

        names = self.columns if self.schema is None else tuple(column.name for column in self.schema)
        types = (
            [to_arrow(from_arrow(field.type)) for field in self._table.schema]
            if self.schema is None
            else [to_arrow(column.type) for column in self.schema]
        )
        columns = [
            column.combine_chunks().cast(type_, safe=False) for column, type_ in zip(self._table.columns, types, strict=True)
        ]
        return ProtobufRows(*messages_of(columns, list(zip(names, types, strict=True))))

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as tuples of Python values."""
        if not self._table.num_columns:
            return [()] * self._table.num_rows
        return list(zip(*(python_values(column) for column in self._table.columns), strict=True))

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row, or None."""
        rows = self._table.slice(0, 1)
        return next(iter(zip(*(python_values(c) for c in rows.columns), strict=True)), None)

    def to_dicts(self) -> list[dict[str, Any]]:
        """All rows as dicts."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.fetchall()]

    def show(self, rows_max: int = 20) -> None:
        """Print the first rows as a table."""
        print(self.text(rows_max))

    def text(self, rows_max: int = 20) -> str:
        """The first rows as a table of text."""
        head = self._table.slice(0, rows_max)
        cells = [[_cell(v) for v in python_values(column)] for column in head.columns]
        shown = grid(self.columns, list(zip(*cells, strict=True)))
        left = self._table.num_rows - head.num_rows
        return shown + (f"\n({left} more rows)" if left > 0 else "")

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Arrow PyCapsule stream: polars, DuckDB, pandas and others read it without a copy."""
        return self._table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return self.text()


@dataclass(slots=True)
class PushResult:
    """A running push query: iterate ``subscription`` for its rows."""

    subscription: Subscription
    schema: Schema
    query_id: str | None = None

    def __iter__(self) -> Iterator[PushRow]:
        return iter(self.subscription)


@dataclass(frozen=True, slots=True)
class PrintedRecord:
    """A record as PRINT shows it.

    Attributes:
        key_format, value_format: a guess at what the bytes are: JSON, KAFKA_STRING, AVRO (schema 3), ..; ``none`` for null.
        timestamp: ms.
        key, value: as text.
    """

    key_format: str
    value_format: str
    timestamp: int
    key: str
    value: str
    partition: int
    offset: int
    headers: tuple[tuple[str, str | None], ...] = ()

    def __str__(self) -> str:
        parts = [
            f"rowtime: {instant(self.timestamp)}",
            f"key: {self.key}",
            f"value: {self.value}",
            f"partition: {self.partition}",
        ]
        if self.headers:
            parts.append("headers: " + ", ".join(f"{n}={'<null>' if v is None else v}" for n, v in self.headers))
        return ", ".join(parts)


@dataclass(slots=True)
class PrintResult:
    """What PRINT gives: iterate it for the records (`PrintedRecord`), those to come included, until LIMIT or ``close()``."""

    tail: TopicTail
    topic: str
    _read: Callable[[TopicRecord], PrintedRecord]
    statement: str = ""

    def poll(self, timeout_s: float | None = 0.0) -> PrintedRecord | None:
        """The next record, waiting for it at most so long (None waits for ever); None if there is none or it is over."""
        record = self.tail.poll(timeout_s)
        return None if record is None else self._read(record)

    def lines(self) -> Iterator[str]:
        """What a person reads: the formats when they are first known or change, and a line per record."""
        shown: dict[str, str] = {}
        for record in self:
            for side, format_ in (("Key", record.key_format), ("Value", record.value_format)):
                if format_ != "none" and shown.get(side) != format_:
                    shown[side] = format_
                    yield f"{side} format: {format_}"
            yield str(record)

    def close(self) -> None:
        """End all iteration."""
        self.tail.close()

    def __iter__(self) -> Iterator[PrintedRecord]:
        return map(self._read, self.tail)


def instant(timestamp_ms: int) -> str:
    """Milliseconds as a time of UTC; as they are where no calendar has them.

    >>> instant(1500)
    '1970-01-01T00:00:01.500Z'
    """
    try:
        moment = _EPOCH + datetime.timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return f"{timestamp_ms} ms"
    return moment.isoformat(timespec="milliseconds") + "Z"


_EPOCH = datetime.datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What `Database.submit` did.

    Attributes:
        name: of the script.
        known: statements that had been submitted before and were passed over (canonical texts).
        results: of the statements executed now (SET and DEFINE among them).
    """

    name: str
    known: tuple[str, ...]
    results: tuple[Result, ...]


Result = Message | Listing | Description | Table | PushResult | PrintResult


def _cell(value: Any) -> str:
    return "NULL" if value is None else str(value)


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Headings, a rule, and rows of text in columns.

    >>> print(grid(("A", "B"), [("1", "x"), ("22", "y")]))
    A  | B
    ---+--
    1  | x
    22 | y
    """
    widths = [max([len(name), *(len(row[i]) for row in rows)]) for i, name in enumerate(columns)]
    lines = [" | ".join(name.ljust(w) for name, w in zip(columns, widths, strict=True)).rstrip()]
    lines.append("-+-".join("-" * w for w in widths))
    lines.extend(" | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)
