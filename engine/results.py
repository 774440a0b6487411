"""The results of `Database.execute` and `Database.sql`: one object for each statement.

``kind`` names the statement in the dialect's words (``create stream``, ``show streams``), so that no program has to parse
its text.
"""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ..errors import StatementError
from ..runtime.subscriptions import PushRow, Subscription
from ..runtime.topic_tail import TopicRecord, TopicTail
from .relation import Relation, instant, monospaced
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


class Result:
    """The result of a statement: a `Message`, `Listing`, `Description`, `Table`, `PushResult` or `PrintResult`.

    If a program knows its statement, it can use `relation` or `pushed`; otherwise ``match`` distinguishes the classes.

    Attributes:
        kind: the statement in the dialect's words: ``create stream``, ``show queries``, ``select``, ..
        statement: its canonical text; empty if the caller has the text.
    """

    __slots__ = ()
    kind: str
    statement: str

    @property
    def relation(self) -> Relation:
        """The rows of a pull query or of SHOW.

        Raises:
            StatementError: the statement gives no rows.
        """
        if isinstance(self, Relation):
            return self
        raise StatementError(f"{_article(self.kind)} gives no table", suggestion="SELECT and SHOW do.")

    @property
    def pushed(self) -> Subscription:
        """The rows of a push query, as they come.

        Raises:
            StatementError: the statement is not a push query.
        """
        if isinstance(self, PushResult):
            return self.subscription
        raise StatementError(f"{_article(self.kind)} is not a push query", suggestion="Write SELECT .. EMIT CHANGES.")


def _article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind} statement" if kind else "this statement"


@dataclass(frozen=True, slots=True)
class Message(Result):
    """The result of a statement that changed something.

    Attributes:
        kind: ``create stream``, ``insert values``, ``terminate``, ``set``, ..
        text: one sentence that says what happened.
        statement: the canonical text of the statement.
        warning: whether nothing changed, which should be shown (IF NOT EXISTS).
        details: facts for programs: ``query_id``, ``source``, ``topic``, ``type``, if they apply.
    """

    kind: str
    text: str
    statement: str = ""
    warning: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text


class Listing(Relation, Result):
    """A list of things: SHOW .., DESCRIBE FUNCTION.  It has all conversions of a table.

    Attributes:
        kind: ``show streams``, ``show queries``, ..
        columns: the headings.
        rows: a tuple of plain Python values for each line.
        statement: the canonical text of the statement.
    """

    def __init__(self, kind: str, columns: tuple[str, ...], rows: tuple[tuple[Any, ...], ...], statement: str = "") -> None:
        super().__init__(self._as_arrow, None, rows)
        self.kind = kind
        self.rows = rows
        self.statement = statement
        self._names = columns

    def _as_arrow(self) -> pa.Table:
        import pyarrow as pa

        arrays = [_listed([row[i] for row in self.rows]) for i in range(len(self._names))]
        return pa.table(arrays, names=list(self._names))

    @property
    def columns(self) -> tuple[str, ...]:
        """The headings."""
        return self._names

    def cells(self, rows_max: int | None = None) -> list[list[str]]:
        """The first rows as text for people.

        Args:
            rows_max: None: all rows.
        """
        return [["NULL" if value is None else str(value) for value in row] for row in self.rows[:rows_max]]

    def text(self, rows_max: int | None = None) -> str:
        """All lines, or the first ones, as a table of text."""
        return super().text(len(self) if rows_max is None else rows_max)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Listing):
            return NotImplemented
        return (self.kind, self.columns, self.rows) == (other.kind, other.columns, other.rows)

    def __hash__(self) -> int:
        return hash((self.kind, self.columns))


def _listed(values: list[Any]) -> Any:
    """Values of a listing as a column.  Values of different types, or of types that Arrow does not have, become text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    arrow = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}.get(kinds.pop()) if len(kinds) == 1 else None
    if arrow is not None:
        try:
            return pa.array(values, arrow)
        except OverflowError:
            pass
    return pa.array([None if value is None else str(value) for value in values], pa.string())


@dataclass(frozen=True, slots=True, repr=False)
class Description(Result):
    """A full description of something: DESCRIBE, EXPLAIN.  Notebooks show it as HTML, with a picture of a plan.

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

    def __str__(self) -> str:
        lines = [self.title] if self.title else []
        for heading, content in self.sections:
            text = str(content)
            lines.append(f"{heading}: {text}" if heading and "\n" not in text else f"{heading}\n{text}".strip("\n"))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<h4>{html.escape(self.title)}</h4>"] if self.title else []
        for heading, content in self.sections:
            body = content._repr_html_() if isinstance(content, Listing) else monospaced(content)
            parts.append((f"<h5>{html.escape(heading)}</h5>" if heading else "") + body)
        flow = self.details.get("flow")
        if flow is not None:
            parts.append(f"<h5>Flow</h5>{flow._repr_html_()}")
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class ProtobufRows:
    """Rows as protobuf messages.

    Attributes:
        schema: the ``.proto`` text.  Its first message is that of the rows.
        messages: the bytes of each row.  NULL is not written, so a primitive value is read back as its default.
    """

    schema: str
    messages: tuple[bytes, ...]


class Table(Relation, Result):
    """The rows of a pull query, in Arrow format.

    Attributes:
        schema: the columns with their SQL types and roles; None for a query that DuckDB answered.
        limit_reached: whether LIMIT has left out rows.
        final_message: the message that a server sends after the last row: why reading a stream ended, and which rows were
            left out.  None for tables.
        rows_left_out: the number of rows on which a user's aggregate failed (``penstock.row.failure``).
    """

    kind = "select"
    statement = ""

    def __init__(
        self,
        table: pa.Table | Callable[[], pa.Table],
        schema: Schema | None = None,
        *,
        limit_reached: bool = False,
        final_message: str | None = None,
        rows: Sequence[tuple[Any, ...]] | None = None,
        rows_left_out: int = 0,
    ) -> None:
        super().__init__(table, schema, rows)
        self.rows_left_out = rows_left_out
        self.limit_reached = limit_reached
        self.final_message = final_message

    def protobuf(self) -> ProtobufRows:
        """The rows as protobuf messages, with the schema that reads them.

        Raises:
            StatementError: a column's name or type cannot be written in protobuf, or the package is not installed.
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


@dataclass(slots=True, repr=False)
class PushResult(Result):
    """A running push query.  Iterate ``subscription`` for its rows.

    Attributes:
        key_places: the indices of the columns that are the key (and the window) of a table's rows: a row replaces the one
            with the same values there.  Empty for a stream.
        windowed: whether each row belongs to a window, even if WINDOWSTART and WINDOWEND are not selected.
    """

    subscription: Subscription
    schema: Schema
    query_id: str | None = None
    key_places: tuple[int, ...] = ()
    windowed: bool = False
    kind: str = "push query"
    statement: str = ""

    def __repr__(self) -> str:
        return f"<push query: iterate it for its rows of {', '.join(self.subscription.columns)}>"

    def __iter__(self) -> Iterator[PushRow]:
        return iter(self.subscription)

    def close(self) -> None:
        """End the query.  May be called twice."""
        self.subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class PrintedRecord:
    """A record as PRINT shows it.

    Attributes:
        key_format, value_format: the format that the bytes seem to have: JSON, KAFKA_STRING, AVRO (schema 3), ..; ``none``
            for null.
        timestamp: in milliseconds.
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


@dataclass(slots=True, repr=False)
class PrintResult(Result):
    """The result of PRINT.  Iterate it for the records (`PrintedRecord`), old and new ones, until LIMIT or ``close()``."""

    tail: TopicTail
    topic: str
    _read: Callable[[TopicRecord], PrintedRecord]
    statement: str = ""
    kind: str = "print"

    def __repr__(self) -> str:
        return f"<PRINT {self.topic}: iterate it for its records>"

    def poll(self, timeout_s: float | None = 0.0) -> PrintedRecord | None:
        """The next record; None if none came in time, or there are no more.

        Args:
            timeout_s: how long to wait at most, in seconds; None: for ever.
        """
        record = self.tail.poll(timeout_s)
        return None if record is None else self._read(record)

    def lines(self) -> Iterator[str]:
        """The lines for a person: one for the formats, when they are known or change, and one for each record."""
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

    async def __aiter__(self) -> AsyncIterator[PrintedRecord]:
        async for record in self.tail:
            yield self._read(record)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The result of `Database.submit`.

    Attributes:
        name: the script's name.
        known: the statements (canonical texts) that had been submitted before and were skipped.
        results: the results of the statements that were executed now, SET and DEFINE included.
    """

    name: str
    known: tuple[str, ...]
    results: tuple[Result, ...]
