"""Avro records of plain fields, decoded and encoded for all records of a batch at once.

A plain field is null, boolean, int, long, float, double, bytes or string, or a union of null and one of these.  A record
of plain fields has no nesting, so all records of a batch are walked together, field by field, with an array of the
positions at which each record's next field begins.  Rows with anything unusual (a length beyond the end, a varint that is
too long, an unknown branch) are not judged here: they are returned, and the caller reads them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels import texts, varints
from .values import binary_array, binary_parts

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

_ARROW: Final[dict[str, Any]] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_LOGICAL: Final[dict[tuple[str, str], Any]] = {
    ("int", "date"): pa.date32(),
    ("long", "timestamp-millis"): pa.timestamp("ms"),
}
_JUDGED_ONE_BY_ONE: Final = ("decimal", "time-millis")
"""Logical types whose values need more than their bytes."""
_VARINT_BYTES_MAX: Final = 10
_PADDING: Final = 16
"""Bytes added after the last record, so that reading its last field never goes beyond the buffer."""


@dataclass(frozen=True, slots=True)
class PlainField:
    """A plain field of a record.

    Attributes:
        kind: its primitive type.
        null: the place of null in its union; None if the field is not a union.
        type: its Arrow type.
    """

    name: str
    kind: str
    null: int | None
    type: Any


def plain_fields(schema: Any) -> list[PlainField] | None:
    """The fields of a record schema; None if it is no record, or one of its fields is not plain."""
    if not isinstance(schema, dict) or schema.get("type") != "record" or not schema["fields"]:
        return None
    fields = []
    for field in schema["fields"]:
        kind: Any = field["type"]
        null = None
        if isinstance(kind, list):
            if len(kind) != 2 or kind.count("null") != 1:
                return None
            null = kind.index("null")
            kind = kind[1 - null]
        logical = ""
        if isinstance(kind, dict):
            kind, logical = kind.get("type"), kind.get("logicalType", "")
        if not isinstance(kind, str) or kind not in _ARROW or logical in _JUDGED_ONE_BY_ONE:
            return None
        fields.append(PlainField(field["name"], kind, null, _LOGICAL.get((kind, logical), _ARROW[kind])))
    return fields


def readable(fields: Sequence[PlainField], wanted: pa.Schema) -> bool:
    """Whether each wanted column has a field of the same name and type, so that no value has to be converted."""
    types = {field.name: field.type for field in fields}
    return len(types) == len(fields) and all(types.get(column.name) == column.type for column in wanted)


def source_fields(fields: Sequence[PlainField], wanted: pa.Schema) -> list[str | None] | None:
    """The field from which each wanted column is read: the one with its exact name, else with its name in any case, else
    None.

    None as a whole if one field would be read for two columns.
    """
    exact = {field.name for field in fields}
    upper = {field.name.upper(): field.name for field in reversed(fields)}
    names = [column.name if column.name in exact else upper.get(column.name.upper()) for column in wanted]
    known = [name for name in names if name is not None]
    return names if len(set(known)) == len(known) else None


def writable(fields: Sequence[PlainField], columns: pa.Schema) -> bool:
    """Whether the columns are exactly the record's fields, in its types."""
    types = {column.name: column.type for column in columns}
    return (
        len(types) == len(columns) == len(fields)
        and all(field.kind != "float" for field in fields)
        and all(types.get(field.name) == field.type for field in fields)
    )


def read_columns(
    fields: Sequence[PlainField], wanted: pa.Schema, content: Bytes, begins: Int64s, ends: Int64s
) -> tuple[list[Any], Bools] | None:
    """Decode the wanted columns of the records at ``content[begins:ends]``.

    Returns:
        the columns, and bool[n] for rows that must be read one by one.  None if that is so for all rows (for example if a
        text is not UTF-8).
    """
    data = np.concatenate((content, np.zeros(_PADDING, np.uint8)))
    at = begins.astype(np.int64)
    odd = at >= ends
    at = np.where(odd, ends, at)
    found: dict[str, Any] = {}
    for field in fields:
        null = np.zeros(len(at), np.bool_)
        if field.null is not None:
            branch = data[at]
            null = branch == 2 * field.null
            odd |= ~null & (branch != 2 * (1 - field.null))
            at = at + 1
        array, at = _read(field.kind, data, at, ends, null, odd, field.name in wanted.names)
        over = at > ends
        odd |= over
        at = np.where(over, ends, at)
        if array is not None:
            found[field.name] = array if array.type == field.type else array.view(field.type)
    columns = [found[column.name] for column in wanted]
    try:
        for array in found.values():
            array.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return columns, odd


def _read(
    kind: str, data: Bytes, at: Int64s, ends: Int64s, null: Bools, odd: Bools, wanted: bool
) -> tuple[Any | None, Int64s]:
    """A field's values (None if they are not wanted) and where the next field begins; marks odd rows."""
    mask = null if null.any() else None
    if kind in ("double", "float"):
        width = 8 if kind == "double" else 4
        at = np.minimum(at, len(data) - width)
        values = np.ndarray((len(data) - width + 1,), f"<f{width}", data, 0, (1,))[at].astype(np.float64)
        return pa.array(values, mask=mask, from_pandas=False) if wanted else None, at + np.where(null, 0, width)
    if kind == "boolean":
        bits = data[at]
        odd |= ~null & (bits > 1)
        return pa.array(bits == 1, mask=mask) if wanted else None, at + ~null
    numbers, at = varints.read(data, at, null, odd)
    if kind == "long":
        return pa.array(numbers, mask=mask) if wanted else None, at
    if kind == "int":
        odd |= (numbers < -(1 << 31)) | (numbers >= 1 << 31)
        return pa.array(numbers.astype(np.int32), mask=mask) if wanted else None, at
    lengths = numbers
    wrong = (lengths < 0) | (lengths > ends - at)
    odd |= wrong
    lengths = np.where(wrong, 0, lengths)
    array = None
    if wanted or kind == "string":  # A text that nobody wants must be UTF-8 all the same.
        bounds = texts.offsets_of(lengths)
        text = texts.gather(data, at, bounds)
        validity = None if mask is None else pa.py_buffer(np.packbits(~mask, bitorder="little").data)
        buffers = [validity, pa.py_buffer(bounds.astype(np.int32).data), pa.py_buffer(text.data)]
        array = pa.Array.from_buffers(_ARROW[kind], len(at), buffers)
    return array, at + lengths


# --- writing -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Piece:
    """The bytes that one field adds to each record.  Rows where ``null`` is set add the branch only."""

    field: PlainField
    null: Bools
    sizes: Int64s
    numbers: npt.NDArray[np.uint64] | None = None
    widths: Int64s | None = None
    content: Bytes | None = None
    begins: Int64s | None = None
    lengths: Int64s | None = None


def write_columns(fields: Sequence[PlainField], columns: Sequence[Any], names: Sequence[str], header: bytes) -> Any | None:
    """binary[n]: the records, each after ``header``.  None if a column has a null that its field cannot hold."""
    by_name = dict(zip(names, columns, strict=True))
    count = len(columns[0])
    pieces = []
    for field in fields:
        piece = _piece(field, by_name[field.name])
        if piece is None:
            return None
        pieces.append(piece)
    sizes = np.full(count, len(header), np.int64)
    for piece in pieces:
        sizes += piece.sizes
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    if bounds[-1] >= 1 << 31:
        return None
    out = np.empty(int(bounds[-1]), np.uint8)
    at = bounds[:-1].copy()
    for byte in header:
        out[at] = byte
        at += 1
    for piece in pieces:
        _put(out, at, piece)
        at += piece.sizes
    return pa.Array.from_buffers(
        pa.binary(), count, [None, pa.py_buffer(bounds.astype(np.int32).data), pa.py_buffer(out.data)]
    )


def _piece(field: PlainField, column: Any) -> _Piece | None:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    null = np.zeros(len(array), np.bool_)
    if array.null_count:
        if field.null is None:
            return None
        null = np.asarray(array.is_null().to_numpy(zero_copy_only=False), np.bool_)
    branch = 0 if field.null is None else 1
    if field.kind == "double":
        values = np.ascontiguousarray(array.fill_null(0).to_numpy(zero_copy_only=False), "<f8")
        return _fixed(field, null, branch, values.view(np.uint8), 8)
    if field.kind == "boolean":
        bits = np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), np.uint8)
        return _fixed(field, null, branch, bits, 1)
    if field.kind in ("int", "long"):
        stored = array.view(_ARROW[field.kind])
        signed = np.asarray(stored.fill_null(0).to_numpy(zero_copy_only=False), np.int64)
        numbers, widths = _zigzag(signed, null)
        return _Piece(field, null, branch + widths, numbers, widths)
    offsets, content = binary_parts(binary_array(array))
    begins, lengths = offsets[:-1].astype(np.int64), np.where(null, 0, np.diff(offsets)).astype(np.int64)
    numbers, widths = _zigzag(lengths, null)
    return _Piece(field, null, branch + widths + lengths, numbers, widths, content, begins, lengths)


def _fixed(field: PlainField, null: Bools, branch: int, content: Bytes, width: int) -> _Piece:
    """A field whose values have ``width`` bytes each; ``content`` holds also those of rows where it is null."""
    begins, lengths = np.arange(len(null), dtype=np.int64) * width, np.where(null, 0, width).astype(np.int64)
    return _Piece(field, null, branch + lengths, content=content, begins=begins, lengths=lengths)


def _zigzag(signed: Int64s, null: Bools) -> tuple[npt.NDArray[np.uint64], Int64s]:
    """Zigzag numbers and how many bytes each takes (0 where ``null``)."""
    numbers = ((signed << 1) ^ (signed >> 63)).view(np.uint64)
    widths = np.ones(len(signed), np.int64)
    largest = int(numbers.max(initial=0))
    for place in range(1, _VARINT_BYTES_MAX):
        if largest < 1 << (7 * place):
            break
        widths += numbers >= np.uint64(1 << (7 * place))
    widths[null] = 0
    return numbers, widths


def _put(out: Bytes, at: Int64s, piece: _Piece) -> None:
    """Write a field of all records, each at its place."""
    if piece.field.null is not None:
        out[at] = np.where(piece.null, 2 * piece.field.null, 2 * (1 - piece.field.null))
        at = at + 1
    if piece.numbers is not None and piece.widths is not None:
        varints.write(piece.numbers, piece.widths, at, out)
        at = at + piece.widths
    if piece.content is not None:
        assert piece.begins is not None and piece.lengths is not None
        texts.put(piece.content, piece.begins, piece.lengths, at, out)
