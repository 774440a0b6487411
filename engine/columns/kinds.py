"""Type aliases for the data of expressions.

The stubs of pyarrow have a type for each type of items, but none for "some column".
"""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow as pa

__all__ = ["Column", "Datum", "PythonValue"]

Column: TypeAlias = "pa.Array[Any]"
"""An array (not a `pa.ChunkedArray`) with a value for each row.  The SQL type of its values is kept elsewhere."""
Datum: TypeAlias = "pa.Array[Any] | pa.Scalar[Any]"
"""A column with a value for each row, or a scalar for all rows (a literal, or an expression over literals).

The word is Arrow's.
"""
PythonValue: TypeAlias = Any
"""A value of SQL as a Python object.

It is None, a bool, int, float, Decimal, str, bytes, date, time or datetime, or a list or dict of such values.  Its class
follows from an SQL type that is known only at run time.
"""
