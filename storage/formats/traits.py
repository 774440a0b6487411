"""What each format can do, as data.  The checks of statements read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ...errors import StatementError
from ..values.type_names import type_name

KAFKA_TYPES = (pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.binary())

TypeCheck = Callable[[Any], str | None]
"""Takes an Arrow type, and returns what of it the format does not support; None if it supports all."""


@dataclass(frozen=True, slots=True)
class FormatTraits:
    """What a format can do.

    Attributes:
        name: in upper case.
        keys: keys may have this format.
        values: values may have this format.
        columns_max: of one side; None is no limit.
        wrap_settings: the values of WRAP_SINGLE_VALUE that are allowed for a single value column.
        wraps_value: a single value column is inside an object by default.
        wraps_key: a single key column is always inside an object.
        inference: columns can come from the schema registry, and sinks register their schemas there.
        properties: further properties that a statement may set: ``delimiter``, ``schema_id``, ``full_name``,
            ``nullable_representation``.
        inherited: properties that a sink takes from its source if both have the same format.
        unsupported: what of an Arrow type the format does not support (`TypeCheck`).
        aggregates: the values of joined and grouped sources may have this format.
    """

    name: str
    keys: bool = True
    values: bool = True
    columns_max: int | None = None
    wrap_settings: frozenset[bool] = frozenset()
    wraps_value: bool = True
    wraps_key: bool = False
    inference: bool = False
    properties: frozenset[str] = frozenset()
    inherited: frozenset[str] = frozenset()
    unsupported: TypeCheck = lambda type_: None
    aggregates: bool = True


def _first(type_: pa.DataType, refuses: TypeCheck) -> str | None:
    """The first part of a type, itself included, that ``refuses`` objects to."""
    reason = refuses(type_)
    if reason is not None:
        return reason
    if pa.types.is_map(type_):
        return _first(type_.key_type, refuses) or _first(type_.item_type, refuses)
    if pa.types.is_list(type_):
        return _first(type_.value_type, refuses)
    if pa.types.is_struct(type_):
        return next(filter(None, (_first(field.type, refuses) for field in type_)), None)
    return None


def _not_kafka(type_: pa.DataType) -> str | None:
    return None if type_ in KAFKA_TYPES else f"type {type_name(type_)}"


def _nested(type_: pa.DataType) -> str | None:
    return f"type {type_name(type_)}" if pa.types.is_nested(type_) else None


def _keyed_by_other_than_string(type_: pa.DataType) -> str | None:
    def refuses(part: Any) -> str | None:
        if pa.types.is_map(part) and not pa.types.is_string(part.key_type):
            return f"{type_name(part)}: the keys of a MAP must be STRING"
        return None

    return _first(type_, refuses)


def _map_anywhere(type_: pa.DataType) -> str | None:
    return _first(type_, lambda part: type_name(part) if pa.types.is_map(part) else None)


_BOTH = frozenset((True, False))
_BARE_ONLY = frozenset((False,))
_WRAPPED_ONLY = frozenset((True,))
_SCHEMA = frozenset(("schema_id", "full_name"))
_PROTOBUF = frozenset(("nullable_representation",))

FORMATS: dict[str, FormatTraits] = {
    traits.name: traits
    for traits in (
        FormatTraits("ARROW"),
        FormatTraits("NONE", columns_max=0, wraps_value=False),
        FormatTraits(
            "KAFKA",
            columns_max=1,
            wrap_settings=_BARE_ONLY,
            wraps_value=False,
            unsupported=_not_kafka,
            aggregates=False,
        ),
        FormatTraits(
            "DELIMITED",
            wrap_settings=_BARE_ONLY,
            wraps_value=False,
            properties=frozenset(("delimiter",)),
            inherited=frozenset(("delimiter",)),
            unsupported=_nested,
        ),
        FormatTraits("JSON", wrap_settings=_BOTH, unsupported=_keyed_by_other_than_string),
        FormatTraits(
            "JSON_SR", wrap_settings=_BOTH, inference=True, properties=_SCHEMA, unsupported=_keyed_by_other_than_string
        ),
        FormatTraits(
            "AVRO", wrap_settings=_BOTH, inference=True, properties=_SCHEMA, unsupported=_keyed_by_other_than_string
        ),
        FormatTraits(
            "PROTOBUF",
            wrap_settings=_WRAPPED_ONLY,
            wraps_key=True,
            inference=True,
            properties=_SCHEMA | _PROTOBUF,
            inherited=_PROTOBUF,
            unsupported=_keyed_by_other_than_string,
        ),
        FormatTraits(
            "PROTOBUF_NOSR",
            wrap_settings=_WRAPPED_ONLY,
            wraps_key=True,
            properties=_PROTOBUF,
            inherited=_PROTOBUF,
            unsupported=_keyed_by_other_than_string,
        ),
    )
}


def format_traits(name: str) -> FormatTraits:
    """The traits of a format, by its name in any case.

    Raises:
        StatementError: there is no such format.
    """
    traits = FORMATS.get(name.upper())
    if traits is None:
        raise StatementError(f"there is no format {name}", suggestion="Formats are " + ", ".join(FORMATS) + ".")
    return traits


def check_columns(name: str, schema: pa.Schema, is_key: bool) -> None:
    """Check that the format can hold these columns.

    Raises:
        StatementError: it cannot; the message names the column and the reason.
    """
    traits = format_traits(name)
    side = "key" if is_key else "value"
    if traits.columns_max is not None and len(schema) > traits.columns_max:
        listed = ", ".join(f"`{field.name}` {type_name(field.type)}" for field in schema)
        if traits.columns_max == 0:
            raise StatementError(f"the {traits.name} format is for sides without columns; the {side} has {listed}")
        raise StatementError(
            f"the {traits.name} format holds a single column; the {side} has {listed}",
            suggestion=f"Another {side.upper()}_FORMAT, JSON for one, holds several.",
        )
    for field in schema:
        if is_key and (part := _map_anywhere(field.type)) is not None:
            raise StatementError(f"key column `{field.name}` holds a MAP ({part}), which has no order to be compared by")
        if (what := traits.unsupported(field.type)) is not None:
            raise StatementError(f"the {traits.name} format does not support column `{field.name}`: {what}")


def check_wrapping(name: str, wrap: bool, columns: int) -> None:
    """Check that WRAP_SINGLE_VALUE may have this value for a value with so many columns.

    Raises:
        StatementError: it may not.
    """
    traits = format_traits(name)
    if wrap not in traits.wrap_settings:
        raise StatementError(f"the {traits.name} format does not support WRAP_SINGLE_VALUE = {str(wrap).lower()}")
    if columns != 1:
        raise StatementError("WRAP_SINGLE_VALUE can only be set for a single value column")
