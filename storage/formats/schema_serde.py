"""What the formats of the schema registry share: records that begin with a schema's id.

A record is ``00``, the id as 4 bytes (big endian), then what the format makes of the value (Confluent's wire format).
Records are read with the schema they were written with, whatever it is by now; its values are promoted to the columns'
types (`coercion`).  Records are written with one schema: a fixed one of the registry, or the one that the columns give,
which is registered under the topic's subject.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import DataError, StatementError
from .base import Decoded, Encoded, SerdeOptions
from .schema_registry import SchemaRegistry, SchemaText
from .values import binary_array, decode_rows, encode_rows, nulls_of, row_count

HEADER_BYTES = 5
"""The magic byte and the id."""

ReadRow = Callable[[memoryview], Sequence[Any] | None]
"""What follows a record's header -> values of rows; None for null; raises `ValueError`."""

WriteRow = Callable[[tuple[Any, ...]], bytes | None]
"""Values of rows -> what follows the header; None for null; raises `ValueError`."""


def subject_of(topic: str, is_key: bool) -> str:
    """The subject of a topic's keys or values."""
    return f"{topic}-{'key' if is_key else 'value'}"


def header(schema_id: int) -> bytes:
    """The bytes before a value written with that schema."""
    return b"\x00" + schema_id.to_bytes(4, "big")


def split_header(blob: bytes) -> tuple[int, memoryview]:
    """The schema's id and what follows the header.

    Raises:
        ValueError: the record has none.
    """
    if len(blob) < HEADER_BYTES:
        raise ValueError(f"{len(blob)} bytes are too few for a schema id")
    if blob[0] != 0:
        raise ValueError(f"the record begins with byte {blob[0]}, not with 0 and a schema id")
    return int.from_bytes(blob[1:HEADER_BYTES], "big"), memoryview(blob)[HEADER_BYTES:]


class SchemaSerde(ABC):
    """A format whose records carry the id of their schema; subclasses say what the rest of the bytes is.

    Args:
        wrap: whether a single column stands inside a record.
    """

    type = ""
    """The registry's name of the format's schemas."""

    def __init__(self, registry: SchemaRegistry, options: SerdeOptions, wrap: bool) -> None:
        self._registry = registry
        self._options = options
        self._wrap = wrap
        self._readers: dict[int, ReadRow] = {}
        self._read_schema: pa.Schema | None = None
        self._writer: tuple[pa.Schema, bytes, WriteRow] | None = None

    @abstractmethod
    def schema_of(self, schema: pa.Schema) -> SchemaText:
        """The schema that the columns give.

        Raises:
            StatementError: they cannot be expressed in this format.
        """

    @abstractmethod
    def reader(self, written: SchemaText, schema: pa.Schema) -> ReadRow:
        """What reads records of a schema as columns.

        Raises:
            ValueError: they do not go together.
        """

    @abstractmethod
    def writer(self, written: SchemaText, schema: pa.Schema) -> WriteRow:
        """What writes columns as records of a schema.

        Raises:
            StatementError: they do not go together.
        """

    def wrapped(self, schema: pa.Schema) -> bool:
        """Whether the columns stand inside a record."""
        return self._wrap or len(schema) != 1

    def register(self, schema: pa.Schema) -> int:
        """The id of the schema that records with these columns are written with; registered if it is not fixed.

        Raises:
            StatementError: the registry does not take it.
        """
        if self._options.schema_id is not None:
            return self._options.schema_id
        subject = subject_of(self._options.topic, self._options.is_key)
        return self._registry.register(subject, self.schema_of(schema))

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`."""
        if self._read_schema is None or not self._read_schema.equals(schema):
            self._read_schema, self._readers = schema, {}
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
            return read(rest)

        return decode_rows(binary_array(data).to_pylist(), schema, decode_one)

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
            return self.reader(written, schema)
        except DataError as error:
            raise ValueError(str(error)) from None
        except StatementError as error:
            raise ValueError(error.message) from None

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`.  Unwrapped, a null column is a null record."""
        if self._writer is None or not self._writer[0].equals(schema):
            schema_id = self.register(schema)
            self._writer = (schema, header(schema_id), self.writer(self._registry.by_id(schema_id), schema))
        _, prefix, write = self._writer

        def encode_one(row: tuple[Any, ...]) -> bytes | None:
            rest = write(row)
            return None if rest is None else prefix + rest

        if not self.wrapped(schema):
            null = nulls_of(columns[0])
            absent = null if absent is None else absent | null
        return encode_rows(columns, absent, row_count(columns, absent), encode_one)
