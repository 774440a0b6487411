"""Lookups by key in a table, without SQL: key -> slot -> row (`runtime.lookups`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ...errors import StatementError
from ...runtime.batch import python_values
from ..catalog import Catalog
from ..intake.keys import kept_as_it_is, key_value
from ..state import Engine


class KeyLookup:
    """A prepared lookup in one table: `get` finds one row, `rows` all rows of one key.

    It reads the state after the last commit, and never waits for the query's current step.  Several threads may use it.  It
    is valid as long as there is a table of that name.

    Raises:
        StatementError: no query maintains the table.
    """

    def __init__(self, engine: Engine, name: str, check_open: Callable[[], None]) -> None:
        self._engine = engine
        self._name = name
        self._check_open = check_open
        self._catalog: Catalog | None = None
        self._resolve()

    def _resolve(self) -> None:
        catalog = self._engine.catalog
        source = catalog.source(self._name)
        query_id = self._engine.view_of(source)
        if query_id is None:
            raise StatementError(
                f"no query keeps the rows of {source.name}, so they cannot be looked up",
                suggestion=f"CREATE TABLE .. AS SELECT * FROM {source.name}; makes one that can.",
            )
        self._source = source
        self._keys = len(source.schema.keys)
        self._types = [(kept_as_it_is(column.type), column.type) for column in source.schema.keys]
        self._reader = self._engine.host.point_reader(query_id)
        view = self._engine.planned[query_id].dataflow.view
        assert view is not None
        self.columns: tuple[str, ...] = tuple(view.schema.names[:-1])
        self._catalog = catalog

    def get(self, *key: Any, window_start: int | None = None) -> dict[str, Any] | None:
        """Find the row of a key.

        Args:
            key: one value for each key column, see `intake.keys.key_value`.
            window_start: for a windowed table, in milliseconds since 1970-01-01 UTC.

        Returns:
            the row as a dict by column; None if there is none.

        Raises:
            StatementError: the table does not exist any more, the database is closed, or the number of values is wrong.
        """
        self._check_open()
        if self._catalog is not self._engine.catalog:
            self._resolve()
        windowed = self._source.window is not None
        if len(key) != self._keys or windowed != (window_start is not None):
            raise self._wrong_key()
        key = self._stored(key)
        if windowed:
            sought: tuple[Any, ...] = (*key, window_start)
            if self._reader.key_length() != len(sought):
                found = self._listed(self._reader.rows(sought))
                return found[0] if found else None
        else:
            sought = key
        row = self._reader.values(sought)
        return None if row is None else dict(zip(self.columns, row))

    def rows(self, *key: Any) -> list[dict[str, Any]]:
        """Find all rows of a key.

        A windowed table has one for each window, in the order of window starts; another table has at most one.

        Raises:
            StatementError: see `get`.
        """
        self._check_open()
        if self._catalog is not self._engine.catalog:
            self._resolve()
        if len(key) != self._keys:
            raise self._wrong_key()
        return self._listed(self._reader.rows(self._stored(key)))

    def _stored(self, key: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(
            [value if type(value) is kept else key_value(value, type_) for value, (kept, type_) in zip(key, self._types)]
        )

    def _listed(self, table: pa.Table) -> list[dict[str, Any]]:
        columns = [python_values(table.column(i)) for i in range(len(self.columns))]
        rows = [dict(zip(self.columns, values)) for values in zip(*columns)]
        bound = self.columns[self._keys] if self._source.window is not None else None
        return rows if bound is None else sorted(rows, key=lambda row: int(row[bound]))

    def _wrong_key(self) -> StatementError:
        keys, name = self._source.schema.keys, self._source.name
        if self._source.window is not None:
            return StatementError(
                f"{name} is windowed: a row is found by {', '.join(c.name for c in keys)} and window_start",
                suggestion="Use rows(..) for the rows of all windows.",
            )
        return StatementError(
            f"a row of {name} is found by {', '.join(c.name for c in keys)}",
            suggestion=f"Write get({', '.join(c.name.lower() for c in keys)}): one value for each of them.",
        )
