"""Reads tables from the stores of running queries, for pull queries.

A store holds rows in the form that its operator needs.  A `StoredTable` converts them to the rows of the plan node that has
the store, and applies the filters and projections between that node and the sink.  Together they are the `TableView` that
turns a snapshot of the store into the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ..kernels.booleans import booleans
from ..runtime.batch import Bools
from ..runtime.dataflow import TableView
from ..runtime.kernel import Kernel, as_mask
from .schema import WINDOW_BOUNDS, Schema

ROWTIME = "ROWTIME"


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows of a plan node: its columns (keys first), the bounds of windows if it has any, and the ROWTIME of each row."""

    columns: tuple[Any, ...]
    rowtime: Any
    window_start: Any | None = None
    window_end: Any | None = None

    def filter(self, keep: Bools) -> StoredRows:
        mask = pa.array(keep)

        def pick(array: Any) -> Any:
            return None if array is None else array.filter(mask)

        return StoredRows(
            tuple(c.filter(mask) for c in self.columns),
            pick(self.rowtime),
            pick(self.window_start),
            pick(self.window_end),
        )


Read = Callable[[Mapping[str, Any]], StoredRows]
"""Converts the columns of the store (Arrow arrays by name, in the order of its schema) to rows."""


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table that can be read from a store.

    Attributes:
        node, store: the name of the operator's node, and of the store in it.
        schema: the columns of the rows that ``read`` returns.
        read: converts rows of the store to rows of the table.
    """

    node: str
    store: str
    schema: Schema
    windowed: bool
    read: Read

    @staticmethod
    def of_rows(node: str, store: str, schema: Schema, *, windowed: bool) -> StoredTable:
        """A table over a store of whole rows: key columns, (window_start, window_end,) rowtime, value columns."""
        keys = len(schema.keys)

        def read(stored: Mapping[str, Any]) -> StoredRows:
            columns = list(stored.values())
            bounds = columns[keys : keys + 2] if windowed else [None, None]
            rest = columns[keys + 2 :] if windowed else columns[keys:]
            return StoredRows((*columns[:keys], *rest[1:]), rest[0], bounds[0], bounds[1])

        return StoredTable(node, store, schema, windowed, read)

    @staticmethod
    def of_groups(
        node: str,
        store: str,
        schema: Schema,
        transform: Callable[[Mapping[str, Any]], Sequence[Any]],
        *,
        windowed: bool,
        final: bool = False,
    ) -> StoredTable:
        """A table over a store of aggregates.

        Args:
            schema: the keys, the results, and then the window bounds that are columns of the rows.
            transform: gives for its rows the keys, (WINDOWSTART, WINDOWEND,) results and ROWTIME.
            final: the last field of the store says which rows readers can see (`runtime/operators/suppress.py::PUT_OUT`).
        """
        keys = len(schema.keys)
        bound_names = [c.name for c in schema.values if c.name in WINDOW_BOUNDS] if windowed else []

        def read(stored: Mapping[str, Any]) -> StoredRows:
            columns = list(transform(stored))
            bounds: dict[str, Any] = dict(zip(WINDOW_BOUNDS, columns[keys : keys + 2])) if windowed else {}
            results = columns[keys + len(bounds) : -1]
            extras = [bounds[name] for name in bound_names]
            start, end = (bounds.get(name) for name in WINDOW_BOUNDS)
            rows = StoredRows((*columns[:keys], *results, *extras), columns[-1], start, end)
            return rows.filter(booleans(list(stored.values())[-1])) if final else rows

        return StoredTable(node, store, schema, windowed, read)

    def filtered(self, predicate: Kernel) -> StoredTable:
        """The table with only the rows for which the predicate is true."""
        read = self.read

        def filtered(stored: Mapping[str, Any]) -> StoredRows:
            rows = read(stored)
            return rows.filter(as_mask(predicate(rows.columns, len(rows.rowtime))))

        return replace(self, read=filtered)

    def projected(self, schema: Schema, kernels: Sequence[Kernel]) -> StoredTable:
        """The table with other columns."""
        read = self.read

        def projected(stored: Mapping[str, Any]) -> StoredRows:
            rows = read(stored)
            length = len(rows.rowtime)
            columns = tuple(_whole(k(rows.columns, length).values) for k in kernels)
            return StoredRows(columns, rows.rowtime, rows.window_start, rows.window_end)

        return replace(self, schema=schema, read=projected)

    def with_values(self, convert: Callable[[Any], Any]) -> StoredTable:
        """The table with its value columns as the topic has them, for a format that cannot keep all values unchanged."""
        read, keys = self.read, len(self.schema.keys)

        def converted(stored: Mapping[str, Any]) -> StoredRows:
            rows = read(stored)
            return replace(rows, columns=(*rows.columns[:keys], *(convert(column) for column in rows.columns[keys:])))

        return replace(self, read=converted)

    def view(self) -> TableView:
        """The `TableView` for `runtime.views`."""
        read, schema, windowed = self.read, view_schema(self.schema, windowed=self.windowed), self.windowed
        keys = len(self.schema.keys)

        def transform(stored: Mapping[str, Any]) -> list[Any]:
            rows = read(stored)
            bounds = (rows.window_start, rows.window_end) if windowed else ()
            return [*rows.columns[:keys], *bounds, *rows.columns[keys:], rows.rowtime]

        return TableView(self.node, self.store, transform, schema, keys, windowed)


def view_schema(schema: Schema, *, windowed: bool) -> pa.Schema:
    """The columns of a table for pull queries: keys, (window bounds,) values, ROWTIME.

    Only transient queries can have a result column with the name of a pseudo column, and they have no view.
    """
    arrow = list(schema.arrow())
    keys = len(schema.keys)
    bounds = [pa.field(name, pa.int64()) for name in WINDOW_BOUNDS] if windowed else []
    return pa.schema([*arrow[:keys], *bounds, *arrow[keys:], pa.field(ROWTIME, pa.int64())])


def _whole(array: Any) -> Any:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
