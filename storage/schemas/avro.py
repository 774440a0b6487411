"""Avro schemas <-> Arrow types.

Columns -> Avro: a record (``KsqlDataSourceSchema`` unless a name is given).  Every field is optional with default null.  The
record of a STRUCT has the name of the fields that lead to it, ``<record>_<FIELD>``.  DECIMAL, DATE, TIME and TIMESTAMP are
logical types.

Avro -> columns:

* float is DOUBLE, an enum STRING, fixed BYTES;
* ``[null, T]`` is T; any other union is a STRUCT with one field per branch, named by its type, of which one is set;
* an array of Connect's map entries is a MAP;
* a logical type other than those above counts as the type under it;
* recursive types are refused, and fields whose types SQL lacks are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from ...errors import StatementError
from ...limits import DECIMAL_PRECISION_MAX
from ..values.texts import check_time
from ..values.type_names import type_name
from .checks import Budget, check_avro

NAMESPACE = "io.confluent.ksql.avro_schemas"
DEFAULT_FULL_NAME = f"{NAMESPACE}.KsqlDataSourceSchema"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PRIMITIVES: dict[Any, Any] = {
    pa.bool_(): "boolean",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "bytes",
    pa.date32(): {"type": "int", "logicalType": "date"},
    pa.time32("ms"): {"type": "int", "logicalType": "time-millis"},
    pa.timestamp("ms"): {"type": "long", "logicalType": "timestamp-millis"},
}
_SQL = {"boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float64(), "double": pa.float64()}
_SQL |= {"bytes": pa.binary(), "string": pa.string()}
_LOGICAL = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "timestamp-millis"): pa.timestamp("ms"),
}
_DECIMAL_PRECISION_DEFAULT = 64
"""The precision of a decimal that states none, as in Connect."""

Convert = Callable[[Any], Any]


def key_full_name(source: str) -> str:
    """The full name of the record of a sink's keys: ``MY_SINK`` gives ``..MySinkKey``."""
    return f"{NAMESPACE}.{''.join(word.capitalize() for word in source.split('_'))}Key"


def avro_schema(schema: pa.Schema, wrapped: bool, full_name: str | None) -> Any:
    """The Avro schema for columns, as a JSON value.

    Raises:
        StatementError: Avro has no counterpart for a name or a type.
    """
    namespace, _, name = (full_name or DEFAULT_FULL_NAME).rpartition(".")
    if not wrapped:
        return _type(schema.field(0).type, (name,), namespace)
    return _record(list(schema), (name,), namespace)


def _record(fields: list[Any], path: tuple[str, ...], namespace: str) -> dict[str, Any]:
    name = "_".join(path)
    record: dict[str, Any] = {"type": "record", "name": name}
    if len(path) == 1 and namespace:
        record["namespace"] = namespace
    record["fields"] = [
        {"name": _checked(f.name), "type": ["null", _type(f.type, (*path, f.name), namespace)], "default": None}
        for f in fields
    ]
    record["connect.name"] = f"{namespace}.{name}" if namespace else name
    return record


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StatementError(
            f"the AVRO format does not support the name `{name}`",
            suggestion="Names in Avro are letters, digits and underscores, and begin with no digit.",
        )
    return name


def _type(type_: pa.DataType, path: tuple[str, ...], namespace: str) -> Any:
    if pa.types.is_decimal(type_):
        return {
            "type": "bytes",
            "scale": type_.scale,
            "precision": type_.precision,
            "logicalType": "decimal",
        }
    if pa.types.is_map(type_):
        if not pa.types.is_string(type_.key_type):
            raise StatementError(f"the AVRO format does not support {type_name(type_)}: the keys of a MAP must be STRING")
        return {"type": "map", "values": ["null", _type(type_.item_type, (*path, "MapValue"), namespace)]}
    if pa.types.is_list(type_):
        return {"type": "array", "items": ["null", _type(type_.value_type, path, namespace)]}
    if pa.types.is_struct(type_):
        record = _record(list(type_), path, namespace)
        if len(path) == 1 and namespace:
            record["namespace"] = namespace
        return record
    return _PRIMITIVES[type_]


class NamedTypes:
    """The named types of a schema and of those that it refers to, by full name."""

    def __init__(self) -> None:
        self.types: dict[str, Any] = {}

    def add(self, schema: Any, namespace: str = "") -> None:
        """Add the named types of a schema."""
        if isinstance(schema, list):
            for branch in schema:
                self.add(branch, namespace)
        elif isinstance(schema, dict):
            kind = schema.get("type")
            if kind in ("record", "enum", "fixed", "error"):
                full = full_name_of(schema, namespace)
                self.types[full] = schema
                namespace = full.rpartition(".")[0]
                for field in schema.get("fields", ()):
                    self.add(field["type"], namespace)
            elif kind == "array":
                self.add(schema["items"], namespace)
            elif kind == "map":
                self.add(schema["values"], namespace)
            elif not isinstance(kind, str):
                self.add(kind, namespace)

    def find(self, name: str, namespace: str) -> tuple[Any, str]:
        """A named type, and its full name.

        Raises:
            StatementError: there is no such type.
        """
        for full in (name,) if "." in name else (f"{namespace}.{name}" if namespace else name, name):
            if full in self.types:
                return self.types[full], full
        raise StatementError(f"the Avro schema uses type {name}, which it does not define")


def has_weightless_items(names: NamedTypes, schema: Any, namespace: str = "") -> bool:
    """Whether an array's items take no bytes.

    Such an array is refused: a few bytes could mean more items than memory holds.
    """
    if isinstance(schema, list):
        return any(has_weightless_items(names, branch, namespace) for branch in schema)
    if isinstance(schema, str):
        # A named type is looked at where it is defined.
        return False
    kind = schema["type"]
    if kind in ("record", "error"):
        inner = full_name_of(schema, namespace).rpartition(".")[0]
        return any(has_weightless_items(names, field["type"], inner) for field in schema["fields"])
    if kind == "array":
        items = schema["items"]
        return _is_weightless(names, items, namespace) or has_weightless_items(names, items, namespace)
    if kind == "map":
        return has_weightless_items(names, schema["values"], namespace)
    return kind not in ("enum", "fixed") and has_weightless_items(names, kind, namespace)


def _is_weightless(names: NamedTypes, schema: Any, namespace: str) -> bool:
    """Whether values of a schema take no bytes."""
    if isinstance(schema, list):
        return False  # The branch takes one.
    if isinstance(schema, str):
        if schema in _SQL or schema == "null":
            return schema == "null"
        schema, full = names.find(schema, namespace)
        namespace = full.rpartition(".")[0]
    kind = schema["type"]
    if kind in ("record", "error"):
        inner = full_name_of(schema, namespace).rpartition(".")[0]
        return all(_is_weightless(names, field["type"], inner) for field in schema["fields"])
    if kind == "fixed":
        return int(schema["size"]) == 0
    return kind not in ("array", "map", "enum") and _is_weightless(names, kind, namespace)


def full_name_of(schema: Mapping[str, Any], namespace: str) -> str:
    """The full name of a named type."""
    name: str = schema["name"]
    if "." in name:
        return name
    namespace = schema.get("namespace", namespace)
    return f"{namespace}.{name}" if namespace else name


def parse_avro(text: str) -> Any:
    """Parse the text of an Avro schema, which may be the bare name of a primitive.

    Raises:
        StatementError: it is not JSON, or not an Avro schema.
    """
    if text.strip() in _SQL or text.strip() == "null":
        return text.strip()
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StatementError(f"this is not an Avro schema: {error}") from None
    check_avro(tree)
    return tree


class AvroReader:
    """The Arrow type of an Avro schema, and the conversion of the values that fastavro reads.

    Trap: give fastavro the schema without logical types (`without_logical_types`), since the conversions expect plain
    values.
    """

    def __init__(self, names: NamedTypes) -> None:
        self._names = names
        self._open: list[str] = []
        self._budget = Budget()

    def natural(self, schema: Any, namespace: str = "") -> tuple[Any, Convert | None]:
        """The type (None: SQL has none for it), and the conversion of its values (None: they are right as they are).

        Raises:
            StatementError: the schema is recursive or uses an unknown type.
        """
        self._budget.spend()
        if isinstance(schema, list):
            return self._union(schema, namespace)
        if isinstance(schema, str):
            if schema in _SQL:
                return _SQL[schema], None
            if schema == "null":
                return None, None
            found, full = self._names.find(schema, namespace)
            return self._named(found, full)
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.natural(kind, namespace)
        if kind in ("record", "error", "enum", "fixed"):
            return self._named(schema, full_name_of(schema, namespace))
        if kind == "array":
            return self._array(schema, namespace)
        if kind == "map":
            item, convert = self.natural(schema["values"], namespace)
            if item is None:
                return None, None
            return pa.map_(pa.string(), item), None if convert is None else _each_value(convert)
        if schema.get("logicalType") == "decimal" and kind == "bytes":
            return _decimal(schema)
        logical = _LOGICAL.get((kind, schema.get("logicalType", "")))
        if logical == pa.time32("ms"):
            return logical, check_time
        return (logical, None) if logical is not None else self.natural(kind, namespace)

    def _named(self, schema: Any, full: str) -> tuple[Any, Convert | None]:
        kind = schema["type"]
        if kind == "enum":
            return pa.string(), None
        if kind == "fixed":
            return _decimal(schema) if schema.get("logicalType") == "decimal" else (pa.binary(), None)
        if full in self._open:
            raise StatementError(f"the Avro schema is recursive: {full} contains itself")
        self._open.append(full)
        namespace = full.rpartition(".")[0]
        fields = [(f["name"], *self.natural(f["type"], namespace)) for f in schema["fields"]]
        self._open.pop()
        known = [(name, type_, convert) for name, type_, convert in fields if type_ is not None]
        struct = pa.struct([pa.field(name, type_) for name, type_, _ in known])
        if len(known) == len(fields) and not any(convert for _, _, convert in known):
            return struct, None
        return struct, _each_field([(name, convert) for name, _, convert in known])

    def _array(self, schema: Any, namespace: str) -> tuple[Any, Convert | None]:
        item, convert = self.natural(schema["items"], namespace)
        if item is None:
            return None, None
        if _is_map_entry(schema["items"]) and pa.types.is_struct(item) and item.num_fields == 2:
            key, value = item.field("key").type, item.field("value").type
            return pa.map_(key, value), _entries(convert)
        return pa.list_(item), None if convert is None else _each(convert)

    def _union(self, branches: list[Any], namespace: str) -> tuple[Any, Convert | None]:
        named = [branch for branch in branches if branch != "null"]
        if len(named) == 1:
            return self.natural(named[0], namespace)
        fields = [(self._branch_name(b, namespace), *self.natural(b, namespace), self._kind(b, namespace)) for b in named]
        fields = [field for field in fields if field[1] is not None]
        if not fields:
            return None, None
        return pa.struct([pa.field(name, type_) for name, type_, _, _ in fields]), _pick_branch(
            [(name, convert, kind) for name, _, convert, kind in fields]
        )

    def _branch_name(self, branch: Any, namespace: str) -> str:
        kind = self._kind(branch, namespace)
        return kind if kind in _SQL or kind in ("array", "map") else kind.rpartition(".")[2]

    def _kind(self, branch: Any, namespace: str) -> str:
        """The primitive or the full name of a branch, or ``array`` or ``map``."""
        if isinstance(branch, str):
            return branch if branch in _SQL else self._names.find(branch, namespace)[1]
        if branch["type"] in ("record", "error", "enum", "fixed"):
            return full_name_of(branch, namespace)
        return self._kind(branch["type"], namespace) if branch["type"] not in ("array", "map") else str(branch["type"])


def _is_map_entry(items: Any) -> bool:
    return isinstance(items, dict) and (
        items.get("connect.internal.type") == "MapEntry"
        or (items.get("name") == "MapEntry" and items.get("namespace") == "io.confluent.connect.avro")
    )


def _decimal(schema: Any) -> tuple[Any, Convert | None]:
    precision = int(schema.get("precision", _DECIMAL_PRECISION_DEFAULT))
    scale = int(schema.get("scale", 0))
    if precision > DECIMAL_PRECISION_MAX or scale > precision:
        return None, None
    type_ = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    return type_, lambda value: decimal_of(value, scale)


def decimal_of(unscaled: bytes, scale: int) -> Any:
    """The decimal with these big-endian two's complement digits."""
    from decimal import Decimal

    return Decimal(int.from_bytes(unscaled, "big", signed=True)).scaleb(-scale, _WIDE)


def unscaled_bytes(value: Any, scale: int) -> bytes:
    """The unscaled value of a decimal as the shortest big-endian two's complement (`BigInteger.toByteArray`)."""
    number = int(value.scaleb(scale, _WIDE))
    bits = number.bit_length() if number >= 0 else (number + 1).bit_length()
    return number.to_bytes(bits // 8 + 1, "big", signed=True)


def _wide() -> Any:
    from decimal import Context

    return Context(prec=2 * DECIMAL_PRECISION_MAX)


_WIDE = _wide()


def _each(convert: Convert) -> Convert:
    return lambda values: [None if v is None else convert(v) for v in values]


def _each_value(convert: Convert) -> Convert:
    return lambda entries: {k: None if v is None else convert(v) for k, v in entries.items()}


def _each_field(fields: list[tuple[str, Convert | None]]) -> Convert:
    def convert_record(record: dict[str, Any]) -> dict[str, Any]:
        row = {}
        for name, convert in fields:
            value = record[name]
            row[name] = value if value is None or convert is None else convert(value)
        return row

    return convert_record


def _entries(convert: Convert | None) -> Convert:
    def convert_entries(entries: list[Any]) -> dict[Any, Any]:
        rows = entries if convert is None else [convert(entry) for entry in entries]
        return {row["key"]: row["value"] for row in rows}

    return convert_entries


_PYTHON_KINDS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (bool, ("boolean",)),
    (int, ("int", "long", "float", "double")),
    (float, ("double", "float")),
    (str, ("string",)),
    (bytes, ("bytes",)),
    (list, ("array",)),
    (dict, ("map",)),
)


def _pick_branch(fields: list[tuple[str, Convert | None, str]]) -> Convert:
    """Sets the field of the branch that a value belongs to: by its name if fastavro says it, else by what the value is."""

    def matches(value: Any, kind: str) -> bool:
        for python, kinds in _PYTHON_KINDS:
            if isinstance(value, python):
                return kind in kinds
        return False

    def convert_union(value: Any) -> dict[str, Any]:
        full = None
        if isinstance(value, tuple):
            full, value = value
        row: dict[str, Any] = dict.fromkeys(name for name, _, _ in fields)
        chosen = [f for f in fields if f[2] == full] or [f for f in fields if matches(value, f[2])]
        # A record, an enum or a fixed has a name where the others have a kind.
        chosen = chosen or [f for f in fields if f[2] not in _SQL and f[2] not in ("array", "map")]
        if chosen:
            name, convert, _ = chosen[0]
            row[name] = value if convert is None else convert(value)
        return row

    return convert_union


def without_logical_types(schema: Any) -> Any:
    """The schema without its logical types, so that fastavro gives numbers and bytes as they were written."""
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: value for key, value in schema.items() if key != "logicalType"}
    for key in ("type", "items", "values"):
        if key in plain:
            plain[key] = without_logical_types(plain[key])
    if "fields" in plain:
        plain["fields"] = [{**field, "type": without_logical_types(field["type"])} for field in plain["fields"]]
    return plain
