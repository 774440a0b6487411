"""Checks whether a schema is compatible with the older ones of its subject.

BACKWARD asks whether the new schema can read what the old one wrote, FORWARD the reverse, FULL both.  "Can read" means:

* AVRO: Avro's schema resolution.  Fields that the writer lacks have a default, numbers may be promoted, enums need the
  writer's symbols or a default; names of records do not count.
* PROTOBUF: messages stay; a field number keeps a type of the same encoding, and stays inside or outside of a oneof.
* JSON_SR: the reader's schema allows every document that the writer's allows, judged by types, properties, required
  properties, enums and whether other properties may occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import StatementError
from .checks import refusing_what_is_malformed
from .protocol import SchemaRegistry, SchemaText, resolve


def incompatibilities(registry: SchemaRegistry, schema: SchemaText, older: Sequence[SchemaText], level: str) -> list[str]:
    """The reasons why a schema cannot follow the older ones; empty if it can.

    Args:
        level: NONE, BACKWARD, FORWARD or FULL.

    Raises:
        StatementError: the schema itself is malformed; this is raised at every level.
    """
    with refusing_what_is_malformed(schema.type):
        return _incompatibilities(registry, schema, older, level)


def _incompatibilities(registry: SchemaRegistry, schema: SchemaText, older: Sequence[SchemaText], level: str) -> list[str]:
    new = _parsed(registry, schema)
    if level == "NONE":
        return []
    problems: list[str] = []
    for text in older:
        if text.type != schema.type:
            problems.append(f"the subject has schemas of type {text.type}, not {schema.type}")
            continue
        old = _parsed(registry, text)
        if level in ("BACKWARD", "FULL"):
            problems += new.problems_reading(old)
        if level in ("FORWARD", "FULL"):
            problems += [f"{problem} (read by the old schema)" for problem in old.problems_reading(new)]
    return list(dict.fromkeys(problems))


def _parsed(registry: SchemaRegistry, schema: SchemaText) -> Any:
    match schema.type:
        case "AVRO":
            return _Avro(registry, schema)
        case "PROTOBUF":
            return _Protobuf(registry, schema)
        case "JSON":
            return _Json(registry, schema)
        case other:
            raise StatementError(f"schemas of type {other} are not supported")


# AVRO

_AVRO_PROMOTIONS = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}
_AVRO_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


class _Avro:
    def __init__(self, registry: SchemaRegistry, schema: SchemaText) -> None:
        from .avro import NamedTypes, parse_avro

        self.names = NamedTypes()
        for reference in resolve(registry, schema).values():
            self.names.add(parse_avro(reference.text))
        self.tree = parse_avro(schema.text)
        self.names.add(self.tree)
        self.resolved(self.tree, "")
        self._check(self.tree, "")

    def _check(self, tree: Any, namespace: str) -> None:
        """Raises: StatementError if a part of the schema is not Avro."""
        from .avro import full_name_of

        if isinstance(tree, list):
            for branch in tree:
                self._check(branch, namespace)
        elif isinstance(tree, str):
            if tree not in _AVRO_PRIMITIVES:
                self.names.find(tree, namespace)
        elif not isinstance(tree, dict) or "type" not in tree:
            raise StatementError("this is not an Avro schema: a part of it has no type")
        elif tree["type"] in ("record", "error"):
            inner = full_name_of(tree, namespace).rpartition(".")[0]
            for field in tree.get("fields", ()):
                self._check(field["type"], inner)
        elif tree["type"] == "array":
            self._check(tree["items"], namespace)
        elif tree["type"] == "map":
            self._check(tree["values"], namespace)
        elif tree["type"] not in ("enum", "fixed"):
            self._check(tree["type"], namespace)

    def resolved(self, tree: Any, namespace: str) -> tuple[Any, str, str]:
        """A schema with its kind and the namespace inside of it; a name is replaced by the type that it means."""
        from .avro import full_name_of

        if isinstance(tree, list):
            return tree, "union", namespace
        if isinstance(tree, str):
            if tree in _AVRO_PRIMITIVES:
                return tree, tree, namespace
            found, full = self.names.find(tree, namespace)
            return {**found, "name": full}, str(found["type"]), full.rpartition(".")[0]
        kind = tree.get("type")
        if not isinstance(kind, str):
            return self.resolved(kind, namespace)
        if kind in ("record", "error", "enum", "fixed"):
            full = full_name_of(tree, namespace)
            return {**tree, "name": full}, kind, full.rpartition(".")[0]
        if kind in ("array", "map") or kind in _AVRO_PRIMITIVES:
            return tree, kind, namespace
        return self.resolved(kind, namespace)

    def problems_reading(self, writer: _Avro) -> list[str]:
        return _avro_problems(self, self.tree, "", writer, writer.tree, "", "", set())


def _avro_problems(
    reader: _Avro, r: Any, r_space: str, writer: _Avro, w: Any, w_space: str, path: str, seen: set[tuple[str, str]]
) -> list[str]:
    r, r_kind, r_space = reader.resolved(r, r_space)
    w, w_kind, w_space = writer.resolved(w, w_space)
    where = path or "the schema"

    def step(r_inner: Any, w_inner: Any, name: str) -> list[str]:
        return _avro_problems(reader, r_inner, r_space, writer, w_inner, w_space, f"{path}{name}", seen)

    if w_kind == "union":
        found = [problem for branch in w for problem in step(r, branch, "")]
        return found
    if r_kind == "union":
        if any(not step(branch, w, "") for branch in r):
            return []
        return [f"{where}: {w_kind} is not one of the types of the union that reads it"]
    if r_kind != w_kind:
        if r_kind in _AVRO_PROMOTIONS.get(w_kind, ()):
            return []
        return [f"{where}: {w_kind} cannot be read as {r_kind}"]
    if r_kind == "array":
        return step(r["items"], w["items"], "[]")
    if r_kind == "map":
        return step(r["values"], w["values"], "{}")
    if r_kind == "fixed":
        return [] if r["size"] == w["size"] else [f"{where}: the sizes of the fixed differ"]
    if r_kind == "enum":
        missing = [symbol for symbol in w["symbols"] if symbol not in r["symbols"]]
        if missing and "default" not in r:
            return [f"{where}: the enum lacks {', '.join(missing)}"]
        return []
    if r_kind in ("record", "error"):
        if (r["name"], w["name"]) in seen:
            return []
        seen.add((r["name"], w["name"]))
        written = {field["name"]: field for field in w["fields"]}
        problems: list[str] = []
        for field in r["fields"]:
            names = [field["name"], *field.get("aliases", ())]
            source = next((written[name] for name in names if name in written), None)
            if source is not None:
                problems += step(field["type"], source["type"], f".{field['name']}")
            elif "default" not in field:
                problems.append(f"{path}.{field['name']}: the field is new and has no default")
        return problems
    return []


# PROTOBUF

_PROTO_ENCODINGS = {
    **dict.fromkeys((5, 13, 3, 4, 8, 14), "varint"),
    **dict.fromkeys((17, 18), "zigzag"),
    **dict.fromkeys((7, 15), "fixed32"),
    **dict.fromkeys((6, 16), "fixed64"),
    **dict.fromkeys((9, 12), "bytes"),
    1: "double",
    2: "float",
}


class _Protobuf:
    def __init__(self, registry: SchemaRegistry, schema: SchemaText) -> None:
        from .protobuf import load_messages

        self.messages = load_messages(schema, resolve(registry, schema))

    def problems_reading(self, writer: _Protobuf) -> list[str]:
        problems: list[str] = []
        _compare_messages(self.messages.file.message_types_by_name, writer.messages.file.message_types_by_name, problems)
        return problems


def _compare_messages(reader: Any, writer: Any, problems: list[str]) -> None:
    for name, written in writer.items():
        if name not in reader:
            problems.append(f"message {written.full_name} is gone")
            continue
        _compare_fields(reader[name], written, problems)
        nested = {m.name: m for m in written.nested_types if not m.GetOptions().map_entry}
        _compare_messages({m.name: m for m in reader[name].nested_types}, nested, problems)


def _compare_fields(reader: Any, writer: Any, problems: list[str]) -> None:
    from .protobuf import is_map, real_oneof_of

    for number, written in writer.fields_by_number.items():
        field = reader.fields_by_number.get(number)
        if field is None:
            if real_oneof_of(written) is not None:
                problems.append(f"{written.full_name}: a field of a oneof is gone")
            continue
        if (field.message_type is None) != (written.message_type is None) or is_map(field) != is_map(written):
            problems.append(f"{field.full_name}: the kind of the field changed")
        elif field.message_type is not None:
            if not is_map(field) and field.message_type.full_name != written.message_type.full_name:
                problems.append(f"{field.full_name}: the message of the field changed")
        elif _PROTO_ENCODINGS.get(field.type) != _PROTO_ENCODINGS.get(written.type):
            problems.append(f"{field.full_name}: the encoding of the field changed")
        if (real_oneof_of(field) is None) != (real_oneof_of(written) is None) and real_oneof_of(field) is not None:
            problems.append(f"{field.full_name}: the field moved into a oneof")


# JSON Schema


class _Json:
    def __init__(self, registry: SchemaRegistry, schema: SchemaText) -> None:
        from .json import parse_json_schema

        self.root = parse_json_schema(schema.text)
        self.referenced = {n: parse_json_schema(s.text) for n, s in resolve(registry, schema).items()}

    def problems_reading(self, writer: _Json) -> list[str]:
        return _json_problems(self, self.root, writer, writer.root, "#", 0)

    def resolved(self, tree: Any) -> Any:
        """The schema that a ``$ref`` means."""
        hops = 0
        while isinstance(tree, dict) and "$ref" in tree and hops < 20:
            document, _, pointer = tree["$ref"].partition("#")
            tree = self.referenced.get(document, True) if document else self.root
            for part in pointer.split("/")[1:]:
                tree = tree.get(part.replace("~1", "/").replace("~0", "~"), True) if isinstance(tree, dict) else True
            hops += 1
        return tree


_JSON_DEPTH_MAX = 50
"""Deeper schemas are not compared further: people do not write them, and recursive ones end here."""


def _json_problems(reader: _Json, r: Any, writer: _Json, w: Any, path: str, depth: int) -> list[str]:
    r, w = reader.resolved(r), writer.resolved(w)
    if r is True or r == {} or r == w or depth > _JSON_DEPTH_MAX:
        return []
    if r is False:
        return [f"{path}: nothing is allowed now"]
    if not isinstance(w, dict) or not w:
        return [f"{path}: anything was allowed, now it is not"]

    def step(r_inner: Any, w_inner: Any, name: str) -> list[str]:
        return _json_problems(reader, r_inner, writer, w_inner, f"{path}{name}", depth + 1)

    for word in ("oneOf", "anyOf"):
        if word in w:
            return [problem for branch in w[word] for problem in step(r, branch, "")]
    for word in ("oneOf", "anyOf"):
        if word in r:
            if any(not step(branch, w, "") for branch in r[word]):
                return []
            return [f"{path}: {_types(w)} is not one of the alternatives"]
    problems: list[str] = []
    r_types, w_types = _types(r), _types(w)
    if r_types is not None:
        lost = (
            [_ANY_TYPE]
            if w_types is None
            else [t for t in w_types if t not in r_types and not (t == "integer" and "number" in r_types)]
        )
        if lost:
            return [f"{path}: {', '.join(lost)} is no longer allowed"]
    if "enum" in r:
        gone = [value for value in w.get("enum", [_ANY_TYPE]) if value not in r["enum"]]
        if gone:
            problems.append(f"{path}: {', '.join(map(str, gone))} is no longer among the values")
    if "items" in r and isinstance(r["items"], dict | bool):
        problems += step(r["items"], w.get("items", True), "/items")
    return problems + _json_properties(r, w, path, step)


_ANY_TYPE = "any other type"


def _types(tree: dict[str, Any]) -> list[str] | None:
    kind = tree.get("type")
    if kind is None:
        return None
    return list(kind) if isinstance(kind, list) else [kind]


def _json_properties(r: dict[str, Any], w: dict[str, Any], path: str, step: Any) -> list[str]:
    r_props, w_props = r.get("properties") or {}, w.get("properties") or {}
    r_open, w_open = r.get("additionalProperties", True), w.get("additionalProperties", True)
    problems: list[str] = []
    for name, written in w_props.items():
        if name in r_props:
            problems += step(r_props[name], written, f"/properties/{name}")
        elif r_open is False:
            problems.append(f"{path}/properties/{name}: the property is gone, and others are not allowed")
        elif isinstance(r_open, dict):
            problems += step(r_open, written, f"/properties/{name}")
    required = set(w.get("required") or ())
    for name in r.get("required") or ():
        if name not in required and "default" not in (r_props.get(name) or {}):
            problems.append(f"{path}/properties/{name}: the property is required now")
    for name, tree in r_props.items():
        if name not in w_props and w_open is not False and tree not in (True, {}):
            if isinstance(w_open, dict):
                problems += step(tree, w_open, f"/properties/{name}")
            else:
                problems.append(f"{path}/properties/{name}: the property is new, and could have been anything before")
    if r_open is False and w_open is not False and ("properties" in w or "properties" in r):
        problems.append(f"{path}: other properties are no longer allowed")
    return problems
