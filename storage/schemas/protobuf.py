"""Protobuf schemas <-> Arrow types.

Columns -> proto3: a message (``ConnectDefault1`` unless a name is given) with a field per column, numbered from 1.  A
STRUCT is a nested message.  DECIMAL, DATE, TIME and TIMESTAMP are the messages ``confluent.type.Decimal``,
``google.type.Date``, ``google.type.TimeOfDay`` and ``google.protobuf.Timestamp``.  Null is not written, so a primitive
reads back as its default, unless nulls are represented: OPTIONAL labels the fields ``optional``, WRAPPER uses
``google.protobuf.Int32Value`` and so on.

Protobuf -> columns: unsigned 32 bit is BIGINT, unsigned 64 bit BIGINT (wrapping), float DOUBLE, an enum STRING; a wrapper
is the type in it.  A oneof is a STRUCT ``<name>_<index>`` of its branches and comes before the other fields.  Recursive
messages are refused.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import pyarrow as pa

from ...errors import StatementError
from ...limits import DECIMAL_PRECISION_MAX
from ..optional_packages import needed
from ..values.type_names import type_name
from .checks import Budget
from .proto_text import ProtoFile, parse_proto, resolve_types
from .protocol import SchemaText

DEFAULT_MESSAGE = "ConnectDefault1"

Nullable = Literal["NONE", "OPTIONAL", "WRAPPER"]

_MAIN_FILE = "penstock/schema.proto"
_KNOWN_TEXTS = {
    "confluent/meta.proto": 'syntax = "proto3"; package confluent; message Meta {string doc = 1; '
    "map<string, string> params = 2;}",
    "confluent/type/decimal.proto": 'syntax = "proto3"; package confluent.type; message Decimal {bytes value = 1; '
    "uint32 precision = 2; int32 scale = 3;}",
    "google/type/date.proto": 'syntax = "proto3"; package google.type; message Date {int32 year = 1; int32 month = 2; '
    "int32 day = 3;}",
    "google/type/timeofday.proto": 'syntax = "proto3"; package google.type; message TimeOfDay {int32 hours = 1; '
    "int32 minutes = 2; int32 seconds = 3; int32 nanos = 4;}",
}
"""Files that schemas import and that the protobuf package lacks, reduced to their fields."""

_PACKAGED = frozenset(
    ("any", "api", "descriptor", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "type")
) | {"wrappers"}

_PRIMITIVES: dict[Any, tuple[str, str]] = {
    pa.bool_(): ("bool", "BoolValue"),
    pa.int32(): ("int32", "Int32Value"),
    pa.int64(): ("int64", "Int64Value"),
    pa.float64(): ("double", "DoubleValue"),
    pa.string(): ("string", "StringValue"),
    pa.binary(): ("bytes", "BytesValue"),
}
_MESSAGES: dict[Any, tuple[str, str]] = {
    pa.date32(): ("google.type.Date", "google/type/date.proto"),
    pa.time32("ms"): ("google.type.TimeOfDay", "google/type/timeofday.proto"),
    pa.timestamp("ms"): ("google.protobuf.Timestamp", "google/protobuf/timestamp.proto"),
}
LOGICAL = {message: type_ for type_, (message, _) in _MESSAGES.items()}
DECIMAL_MESSAGE = "confluent.type.Decimal"
WRAPPERS = {
    "google.protobuf.BoolValue": pa.bool_(),
    "google.protobuf.Int32Value": pa.int32(),
    "google.protobuf.UInt32Value": pa.int64(),
    "google.protobuf.Int64Value": pa.int64(),
    "google.protobuf.UInt64Value": pa.int64(),
    "google.protobuf.FloatValue": pa.float64(),
    "google.protobuf.DoubleValue": pa.float64(),
    "google.protobuf.StringValue": pa.string(),
    "google.protobuf.BytesValue": pa.binary(),
}
_DECIMAL_PRECISION_DEFAULT = 64
"""The precision of a decimal that states none, as in Connect."""

_SCALARS = {
    1: pa.float64(),
    2: pa.float64(),
    3: pa.int64(),
    4: pa.int64(),
    5: pa.int32(),
    6: pa.int64(),
    7: pa.int64(),
    8: pa.bool_(),
    9: pa.string(),
    12: pa.binary(),
    13: pa.int64(),
    14: pa.string(),
    15: pa.int32(),
    16: pa.int64(),
    17: pa.int32(),
    18: pa.int64(),
}
"""The Arrow type of each `FieldDescriptor.type` except messages (an enum is STRING)."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def proto_schema(
    schema: pa.Schema, full_name: str | None, nullable: Nullable = "NONE", *, maps_as_entries: bool = False
) -> str:
    """The ``.proto`` text for columns.

    Args:
        maps_as_entries: write a MAP as a repeated message of ``key`` and ``value``.  It has the same bytes as a map and
            allows keys and values of all types.

    Raises:
        StatementError: protobuf has no counterpart for a name or a type.
    """
    package, _, name = (full_name or DEFAULT_MESSAGE).rpartition(".")
    writer = _Writer(nullable, maps_as_entries)
    body = writer.message(name, list(schema), 0)
    head = ['syntax = "proto3";']
    if package:
        head.append(f"package {package};")
    text = "\n".join(head) + "\n\n"
    if writer.imports:
        text += "\n".join(f'import "{path}";' for path in sorted(writer.imports)) + "\n\n"
    return text + body


class _Writer:
    def __init__(self, nullable: Nullable, maps_as_entries: bool) -> None:
        self._nullable = nullable
        self._maps_as_entries = maps_as_entries
        self._messages = 1
        self.imports: set[str] = set()

    def message(self, name: str, fields: list[Any], depth: int) -> str:
        pad = "  " * depth
        lines = [f"{pad}message {name} {{"]
        nested: list[str] = []
        for number, field in enumerate(fields, 1):
            if not _NAME.fullmatch(field.name):
                raise StatementError(
                    f"the PROTOBUF format does not support the name `{field.name}`",
                    suggestion="Names in protobuf are letters, digits and underscores, and begin with no digit.",
                )
            label, type_, options = self._field(field.type, nested, depth + 1)
            lines.append(f"{pad}  {label}{type_} {field.name} = {number}{options};")
        for text in nested:
            lines += ["", text.rstrip("\n")]
        return "\n".join([*lines, f"{pad}}}"]) + "\n"

    def _field(self, type_: pa.DataType, nested: list[str], depth: int) -> tuple[str, str, str]:
        """The label, type and options of a field."""
        if pa.types.is_map(type_):
            if self._maps_as_entries:
                self._messages += 1
                name = f"ConnectDefault{self._messages}Entry"
                entry = [pa.field("key", type_.key_type), pa.field("value", type_.item_type)]
                nested.append(self.message(name, entry, depth))
                return "repeated ", name, ""
            if not pa.types.is_string(type_.key_type):
                raise StatementError(
                    f"the PROTOBUF format does not support {type_name(type_)}: the keys of a MAP must be STRING"
                )
            value, options = self._single(type_.item_type, nested, depth)
            return "", f"map<string, {value}>", options
        if pa.types.is_list(type_):
            item, options = self._single(type_.value_type, nested, depth)
            return "repeated ", item, options
        label = "optional " if self._nullable == "OPTIONAL" else ""
        single, options = self._single(type_, nested, depth)
        return label, single, options

    def _single(self, type_: pa.DataType, nested: list[str], depth: int) -> tuple[str, str]:
        if pa.types.is_decimal(type_):
            self.imports |= {"confluent/meta.proto", "confluent/type/decimal.proto"}
            pad = "  " * depth
            entries = f",\n{pad}    ".join(
                f'{{\n{pad}      value: "{value}",\n{pad}      key: "{key}"\n{pad}    }}'
                for key, value in (("precision", type_.precision), ("scale", type_.scale))
            )
            meta = f" [(confluent.field_meta) = {{\n{pad}  params: [\n{pad}    {entries}\n{pad}  ]\n{pad}}}]"
            return DECIMAL_MESSAGE, meta
        if type_ in _MESSAGES:
            message, path = _MESSAGES[type_]
            self.imports.add(path)
            return message, ""
        if pa.types.is_struct(type_):
            self._messages += 1
            name = f"ConnectDefault{self._messages}"
            nested.append(self.message(name, list(type_), depth))
            return name, ""
        if type_ not in _PRIMITIVES:
            raise StatementError(f"the PROTOBUF format does not support {type_name(type_)} inside an ARRAY or MAP")
        scalar, wrapper = _PRIMITIVES[type_]
        if self._nullable == "WRAPPER":
            self.imports.add("google/protobuf/wrappers.proto")
            return f"google.protobuf.{wrapper}", ""
        return scalar, ""


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of a schema.

    Attributes:
        file: their descriptor.
        top: the messages at the top of the file, in order.
        parameters: Connect's parameters, by the full name of the field.
    """

    file: Any
    top: list[Any]
    parameters: Mapping[str, Mapping[str, str]]

    def indexes_of(self, message: Any) -> tuple[int, ...]:
        """The indexes by which `by_indexes` finds a message."""
        indexes: list[int] = []
        while message is not None:
            above = message.containing_type
            beside = self.top if above is None else above.nested_types
            indexes.insert(0, [other.full_name for other in beside].index(message.full_name))
            message = above
        return tuple(indexes)

    def by_name(self, full_name: str | None) -> Any:
        """The descriptor of a message; without a name the first one.

        Raises:
            StatementError: there is no such message.
        """
        top = self.top
        if full_name is None:
            if not top:
                raise StatementError("the protobuf schema has no message")
            return top[0]
        waiting = list(top)
        while waiting:
            message = waiting.pop(0)
            if full_name in (message.full_name, message.name):
                return message
            waiting += message.nested_types
        raise StatementError(f"the protobuf schema has no message {full_name}")

    def by_indexes(self, indexes: tuple[int, ...]) -> Any:
        """The descriptor of a message by its index, after those of the messages around it.

        Raises:
            ValueError: there is no such message.
        """
        messages = self.top
        found = None
        for index in indexes:
            if not 0 <= index < len(messages):
                raise ValueError(f"the schema has no message {list(indexes)}")
            found = messages[index]
            messages = found.nested_types
        return found


def load_messages(schema: SchemaText, referenced: Mapping[str, SchemaText]) -> Messages:
    """Load the messages of a schema.

    Args:
        referenced: the texts of imported schemas, by the name of the import.

    Raises:
        StatementError: a text is malformed, or an import is unknown.
    """
    pool = needed("google.protobuf.descriptor_pool", "protobuf").DescriptorPool()
    files: dict[str, ProtoFile] = {}
    packaged: dict[str, Any] = {}
    waiting = [(_MAIN_FILE, schema.text)]
    while waiting:
        name, text = waiting.pop()
        files[name] = parse_proto(text, name)
        for path in files[name].imports:
            if path in files or path in packaged or any(path == known for known, _ in waiting):
                continue
            if path in referenced:
                waiting.append((path, referenced[path].text))
            elif path in _KNOWN_TEXTS:
                waiting.append((path, _KNOWN_TEXTS[path]))
            else:
                packaged[path] = _packaged_file(path)
    types: dict[str, int] = {}
    for descriptor in packaged.values():
        types |= {message.full_name: 11 for message in descriptor.message_types_by_name.values()}
        types |= {enum.full_name: 14 for enum in descriptor.enum_types_by_name.values()}
        _add_packaged(pool, descriptor)
    resolve_types(files, types)
    added: set[str] = set()
    try:
        _add(_MAIN_FILE, files, pool, added, ())
        file = pool.FindFileByName(_MAIN_FILE)
        return Messages(
            file,
            [file.message_types_by_name[message.name] for message in files[_MAIN_FILE].descriptor.message_type],
            {name: values for file in files.values() for name, values in file.parameters.items()},
        )
    except (TypeError, KeyError, ValueError) as error:
        raise StatementError(f"this is not a protobuf schema: {error}") from None


def serialised_file(schema: SchemaText, referenced: Mapping[str, SchemaText]) -> str:
    """A schema as a `FileDescriptorProto` in base64; for the arguments and errors see `load_messages`."""
    return base64.b64encode(load_messages(schema, referenced).file.serialized_pb).decode()


def _packaged_file(path: str) -> Any:
    """The descriptor of a file that comes with the protobuf package."""
    name = path.removeprefix("google/protobuf/").removesuffix(".proto")
    if name not in _PACKAGED or not path.startswith("google/protobuf/"):
        raise StatementError(f"the protobuf schema imports {path}, which is not among its references")
    return needed(f"google.protobuf.{name}_pb2", "protobuf").DESCRIPTOR


def _add_packaged(pool: Any, descriptor: Any) -> None:
    for dependency in descriptor.dependencies:
        _add_packaged(pool, dependency)
    pool.AddSerializedFile(descriptor.serialized_pb)


def _add(name: str, files: Mapping[str, ProtoFile], pool: Any, added: set[str], above: tuple[str, ...]) -> None:
    """Add a file to the pool, after the files that it imports."""
    if name in added:
        return
    if name in above:
        raise StatementError(f"the protobuf schema imports itself: {name}")
    for path in files[name].imports:
        if path in files:
            _add(path, files, pool, added, (*above, name))
    pool.AddSerializedFile(files[name].descriptor.SerializeToString())
    added.add(name)


class ProtobufReader:
    """The Arrow types of messages."""

    def __init__(self, parameters: Mapping[str, Mapping[str, str]]) -> None:
        self._parameters = parameters
        self._open: list[str] = []
        self._budget = Budget()

    def natural(self, message: Any) -> Any:
        """The struct type of a message.

        Raises:
            StatementError: the message is recursive.
        """
        self._budget.spend()
        if message.full_name in self._open:
            raise StatementError(f"the protobuf schema is recursive: {message.full_name} contains itself")
        self._open.append(message.full_name)
        fields = []
        for index, oneof in real_oneofs(message):
            branches = [pa.field(field.name, self._single(field)) for field in oneof.fields]
            fields.append(pa.field(f"{oneof.name}_{index}", pa.struct(branches)))
        for field in message.fields:
            if real_oneof_of(field) is None:
                fields.append(pa.field(field.name, self.field(field)))
        self._open.pop()
        return pa.struct([field for field in fields if field.type is not None])

    def field(self, field: Any) -> Any:
        """The type of a field, which depends on its label."""
        if is_map(field):
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            return pa.map_(self._single(key), self._single(value, field))
        single = self._single(field)
        return pa.list_(single) if field.is_repeated else single

    def _single(self, field: Any, written: Any = None) -> Any:
        """The type of one value of a field.

        Args:
            written: the field in the schema's text, with its parameters, where ``field`` was derived from it (the value of a
                map).
        """
        if field.message_type is None:
            return _SCALARS[field.type]
        name = field.message_type.full_name
        if name in WRAPPERS:
            return WRAPPERS[name]
        if name in LOGICAL:
            return LOGICAL[name]
        if name == DECIMAL_MESSAGE:
            return self._decimal(written or field)
        return self.natural(field.message_type)

    def _decimal(self, field: Any) -> Any:
        parameters = self._parameters.get(field.full_name, {})
        precision = int(parameters.get("precision", parameters.get("connect.decimal.precision", _DECIMAL_PRECISION_DEFAULT)))
        scale = int(parameters.get("scale", 0))
        if not 0 <= scale <= precision <= DECIMAL_PRECISION_MAX:
            raise StatementError(f"field {field.full_name} has digits that no DECIMAL of SQL has: ({precision}, {scale})")
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def is_map(field: Any) -> bool:
    """Whether a field is a map."""
    return field.message_type is not None and field.is_repeated and field.message_type.GetOptions().map_entry


def real_oneof_of(field: Any) -> Any:
    """The oneof that a field belongs to; None for the one that ``optional`` creates."""
    oneof = field.containing_oneof
    if oneof is None or (len(oneof.fields) == 1 and oneof.name == f"_{field.name}"):
        return None
    return oneof


def real_oneofs(message: Any) -> list[tuple[int, Any]]:
    """The oneofs of the schema's text, with their indexes."""
    return [(i, oneof) for i, oneof in enumerate(message.oneofs) if real_oneof_of(oneof.fields[0]) is not None]


def nullable_named(name: str) -> Nullable:
    """The representation of nulls by its name.

    Raises:
        StatementError: it is not OPTIONAL, WRAPPER or NONE (the default).
    """
    wanted = name.upper()
    if wanted not in ("NONE", "OPTIONAL", "WRAPPER"):
        raise StatementError(f"nulls in protobuf must be represented as OPTIONAL or WRAPPER, not {wanted}")
    return cast(Nullable, wanted)
