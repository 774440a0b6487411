"""Columns of sources, plans and results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from .types import SqlType, quoted, to_arrow

Role = Literal["KEY", "VALUE", "HEADERS", "HEADER"]

PSEUDO_COLUMNS = ("ROWTIME", "ROWPARTITION", "ROWOFFSET")
WINDOW_BOUNDS = ("WINDOWSTART", "WINDOWEND")
RESERVED_NAMES = PSEUDO_COLUMNS + WINDOW_BOUNDS


@dataclass(frozen=True, slots=True)
class Column:
    """A column.  ``header`` is the key in ``HEADER('key')``."""

    name: str
    type: SqlType
    role: Role = "VALUE"
    header: str | None = None

    def __str__(self) -> str:
        role = {"KEY": " KEY", "VALUE": "", "HEADERS": " HEADERS", "HEADER": f" HEADER('{self.header}')"}[self.role]
        return f"{quoted(self.name)} {self.type}{role}"


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns in order, keys first.  Their names are unique."""

    columns: tuple[Column, ...]

    @property
    def keys(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if c.role == "KEY")

    @property
    def values(self) -> tuple[Column, ...]:
        """All columns that are not keys.  Header columns are among them: they are read as values, and never written."""
        return tuple(c for c in self.columns if c.role != "KEY")

    def find(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)

    def index(self, name: str) -> int:
        """The index of a column.

        Raises:
            KeyError: there is no such column.
        """
        for i, c in enumerate(self.columns):
            if c.name == name:
                return i
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    def arrow(self) -> pa.Schema:
        return pa.schema([(c.name, to_arrow(c.type)) for c in self.columns])

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __str__(self) -> str:
        """The schema as ksqlDB's header rows show it: ``"`ID` BIGINT KEY, `NAME` STRING"``."""
        return ", ".join(map(str, self.columns))
