"""Value and key formats: bytes <-> Arrow columns.

`make_serde` gives the `Serde` of a format; `traits` says what each can do; `base` is the contract.  Formats with
schemas (AVRO, PROTOBUF, JSON_SR) take a `SchemaRegistry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import InternalError, StatementError
from .base import Serde, SerdeOptions
from .traits import FORMATS, FormatTraits, check_columns, check_wrapping, format_traits

if TYPE_CHECKING:
    from .schema_registry import SchemaRegistry

__all__ = [
    "FORMATS",
    "FormatTraits",
    "check_columns",
    "check_wrapping",
    "format_traits",
    "make_serde",
]


def make_serde(name: str, options: SerdeOptions, registry: SchemaRegistry | None = None) -> Serde:
    """The serde of a format for one side of a source.

    Args:
        name: the format, in any case.
        registry: where AVRO, PROTOBUF and JSON_SR find and put schemas.

    Raises:
        StatementError: there is no such format, it needs a registry or a package that is not there, or an option is
        wrong. InternalError: ARROW values, which need none.
    """
    traits = format_traits(name)
    wrap = options.wrap
    if wrap is None:
        wrap = traits.wraps_key if options.is_key else traits.wraps_value
    if traits.inference and registry is None:
        raise StatementError(f"The {traits.name} format needs a schema registry")
    match traits.name:
        case "NONE":
            from .none import NoneSerde

            return NoneSerde()
        case "KAFKA":
            from .kafka import KafkaSerde

            return KafkaSerde()
        case "DELIMITED":
            from .delimited import DelimitedSerde, delimiter_of

            return DelimitedSerde(delimiter_of(options.delimiter))
        case "JSON":
            from .json import JsonSerde

            return JsonSerde(wrap)
        case "ARROW" if options.is_key:
            from .arrow_key import ArrowKeySerde

            return ArrowKeySerde()
        case _:
            raise InternalError("ARROW values are stored as columns and have no serde")
