"""The schema registry that AVRO, PROTOBUF and JSON_SR share, and its embedded implementation.

A subject (``<topic>-key`` or ``<topic>-value``) has versions from 1.  Each version is a schema with a global id: the same
schema under two subjects has one id.  A new version is first checked against the older ones, as strictly as the subject's
level of compatibility says.

The embedded registry is in memory.  It writes each change as one record through a callable, in the form of Confluent's
``_schemas`` topic (JSON keys with ``keytype``); giving it the same records in order restores it.  `remote` is the client
of a registry server.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import DataError, StatementError
from .protocol import (
    DEFAULT_LEVEL,
    LEVELS,
    WIRE_NAMES,
    RegisteredSchema,
    SchemaReference,
    SchemaRegistry,
    SchemaText,
    incompatible,
    resolve,
)

__all__ = [
    "DEFAULT_LEVEL",
    "EmbeddedRegistry",
    "LEVELS",
    "RegisteredSchema",
    "SchemaReference",
    "SchemaRegistry",
    "SchemaText",
    "WIRE_NAMES",
    "incompatible",
    "resolve",
]


@dataclass(slots=True)
class _Subject:
    """A subject: ids of schemas by version, of those that hold and of those that were removed."""

    versions: dict[int, int] = field(default_factory=dict)
    deleted: dict[int, int] = field(default_factory=dict)
    level: str | None = None

    def ids(self, deleted: bool) -> dict[int, int]:
        return self.deleted if deleted else self.versions

    @property
    def next_version(self) -> int:
        return max((*self.versions, *self.deleted), default=0) + 1


class EmbeddedRegistry:
    """The registry of a database.

    Args:
        records: key and value of the records written so far, in order.
        append: writes a record, durably, before it returns.  None keeps the registry in memory only.
    """

    def __init__(
        self,
        records: Iterable[tuple[bytes, bytes | None]] = (),
        append: Callable[[bytes, bytes | None], None] | None = None,
    ) -> None:
        self._schemas: dict[int, SchemaText] = {}
        self._subjects: dict[str, _Subject] = {}
        self._level = DEFAULT_LEVEL
        self._append = append
        self._lock = threading.RLock()
        for key, value in records:
            self._apply(key, value)

    def register(self, subject: str, schema: SchemaText, *, id: int | None = None) -> int:
        """See `SchemaRegistry.register`."""
        with self._lock:
            entry = self._subjects.get(subject, _Subject())
            for known in entry.versions.values():
                if self._schemas[known].same_as(schema) and id in (None, known):
                    return known
            problems = self.problems(subject, schema)
            if problems:
                raise incompatible(subject, problems, self.level(subject))
            chosen = self._choose_id(schema, id)
            self._write_version(RegisteredSchema(subject, entry.next_version, chosen, schema), deleted=False)
            return chosen

    def _write_version(self, registered: RegisteredSchema, *, deleted: bool) -> None:
        schema = registered.schema
        self._write(
            _version_key(registered.subject, registered.version),
            {
                "subject": registered.subject,
                "version": registered.version,
                "id": registered.id,
                "schemaType": schema.type,
                "references": [{"name": r.name, "subject": r.subject, "version": r.version} for r in schema.references],
                "schema": schema.text,
                "deleted": deleted,
            },
        )

    def _choose_id(self, schema: SchemaText, wanted: int | None) -> int:
        if wanted is not None:
            known = self._schemas.get(wanted)
            if known is not None and not known.same_as(schema):
                raise StatementError(f"schema id {wanted} belongs to another schema")
            return wanted
        for id_, known in self._schemas.items():
            if known.same_as(schema):
                return id_
        return max(self._schemas, default=0) + 1

    def by_id(self, id: int) -> SchemaText:
        """See `SchemaRegistry.by_id`."""
        with self._lock:
            if id not in self._schemas:
                raise DataError(f"schema id {id} is not in the registry")
            return self._schemas[id]

    def latest(self, subject: str) -> RegisteredSchema | None:
        """See `SchemaRegistry.latest`."""
        with self._lock:
            versions = self.versions(subject)
            return self.version(subject, versions[-1]) if versions else None

    def version(self, subject: str, version: int, *, deleted: bool = False) -> RegisteredSchema:
        """See `SchemaRegistry.version`."""
        with self._lock:
            ids = self._subjects.get(subject, _Subject()).ids(deleted)
            if version not in ids:
                raise DataError(f"subject {subject} has no {'removed ' if deleted else ''}version {version}")
            return RegisteredSchema(subject, version, ids[version], self._schemas[ids[version]])

    def versions(self, subject: str, *, deleted: bool = False) -> list[int]:
        """See `SchemaRegistry.versions`."""
        with self._lock:
            return sorted(self._subjects.get(subject, _Subject()).ids(deleted))

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """See `SchemaRegistry.subjects`."""
        with self._lock:
            return sorted(name for name, entry in self._subjects.items() if entry.ids(deleted))

    def delete_subject(self, subject: str) -> list[int]:
        """See `SchemaRegistry.delete_subject`."""
        with self._lock:
            versions = self.versions(subject)
            if versions:
                self._write(
                    {"keytype": "DELETE_SUBJECT", "subject": subject, "magic": 0},
                    {"subject": subject, "version": versions[-1]},
                )
            return versions

    def delete_version(self, subject: str, version: int) -> None:
        """See `SchemaRegistry.delete_version`."""
        with self._lock:
            if version in self.versions(subject):
                self._write_version(self.version(subject, version), deleted=True)

    def forget_version(self, subject: str, version: int) -> None:
        """See `SchemaRegistry.forget_version`."""
        with self._lock:
            if version in self.versions(subject, deleted=True):
                self._write(_version_key(subject, version), None)

    def level(self, subject: str | None = None) -> str:
        """See `SchemaRegistry.level`."""
        with self._lock:
            entry = self._subjects.get(subject) if subject is not None else None
            return entry.level if entry is not None and entry.level is not None else self._level

    def own_level(self, subject: str) -> str | None:
        """See `SchemaRegistry.own_level`."""
        with self._lock:
            entry = self._subjects.get(subject)
            return None if entry is None else entry.level

    def set_level(self, level: str | None, subject: str | None = None) -> None:
        """See `SchemaRegistry.set_level`."""
        if level is not None and level.upper() not in LEVELS:
            raise StatementError(
                f"there is no level of compatibility {level}", suggestion="Levels are " + ", ".join(LEVELS) + "."
            )
        value = None if level is None else {"compatibilityLevel": level.upper()}
        with self._lock:
            self._write({"keytype": "CONFIG", "subject": subject, "magic": 0}, value)

    def schemas(self) -> dict[int, SchemaText]:
        """All schemas by id."""
        with self._lock:
            return dict(self._schemas)

    def problems(self, subject: str, schema: SchemaText) -> list[str]:
        """See `SchemaRegistry.problems`."""
        from .compatibility import incompatibilities

        with self._lock:
            level = self.level(subject)
            versions = self.versions(subject)
            if not level.endswith("TRANSITIVE"):
                versions = versions[-1:]
            older = [self.version(subject, version).schema for version in reversed(versions)]
            return incompatibilities(self, schema, older, level.removesuffix("_TRANSITIVE"))

    def _write(self, key: Mapping[str, object], value: dict[str, Any] | None) -> None:
        key_bytes = json.dumps(key, separators=(",", ":")).encode()
        value_bytes = None if value is None else json.dumps(value, separators=(",", ":")).encode()
        if self._append is not None:
            self._append(key_bytes, value_bytes)
        self._apply(key_bytes, value_bytes)

    def _apply(self, key_bytes: bytes, value_bytes: bytes | None) -> None:
        """Apply one record of the log."""
        key = json.loads(key_bytes)
        value = json.loads(value_bytes) if value_bytes is not None else None
        match key["keytype"]:
            case "SCHEMA":
                self._apply_schema(key, value)
            case "CONFIG":
                level = None if value is None else value["compatibilityLevel"]
                if key.get("subject") is None:
                    self._level = level or DEFAULT_LEVEL
                else:
                    self._subjects.setdefault(key["subject"], _Subject()).level = level
            case "DELETE_SUBJECT":
                if key["subject"] in self._subjects:
                    entry = self._subjects[key["subject"]]
                    entry.deleted |= entry.versions
                    entry.versions.clear()
            case _:
                # Confluent's registry writes more kinds (NOOP, MODE); they change nothing here.
                pass

    def _apply_schema(self, key: dict[str, Any], value: dict[str, Any] | None) -> None:
        entry = self._subjects.setdefault(key["subject"], _Subject())
        version = int(key["version"])
        entry.versions.pop(version, None)
        entry.deleted.pop(version, None)
        if value is None:
            return
        references = tuple(
            SchemaReference(r["name"], r["subject"], int(r["version"])) for r in value.get("references") or ()
        )
        self._schemas[int(value["id"])] = SchemaText(value.get("schemaType", "AVRO"), value["schema"], references)
        (entry.deleted if value.get("deleted") else entry.versions)[version] = int(value["id"])


def _version_key(subject: str, version: int) -> Mapping[str, object]:
    return {"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}
