"""Checks of schemas that come from outside: a malformed or exploding schema is refused early, with a reason.

`check_avro` and `check_json` check a parsed schema's form before anything else reads it.  `Budget` bounds how large a
schema can become when the types that it names are put in: a record that uses the next one twice doubles at every level.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import StatementError
from ...limits import SCHEMA_DEPTH_MAX, SCHEMA_PARTS_MAX

_NAMED = ("record", "error", "enum", "fixed")


class Budget:
    """How many more parts of a schema may be visited.  A named type counts each time it is used."""

    def __init__(self) -> None:
        self._left = SCHEMA_PARTS_MAX

    def spend(self) -> None:
        """Count one part.  Raises: StatementError, if there were too many."""
        self._left -= 1
        if self._left < 0:
            raise StatementError(f"the schema has more than {SCHEMA_PARTS_MAX} parts, each counted as often as it is used")


@contextmanager
def refusing_what_is_malformed(kind: str, *, reading: bool = False) -> Iterator[None]:
    """A context in which errors that a malformed schema causes, in a library or in our code, become a StatementError.

    Args:
        reading: let a plain ValueError through; readers raise it for types that do not go together.

    Raises:
        StatementError: for lookup errors, conversion errors and too deep recursion.
    """
    try:
        yield
    except RecursionError:
        raise StatementError(f"the {kind} schema is nested too deeply") from None
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        if reading and type(error) is ValueError:
            raise
        raise StatementError(f"the {kind} schema is malformed: {error}") from None


def _too_deep(kind: str, depth: int) -> None:
    if depth > SCHEMA_DEPTH_MAX:
        raise StatementError(f"the {kind} schema is nested more than {SCHEMA_DEPTH_MAX} levels deep")


def _avro_fault(what: str) -> StatementError:
    return StatementError(f"this is not an Avro schema: {what}")


def check_avro(schema: Any, depth: int = 0) -> None:
    """Check the form of an Avro schema.

    Raises:
        StatementError: it is malformed or nested too deeply.
    """
    _too_deep("Avro", depth)
    if isinstance(schema, str):
        return
    if isinstance(schema, list):
        if not schema:
            raise _avro_fault("a union has no branches")
        for branch in schema:
            if isinstance(branch, list):
                raise _avro_fault("a union stands directly inside of another one")
            check_avro(branch, depth + 1)
        return
    if not isinstance(schema, dict):
        raise _avro_fault(f"{schema!r} is not a type")
    if "type" not in schema:
        raise _avro_fault("it has no type")
    kind = schema["type"]
    if not isinstance(kind, str):
        check_avro(kind, depth + 1)
        return
    if not isinstance(schema.get("logicalType", ""), str):
        raise _avro_fault("a logicalType is not a text")
    for number in ("precision", "scale"):
        given = schema.get(number, 0)
        if schema.get("logicalType") == "decimal" and not (isinstance(given, int) and not isinstance(given, bool)):
            raise _avro_fault(f"a decimal's {number} is not a whole number")
    if kind in _NAMED:
        _check_named(schema, kind, depth)
    elif kind in ("array", "map"):
        inner = "items" if kind == "array" else "values"
        if inner not in schema:
            raise _avro_fault(f"the {kind} has no {inner}")
        check_avro(schema[inner], depth + 1)


def _check_named(schema: dict[str, Any], kind: str, depth: int) -> None:
    for word in ("name", "namespace"):
        given = schema.get(word, "" if word == "namespace" else None)
        if given is None and word == "namespace":
            continue
        if not isinstance(given, str) or (word == "name" and not given):
            raise _avro_fault(f"the {kind} has no {word} that is a text")
    if kind == "enum":
        symbols = schema.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(s, str) for s in symbols):
            raise _avro_fault(f"the enum {schema['name']} has no list of symbols")
    elif kind == "fixed":
        size = schema.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise _avro_fault(f"the fixed {schema['name']} has no size")
    else:
        fields = schema.get("fields")
        if not isinstance(fields, list):
            raise _avro_fault(f"the record {schema['name']} has no list of fields")
        names = set()
        for field in fields:
            if not isinstance(field, dict) or not isinstance(field.get("name"), str) or "type" not in field:
                raise _avro_fault(f"a field of {schema['name']} has no name or no type")
            if field["name"] in names:
                raise _avro_fault(f"the record {schema['name']} has two fields {field['name']}")
            names.add(field["name"])
            check_avro(field["type"], depth + 1)


_OBJECTS = ("properties", "definitions", "$defs", "connect.parameters")
_LISTS = ("oneOf", "anyOf", "allOf")
_TEXTS = ("$ref", "title", "connect.type")


def check_json(tree: Any, depth: int = 0) -> None:
    """Check the form of those parts of a JSON Schema that Penstock reads.

    Raises:
        StatementError: a part does not follow the specification, or the schema is nested too deeply.
    """
    _too_deep("JSON", depth)
    if not isinstance(tree, dict):
        if isinstance(tree, bool):
            return
        raise StatementError(f"this is not a JSON Schema: {tree!r} is neither an object nor a boolean")
    for words, type_, what in ((_OBJECTS, dict, "an object"), (_LISTS, list, "a list"), (_TEXTS, str, "a text")):
        for word in words:
            if word in tree and not isinstance(tree[word], type_) and not (tree[word] is None and type_ is not list):
                raise StatementError(f"this is not a JSON Schema: {word} is not {what}")
    for word in ("required", "enum"):
        if word in tree and not isinstance(tree[word], list):
            raise StatementError(f"this is not a JSON Schema: {word} is not a list")
    if not all(isinstance(name, str) for name in tree.get("required", ())):
        raise StatementError("this is not a JSON Schema: required has an item that is not a text")
    kind = tree.get("type", "object")
    if not isinstance(kind, str | list) or (isinstance(kind, list) and not all(isinstance(k, str) for k in kind)):
        raise StatementError("this is not a JSON Schema: type is neither a text nor a list of texts")
    for word in ("properties", "definitions", "$defs"):
        for part in (tree.get(word) or {}).values():
            check_json(part, depth + 1)
    for word in _LISTS:
        for part in tree.get(word, ()):
            check_json(part, depth + 1)
    for word in ("items", "additionalProperties"):
        part = tree.get(word)
        if isinstance(part, dict):
            check_json(part, depth + 1)
        elif isinstance(part, list) and word == "items":
            for item in part:
                check_json(item, depth + 1)
        elif part is not None and not isinstance(part, bool):
            raise StatementError(f"this is not a JSON Schema: {word} is not a schema")
