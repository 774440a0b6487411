"""The schema registry over HTTP, for Confluent's clients.

Its paths begin at the root (``/subjects``, ``/schemas``, ``/config``, ``/compatibility``), as these clients expect.  It is
the registry that statements use, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from ..errors import DataError, StatementError
from ..storage.schemas.protocol import resolve
from ..storage.schemas.registry import LEVELS, RegisteredSchema, SchemaReference, SchemaText
from .access import Need, check_need
from .accounts import Account
from .http import Request
from .problems import ApiError
from .service import Service

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_TYPES = ("AVRO", "JSON", "PROTOBUF")


class RegistryError(Exception):
    """An error as Confluent's registry sends it: HTTP status, error code, and message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class _Raw(str):
    """A schema text that is the whole body of an answer."""


def _no_subject(name: str) -> RegistryError:
    return RegistryError(404, 40401, f"there is no subject {name!r}")


def _no_version(version: Any) -> RegistryError:
    return RegistryError(404, 40402, f"there is no version {version}")


class RegistryApi:
    """The endpoints of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def _registry(self) -> Any:
        return self._service.database.schema_registry

    async def answer(self, request: Request, account: Account) -> None:
        """Find the handler of a request to the registry by method and path, and answer."""
        path = request.scope.get("raw_path", request.scope["path"].encode()).split(b"?")[0].decode("latin-1")
        parts = [unquote(part) for part in path.strip("/").split("/")]
        method = request.scope["method"]
        try:
            body = await request.json() if method in ("POST", "PUT") else {}
            found = await self._service.workers.run(self._checked, method, parts, body, request.query, account)
        except RegistryError as error:
            content = {"error_code": error.code, "message": error.message}
            await request.respond_json(content, error.status, content_type=CONTENT_TYPE)
        except ApiError as error:
            content = {"error_code": error.code, "message": error.message}
            await request.respond_json(content, error.status, error.headers, content_type=CONTENT_TYPE)
        else:
            if isinstance(found, _Raw):
                await request.respond(found.encode(), CONTENT_TYPE)
            else:
                await request.respond_json(found, content_type=CONTENT_TYPE)

    def _checked(self, *call: Any) -> Any:
        """Call a handler.  Raises: RegistryError, for errors of the registry; ApiError."""
        try:
            return self._call(*call)
        except (StatementError, DataError) as error:
            raise RegistryError(422, 42201, f"this is not a schema: {error}") from error

    def _call(self, method: str, parts: list[str], body: dict[str, Any], query: dict[str, str], account: Account) -> Any:
        match [method, *parts]:
            case ["GET", "subjects"]:
                return self._subjects(query, account)
            case ["GET", "subjects", subject, "versions"]:
                return sorted(self._versions_asked(subject, query, account))
            case ["POST", "subjects", subject, "versions"]:
                self._need(account, "write", subject)
                return self._register(subject, body, account)
            case ["POST", "subjects", subject]:
                return self._lookup(subject, body, query, account)
            case ["GET", "subjects", subject, "versions", version]:
                found = self._version(subject, version, query, account)
                return _version_json(replace(found, schema=self._in_form(found.schema, query)))
            case ["GET", "subjects", subject, "versions", version, "schema"]:
                return _Raw(self._version(subject, version, query, account).schema.text)
            case ["GET", "subjects", subject, "versions", version, "referencedby"]:
                named = self._version(subject, version, query, account)
                return sorted({r.id for r in self._referring(subject, [named.version]) if self._sees(account, r.subject)})
            case ["DELETE", "subjects", subject]:
                return self._delete(subject, None, query, account)
            case ["DELETE", "subjects", subject, "versions", version]:
                return self._delete(subject, version, query, account)[0]
            case ["GET", "schemas"]:
                return [_version_json(r) for r in self._schemas(query, account)]
            case ["GET", "schemas", "types"]:
                return list(_TYPES)
            case ["GET", "schemas", "ids", number]:
                return _schema_json(self._in_form(self._by_id(number, account), query))
            case ["GET", "schemas", "ids", number, "schema"]:
                return _Raw(self._by_id(number, account).text)
            case ["GET", "schemas", "ids", number, "versions"]:
                return [{"subject": r.subject, "version": r.version} for r in self._with_id(number, account)]
            case ["GET", "schemas", "ids", number, "subjects"]:
                return [r.subject for r in self._with_id(number, account)]
            case ["GET", "config"]:
                return {"compatibilityLevel": self._registry.level()}
            case ["PUT", "config"]:
                check_need(account, Need("admin", what="the registry's default level"))
                return self._set_level(None, body, account)
            case ["DELETE", "config"]:
                check_need(account, Need("admin", what="the registry's default level"))
                before = self._registry.level()
                self._registry.set_level(None)
                self._service.audit.changed(account.name, "SET COMPATIBILITY (default) (default)")
                return {"compatibilityLevel": before}
            case ["GET", "config", subject]:
                self._need(account, "read", subject)
                own = self._registry.own_level(subject)
                if own is None and not _is_on(query, "defaultToGlobal"):
                    raise RegistryError(404, 40408, f"the subject {subject!r} has no level of compatibility of its own")
                return {"compatibilityLevel": own or self._registry.level()}
            case ["PUT", "config", subject]:
                self._need(account, "write", subject)
                return self._set_level(subject, body, account)
            case ["DELETE", "config", subject]:
                self._need(account, "write", subject)
                before = self._registry.own_level(subject)
                if before is None:
                    raise _no_subject(subject)
                self._registry.set_level(None, subject)
                self._service.audit.changed(account.name, f"SET COMPATIBILITY {subject} (default)")
                return {"compatibilityLevel": before}
            case ["POST", "compatibility", "subjects", subject, "versions"]:
                self._need(account, "read", subject)
                return _compatible(self._registry.problems(subject, _schema_of(body)), query)
            case ["POST", "compatibility", "subjects", subject, "versions", version]:
                return self._compatible_with(subject, version, body, query, account)
            case ["GET", "mode"] | ["GET", "mode", _]:
                return {"mode": "READWRITE"}
            case ["PUT", "mode", *_]:
                return _only_mode(body.get("mode"))
            case ["DELETE", "mode", subject]:
                raise RegistryError(404, 40409, f"the subject {subject!r} has no mode of its own")
            case ["GET", "contexts"]:
                return ["."]
        raise RegistryError(404, 404, "the registry has no such path")

    # --- subjects --------------------------------------------------------------------------

    def _names(self, subject: str) -> tuple[str, ...]:
        """The names to which an account's prefixes apply: those of the subject, its topic and the topic's sources."""
        topic = subject.removesuffix("-value").removesuffix("-key")
        sources = [s.name for s in self._service.database.catalog.sources.values() if s.topic == topic]
        return (subject, topic, *sources)

    def _sees(self, account: Account, subject: str) -> bool:
        return account.may("read", *self._names(subject))

    def _need(self, account: Account, role: str, subject: str) -> None:
        try:
            check_need(account, Need(role, self._names(subject), f"the subject {subject}"))
        except ApiError as error:
            self._service.audit.refused(account.name, f"{role.upper()} SUBJECT {subject}", error.message)
            raise

    def _subjects(self, query: dict[str, str], account: Account) -> list[str]:
        """The subjects that an account may see; with the parameter ``deleted`` also deleted ones."""
        prefix = query.get("subjectPrefix", "")
        found = set(self._registry.subjects())
        if _is_on(query, "deletedOnly"):
            found = set(self._registry.subjects(deleted=True)) - found
        elif _is_on(query, "deleted"):
            found |= set(self._registry.subjects(deleted=True))
        return sorted(s for s in found if s.startswith(prefix) and self._sees(account, s))

    def _versions_asked(self, subject: str, query: dict[str, str], account: Account) -> dict[int, bool]:
        """The versions of a subject that a request asks for: version -> whether it was deleted.

        Raises:
            RegistryError: there is no such subject.
            ApiError: the account may not see it.
        """
        self._need(account, "read", subject)
        found: dict[int, bool] = {}
        if _is_on(query, "deleted") or _is_on(query, "deletedOnly"):
            found = dict.fromkeys(self._registry.versions(subject, deleted=True), True)
        if not _is_on(query, "deletedOnly"):
            found |= dict.fromkeys(self._registry.versions(subject), False)
        if not found:
            raise _no_subject(subject)
        return found

    def _version(self, subject: str, version: str, query: dict[str, str], account: Account) -> RegisteredSchema:
        versions = self._versions_asked(subject, query, account)
        number = _version_number(version, sorted(versions))
        if number not in versions:
            raise _no_version(version)
        found: RegisteredSchema = self._registry.version(subject, number, deleted=versions[number])
        return found

    def _schemas(self, query: dict[str, str], account: Account) -> list[RegisteredSchema]:
        """The schemas of all subjects that a request asks for: all versions, or the newest of each subject."""
        found = []
        for subject in self._subjects(query, account):
            versions = self._versions_asked(subject, query, account)
            for number in sorted(versions)[-1:] if _is_on(query, "latestOnly") else sorted(versions):
                found.append(self._registry.version(subject, number, deleted=versions[number]))
        first, most = (query.get(name, "") for name in ("offset", "limit"))
        start = int(first) if _is_number(first) else 0
        return found[start : start + int(most) if _is_number(most) else None]

    def _referring(self, subject: str, versions: list[int]) -> list[RegisteredSchema]:
        """The schemas that refer to one of the given versions of a subject."""
        registry, found = self._registry, []
        for other in registry.subjects():
            for number in registry.versions(other):
                registered = registry.version(other, number)
                if any(r.subject == subject and r.version in versions for r in registered.schema.references):
                    found.append(registered)
        return found

    def _delete(self, subject: str, version: str | None, query: dict[str, str], account: Account) -> list[int]:
        """Delete a version of a subject, or all versions; returns their numbers.

        With the parameter ``permanent``, versions that were deleted before are removed for good.  Raises: RegistryError,
        ApiError.
        """
        self._need(account, "write", subject)
        registry, permanent = self._registry, _is_on(query, "permanent")
        alive, deleted = registry.versions(subject), registry.versions(subject, deleted=True)
        if not alive and not deleted:
            raise _no_subject(subject)
        chosen, other = (deleted, alive) if permanent else (alive, deleted)
        what, code = f"Subject '{subject}'", 40405 if permanent else 40404
        if version is not None:
            number = _version_number(version, alive or deleted)
            what, code = f"Version {number} of subject '{subject}'", 40407 if permanent else 40406
            if number not in alive and number not in deleted:
                raise _no_version(version)
            chosen, other = [number] if number in chosen else [], [number] if number in other else []
        if other and (permanent or not chosen):
            state = "is not deleted: do that first" if permanent else "is deleted already: add permanent=true"
            raise RegistryError(404, code, f"{what} {state}")
        users = self._referring(subject, chosen)
        if any(r.subject != subject or r.version not in chosen for r in users):
            raise RegistryError(422, 42206, f"{what} is referred to by {users[0].subject}, version {users[0].version}")
        if not permanent and version is None:
            registry.delete_subject(subject)
        else:
            for number in chosen:
                (registry.forget_version if permanent else registry.delete_version)(subject, number)
        which = "" if version is None else f" VERSION {version}"
        self._service.audit.changed(account.name, f"DELETE SUBJECT {subject}{which}{' PERMANENTLY' if permanent else ''}")
        return list(chosen)

    def _register(self, subject: str, body: dict[str, Any], account: Account) -> dict[str, Any]:
        schema = _schema_of(body)
        wanted = body.get("id")
        if wanted is not None and not (isinstance(wanted, int) and wanted > 0):
            raise RegistryError(422, 42201, "id must be a whole number above 0")
        problems = self._registry.problems(subject, schema)
        if problems and not self._has(subject, schema):
            level = self._registry.level(subject)
            raise RegistryError(409, 409, f"the schema is not compatible ({level}): " + "; ".join(problems))
        try:
            number = self._registry.register(subject, schema, id=wanted)
        except (StatementError, DataError) as error:
            raise RegistryError(422, 42201, f"this is not a schema: {error}") from error
        self._service.audit.changed(account.name, f"REGISTER SCHEMA {subject}", id=number)
        return {"id": number}

    def _has(self, subject: str, schema: SchemaText) -> bool:
        return any(
            self._registry.version(subject, number).schema.same_as(schema) for number in self._registry.versions(subject)
        )

    def _lookup(self, subject: str, body: dict[str, Any], query: dict[str, str], account: Account) -> dict[str, Any]:
        schema = _schema_of(body)
        versions = self._versions_asked(subject, query, account)
        for number in sorted(versions, reverse=True):
            found = self._registry.version(subject, number, deleted=versions[number])
            if found.schema.same_as(schema):
                return _version_json(found)
        raise RegistryError(404, 40403, "the subject does not have this schema")

    def _in_form(self, schema: SchemaText, query: dict[str, str]) -> SchemaText:
        """Convert a schema to the form that a client asks for: ``format=serialized`` is a FileDescriptorProto in base64."""
        if schema.type != "PROTOBUF" or query.get("format") != "serialized":
            return schema
        from ..storage.schemas.protobuf import serialised_file

        return replace(schema, text=serialised_file(schema, resolve(self._registry, schema)))

    def _by_id(self, number: str, account: Account) -> SchemaText:
        if not _is_number(number):
            raise RegistryError(404, 40403, f"there is no schema with the id {number}")
        try:
            found: SchemaText = self._registry.by_id(int(number))
        except DataError as error:
            raise RegistryError(404, 40403, f"there is no schema with the id {number}") from error
        if account.role == "none" and not self._with_id(number, account):
            raise RegistryError(404, 40403, f"there is no schema with the id {number}")
        return found

    def _with_id(self, number: str, account: Account) -> list[RegisteredSchema]:
        found = []
        for subject in self._registry.subjects():
            if self._sees(account, subject):
                registered = [self._registry.version(subject, v) for v in self._registry.versions(subject)]
                found += [r for r in registered if str(r.id) == number]
        return found

    def _compatible_with(
        self, subject: str, version: str, body: dict[str, Any], query: dict[str, str], account: Account
    ) -> dict[str, Any]:
        from ..storage.schemas.compatibility import incompatibilities

        older = self._version(subject, version, {}, account).schema
        level = self._registry.level(subject).removesuffix("_TRANSITIVE")
        schema = _schema_of(body)
        try:
            return _compatible(incompatibilities(self._registry, schema, [older], level), query)
        except (StatementError, DataError) as error:
            raise RegistryError(422, 42201, f"this is not a schema: {error}") from error

    def _set_level(self, subject: str | None, body: dict[str, Any], account: Account) -> dict[str, Any]:
        level = body.get("compatibility")
        if not isinstance(level, str) or level.upper() not in LEVELS:
            raise RegistryError(422, 42203, f"there is no level of compatibility {level}; levels are {', '.join(LEVELS)}")
        self._registry.set_level(level.upper(), subject)
        self._service.audit.changed(account.name, f"SET COMPATIBILITY {subject or '(default)'} {level.upper()}")
        return {"compatibility": level.upper()}


def _compatible(problems: list[str], query: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"is_compatible": not problems}
    if _is_on(query, "verbose"):
        found["messages"] = problems
    return found


def _is_on(query: dict[str, str], name: str) -> bool:
    return query.get(name, "false").lower() == "true"


def _only_mode(mode: Any) -> dict[str, Any]:
    """Check that a mode is READWRITE, the only one.  Raises: RegistryError."""
    if mode not in ("READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT", "FORWARD"):
        raise RegistryError(422, 42204, f"there is no mode {mode}")
    if mode != "READWRITE":
        raise RegistryError(422, 42205, f"this registry is always READWRITE: there is no mode {mode}")
    return {"mode": mode}


def _schema_of(body: dict[str, Any]) -> SchemaText:
    """Read the schema in a request's body.  Raises: RegistryError, if it is not valid."""
    type_, text = body.get("schemaType") or "AVRO", body.get("schema")
    if type_ not in _TYPES:
        raise RegistryError(422, 42201, f"there is no schema type {type_}")
    if not isinstance(text, str):
        raise RegistryError(422, 42201, "the member schema must be a text")
    references = body.get("references") or []
    try:
        found = tuple(SchemaReference(str(r["name"]), str(r["subject"]), int(r["version"])) for r in references)
    except (TypeError, KeyError, ValueError) as error:
        raise RegistryError(422, 42201, "each of references must have name, subject and version") from error
    return SchemaText(type_, text, found)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _version_number(version: str, versions: list[int]) -> int:
    if version in ("latest", "-1"):
        return versions[-1]
    if not _is_number(version) or not int(version):
        raise RegistryError(422, 42202, f"a version must be a number above 0 or latest, not {version!r}")
    return int(version)


def _schema_json(schema: SchemaText) -> dict[str, Any]:
    found: dict[str, Any] = {"schema": schema.text}
    if schema.type != "AVRO":
        found["schemaType"] = schema.type
    if schema.references:
        found["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in schema.references]
    return found


def _version_json(found: RegisteredSchema) -> dict[str, Any]:
    return {"subject": found.subject, "version": found.version, "id": found.id, **_schema_json(found.schema)}


__all__ = ["CONTENT_TYPE", "RegistryApi", "RegistryError"]
