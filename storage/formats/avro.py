"""AVRO: Avro's binary encoding after the header with the schema's id.

`storage/schemas/avro.py` maps the types.  fastavro encodes and decodes; it is imported when the format is first used.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from ...errors import StatementError
from ..optional_packages import needed
from ..schemas.avro import (
    AvroReader,
    NamedTypes,
    avro_schema,
    full_name_of,
    has_weightless_items,
    parse_avro,
    unscaled_bytes,
    without_logical_types,
)
from ..schemas.registry import SchemaRegistry, SchemaText, resolve
from .avro_columns import plain_fields, read_columns, readable, source_fields, writable, write_columns
from .base import SerdeOptions
from .coercion import coercion, struct_coercion
from .schema_serde import ReadColumns, ReadRow, SchemaSerde, WriteColumns, WriteRow

Convert = Callable[[Any], Any]


class AvroSerde(SchemaSerde):
    """The AVRO format."""

    type = "AVRO"

    def __init__(self, registry: SchemaRegistry, options: SerdeOptions, wrap: bool) -> None:
        needed("fastavro", "avro")  # A statement says so, not its query's first record.
        super().__init__(registry, options, wrap)

    def schema_of(self, schema: pa.Schema) -> SchemaText:
        """See `SchemaSerde.schema_of`."""
        tree = avro_schema(schema, self.wrapped(schema), self._options.full_name)
        return SchemaText("AVRO", json.dumps(tree, separators=(",", ":")))

    def _parsed(self, written: SchemaText) -> tuple[Any, NamedTypes, Any]:
        """The schema, its named types, and the schema as fastavro wants it."""
        fastavro = needed("fastavro", "avro")
        tree, names = parse_avro(written.text), NamedTypes()
        known: dict[str, Any] = {}
        try:
            for reference in reversed(resolve(self._registry, written).values()):
                referred = parse_avro(reference.text)
                names.add(referred)
                fastavro.parse_schema(without_logical_types(referred), named_schemas=known)
            names.add(tree)
            parsed = fastavro.parse_schema(without_logical_types(tree), named_schemas=known)
        except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
            raise StatementError(f"this is not an Avro schema: {error}") from None
        return tree, names, parsed

    def reader(self, written: SchemaText, schema: pa.Schema) -> ReadRow:
        """See `SchemaSerde.reader`.

        Columns are read out of the fields that were written, and one that was not is null.  A source with a fixed schema
        reads older and newer records as Avro resolves them to it: with its defaults, aliases and promotions.
        """
        plain = self._reading(written, None, schema)
        if self._options.schema_id is None:
            return plain
        wanted = self._registry.by_id(self._options.schema_id)
        if wanted.same_as(written):
            return plain
        resolved = self._reading(written, wanted, schema)
        unresolvable = needed("fastavro.read", "avro").SchemaResolutionError

        def read(rest: memoryview) -> Sequence[Any] | None:
            try:
                return resolved(rest)
            except unresolvable:
                return plain(rest)

        return read

    def _reading(self, written: SchemaText, wanted: SchemaText | None, schema: pa.Schema) -> ReadRow:
        """What reads records of a schema, resolved to another one if that is given."""
        fastavro = needed("fastavro", "avro")
        tree, names, parsed = self._parsed(written)
        target = None
        if wanted is not None:
            tree, names, target = self._parsed(wanted)
            _mend_defaults(target)
        natural, convert = AvroReader(names).natural(tree)
        if has_weightless_items(names, [tree, *({**named, "name": full} for full, named in names.types.items())]):
            raise ValueError("the schema has an ARRAY whose items take no bytes, so a short record could be of any length")
        wrapped = self.wrapped(schema)
        if natural is None or (wrapped and not pa.types.is_struct(natural)):
            raise ValueError("the schema that wrote it is not an Avro record")
        if wrapped:
            coerce: Convert | None = struct_coercion(list(natural), list(schema))
        else:
            coerce = coercion(natural, schema.field(0).type)
        read_datum = fastavro.schemaless_reader
        failures = (EOFError, IndexError, KeyError, AttributeError, StopIteration, MemoryError)

        def read(rest: memoryview) -> Sequence[Any] | None:
            try:
                value = read_datum(
                    io.BytesIO(rest), parsed, target, return_record_name=True, return_record_name_override=True
                )
            except failures as error:
                reason = str(error).partition(" from <")[0]  # without the address of what fastavro read from
                raise ValueError(f"not a record of its Avro schema: {reason}") from None
            if value is None:
                return None
            if convert is not None:
                value = convert(value)
            if coerce is not None:
                value = coerce(value)
            return list(value.values()) if wrapped else [value]

        return read

    def column_reader(self, written: SchemaText, schema: pa.Schema) -> ReadColumns | None:
        """See `SchemaSerde.column_reader`: for records of plain fields that need no coercion and no resolution."""
        fixed = self._options.schema_id
        if fixed is not None and not self._registry.by_id(fixed).same_as(written):
            return None
        fields = plain_fields(parse_avro(written.text))
        if fields is None or not self.wrapped(schema):
            return None
        sources = source_fields(fields, schema)
        if sources is None:
            return None
        wanted = pa.schema([(name, column.type) for name, column in zip(sources, schema) if name is not None])
        if not len(wanted) or not readable(fields, wanted):
            return None
        if len(wanted) == len(schema):
            return lambda content, begins, ends: read_columns(fields, wanted, content, begins, ends)

        def read(content: Any, begins: Any, ends: Any) -> tuple[list[Any], Any] | None:
            found = read_columns(fields, wanted, content, begins, ends)
            if found is None:
                return None
            arrays = iter(found[0])
            missing = [pa.nulls(len(begins), column.type) for column in schema]
            return [missing[i] if name is None else next(arrays) for i, name in enumerate(sources)], found[1]

        return read

    def column_writer(self, written: SchemaText, schema: pa.Schema, prefix: bytes) -> WriteColumns | None:
        """See `SchemaSerde.column_writer`."""
        fields = plain_fields(parse_avro(written.text))
        if fields is None or not self.wrapped(schema) or not writable(fields, schema):
            return None
        return lambda columns: write_columns(fields, columns, schema.names, prefix)

    def writer(self, written: SchemaText, schema: pa.Schema) -> WriteRow:
        """See `SchemaSerde.writer`."""
        fastavro = needed("fastavro", "avro")
        tree, names, parsed = self._parsed(written)
        wrapped = self.wrapped(schema)
        adapt = _AvroWriter(names).adapt(tree, pa.struct(list(schema)) if wrapped else schema.field(0).type, "")
        columns = [field.name for field in schema]
        write_datum = fastavro.schemaless_writer

        def write(row: tuple[Any, ...]) -> bytes:
            value = dict(zip(columns, row)) if wrapped else row[0]
            buffer = io.BytesIO()
            try:
                write_datum(buffer, parsed, adapt(value))
            except (AttributeError, KeyError, IndexError) as error:
                raise ValueError(f"the row does not fit its Avro schema: {error}") from None
            return buffer.getvalue()

        return write


def _mend_defaults(schema: Any) -> None:
    """Defaults of bytes are texts in a schema, one character for each byte; fastavro hands them over as they are."""
    if isinstance(schema, list):
        for branch in schema:
            _mend_defaults(branch)
    elif isinstance(schema, dict):
        for field in schema.get("fields", ()):
            kind = field["type"][0] if isinstance(field["type"], list) else field["type"]
            kind = kind["type"] if isinstance(kind, dict) else kind
            if kind in ("bytes", "fixed") and isinstance(field.get("default"), str):
                field["default"] = field["default"].encode("latin-1", "replace")
        for inner in ("type", "items", "values"):
            _mend_defaults(schema.get(inner))
        for field in schema.get("fields", ()):
            _mend_defaults(field["type"])


class _AvroWriter:
    """Converts values of rows into what fastavro writes with a given schema."""

    def __init__(self, names: NamedTypes) -> None:
        self._names = names

    def adapt(self, schema: Any, type_: pa.DataType, namespace: str) -> Convert:
        """A function that converts values of an Arrow type.

        Raises:
            StatementError: the schema cannot hold the type.
        """
        if isinstance(schema, list):
            return self._union(schema, type_, namespace)
        if isinstance(schema, str):
            if schema in ("null", "boolean", "int", "long", "float", "double", "bytes", "string"):
                return _plain
            schema, full = self._names.find(schema, namespace)
            return self.adapt({**schema, "name": full}, type_, full.rpartition(".")[0])
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.adapt(kind, type_, namespace)
        if kind in ("record", "error"):
            return self._record(schema, type_, full_name_of(schema, namespace).rpartition(".")[0])
        if kind == "array" and pa.types.is_map(type_):
            entry = self.adapt(schema["items"], pa.struct([("key", type_.key_type), ("value", type_.item_type)]), namespace)
            return lambda entries: [entry({"key": k, "value": v}) for k, v in entries.items()]
        if kind == "array" and pa.types.is_list(type_):
            item = self.adapt(schema["items"], type_.value_type, namespace)
            return lambda values: [item(v) for v in values]
        if kind == "map" and pa.types.is_map(type_):
            value = self.adapt(schema["values"], type_.item_type, namespace)
            return lambda entries: {k: value(v) for k, v in entries.items()}
        if kind in ("array", "map"):
            raise StatementError(f"the Avro schema has an {kind} where the column has {type_}")
        if pa.types.is_decimal(type_):
            scale = int(schema.get("scale", 0))
            if scale < type_.scale:
                raise StatementError(f"the Avro schema has a decimal of scale {scale} where the column has {type_}")
            size = schema.get("size")
            return lambda v: _padded(unscaled_bytes(v, scale), size)
        return _plain

    def _record(self, schema: Any, type_: pa.DataType, namespace: str) -> Convert:
        if not pa.types.is_struct(type_):
            raise StatementError(f"the Avro schema has a record where the column has {type_}")
        exact = {field.name: field for field in type_}
        upper = {field.name.upper(): field for field in type_}
        steps: list[tuple[str, str, Convert]] = []
        for field in schema["fields"]:
            source = exact.get(field["name"]) or upper.get(field["name"].upper())
            if source is not None:
                steps.append((field["name"], source.name, self.adapt(field["type"], source.type, namespace)))

        def convert(row: dict[str, Any]) -> dict[str, Any]:
            result = {}
            for name, source, step in steps:
                value = row[source]
                result[name] = None if value is None else step(value)
            return result

        return convert

    def _union(self, branches: list[Any], type_: pa.DataType, namespace: str) -> Convert:
        others = [branch for branch in branches if branch != "null"]
        if len(others) == 1:
            step = self.adapt(others[0], type_, namespace)
            return lambda value: None if value is None else step(value)
        natural, _ = AvroReader(self._names).natural(branches, namespace)
        if pa.types.is_struct(type_) and natural is not None and type_.num_fields == natural.num_fields:
            steps = [
                (field.name, self.adapt(branch, field.type, namespace), self._record_name(branch, namespace))
                for field, branch in zip(type_, others)
            ]
            return lambda value: None if value is None else _chosen(value, steps)
        return _plain

    def _record_name(self, branch: Any, namespace: str) -> str | None:
        """The full name of a record of a union, which tells fastavro which one is meant."""
        if isinstance(branch, str) and branch not in ("boolean", "int", "long", "float", "double", "bytes", "string"):
            return self._names.find(branch, namespace)[1]
        if isinstance(branch, dict) and branch["type"] == "record":
            return full_name_of(branch, namespace)
        return None


def _plain(value: Any) -> Any:
    return value


def _padded(unscaled: bytes, size: int | None) -> bytes:
    if size is None:
        return unscaled
    if len(unscaled) > size:
        raise ValueError(f"the decimal takes {len(unscaled)} bytes, the schema has {size}")
    return (b"\xff" if unscaled[0] & 0x80 else b"\x00") * (size - len(unscaled)) + unscaled


def _chosen(value: dict[str, Any], steps: list[tuple[str, Convert, str | None]]) -> Any:
    for name, step, record in steps:
        if value[name] is not None:
            datum = step(value[name])
            return datum if record is None else (record, datum)
    return None
