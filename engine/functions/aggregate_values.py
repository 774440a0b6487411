"""SQL values inside aggregate states: NumPy numbers if the type has a fixed width, otherwise Python objects.

Dates and times are the numbers that Arrow holds for them, also inside ARRAY, MAP and STRUCT: Python's dates end in the year
9999, SQL's do not.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels.gathering import take
from ...runtime.kernel import StateField
from ...storage.values.arrow_calls import list_array
from .. import types as t

Values = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

_DTYPES: Final[dict[t.SqlType, np.dtype[Any]]] = {
    t.BOOLEAN: np.dtype(np.bool_),
    t.INTEGER: np.dtype(np.int32),
    t.BIGINT: np.dtype(np.int64),
    t.DOUBLE: np.dtype(np.float64),
    t.DATE: np.dtype(np.int32),
    t.TIME: np.dtype(np.int32),
    t.TIMESTAMP: np.dtype(np.int64),
}


def plain_type(type_: pa.DataType) -> Any:
    """The Arrow type with each temporal type replaced by the integer type that it is stored as."""
    if pa.types.is_temporal(type_):
        return pa.int64() if type_.bit_width == 64 else pa.int32()
    if pa.types.is_map(type_):
        return pa.map_(plain_type(type_.key_type), plain_type(type_.item_type))
    if pa.types.is_list(type_):
        return pa.list_(plain_type(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(f.name, plain_type(f.type)) for f in type_])
    return type_


def to_objects(array: Any) -> list[Any]:
    """A column as Python values.  A MAP is a list of pairs, dates and times are ints."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_decimal(array.type):
        return decimals(array)
    plain = plain_type(array.type)
    values: list[Any] = (array if plain == array.type else array.cast(plain)).to_pylist()
    return values


def decimals(array: Any) -> list[Decimal | None]:
    """A DECIMAL column as Python values.  It takes a third of the time of `to_pylist`."""
    return [None if text is None else Decimal(text) for text in array.cast(pa.string()).to_pylist()]


def from_objects(values: list[Any], type_: pa.DataType) -> Any:
    """Make an Arrow array of values in the form of `to_objects`."""
    plain = plain_type(type_)
    array = pa.array(values, plain)
    return array if plain == type_ else array.cast(type_)


def object_array(values: list[Any]) -> Values:
    """A NumPy array that holds the values as objects.  (By itself NumPy would make a matrix of lists of the same length.)"""
    return np.fromiter(values, object, len(values))


_HASHABLE = frozenset({int, str, bytes, bool, Decimal, type(None)})


def hashable(value: Any) -> Any:
    """A hashable object for a value.  Two of them are equal if and only if SQL's equality holds for the values (of one
    type).

    NaN equals NaN, and -0.0 equals 0.0.  The pairs of a MAP have no order.
    """
    if type(value) in _HASHABLE:
        return value
    if isinstance(value, float):
        return ("NaN",) if value != value else value + 0.0  # -0.0 becomes 0.0, because their texts differ
    if isinstance(value, list):
        items = [hashable(v) for v in value]
        return ("map", *sorted(items, key=repr)) if value and isinstance(value[0], tuple) else tuple(items)
    if isinstance(value, tuple):
        return ("pair", *(hashable(v) for v in value))
    if isinstance(value, dict):
        return ("struct", *(hashable(v) for v in value.values()))
    return value


def hashables_of(type_: t.SqlType) -> Callable[[list[Any]], list[Any]]:
    """Make a function that applies `hashable` to many values of a type."""
    if isinstance(type_, t.Decimal) or (isinstance(type_, t.Primitive) and type_ != t.DOUBLE):
        return lambda values: values
    if type_ == t.DOUBLE:
        return lambda values: [hashable(v) if v != v else v for v in values]
    return lambda values: [hashable(v) for v in values]


def mask_of_nulls(array: Any) -> Bools:
    """bool[n]: true where the array is null."""
    if array.null_count == 0:
        return np.zeros(len(array), np.bool_)
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), np.bool_)


def numbers_of(array: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A column of numbers as NumPy's ``dtype``, with 0 for NULL."""
    if array.null_count:
        array = array.fill_null(0)
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype)


class Codec:
    """How a state keeps the values of one SQL type: as ``dtype`` in memory and as ``arrow`` in checkpoints.

    A DECIMAL of up to 18 digits is kept as its unscaled int64, and as an int by `objects`.  Hashing an int is thirty times
    as fast as hashing a Decimal.
    """

    def __init__(self, type_: t.SqlType) -> None:
        self.sql = type_
        self.result = t.to_arrow(type_)
        self.small_decimal = isinstance(type_, t.Decimal) and type_.precision <= 18
        self.dtype = np.dtype(np.int64) if self.small_decimal else _DTYPES.get(type_, np.dtype(object))
        self.arrow = pa.int64() if self.small_decimal else plain_type(self.result)
        self.initial: Any = None if self.dtype == object else self.dtype.type(0)

    @property
    def fixed(self) -> bool:
        return self.dtype != object

    @property
    def columnar(self) -> bool:
        """Whether values are kept as Arrow arrays.  That is so for strings and bytes."""
        return bool(pa.types.is_string(self.arrow) or pa.types.is_binary(self.arrow))

    def field(self, name: str) -> StateField:
        """The field of a state that holds such a value."""
        return StateField(name, self.dtype, self.arrow, self.initial, self.columnar)

    def decode(self, array: Any) -> Any:
        """A column as an array of ``dtype``, or unchanged if `columnar`.  Values of null rows have no meaning."""
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if self.columnar:
            return array
        if not self.fixed:
            return object_array(to_objects(array))
        if self.small_decimal:
            return unscaled(array)
        if pa.types.is_temporal(array.type):
            array = array.view(self.arrow)
        if array.null_count:
            array = array.fill_null(False if self.sql == t.BOOLEAN else 0)
        return np.asarray(array.to_numpy(zero_copy_only=False), self.dtype)

    def objects(self, array: Any) -> list[Any]:
        """A column as Python values of the type ``arrow``, with None for null, see `to_objects`."""
        if self.small_decimal:
            array = pa.array(self.decode(array), mask=mask_of_nulls(array))
        return to_objects(array)

    def from_objects(self, values: list[Any]) -> Any:
        """Make a column of values in the form of `objects`."""
        if not self.small_decimal:
            return from_objects(values, self.result)
        array = pa.array(values, self.arrow)
        return from_unscaled(array.fill_null(0).to_numpy(), self.result, mask_of_nulls(array) if array.null_count else None)

    def lists(self, values: list[list[Any]]) -> Any:
        """Make an ARRAY column of lists of values in the form of `objects`."""
        offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
        return list_array(pa.array(offsets), self.from_objects(list(chain.from_iterable(values))))

    def encode(self, values: Any, present: Bools) -> Any:
        """Make a column of values in the form of `decode`, null where they are not present."""
        if self.columnar:
            return values if present.all() else take(values, np.where(present, np.arange(len(values)), -1))
        if not self.fixed:
            return from_objects([v if p else None for v, p in zip(values.tolist(), present.tolist())], self.result)
        mask = None if present.all() else ~present
        if self.small_decimal:
            return from_unscaled(values, self.result, mask)
        array = pa.array(values, mask=mask)
        return array.view(self.result) if pa.types.is_temporal(self.result) else array


def unscaled(array: Any) -> npt.NDArray[np.int64]:
    """The digits of a decimal128 column of at most 18 digits, as int64.  (Its low words hold all digits.)"""
    words = np.frombuffer(array.buffers()[1], np.int64)
    values: npt.NDArray[np.int64] = words[2 * array.offset : 2 * (array.offset + len(array)) : 2]
    return values


def from_unscaled(values: npt.NDArray[np.int64], type_: pa.DataType, mask: Bools | None = None) -> Any:
    """The inverse of `unscaled`; null where ``mask`` is true."""
    words = np.empty(2 * len(values), np.int64)
    words[0::2] = values
    words[1::2] = values >> 63
    validity = None if mask is None else pa.array(~mask).buffers()[1]
    return pa.Array.from_buffers(type_, len(values), [validity, pa.py_buffer(words.data)])
