"""JSON_SR: a JSON document after the header with the id of its JSON Schema.

Documents are read as in JSON (`json_reader`), whatever their schema says.  The schema serves other readers and inference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..schemas.defaults import field_defaults
from ..schemas.json import json_schema
from ..schemas.registry import SchemaRegistry, SchemaText
from .base import Decoded, Encoded, SerdeOptions
from .json import JsonSerde
from .json_writer import json_column, objects_of_texts
from .schema_serde import HEADER_BYTES, header, written_schema_id
from .values import binary_array, binary_parts, malformed, nulls_of, row_count, without, without_prefix


class JsonSchemaSerde:
    """The JSON_SR format."""

    def __init__(self, registry: SchemaRegistry, options: SerdeOptions, wrap: bool) -> None:
        self._registry = registry
        self._options = options
        self._wrap = wrap
        self._json = JsonSerde(wrap)
        self._written: tuple[pa.Schema, bytes, tuple[tuple[str, str], ...]] | None = None

    def schema_of(self, schema: pa.Schema) -> SchemaText:
        """The JSON Schema for the columns."""
        tree = json_schema(schema, self._wrap or len(schema) != 1)
        return SchemaText("JSON", json.dumps(tree, separators=(",", ":")))

    def register(self, schema: pa.Schema) -> int:
        """The id of the schema with which records of these columns are written; it is registered unless it is fixed.

        Raises:
            StatementError: the registry refuses it.
        """
        return written_schema_id(self._registry, self._options, partial(self.schema_of, schema))

    def _left_out(self, schema: pa.Schema) -> tuple[tuple[str, str], ...]:
        """The fields of a fixed schema that no column is for, and the JSON texts that stand there: the default or null.

        As Connect's writer does, which fills in a record of the schema.
        """
        if self._options.schema_id is None or not (self._wrap or len(schema) != 1):
            return ()
        fields = field_defaults(self._registry.by_id(self._options.schema_id))
        return tuple(
            (name, json.dumps(found.value, separators=(",", ":")))
            for name, found in fields.items()
            if name not in schema.names
        )

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`."""
        array = binary_array(data)
        offsets, content = binary_parts(array)
        null = nulls_of(array)
        long_enough = (np.diff(offsets) >= HEADER_BYTES) & ~null
        framed = long_enough.copy()
        framed[long_enough] = content[offsets[:-1][long_enough]] == 0
        rests = without_prefix(array.filter(pa.array(framed)), HEADER_BYTES)
        places = pa.array(np.cumsum(framed) - 1, mask=~framed)
        decoded = self._json.decode(rests.take(places), schema)
        wrong = np.flatnonzero(~framed & ~null)
        if not len(wrong):
            return decoded
        reasons = {int(row): "the record does not begin with 0 and a schema id" for row in wrong}
        if decoded.malformed is not None:
            reasons.update(zip(decoded.malformed.rows.tolist(), decoded.malformed.reasons))
        nulls = decoded.nulls
        if nulls is not None:
            nulls = nulls & (framed | null)
            nulls = nulls if nulls.any() else None
        return Decoded(decoded.columns, nulls, malformed(reasons))

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`."""
        if self._written is None or not self._written[0].equals(schema):
            self._written = (schema, header(self.register(schema)), self._left_out(schema))
        _, first, left_out = self._written
        if left_out:
            names = [*schema.names, *(name for name, _ in left_out)]
            texts = [json_column(column) for column in columns]
            count = row_count(columns, absent)
            texts += [pa.array([text] * count, pa.string()) for _, text in left_out]
            documents = Encoded(without(objects_of_texts(names, texts, count).cast(pa.binary()), absent), None)
        else:
            documents = self._json.encode(columns, schema, absent)
        prefix = pa.scalar(first, pa.binary())
        return Encoded(pc.binary_join_element_wise(prefix, documents.data, b""), documents.malformed)
