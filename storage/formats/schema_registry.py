"""Schemas by subject and version."""

from __future__ import annotations

from typing import Protocol


class SchemaRegistry(Protocol):
    """Where AVRO, PROTOBUF and JSON_SR find and put schemas."""
