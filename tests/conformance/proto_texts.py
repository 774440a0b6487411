"""Protobuf messages in protobuf's text notation, as the kit compares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import message_factory, text_format

from penstock.storage.formats import SchemaText
from penstock.storage.schemas.protobuf import load_messages


def proto_texts(schema: str, messages: Sequence[bytes]) -> list[str]:
    """The text of each message, read back with the schema."""
    made = message_factory.GetMessageClass(load_messages(SchemaText("PROTOBUF", schema), {}).by_name(None))
    texts = []
    for blob in messages:
        message = made.FromString(blob)
        _order_maps(message)
        texts.append(text_format.MessageToString(message))
    return texts


def _order_maps(message: Any) -> None:
    """Put the entries of maps in the order of Java's HashMap, which the kit's texts have.

    The order of a map's entries means nothing, but texts are compared as they are.
    """
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for item in value if field.is_repeated else [value]:
            _order_maps(item)
        if field.is_repeated and field.message_type.name.endswith("Entry"):
            places = 16
            while len(value) > places * 3 // 4:
                places *= 2
            ordered = sorted(value, key=lambda entry: _java_hash(str(entry.key)) & places - 1)
            copies = [type(entry).FromString(entry.SerializeToString()) for entry in ordered]
            del value[:]
            value.extend(copies)


def _java_hash(text: str) -> int:
    """A text's hash as HashMap spreads it."""
    units = text.encode("utf-16-be")
    found = 0
    for high, low in zip(units[::2], units[1::2]):
        found = (found * 31 + (high << 8 | low)) & 0xFFFFFFFF
    return found ^ found >> 16
