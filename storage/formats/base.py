"""The contract of formats: bytes <-> Arrow columns, a batch at a time.

A format knows Arrow types only; each SQL type has one.  A record that cannot be decoded fails as a whole, with a reason,
and does not affect the other records of its batch.  A null value (tombstone) decodes to nulls in every column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Malformed:
    """Records of a batch that could not be converted.

    Attributes:
        rows: int64[k], ascending row numbers.
        reasons: one for each.
    """

    rows: npt.NDArray[np.int64]
    reasons: tuple[str, ...]


class Decoded(NamedTuple):
    """Decoded records.  ``columns`` has an array[n] per field of the schema; malformed rows are null in all of them."""

    columns: tuple[Any, ...]
    nulls: npt.NDArray[np.bool_] | None
    """bool[n]: the record stands for null (null bytes, JSON ``null``, an empty payload in some formats)."""
    malformed: Malformed | None


class Encoded(NamedTuple):
    """Encoded records: binary[n], null where ``absent`` was set and where a row is malformed."""

    data: Any
    malformed: Malformed | None


class Serde(Protocol):
    """A format, configured for the key or the value of one source."""

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """Decode binary[n] into columns.  ``schema`` may name fewer fields than the records have."""
        ...

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """Encode columns into binary[n].  Rows where ``absent`` is set (tombstones, null keys) become null."""
        ...


@runtime_checkable
class SomeSerde(Serde, Protocol):
    """A format that can decode some columns without the others."""

    def decode_some(self, data: Any, schema: pa.Schema, wanted: Sequence[int]) -> Decoded:
        """As `decode`, with columns only for these fields of the schema.  A fault in any other field counts all the same."""
        ...


def decode_columns(serde: Serde, data: Any, schema: pa.Schema, wanted: Sequence[int]) -> Decoded:
    """The columns of these fields; a record is malformed if it is so in any field of the schema."""
    if isinstance(serde, SomeSerde):
        return serde.decode_some(data, schema, wanted)
    decoded = serde.decode(data, schema)
    return decoded._replace(columns=tuple(decoded.columns[field] for field in wanted))


@dataclass(frozen=True, slots=True)
class SerdeOptions:
    """What a statement says about the format of a key or value.

    Attributes:
        is_key: key or value.
        wrap: whether a single column is inside an object; None is the format's default (keys bare, values wrapped).
        delimiter: DELIMITED's, one character.
        topic: gives the subjects ``<topic>-key`` and ``<topic>-value`` of the schema registry.
        schema_id: a fixed schema of the registry; None uses the subject's.
        full_name: the full name of the record (AVRO) or of the message (PROTOBUF); None is the default name.
        properties: further options of the format.
    """

    is_key: bool = False
    wrap: bool | None = None
    delimiter: str = ","
    topic: str = ""
    schema_id: int | None = None
    full_name: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
