"""The defaults that a registered schema gives to fields which a record leaves out, at every depth.

In Avro the ``default`` of a record's field, in JSON Schema that of a property; protobuf has none.  Schemas in other
subjects that a schema refers to are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .avro import parse_avro
from .checks import refusing_what_is_malformed
from .json import parse_json_schema
from .protocol import SchemaText

__all__ = ["FieldDefault", "field_defaults"]


@dataclass(frozen=True, slots=True)
class FieldDefault:
    """The default of one field.

    Attributes:
        value: as JSON; None if the default is null or there is none.
        fields: the defaults of the fields of the record in it, by name.
    """

    value: Any = None
    fields: Mapping[str, FieldDefault] = field(default_factory=dict)


def field_defaults(schema: SchemaText) -> Mapping[str, FieldDefault]:
    """The defaults of a schema's record, by field name.

    Raises:
        StatementError: the schema is malformed.
    """
    with refusing_what_is_malformed(schema.type):
        if schema.type == "AVRO":
            return _avro(parse_avro(schema.text), {}, ())
        if schema.type == "JSON":
            return _json(parse_json_schema(schema.text))
    return {}


def _avro(tree: Any, named: dict[str, Any], inside: tuple[str, ...]) -> Mapping[str, FieldDefault]:
    for branch in tree if isinstance(tree, list) else [tree]:
        if isinstance(branch, str):
            branch = named.get(branch)
        if not isinstance(branch, dict):
            continue
        if isinstance(branch.get("type"), (dict, list)):
            return _avro(branch["type"], named, inside)
        name = str(branch.get("name"))
        if branch.get("type") == "record" and name not in inside:
            named[name] = branch
            return {
                str(f["name"]): FieldDefault(f.get("default"), _avro(f["type"], named, (*inside, name)))
                for f in branch["fields"]
            }
    return {}


def _json(tree: Any) -> Mapping[str, FieldDefault]:
    if not isinstance(tree, dict):
        return {}
    for word in ("oneOf", "anyOf", "allOf"):
        for branch in tree.get(word, ()):
            if found := _json(branch):
                return found
    return {
        str(name): FieldDefault(part.get("default"), _json(part))
        for name, part in (tree.get("properties") or {}).items()
        if isinstance(part, dict)
    }
