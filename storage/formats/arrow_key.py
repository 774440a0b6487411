"""The keys of ARROW topics: KAFKA's encoding for a single primitive, JSON for everything else.

ARROW values are stored as columns and need no serde.  Keys are bytes in every topic, since they choose the partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .base import Decoded, Encoded, Serde
from .json import JsonSerde
from .kafka import KafkaSerde
from .traits import KAFKA_TYPES


class ArrowKeySerde:
    """The serde of ARROW keys."""

    def __init__(self) -> None:
        self._single = KafkaSerde()
        self._other = JsonSerde(wrap=False)

    def _serde(self, schema: pa.Schema) -> Serde:
        return (
            self._single if len(schema) == 0 or (len(schema) == 1 and schema.field(0).type in KAFKA_TYPES) else self._other
        )

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`."""
        return self._serde(schema).decode(data, schema)

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`."""
        return self._serde(schema).encode(columns, schema, absent)
