"""The text of ``.proto`` files -> descriptors.

Read are messages, enums, fields with labels, maps, oneofs, nested types, imports and packages of proto2 and proto3.
Services, extensions and options are skipped, except ``packed``, ``allow_alias`` and Connect's ``(confluent.field_meta)``
parameters.  Groups are refused.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import StatementError
from ..optional_packages import needed

_TOKEN = re.compile(
    r"""\s+ | //[^\n]* | /\*.*?\*/
    | (?P<text>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
    | (?P<word>\.?[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?))
    | (?P<sign>[{}\[\]()<>;:=,./+-])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_SCALARS = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "fixed64": 6,
    "fixed32": 7,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
    "sfixed32": 15,
    "sfixed64": 16,
    "sint32": 17,
    "sint64": 18,
}
"""`FieldDescriptorProto.Type` of each scalar."""

_MESSAGE, _ENUM = 11, 14
_LABELS = {"optional": 1, "required": 2, "repeated": 3}


@dataclass(slots=True)
class ProtoFile:
    """A parsed file.

    Attributes:
        descriptor: a `FileDescriptorProto`; its type names are as in the text until `resolve_types` makes them absolute.
        parameters: Connect's parameters, by the full name of the field.
    """

    descriptor: Any
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def imports(self) -> list[str]:
        """The names of the imported files."""
        return list(self.descriptor.dependency)


def parse_proto(text: str, name: str) -> ProtoFile:
    """Parse a file.

    Args:
        text: of the ``.proto`` file; or a `FileDescriptorProto` in base64, as some serialisers register it, whose Connect
            parameters are not read.

    Raises:
        StatementError: it is not a ``.proto`` file, or uses something that is not supported.
    """
    return _from_base64(text, name) or _Parser(text, name).file()


def _from_base64(text: str, name: str) -> ProtoFile | None:
    """A file in base64; None if the text is none."""
    pb = needed("google.protobuf.descriptor_pb2", "protobuf")
    message = needed("google.protobuf.message", "protobuf")
    try:
        descriptor = pb.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (ValueError, message.DecodeError):
        return None
    if not (descriptor.message_type or descriptor.enum_type):
        return None
    descriptor.name = name
    return ProtoFile(descriptor)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            line = text.count("\n", 0, at) + 1
            raise StatementError(f"this is not a protobuf schema: unexpected character {text[at]!r} in line {line}")
        if match.lastgroup is not None:
            yield match.lastgroup, match.group()
        at = match.end()


class _Parser:
    def __init__(self, text: str, name: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._pb = needed("google.protobuf.descriptor_pb2", "protobuf")
        self._file = ProtoFile(self._pb.FileDescriptorProto(name=name))
        self._proto3 = False

    # Tokens

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise StatementError("this is not a protobuf schema: it ends too early")
        self._at += 1
        return token

    def _take(self, *wanted: str) -> str:
        token = self._next()
        if token not in wanted:
            raise StatementError(f"this is not a protobuf schema: {' or '.join(wanted)} expected, not {token}")
        return token

    def _word(self) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at][0] != "word":
            raise StatementError(f"this is not a protobuf schema: a name expected, not {self._peek()}")
        return self._next()

    def _text(self) -> str:
        pieces = []
        while self._at < len(self._tokens) and self._tokens[self._at][0] == "text":
            pieces.append(re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), self._next()[1:-1]))
        if not pieces:
            raise StatementError(f"this is not a protobuf schema: a text expected, not {self._peek()}")
        return "".join(pieces)

    def _integer(self) -> int:
        token = self._next()
        try:
            return int(token, 0)
        except ValueError:
            raise StatementError(f"this is not a protobuf schema: an integer expected, not {token}") from None

    # Statements

    def file(self) -> ProtoFile:
        descriptor = self._file.descriptor
        while self._at < len(self._tokens):
            match self._next():
                case "syntax":
                    self._take("=")
                    descriptor.syntax = self._text()
                    self._proto3 = descriptor.syntax == "proto3"
                    self._take(";")
                case "package":
                    descriptor.package = self._word()
                    self._take(";")
                case "import":
                    if self._peek() in ("public", "weak"):
                        self._next()
                    descriptor.dependency.append(self._text())
                    self._take(";")
                case "option":
                    self._option(";")
                case "message":
                    self._message(descriptor.message_type.add(), descriptor.package)
                case "enum":
                    self._enum(descriptor.enum_type.add())
                case "service" | "extend":
                    self._skip_block()
                case ";":
                    pass
                case token:
                    raise StatementError(f"this is not a protobuf schema: unexpected {token}")
        return self._file

    def _message(self, message: Any, scope: str) -> None:
        message.name = self._word()
        full = f"{scope}.{message.name}" if scope else message.name
        self._take("{")
        optional: list[Any] = []
        while (token := self._next()) != "}":
            match token:
                case "message" if self._next_is_word():
                    self._message(message.nested_type.add(), full)
                case "enum" if self._next_is_word():
                    self._enum(message.enum_type.add())
                case "option":
                    self._option(";")
                case "oneof" if self._next_is_word():
                    self._oneof(message, full)
                case "map" if self._peek() == "<":
                    self._map(message, full)
                case "reserved" | "extensions":
                    while self._next() != ";":
                        pass
                case "extend":
                    self._skip_block()
                case ";":
                    pass
                case _:
                    self._at -= 1
                    made = self._field(message, full)
                    if made.proto3_optional:
                        optional.append(made)
        for made in optional:  # A field with presence is alone in a oneof, which comes after the real ones.
            made.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{made.name}")

    def _next_is_word(self) -> bool:
        """Whether the next keyword is one here, and not the type or name of a field."""
        return self._tokens[self._at][0] == "word" and self._tokens[self._at + 1][1] == "{"

    def _field(self, message: Any, full: str) -> Any:
        label = self._next() if self._peek() in _LABELS else ""
        type_ = self._word()
        if type_ == "group":
            raise StatementError("groups in protobuf schemas are not supported")
        made = message.field.add(label=_LABELS[label or "optional"])
        self._set_type(made, type_)
        made.name = self._word()
        self._take("=")
        made.number = self._integer()
        self._options(made, f"{full}.{made.name}")
        if label == "optional" and self._proto3:
            made.proto3_optional = True
        return made

    def _set_type(self, made: Any, type_: str) -> None:
        if type_ in _SCALARS:
            made.type = _SCALARS[type_]
        else:
            made.type_name = type_

    def _options(self, made: Any, full: str) -> None:
        """Read the options of a field, and the end of its line."""
        if self._peek() == "[":
            self._next()
            while True:
                name, value = self._option_pair()
                if name == "packed":
                    made.options.packed = value == "true"
                elif name.strip("()").endswith("confluent.field_meta"):
                    self._file.parameters[full] = _parameters(value)
                elif name.strip("()").rpartition(".")[0].endswith("confluent.field_meta)"):
                    self._file.parameters.setdefault(full, {}).update(_parameters({"params": value}))
                if self._take(",", "]") == "]":
                    break
        self._take(";")

    def _option(self, end: str) -> None:
        self._option_pair()
        self._take(end)

    def _option_pair(self) -> tuple[str, Any]:
        pieces = []
        while self._peek() != "=":
            pieces.append(self._next())
        self._take("=")
        return "".join(pieces), self._value()

    def _value(self) -> Any:
        """Read the value of an option: a constant, a list, or a message in text format."""
        kind, token = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if kind == "text":
            return self._text()
        self._next()
        if token == "[":
            values = []
            while self._peek() != "]":
                values.append(self._value())
                if self._peek() == ",":
                    self._next()
            self._next()
            return values
        if token in ("{", "<"):
            entries: dict[str, Any] = {}
            while self._peek() not in ("}", ">"):
                name = self._next()
                if name == "[":
                    while self._next() != "]":
                        pass
                if self._peek() == ":":
                    self._next()
                value = self._value()
                known = entries.get(name)
                entries[name] = value if known is None else [*(known if isinstance(known, list) else [known]), value]
                if self._peek() in (",", ";"):
                    self._next()
            self._next()
            return entries
        if token in "+-":
            return token + self._next()
        return token

    def _oneof(self, message: Any, full: str) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._word())
        self._take("{")
        while self._peek() != "}":
            if self._peek() == "option":
                self._next()
                self._option(";")
                continue
            if self._peek() == ";":
                self._next()
                continue
            made = self._field(message, full)
            made.oneof_index = index
        self._next()

    def _map(self, message: Any, full: str) -> None:
        self._take("<")
        key = self._word()
        self._take(",")
        value = self._word()
        self._take(">")
        name = self._word()
        entry = message.nested_type.add(name=f"{''.join(part[:1].upper() + part[1:] for part in name.split('_'))}Entry")
        entry.options.map_entry = True
        self._set_type(entry.field.add(name="key", number=1, label=1), key)
        self._set_type(entry.field.add(name="value", number=2, label=1), value)
        self._take("=")
        made = message.field.add(name=name, label=3, number=self._integer(), type_name=entry.name)
        self._options(made, f"{full}.{name}")

    def _enum(self, enum: Any) -> None:
        enum.name = self._word()
        self._take("{")
        while (token := self._next()) != "}":
            if token == "option":
                name, value = self._option_pair()
                if name == "allow_alias":
                    enum.options.allow_alias = value == "true"
                self._take(";")
            elif token == "reserved":
                while self._next() != ";":
                    pass
            elif token != ";":
                self._take("=")
                enum.value.add(name=token, number=self._integer())
                if self._peek() == "[":
                    while self._next() != "]":
                        pass
                self._take(";")

    def _skip_block(self) -> None:
        while self._next() != "{":
            pass
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self._next(), 0)


def _parameters(value: Any) -> dict[str, str]:
    """``{params: [{key: k, value: v}, ..]}`` as a dict."""
    entries = value.get("params", []) if isinstance(value, dict) else []
    entries = entries if isinstance(entries, list) else [entries]
    return {str(entry.get("key")): str(entry.get("value")) for entry in entries if isinstance(entry, dict)}


def resolve_types(files: Mapping[str, ProtoFile], others: Mapping[str, int]) -> None:
    """Make every type name of the files absolute.

    Args:
        others: the types of other files: full name -> 11 (message) or 14 (enum).

    Raises:
        StatementError: a type is not defined anywhere.
    """
    known = dict(others)
    for file in files.values():
        package = file.descriptor.package
        _collect(file.descriptor.message_type, file.descriptor.enum_type, package, known)
    for file in files.values():
        for message in file.descriptor.message_type:
            _resolve_message(message, file.descriptor.package, known)


def _collect(messages: Any, enums: Any, scope: str, known: dict[str, int]) -> None:
    prefix = f"{scope}." if scope else ""
    for enum in enums:
        known[prefix + enum.name] = _ENUM
    for message in messages:
        known[prefix + message.name] = _MESSAGE
        _collect(message.nested_type, message.enum_type, prefix + message.name, known)


def _resolve_message(message: Any, scope: str, known: Mapping[str, int]) -> None:
    full = f"{scope}.{message.name}" if scope else message.name
    for made in message.field:
        if made.type_name and not made.type:
            absolute = _lookup(made.type_name, full, known)
            made.type_name, made.type = f".{absolute}", known[absolute]
    for nested in message.nested_type:
        _resolve_message(nested, full, known)


def _lookup(name: str, scope: str, known: Mapping[str, int]) -> str:
    """The full name of a type, searched from the innermost scope outwards."""
    if name.startswith("."):
        if name[1:] in known:
            return name[1:]
    else:
        while True:
            candidate = f"{scope}.{name}" if scope else name
            if candidate in known:
                return candidate
            if not scope:
                break
            scope = scope.rpartition(".")[0]
    raise StatementError(f"the protobuf schema uses type {name}, which it does not define or import")
