"""JSON: one document per record.

A value's columns are the fields of an object; unwrapped, the document is the one column.  ``null`` and a document of
blanks only mean null.  `json_reader` defines what values mean, `json_writer` how they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.json_rows import objects_to_columns
from .base import Decoded, Encoded
from .json_reader import parse_json, reader, struct_reader
from .json_shapes import REFUSED, ShapeDecoder
from .json_writer import json_column, json_objects
from .values import (
    BadValue,
    binary_array,
    binary_parts,
    columns_of,
    decode_rows,
    from_rows,
    malformed,
    nulls_of,
    or_none,
    row_count,
    without,
)

_BLOCK_ROWS = 2_048
"""Rows decoded at once.  An odd record slows down only its block, and the fixed cost of a block is a few microseconds."""

_PLAIN_ROWS = 32_768
"""Rows of plain objects per call of the compiled reader, and then per block."""

_PLAIN_ROWS_MIN = 64
"""If an odd record comes within fewer rows than this, the compiled reader is not worth a block of its own."""

_ROOM, _ROOM_BYTES_MIN = 1.25, 4_096
"""Room for texts, as a multiple of what they took before; where it does not do, the rest comes in another block."""

_SHAPES_MAX = 8
"""Shapes kept per serde.  Producers of one topic differ little, and searching many shapes would cost more than it saves."""


class JsonSerde:
    """The JSON format.

    Args:
        wrap: whether a single column is inside an object; several columns always are.
    """

    def __init__(self, wrap: bool = True) -> None:
        self._wrap = wrap
        self._schema: pa.Schema | None = None
        self._shapes: list[ShapeDecoder] = []
        self._shape_budget = 0
        self._octets_per_row: dict[int, float] = {}
        """Of columns of texts, as they were last seen."""

    def _wrapped(self, schema: pa.Schema) -> bool:
        return self._wrap or len(schema) != 1

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`."""
        return self.decode_some(data, schema, range(len(schema)))

    def decode_some(self, data: Any, schema: pa.Schema, wanted: Sequence[int]) -> Decoded:
        """See `SomeSerde.decode_some`."""
        pieces = data.chunks if isinstance(data, pa.ChunkedArray) else [data]
        if self._schema is None or not self._schema.equals(schema):
            self._schema, self._shapes, self._shape_budget = schema, [], _SHAPES_MAX
            self._octets_per_row = {}
        blocks: list[Decoded] = []
        starts = [0]
        for piece in map(binary_array, pieces):
            done = 0
            while done < len(piece):
                plain = piece.slice(done, _PLAIN_ROWS if done else None)
                rows, block = self._plain_objects(plain, schema, wanted)
                if block is None:
                    rest = piece.slice(done, _BLOCK_ROWS)
                    rows, block = len(rest), self._decode_block(rest, schema)
                    block = block._replace(columns=tuple(block.columns[column] for column in wanted))
                blocks.append(block)
                starts.append(starts[-1] + rows)
                done += rows
        if len(blocks) == 1:
            return blocks[0]
        if not blocks:
            return Decoded(tuple(pa.array([], schema.field(column).type) for column in wanted), None, None)
        null = np.zeros(starts[-1], np.bool_)
        reasons: dict[int, str] = {}
        for block, start, stop in zip(blocks, starts, starts[1:]):
            if block.nulls is not None:
                null[start:stop] = block.nulls
            if block.malformed is not None:
                reasons.update(
                    (int(row) + start, reason) for row, reason in zip(block.malformed.rows, block.malformed.reasons)
                )
        columns = tuple(pa.concat_arrays([block.columns[c] for block in blocks]) for c in range(len(wanted)))
        return Decoded(columns, or_none(null), malformed(reasons))

    def _plain_objects(self, array: Any, schema: pa.Schema, wanted: Sequence[int]) -> tuple[int, Decoded | None]:
        """The first records, as many as are plain objects of a known shape: how many, and None if they are few."""
        shape = next((shape for shape in self._shapes if shape.plain is not None), None)
        if shape is None or shape.plain is None or array.null_count:
            return 0, None
        place = {column: number for number, column in enumerate(wanted)}
        keys = {
            key: None if column is None else (schema.field(column).type, place.get(column))
            for key, column in shape.plain.items()
        }
        types = [schema.field(column).type for column in wanted]
        rows, columns = objects_to_columns(array, keys, types, self._rooms(len(array), wanted, types))
        if rows < min(_PLAIN_ROWS_MIN, len(array)):
            return 0, None
        for column, made in zip(wanted, columns, strict=True):
            if pa.types.is_string(made.type):
                self._octets_per_row[column] = made.nbytes / rows
        return rows, Decoded(tuple(columns), None, None)

    def _rooms(self, rows: int, wanted: Sequence[int], types: Sequence[Any]) -> list[int] | None:
        """How many bytes texts are likely to have, by column: memory that nobody has touched yet is dear."""
        if any(pa.types.is_string(t) and c not in self._octets_per_row for c, t in zip(wanted, types, strict=True)):
            return None
        return [_ROOM_BYTES_MIN + int(rows * self._octets_per_row.get(column, 0) * _ROOM) for column in wanted]

    def decode_slow(self, data: Any, schema: pa.Schema) -> Decoded:
        """Decode record by record.  This is the definition; `decode` gives the same, faster."""
        return decode_rows(binary_array(data).to_pylist(), schema, self._row_reader(schema))

    def _row_reader(self, schema: pa.Schema) -> Any:
        if self._wrapped(schema):
            read_object = struct_reader(schema)

            def read_row(blob: bytes) -> list[Any] | None:
                document = parse_json(blob)
                return None if document is None else list(read_object(document).values())
        else:
            read_value = reader(schema.field(0).type)

            def read_row(blob: bytes) -> list[Any] | None:
                document = parse_json(blob)
                return None if document is None else [read_value(document)]

        return read_row

    def _decode_block(self, array: Any, schema: pa.Schema) -> Decoded:
        """One block: all records by the newest shape that takes them, or record by record."""
        try:
            array.cast(pa.string())
        except pa.ArrowInvalid:
            return self.decode_slow(array, schema)  # msgspec does not check the encoding of what it skips
        lines = _lines(array) if self._wrapped(schema) else None
        blobs: list[bytes | None] | None = None if lines is not None else array.to_pylist()
        tried = 0
        while True:
            for shape in self._shapes[: len(self._shapes) - tried]:
                columns = _by_shape(shape, lines, blobs, len(array), schema)
                if columns is not None:
                    return columns
            tried = len(self._shapes)
            given = array.to_pylist() if blobs is None else blobs
            blobs = given
            if not self._learn(given, schema):
                return self._by_record(given, schema)

    def _learn(self, blobs: Sequence[bytes | None], schema: pa.Schema) -> bool:
        """Make a shape of the first record that no shape takes; False if there is none, or no more are wanted."""
        if self._shape_budget == 0:
            return False
        for blob in blobs:
            if blob is None or self._taken(blob) is not None:
                continue
            self._shape_budget -= 1
            try:
                sample = parse_json(blob)
                if sample is None:
                    return False
                shape = ShapeDecoder(schema, self._wrapped(schema), sample)
                shape.columns([shape.decode(blob)])
            except (TypeError, *REFUSED):
                return False
            self._shapes.insert(0, shape)
            return True
        return False

    def _taken(self, blob: bytes) -> tuple[Any, ...] | None:
        """The row by the first shape that takes the record; an empty one for JSON's null."""
        for shape in self._shapes:
            try:
                record = shape.decode(blob)
                return () if record is None else tuple(column[0] for column in shape.columns([record]))
            except REFUSED:
                continue
        return None

    def _by_record(self, blobs: Sequence[bytes | None], schema: pa.Schema) -> Decoded:
        """Each record by a shape that takes it, else by the rule."""
        slow = self._row_reader(schema)
        blank: tuple[Any, ...] = (None,) * len(schema)
        rows: list[Sequence[Any]] = [blank] * len(blobs)
        null = np.zeros(len(blobs), np.bool_)
        reasons: dict[int, str] = {}
        for i, blob in enumerate(blobs):
            row: Sequence[Any] | None = None
            if blob is not None:
                row = self._taken(blob)
                if row is None:
                    try:
                        row = slow(blob)
                    except BadValue as error:
                        reasons[i] = str(error)
                        continue
            if row is None or (len(row) == 0 and len(schema)):
                null[i] = True
            else:
                rows[i] = row
        return Decoded(columns_of(rows, schema, reasons), or_none(null), malformed(reasons))

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`.  Unwrapped, a null column is a null record."""
        if self._wrapped(schema):
            texts = json_objects([field.name for field in schema], columns, row_count(columns, absent))
        else:
            texts = json_column(columns[0])
            null = nulls_of(columns[0])
            absent = null if absent is None else absent | null
        return Encoded(without(texts.cast(pa.binary()), absent), None)


def _lines(array: Any) -> Any:
    """The records joined by line ends, or None unless this keeps them apart.

    It does if every record begins with ``{`` and ends with ``}`` and none holds a line end: a line end cannot stand in a
    JSON text, and ``}`` is followed by ``{`` only between two documents.  So each join is a border of documents, and as many
    documents as records means one in each.
    """
    if array.null_count or len(array) == 0:
        return None
    offsets, content = binary_parts(array)
    content = content[: offsets[-1]]
    if (np.diff(offsets) < 2).any():
        return None
    if (content[offsets[:-1]] != 0x7B).any() or (content[offsets[1:] - 1] != 0x7D).any():
        return None
    if (content[offsets[0] :] == 0x0A).any():
        return None
    whole = pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array)
    return cast("pa.Array[Any]", pc.binary_join(whole, b"\n"))[0].as_buffer()


def _by_shape(
    shape: ShapeDecoder, lines: Any, blobs: Sequence[bytes | None] | None, count: int, schema: pa.Schema
) -> Decoded | None:
    """A block whose records the shape takes all, else None."""
    null = np.zeros(count, np.bool_)
    try:
        if lines is not None:
            records = shape.decode_lines(lines)
            if len(records) != count:
                return None
            values = shape.columns(records)
        else:
            assert blobs is not None
            found = [None if blob is None else shape.decode(blob) for blob in blobs]
            null = np.fromiter((record is None for record in found), np.bool_, count)
            values = shape.columns([record for record in found if record is not None])
        arrays = tuple(from_rows(column, field.type) for column, field in zip(values, schema))
    except (pa.ArrowException, OverflowError, TypeError, *REFUSED):
        return None
    if null.any():
        places = pa.array(np.cumsum(~null) - 1, mask=null)
        arrays = tuple(array.take(places) for array in arrays)
    return Decoded(arrays, or_none(null), None)
