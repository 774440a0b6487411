"""NONE: no columns.  The content of records is ignored, and null is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .base import Decoded, Encoded
from .values import row_count


class NoneSerde:
    """The NONE format: decodes any bytes to no columns, encodes to null (``absent`` gives the number of rows)."""

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`."""
        null = np.ones(len(data), np.bool_)
        return Decoded(tuple(pa.nulls(len(data), field.type) for field in schema), null if len(data) else None, None)

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`."""
        return Encoded(pa.nulls(row_count(columns, absent), pa.binary()), None)
