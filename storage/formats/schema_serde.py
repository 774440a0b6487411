"""What AVRO, PROTOBUF and JSON_SR share: records that begin with the id of their schema.

A record is the byte ``00``, the id as 4 bytes (big endian), then the encoded value (Confluent's wire format).  A record is
read with the schema that it was written with, and its values are promoted to the columns' types (`coercion`).  Records are
written with one schema: a fixed one of the registry, or the one that follows from the columns, which is registered under the
topic's subject.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import DataError, StatementError
from ..schemas.checks import refusing_what_is_malformed
from ..schemas.registry import SchemaRegistry, SchemaText
from .base import Decoded, Encoded, Malformed, SerdeOptions
from .values import binary_array, binary_parts, decode_rows, encode_rows, nulls_of, row_count

Int64s = npt.NDArray[np.int64]

HEADER_BYTES = 5
"""The length of the magic byte and the id."""

ReadRow = Callable[[memoryview], Sequence[Any] | None]
"""Turns the bytes after a record's header into values; None for null.  Raises `ValueError`."""

ReadColumns = Callable[[npt.NDArray[np.uint8], Int64s, Int64s], tuple[list[Any], npt.NDArray[np.bool_]] | None]
"""Turns content, and the begins and ends of the records in it, into columns and the rows that must be read one by one."""

WriteColumns = Callable[[Sequence[Any]], Any | None]
"""Turns columns into binary[n], with headers; None if rows must be written one by one."""

COLUMNWISE_ROWS_MIN = 32
"""With fewer rows, reading and writing row by row is faster."""

WriteRow = Callable[[tuple[Any, ...]], bytes | None]
"""Turns the values of a row into the bytes after the header; None for null.  Raises `ValueError`."""


def subject_of(topic: str, is_key: bool) -> str:
    """The registry's subject of a topic's keys or values."""
    return f"{topic}-{'key' if is_key else 'value'}"


def written_schema_id(registry: SchemaRegistry, options: SerdeOptions, schema_of: Callable[[], SchemaText]) -> int:
    """The id of the schema with which records are written.  The schema is registered, unless ``options`` fix its id.

    Raises:
        StatementError: the registry refuses it, or ``schema_of`` does.
    """
    if options.schema_id is not None:
        return options.schema_id
    return registry.register(subject_of(options.topic, options.is_key), schema_of())


def header(schema_id: int) -> bytes:
    """The bytes before a value that is written with this schema."""
    return b"\x00" + schema_id.to_bytes(4, "big")


def split_header(blob: bytes) -> tuple[int, memoryview]:
    """The schema's id, and the bytes after the header.

    Raises:
        ValueError: the record has no header.
    """
    if len(blob) < HEADER_BYTES:
        raise ValueError(f"{len(blob)} bytes are too few for a schema id")
    if blob[0] != 0:
        raise ValueError(f"the record begins with byte {blob[0]}, not with 0 and a schema id")
    return int.from_bytes(blob[1:HEADER_BYTES], "big"), memoryview(blob)[HEADER_BYTES:]


class SchemaSerde(ABC):
    """A format whose records carry the id of their schema.  Subclasses define the rest of the bytes.

    Args:
        wrap: whether a single column is inside a record.
    """

    type = ""
    """The registry's name of the format's schemas."""

    def __init__(self, registry: SchemaRegistry, options: SerdeOptions, wrap: bool) -> None:
        self._registry = registry
        self._options = options
        self._wrap = wrap
        self._readers: dict[int, ReadRow] = {}
        self._column_readers: dict[int, ReadColumns | None] = {}
        self._read_schema: pa.Schema | None = None
        self._writer: tuple[pa.Schema, bytes, WriteRow, WriteColumns | None] | None = None

    @abstractmethod
    def schema_of(self, schema: pa.Schema) -> SchemaText:
        """The schema for the columns.

        Raises:
            StatementError: this format cannot express them.
        """

    @abstractmethod
    def reader(self, written: SchemaText, schema: pa.Schema) -> ReadRow:
        """A function that reads records of a schema as columns, one by one.

        Raises:
            ValueError: schema and columns do not go together.
        """

    @abstractmethod
    def writer(self, written: SchemaText, schema: pa.Schema) -> WriteRow:
        """A function that writes columns as records of a schema, one by one.

        Raises:
            StatementError: schema and columns do not go together.
        """

    def wrapped(self, schema: pa.Schema) -> bool:
        """Whether the columns are inside a record."""
        return self._wrap or len(schema) != 1

    def register(self, schema: pa.Schema) -> int:
        """The id of the schema with which records of these columns are written; it is registered unless it is fixed.

        Raises:
            StatementError: the registry refuses it.
        """
        return written_schema_id(self._registry, self._options, partial(self.schema_of, schema))

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`."""
        if self._read_schema is None or not self._read_schema.equals(schema):
            self._read_schema, self._readers, self._column_readers = schema, {}, {}
        # An unknown schema may be registered later, so what is wrong with one holds for this batch only.
        unreadable: dict[int, str] = {}

        def decode_one(blob: bytes) -> Sequence[Any] | None:
            schema_id, rest = split_header(blob)
            read = self._readers.get(schema_id)
            if read is None:
                if schema_id in unreadable:
                    raise ValueError(unreadable[schema_id])
                try:
                    read = self._readers[schema_id] = self._reader_of(schema_id, schema)
                except (ValueError, RecursionError) as error:
                    unreadable[schema_id] = str(error)
                    raise
            try:
                return read(rest)
            except StatementError as error:  # of a part of the schema that is looked at when a record has it
                raise ValueError(error.message) from None

        array = binary_array(data)
        fast = self._read_columns(array, schema) if len(array) >= COLUMNWISE_ROWS_MIN else None
        if fast is None:
            return decode_rows(array.to_pylist(), schema, decode_one)
        columns, rest = fast
        if not len(rest):
            return Decoded(columns, None, None)
        slow = decode_rows(array.take(pa.array(rest)).to_pylist(), schema, decode_one)
        nulls = None
        if slow.nulls is not None:
            nulls = np.zeros(len(array), np.bool_)
            nulls[rest] = slow.nulls
        bad = None if slow.malformed is None else Malformed(rest[slow.malformed.rows], slow.malformed.reasons)
        place = np.arange(len(array))
        place[rest] = len(array) + np.arange(len(rest))
        index = pa.array(place)
        merged = tuple(pa.concat_arrays([a, b]).take(index) for a, b in zip(columns, slow.columns, strict=True))
        return Decoded(merged, nulls, bad)

    def _read_columns(self, array: Any, schema: pa.Schema) -> tuple[tuple[Any, ...], Int64s] | None:
        """The columns of records that have the schema id of most of them, and the rows that must be read one by one."""
        starts, content = binary_parts(array)
        begins, ends = starts[:-1].astype(np.int64), starts[1:].astype(np.int64)
        whole = ends - begins > HEADER_BYTES
        if array.null_count:
            whole &= np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        first = int(whole.argmax())
        if not whole[first]:
            return None
        prefix = content[begins[first] : begins[first] + HEADER_BYTES]
        if prefix[0] != 0:
            return None
        for place, byte in enumerate(prefix):
            whole &= content[np.minimum(begins + place, len(content) - 1)] == byte
        schema_id = int.from_bytes(prefix.tobytes()[1:], "big")
        if schema_id not in self._column_readers:
            try:
                written = self._registry.by_id(schema_id)
                with refusing_what_is_malformed(written.type, reading=True):
                    read = self.column_reader(written, schema) if written.type == self.type else None
            except (DataError, StatementError, ValueError, RecursionError):
                return None  # the rows say so, one by one
            self._column_readers[schema_id] = read
        read = self._column_readers[schema_id]
        if read is None:
            return None
        found = read(content, np.where(whole, begins + HEADER_BYTES, 0), np.where(whole, ends, 0))
        if found is None:
            return None
        columns, odd = found
        return tuple(columns), np.flatnonzero(odd | ~whole)

    def column_reader(self, written: SchemaText, schema: pa.Schema) -> ReadColumns | None:
        """A function that reads many records of a schema at once; None if there is none.  Raises as `reader` does."""
        return None

    def column_writer(self, written: SchemaText, schema: pa.Schema, prefix: bytes) -> WriteColumns | None:
        """A function that writes many records at once; None if there is none.  Raises as `writer` does."""
        return None

    def _reader_of(self, schema_id: int, schema: pa.Schema) -> ReadRow:
        """What reads records of a schema id.

        Raises:
            ValueError: there is no such schema, or it and the columns do not go together.
            StorageError: the registry does not answer; the record may be sound, so nobody may skip it.
        """
        try:
            written = self._registry.by_id(schema_id)
            if written.type != self.type:
                raise ValueError(f"schema id {schema_id} is of type {written.type}, not {self.type}")
            with refusing_what_is_malformed(written.type, reading=True):
                return self.reader(written, schema)
        except DataError as error:
            raise ValueError(str(error)) from None
        except StatementError as error:
            raise ValueError(error.message) from None

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`.  Unwrapped, a null column is a null record."""
        if self._writer is None or not self._writer[0].equals(schema):
            schema_id = self.register(schema)
            written, first = self._registry.by_id(schema_id), header(schema_id)
            with refusing_what_is_malformed(written.type):
                write, write_columns = self.writer(written, schema), self.column_writer(written, schema, first)
            self._writer = (schema, first, write, write_columns)
        _, prefix, write, write_columns = self._writer
        if write_columns is not None and absent is None and len(columns) and len(columns[0]) >= COLUMNWISE_ROWS_MIN:
            data = write_columns(columns)
            if data is not None:
                return Encoded(data, None)

        def encode_one(row: tuple[Any, ...]) -> bytes | None:
            rest = write(row)
            return None if rest is None else prefix + rest

        if not self.wrapped(schema):
            null = nulls_of(columns[0])
            absent = null if absent is None else absent | null
        return encode_rows(columns, absent, row_count(columns, absent), encode_one)
