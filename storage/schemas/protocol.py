"""Schemas as texts, and the registry that keeps them as everything outside sees it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ...errors import StatementError

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
"""Levels of compatibility.  BACKWARD: new schemas read old records; FORWARD: old ones read new records; FULL: both;
TRANSITIVE: against all versions, not only the latest."""

DEFAULT_LEVEL = "BACKWARD"

WIRE_NAMES = {"AVRO": "AVRO", "PROTOBUF": "PROTOBUF", "JSON_SR": "JSON", "JSON": "JSON"}
"""The schema type of each format, as the registry's protocol names it."""


@dataclass(frozen=True, slots=True)
class SchemaReference:
    """A schema that another one uses: ``name`` is what the text calls it (an import, a type's full name, a URL)."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class SchemaText:
    """A schema as written: ``type`` is AVRO, PROTOBUF or JSON."""

    type: str
    text: str
    references: tuple[SchemaReference, ...] = ()

    def same_as(self, other: SchemaText) -> bool:
        """Whether both are one schema; blanks and the order of keys in JSON do not count."""
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
    """A registry, embedded or remote."""

    def register(self, subject: str, schema: SchemaText, *, id: int | None = None) -> int:
        """Add a version; nothing happens if the subject has the schema already.

        Args:
            id: the id it must get, for tests and imports; None takes the id it has or the next free one.

        Returns:
            The schema's id.

        Raises:
            StatementError: it does not parse, is not compatible, or ``id`` belongs to another schema.
        """
        ...

    def by_id(self, id: int) -> SchemaText:
        """The schema of an id.

        Raises:
            DataError: there is none.
        """
        ...

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest version of a subject, if it has any."""
        ...

    def version(self, subject: str, version: int) -> RegisteredSchema:
        """A version of a subject.

        Raises:
            DataError: there is none.
        """
        ...

    def versions(self, subject: str) -> list[int]:
        """The versions of a subject, ascending; none if there is no such subject."""
        ...

    def subjects(self) -> list[str]:
        """All subjects, sorted."""
        ...

    def delete_subject(self, subject: str) -> list[int]:
        """Remove a subject with its versions, which are returned.  Ids stay readable: records carry them."""
        ...

    def level(self, subject: str | None = None) -> str:
        """The level of compatibility of a subject, or the default one."""
        ...

    def own_level(self, subject: str) -> str | None:
        """The level that was set for a subject; None if the default counts."""
        ...

    def set_level(self, level: str | None, subject: str | None = None) -> None:
        """Set the level of a subject, or the default; None goes back to the default, or to BACKWARD.

        Raises:
            StatementError: there is no such level.
        """

    def problems(self, subject: str, schema: SchemaText) -> list[str]:
        """Why the schema could not become the subject's next version; nothing if it could."""
        ...


def resolve(registry: SchemaRegistry, schema: SchemaText) -> dict[str, SchemaText]:
    """All schemas that a schema refers to, directly or not, by the name in the text that refers to them.

    Raises:
        DataError: one of them is not in the registry.
    """
    found: dict[str, SchemaText] = {}
    waiting = list(schema.references)
    while waiting:
        reference = waiting.pop()
        if reference.name not in found:
            found[reference.name] = registry.version(reference.subject, reference.version).schema
            waiting += found[reference.name].references
    return found


def incompatible(subject: str, problems: Iterable[str], level: str) -> StatementError:
    """The refusal of a schema as the next version of a subject."""
    return StatementError(
        f"the schema cannot be the next version of subject {subject}: " + "; ".join(problems),
        suggestion=f"The subject's level of compatibility is {level}.",
    )


def _normal(type_: str, text: str) -> str:
    if type_ == "PROTOBUF":
        return " ".join(text.split())
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text.strip()
