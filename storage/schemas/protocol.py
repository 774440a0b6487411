"""Schemas as texts, and `SchemaRegistry`, which is all that other code sees of a registry."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ...errors import DataError, StatementError
from ...limits import REGISTRY_ANSWER_BYTES_MAX, SCHEMA_REFERENCES_MAX

__all__ = [
    "DEFAULT_LEVEL",
    "LEVELS",
    "RegisteredSchema",
    "SchemaReference",
    "SchemaRegistry",
    "SchemaText",
    "WIRE_NAMES",
    "incompatible",
    "resolve",
]

LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")
"""Levels of compatibility.

BACKWARD: new schemas read old records.  FORWARD: old schemas read new records.  FULL: both.  With TRANSITIVE: against all
versions, not only the latest.
"""

DEFAULT_LEVEL = "BACKWARD"

WIRE_NAMES = {"AVRO": "AVRO", "PROTOBUF": "PROTOBUF", "JSON_SR": "JSON", "JSON": "JSON"}
"""The schema type of each format in the registry's protocol."""


@dataclass(frozen=True, slots=True)
class SchemaReference:
    """A schema that another one uses.  ``name`` is its name in that text: an import, a type's full name, a URL."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class SchemaText:
    """The text of a schema.  ``type`` is AVRO, PROTOBUF or JSON."""

    type: str
    text: str
    references: tuple[SchemaReference, ...] = ()

    def same_as(self, other: SchemaText) -> bool:
        """Whether both texts are the same schema; blanks and the order of keys in JSON do not count."""
        return (
            self.type == other.type
            and self.references == other.references
            and _normal(self.type, self.text) == _normal(other.type, other.text)
        )


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A version of a subject."""

    subject: str
    version: int
    id: int
    schema: SchemaText


class SchemaRegistry(Protocol):
    """A schema registry, embedded or on a server."""

    def register(self, subject: str, schema: SchemaText, *, id: int | None = None) -> int:
        """Add a version, unless the subject has the schema already.

        Args:
            id: the id that the schema must get, for tests and imports.  None: the id that it has, or the next free one.

        Returns:
            The schema's id.

        Raises:
            StatementError: it is malformed or not compatible, or ``id`` belongs to another schema.
        """
        ...

    def by_id(self, id: int) -> SchemaText:
        """The schema with an id.

        Raises:
            DataError: there is none.
        """
        ...

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest version of a subject; None without one."""
        ...

    def version(self, subject: str, version: int, *, deleted: bool = False) -> RegisteredSchema:
        """A version of a subject; with ``deleted``, one that was removed.

        Raises:
            DataError: there is none.
        """
        ...

    def versions(self, subject: str, *, deleted: bool = False) -> list[int]:
        """The versions of a subject, ascending; empty if there is no such subject.

        Args:
            deleted: instead, those that were removed and are still remembered.  Their numbers are not given again.
        """
        ...

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """The subjects that have versions, sorted; with ``deleted``, those that have removed ones."""
        ...

    def delete_subject(self, subject: str) -> list[int]:
        """Remove a subject, and return its versions.  Their ids stay readable, since records refer to them."""
        ...

    def delete_version(self, subject: str, version: int) -> None:
        """Remove a version of a subject; nothing happens if there is none.  Its id stays readable."""
        ...

    def forget_version(self, subject: str, version: int) -> None:
        """Remember a removed version no more."""
        ...

    def level(self, subject: str | None = None) -> str:
        """The level of compatibility that holds for a subject: its own or the default."""
        ...

    def own_level(self, subject: str) -> str | None:
        """The level that was set for a subject; None if the default holds."""
        ...

    def set_level(self, level: str | None, subject: str | None = None) -> None:
        """Set the level of a subject, or the default level.  None removes it, so that the default, or BACKWARD, holds again.

        Raises:
            StatementError: there is no such level.
        """

    def problems(self, subject: str, schema: SchemaText) -> list[str]:
        """The reasons why a schema cannot become the subject's next version; empty if it can."""
        ...


def resolve(registry: SchemaRegistry, schema: SchemaText) -> dict[str, SchemaText]:
    """All schemas that a schema refers to, directly or through others, by the names in their references.

    Raises:
        DataError: one of them is not in the registry, or they are too many: a registry can name another one in each.
    """
    found: dict[str, SchemaText] = {}
    waiting = list(schema.references)
    while waiting:
        size = sum(len(one.text) for one in found.values())
        if len(found) >= SCHEMA_REFERENCES_MAX or size > REGISTRY_ANSWER_BYTES_MAX:
            raise DataError(
                f"a schema refers to more than {SCHEMA_REFERENCES_MAX} others, directly or through others "
                "(SCHEMA_REFERENCES_MAX), or they are too large"
            )
        reference = waiting.pop()
        if reference.name not in found:
            found[reference.name] = registry.version(reference.subject, reference.version).schema
            waiting += found[reference.name].references
    return found


def incompatible(subject: str, problems: Iterable[str], level: str) -> StatementError:
    """The error for a schema that cannot become the next version of a subject."""
    return StatementError(
        f"the schema cannot be the next version of subject {subject}: " + "; ".join(problems),
        suggestion=f"The subject's level of compatibility is {level}.",
    )


def _normal(type_: str, text: str) -> str:
    if type_ == "PROTOBUF":
        return " ".join(text.split())
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text.strip()
