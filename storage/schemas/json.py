"""JSON Schema <-> Arrow types, with the hints that Connect writes (``connect.type``, ``connect.index``).

Columns -> schema: an object; every property is ``oneOf`` null and its type, in order by ``connect.index``.

Schema -> columns:

* an integer without a hint is BIGINT, a number DOUBLE, an enum STRING;
* an object without properties of its own whose ``additionalProperties`` has a schema is a MAP;
* ``oneOf`` or ``anyOf`` of null and T is T, of several types a STRUCT with a field per alternative;
* ``allOf`` has the fields of all its parts;
* ``$ref`` is followed inside the schema and to referenced ones; recursive types are refused;
* properties without a type are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ...errors import StatementError
from ...limits import DECIMAL_PRECISION_MAX
from .checks import Budget, check_json

_CONNECT = "org.apache.kafka.connect.data."
_PRIMITIVES: dict[Any, dict[str, Any]] = {
    pa.bool_(): {"type": "boolean"},
    pa.int32(): {"type": "integer", "connect.type": "int32"},
    pa.int64(): {"type": "integer", "connect.type": "int64"},
    pa.float64(): {"type": "number", "connect.type": "float64"},
    pa.string(): {"type": "string"},
    pa.binary(): {"type": "string", "connect.type": "bytes"},
    pa.date32(): {"type": "integer", "title": _CONNECT + "Date", "connect.version": 1, "connect.type": "int32"},
    pa.time32("ms"): {"type": "integer", "title": _CONNECT + "Time", "connect.version": 1, "connect.type": "int32"},
    pa.timestamp("ms"): {
        "type": "integer",
        "title": _CONNECT + "Timestamp",
        "connect.version": 1,
        "connect.type": "int64",
    },
}
_INTEGERS = {"int8": pa.int32(), "int16": pa.int32(), "int32": pa.int32(), "int64": pa.int64()}
_TITLES = {
    _CONNECT + "Date": pa.date32(),
    _CONNECT + "Time": pa.time32("ms"),
    _CONNECT + "Timestamp": pa.timestamp("ms"),
}
_DECIMAL_PRECISION_DEFAULT = 64
"""The precision of a decimal that states none, as in Connect."""


def json_schema(schema: pa.Schema, wrapped: bool) -> dict[str, Any]:
    """The JSON Schema for columns."""
    return _object(list(schema)) if wrapped else _nullable(_type(schema.field(0).type))


def _nullable(tree: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [{"type": "null"}, tree]}


def _object(fields: list[Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {f.name: {"connect.index": i, **_nullable(_type(f.type))} for i, f in enumerate(fields)},
    }


def _type(type_: pa.DataType) -> dict[str, Any]:
    if pa.types.is_decimal(type_):
        return {
            "type": "number",
            "title": _CONNECT + "Decimal",
            "connect.version": 1,
            "connect.type": "bytes",
            "connect.parameters": {"scale": str(type_.scale), "connect.decimal.precision": str(type_.precision)},
        }
    if pa.types.is_map(type_):
        return {"type": "object", "connect.type": "map", "additionalProperties": _nullable(_type(type_.item_type))}
    if pa.types.is_list(type_):
        return {"type": "array", "items": _nullable(_type(type_.value_type))}
    if pa.types.is_struct(type_):
        return _object(list(type_))
    return _PRIMITIVES[type_]


def parse_json_schema(text: str) -> Any:
    """Parse the text of a JSON Schema.

    Raises:
        StatementError: it is neither a JSON object nor a boolean.
    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StatementError(f"this is not a JSON Schema: {error}") from None
    if not isinstance(tree, dict | bool):
        raise StatementError("this is not a JSON Schema: it is neither an object nor a boolean")
    check_json(tree)
    return tree


class JsonSchemaReader:
    """The Arrow types of JSON Schemas.

    Args:
        root: the schema in which local references begin.
        referenced: the schemas that it refers to, by the names in its references.
    """

    def __init__(self, root: Any, referenced: Mapping[str, Any]) -> None:
        self._root = root
        self._referenced = referenced
        self._open: list[str] = []
        self._budget = Budget()

    def natural(self, tree: Any) -> Any:
        """The type; None if SQL has none for it.

        Raises:
            StatementError: the schema is recursive, or a reference leads nowhere.
        """
        self._budget.spend()
        if not isinstance(tree, dict):
            return None
        if "$ref" in tree:
            return self._follow(tree["$ref"])
        for word in ("oneOf", "anyOf"):
            if word in tree:
                return self._alternatives(tree[word])
        if "allOf" in tree:
            return self._all_of(tree)
        if "enum" in tree or "const" in tree:
            return pa.string() if tree.get("type", "string") == "string" else self._by_type(tree, tree["type"])
        kind = tree.get("type")
        if isinstance(kind, list):
            kinds = [k for k in kind if k != "null"]
            if len(kinds) != 1:
                return self._alternatives([{**tree, "type": k} for k in kinds])
            kind = kinds[0]
        if kind is None and "properties" in tree:
            kind = "object"
        return self._by_type(tree, kind)

    def _by_type(self, tree: dict[str, Any], kind: Any) -> Any:
        hint = tree.get("connect.type")
        title = tree.get("title")
        if title == _CONNECT + "Decimal":
            return self._decimal(tree)
        if title in _TITLES and kind == "integer":
            return _TITLES[title]
        match kind:
            case "boolean":
                return pa.bool_()
            case "integer":
                return _INTEGERS.get(hint or "", pa.int64())
            case "number":
                return _INTEGERS.get(hint or "", pa.float64())
            case "string":
                return pa.binary() if hint == "bytes" else pa.string()
            case "array":
                return self._array(tree)
            case "object":
                return self._object(tree)
            case _:
                return None

    def _decimal(self, tree: dict[str, Any]) -> Any:
        parameters = tree.get("connect.parameters") or {}
        scale = int(parameters.get("scale", 0))
        precision = int(parameters.get("connect.decimal.precision", _DECIMAL_PRECISION_DEFAULT))
        if not 0 <= scale <= precision <= DECIMAL_PRECISION_MAX:
            return None
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)

    def _array(self, tree: dict[str, Any]) -> Any:
        if tree.get("connect.type") == "map":
            entry = self.natural(tree.get("items"))
            if entry is None or not pa.types.is_struct(entry) or entry.num_fields != 2:
                return None
            return pa.map_(entry.field("key").type, entry.field("value").type)
        item = self.natural(tree.get("items"))
        return None if item is None else pa.list_(item)

    def _object(self, tree: dict[str, Any]) -> Any:
        properties = tree.get("properties") or {}
        additional = tree.get("additionalProperties")
        if tree.get("connect.type") == "map" or (not properties and isinstance(additional, dict)):
            item = self.natural(additional)
            return None if item is None else pa.map_(pa.string(), item)
        places = {name: _index(part, place) for place, (name, part) in enumerate(properties.items())}
        fields = [(name, self.natural(properties[name])) for name in sorted(places, key=lambda name: places[name])]
        return pa.struct([pa.field(name, type_) for name, type_ in fields if type_ is not None])

    def _alternatives(self, alternatives: list[Any]) -> Any:
        others = [a for a in alternatives if not (isinstance(a, dict) and a.get("type") == "null")]
        types = [self.natural(alternative) for alternative in others]
        if len(types) == 1:
            return types[0]
        named = [pa.field(f"io.confluent.connect.json.OneOf.field.{i}", t) for i, t in enumerate(types) if t is not None]
        return pa.struct(named) if named else None

    def _all_of(self, tree: dict[str, Any]) -> Any:
        parts = [self.natural(part) for part in tree["allOf"]]
        own = {key: value for key, value in tree.items() if key != "allOf"}
        if own.get("properties") or own.get("type"):
            parts.append(self.natural(own))
        parts = [part for part in parts if part is not None]
        structs = [part for part in parts if pa.types.is_struct(part)]
        if structs:
            return pa.struct(list({field.name: field for struct in structs for field in struct}.values()))
        return parts[0] if parts else None

    def _follow(self, reference: str) -> Any:
        if reference in self._open:
            raise StatementError(f"the JSON Schema is recursive: {reference} contains itself")
        self._open.append(reference)
        try:
            document, _, pointer = reference.partition("#")
            if not document:
                return self.natural(_at(self._root, pointer, reference))
            if document not in self._referenced:
                raise StatementError(f"the JSON Schema refers to {document}, which is not among its references")
            root = self._referenced[document]
            inner = JsonSchemaReader(root, self._referenced)
            inner._open, inner._budget = self._open, self._budget
            return inner.natural(_at(root, pointer, reference))
        finally:
            self._open.pop()


def _index(part: Any, place: int) -> int:
    return int(part.get("connect.index", place)) if isinstance(part, dict) else place


def _at(tree: Any, pointer: str, reference: str) -> Any:
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(tree, dict) or step not in tree:
            raise StatementError(f"the JSON Schema refers to {reference}, which is not there")
        tree = tree[step]
    return tree
