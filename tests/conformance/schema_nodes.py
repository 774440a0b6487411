"""Nodes of the formats that go by schemas (AVRO, PROTOBUF, PROTOBUF_NOSR, JSON_SR)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapter import Topic  # the kit's module
from penstock.engine.catalog import FormatInfo
from penstock.engine.schema import Column


def encode(
    database: Any, info: FormatInfo, columns: Sequence[Column], node: Any, name: str, topic: Topic | None, is_key: bool
) -> bytes | None:
    """A node as bytes, by the topic's registered schema or, without one, by the columns."""
    raise ValueError(f"nodes of {info.name} cannot be encoded yet")


def decode(database: Any, info: FormatInfo, columns: Sequence[Column], data: bytes, topic: str, is_key: bool) -> Any:
    """Bytes as a node."""
    raise ValueError(f"nodes of {info.name} cannot be decoded yet")
