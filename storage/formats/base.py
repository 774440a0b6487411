"""The contract of value formats: bytes <-> Arrow columns, a batch at a time.

A format knows Arrow types only (they carry all of SQL's types).  A record that cannot be decoded fails as a whole, with
a reason; the others of its batch are not affected.  A null value (tombstone) decodes to nulls in every column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Malformed:
    """Records of a batch that could not be converted: int64 row numbers, ascending, and one reason each."""

    rows: npt.NDArray[np.int64]
    reasons: tuple[str, ...]


class Decoded(NamedTuple):
    """One array per field of the schema, as long as the input.  Malformed rows are null in all of them."""

    columns: tuple[Any, ...]
    nulls: npt.NDArray[np.bool_] | None
    """bool[n]: the record stands for null (null bytes, JSON ``null``, an empty payload where the format says so)."""
    malformed: Malformed | None


class Encoded(NamedTuple):
    """binary[n]; null where ``absent`` was set and where a row is malformed."""

    data: Any
    malformed: Malformed | None


class Serde(Protocol):
    """A format, set up for the key or the value of one source."""

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """binary[n] -> columns; ``schema`` may name fewer fields than the records hold."""
        ...

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """Columns -> binary[n]; ``absent`` marks rows that become null (tombstones, null keys)."""
        ...


@dataclass(frozen=True, slots=True)
class SerdeOptions:
    """What a statement says about the format of one side.

    Attributes:
        is_key: key or value.
        wrap: whether a single column stands inside an object; None is the format's default (keys bare, values wrapped).
        delimiter: DELIMITED's, one character.
        topic: for the schema registry's subject ``<topic>-key`` or ``<topic>-value``.
        schema_id: a fixed schema of the registry, or None.
        full_name: the record's full name (AVRO) or the message's (PROTOBUF), or None.
        properties: whatever else the format knows.
    """

    is_key: bool = False
    wrap: bool | None = None
    delimiter: str = ","
    topic: str = ""
    schema_id: int | None = None
    full_name: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
