"""The client of a schema registry server: Confluent's REST protocol over `urllib`."""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ...errors import DataError, StatementError, StorageError
from .schema_registry import RegisteredSchema, SchemaReference, SchemaText

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_TIMEOUT_SECONDS = 30.0
"""A registry answers in milliseconds; a statement should not hang on one that does not."""

_NOT_FOUND = 404


class RemoteRegistry:
    """A registry server.

    Ids and versions never change, so they are asked for once.

    Args:
        url: ``http://host:8081``, with ``user:password@`` for basic authentication.
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StatementError(f"Not the URL of a schema registry: {url}")
        host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self._url = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        self._headers = {"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE}
        if parts.username is not None:
            secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        self._by_id: dict[int, SchemaText] = {}
        self._by_version: dict[tuple[str, int], RegisteredSchema] = {}
        self._registered: list[tuple[str, SchemaText, int]] = []
        self._lock = threading.Lock()

    def register(self, subject: str, schema: SchemaText, *, id: int | None = None) -> int:
        """See `SchemaRegistry.register`; an ``id`` needs the server's IMPORT mode."""
        with self._lock:
            for known_subject, known, known_id in self._registered:
                if known_subject == subject and known == schema:
                    return known_id
        body = _body(schema)
        if id is not None:
            body["id"] = id
        answer = self._call("POST", f"/subjects/{_quoted(subject)}/versions", body)
        with self._lock:
            self._registered.append((subject, schema, int(answer["id"])))
        return int(answer["id"])

    def by_id(self, id: int) -> SchemaText:
        """See `SchemaRegistry.by_id`."""
        if id not in self._by_id:
            answer = self._find(f"/schemas/ids/{id}")
            if answer is None:
                raise DataError(f"schema id {id} is not in the registry")
            self._by_id[id] = _schema(answer)
        return self._by_id[id]

    def latest(self, subject: str) -> RegisteredSchema | None:
        """See `SchemaRegistry.latest`."""
        answer = self._find(f"/subjects/{_quoted(subject)}/versions/latest")
        return None if answer is None else _registered(answer)

    def version(self, subject: str, version: int) -> RegisteredSchema:
        """See `SchemaRegistry.version`."""
        if (subject, version) not in self._by_version:
            answer = self._find(f"/subjects/{_quoted(subject)}/versions/{version}")
            if answer is None:
                raise DataError(f"subject {subject} has no version {version}")
            self._by_version[subject, version] = _registered(answer)
        return self._by_version[subject, version]

    def versions(self, subject: str) -> list[int]:
        """See `SchemaRegistry.versions`."""
        return sorted(self._find(f"/subjects/{_quoted(subject)}/versions") or ())

    def subjects(self) -> list[str]:
        """See `SchemaRegistry.subjects`."""
        return sorted(self._call("GET", "/subjects"))

    def delete_subject(self, subject: str) -> list[int]:
        """See `SchemaRegistry.delete_subject`."""
        with self._lock:
            self._registered = [entry for entry in self._registered if entry[0] != subject]
        try:
            return sorted(self._call("DELETE", f"/subjects/{_quoted(subject)}"))
        except _NotFoundError:
            return []

    def level(self, subject: str | None = None) -> str:
        """See `SchemaRegistry.level`."""
        answer = self._find(f"/config/{_quoted(subject)}") if subject is not None else None
        if answer is None:
            answer = self._call("GET", "/config")
        return str(answer["compatibilityLevel"])

    def set_level(self, level: str, subject: str | None = None) -> None:
        """See `SchemaRegistry.set_level`."""
        path = "/config" if subject is None else f"/config/{_quoted(subject)}"
        self._call("PUT", path, {"compatibility": level.upper()})

    def problems(self, subject: str, schema: SchemaText) -> list[str]:
        """See `SchemaRegistry.problems`."""
        path = f"/compatibility/subjects/{_quoted(subject)}/versions?verbose=true"
        try:
            answer = self._call("POST", path, _body(schema))
        except _NotFoundError:
            return []
        return [] if answer["is_compatible"] else list(answer.get("messages") or ["not compatible"])

    def _find(self, path: str) -> Any:
        try:
            return self._call("GET", path)
        except _NotFoundError:
            return None

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            message = _message(error)
            if error.code == _NOT_FOUND:
                raise _NotFoundError(message) from None
            if error.code in (409, 422):
                raise StatementError(f"The schema registry refused: {message}") from None
            raise StorageError(
                f"the schema registry answered {error.code}: {message}",
                path=self._url,
                action="check the registry's log",
            ) from None
        except (urllib.error.URLError, TimeoutError) as error:
            raise StorageError(
                f"the schema registry does not answer: {error}",
                path=self._url,
                action="check that the registry runs and that its URL is right",
            ) from None


class _NotFoundError(StorageError):
    """What was asked for is not there."""


def _quoted(subject: str) -> str:
    return urllib.parse.quote(subject, safe="")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def _body(schema: SchemaText) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": schema.text, "schemaType": schema.type}
    if schema.references:
        body["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in schema.references]
    return body


def _schema(answer: dict[str, Any]) -> SchemaText:
    references = tuple(SchemaReference(r["name"], r["subject"], int(r["version"])) for r in answer.get("references") or ())
    return SchemaText(answer.get("schemaType") or "AVRO", answer["schema"], references)


def _registered(answer: dict[str, Any]) -> RegisteredSchema:
    return RegisteredSchema(answer["subject"], int(answer["version"]), int(answer["id"]), _schema(answer))
