"""What the data of an expression can be: Arrow's stubs have a type for each kind of item, none for "some kind"."""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow as pa

__all__ = ["Column", "Datum", "PythonValue"]

Column: TypeAlias = "pa.Array[Any]"
"""An array in one piece, with a value for each row; its SQL type says of what kind."""
Datum: TypeAlias = "pa.Array[Any] | pa.Scalar[Any]"
"""Arrow's word for either: a value for each row, or one for all rows (a literal, or what was made of literals)."""
PythonValue: TypeAlias = Any
"""A value of SQL as a Python object: None, bool, int, float, Decimal, str, bytes, date, time, datetime, a list of such, or a
dict of them.  What it is depends on an SQL type that is known at run time only."""
