"""Value and key formats: bytes <-> Arrow columns.

`make_serde` gives the `Serde` of a format; `traits` says what each can do; `base` is the contract.  Formats with schemas
(AVRO, PROTOBUF, JSON_SR) take a `SchemaRegistry`.
"""

from __future__ import annotations

from ...errors import InternalError, StatementError
from ..schemas.inference import infer_columns, schema_of_columns
from ..schemas.registry import EmbeddedRegistry, RegisteredSchema, SchemaReference, SchemaRegistry, SchemaText
from .base import Serde, SerdeOptions
from .traits import FORMATS, FormatTraits, check_columns, check_wrapping, format_traits

__all__ = [
    "FORMATS",
    "FormatTraits",
    "check_columns",
    "check_wrapping",
    "format_traits",
    "EmbeddedRegistry",
    "RegisteredSchema",
    "SchemaReference",
    "SchemaRegistry",
    "SchemaText",
    "infer_columns",
    "make_serde",
    "schema_of_columns",
]


def make_serde(name: str, options: SerdeOptions, registry: SchemaRegistry | None = None) -> Serde:
    """The serde of a format, for the key or the value of a source.

    Args:
        name: the format, in any case.
        registry: where AVRO, PROTOBUF and JSON_SR find and register schemas.

    Raises:
        StatementError: there is no such format, it needs a registry or a package that is missing, or an option is wrong.
        InternalError: ARROW values have no serde, since the log keeps their columns.
    """
    traits = format_traits(name)
    wrap = options.wrap
    if wrap is None:
        wrap = traits.wraps_key if options.is_key else traits.wraps_value
    match traits.name:
        case "NONE":
            from .none import NoneSerde

            return NoneSerde()
        case "KAFKA":
            from .kafka import KafkaSerde

            return KafkaSerde()
        case "DELIMITED":
            from .delimited import DelimitedSerde, delimiter_of

            # A statement writes SPACE and TAB; whoever has read it may hand over the character.
            return DelimitedSerde(options.delimiter if options.delimiter in " \t" else delimiter_of(options.delimiter))
        case "JSON":
            from .json import JsonSerde

            return JsonSerde(wrap)
        case "ARROW" if options.is_key:
            from .arrow_key import ArrowKeySerde

            return ArrowKeySerde()
        case "AVRO":
            from .avro import AvroSerde

            return AvroSerde(_known(registry), options, wrap)
        case "JSON_SR":
            from .json_sr import JsonSchemaSerde

            return JsonSchemaSerde(_known(registry), options, wrap)
        case "PROTOBUF":
            from .protobuf import ProtobufSerde

            return ProtobufSerde(_known(registry), options)
        case "PROTOBUF_NOSR":
            from .protobuf import BareProtobufSerde

            return BareProtobufSerde(options)
        case "ARROW":
            raise InternalError("ARROW values are stored as columns and have no serde")
        case other:
            raise InternalError(f"the format {other} stands in FORMATS but has no case here")


def _known(registry: SchemaRegistry | None) -> SchemaRegistry:
    if registry is None:
        raise StatementError("the format needs a schema registry")
    return registry
