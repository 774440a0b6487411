"""The client of a schema registry server: Confluent's REST protocol over `urllib`.

An answer is one of these:

=================  =====================================================================================================
2xx                what was asked for
404                it is not there: None, or `DataError` for the schema of a record
409, 422           the schema is refused: `StatementError` with the reasons
401, 403           `StorageError`: the operator gives the right credentials
429, 5xx, nothing  asked again a few times, at the next server if there are several; then `StorageError`
=================  =====================================================================================================

All requests can be repeated safely: registering a schema again gives the same id.
"""

from __future__ import annotations

import base64
import http.client
import json
import queue
import re
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ... import limits
from ...errors import DataError, StatementError, StorageError
from ...paths import named_path
from .protocol import RegisteredSchema, SchemaReference, SchemaText, incompatible

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_NOT_FOUND, _CONFLICT, _INVALID, _BUSY = 404, 409, 422, 429
_REFUSED_CREDENTIALS = (401, 403)


class RemoteRegistry:
    """The client of a registry server, or of several that serve the same schemas.

    Schemas by id and versions never change, so they are asked for once and kept.

    Args:
        url: ``http://host:8081``, with ``user:password@`` for basic authentication; several are separated by commas.
        ca_file: certificates (PEM) that vouch for the servers; empty: those of the system, or what ``SSL_CERT_FILE`` names.

    Raises:
        StatementError: the URL is malformed.
        StorageError: the file cannot be read, or holds no certificate.
    """

    def __init__(self, url: str, ca_file: str = "") -> None:
        self._opener = _opener(_trusting(ca_file))
        self._servers = [_server(part.strip()) for part in url.split(",") if part.strip()]
        if not self._servers:
            raise StatementError("the URL of the schema registry is empty")
        self._by_id: dict[int, SchemaText] = {}
        self._by_version: dict[tuple[str, int], RegisteredSchema] = {}
        self._registered: dict[tuple[str, SchemaText], int] = {}
        self._lock = threading.Lock()

    def register(self, subject: str, schema: SchemaText, *, id: int | None = None) -> int:
        """See `SchemaRegistry.register`; an ``id`` needs the server's IMPORT mode."""
        with self._lock:
            known = self._registered.get((subject, schema))
        if known is not None:
            return known
        body = _body(schema)
        if id is not None:
            body["id"] = id
        try:
            answer = self._call("POST", f"/subjects/{_quoted(subject)}/versions", body)
        except _ConflictError as error:
            problems = self.problems(subject, schema)
            raise incompatible(subject, problems or [error.message], self.level(subject)) from None
        with _understood():
            registered = _whole(answer["id"])
        with self._lock:
            self._registered[subject, schema] = registered
        return registered

    def by_id(self, id: int) -> SchemaText:
        """See `SchemaRegistry.by_id`."""
        found = self._by_id.get(id)
        if found is None:
            answer = self._find(f"/schemas/ids/{id}")
            if answer is None:
                raise DataError(f"schema id {id} is not in the registry")
            found = self._by_id[id] = _schema(answer)
        return found

    def latest(self, subject: str) -> RegisteredSchema | None:
        """See `SchemaRegistry.latest`."""
        answer = self._find(f"/subjects/{_quoted(subject)}/versions/latest")
        return None if answer is None else _registered(answer)

    def version(self, subject: str, version: int, *, deleted: bool = False) -> RegisteredSchema:
        """See `SchemaRegistry.version`."""
        if deleted:
            answer = self._find(f"/subjects/{_quoted(subject)}/versions/{version}?deleted=true")
            if answer is None:
                raise DataError(f"subject {subject} has no removed version {version}")
            return _registered(answer)
        found = self._by_version.get((subject, version))
        if found is None:
            answer = self._find(f"/subjects/{_quoted(subject)}/versions/{version}")
            if answer is None:
                raise DataError(f"subject {subject} has no version {version}")
            found = self._by_version[subject, version] = _registered(answer)
        return found

    def versions(self, subject: str, *, deleted: bool = False) -> list[int]:
        """See `SchemaRegistry.versions`."""
        path = f"/subjects/{_quoted(subject)}/versions"
        alive = _sorted(int, self._find(path) or [])
        return sorted({*_sorted(int, self._find(f"{path}?deleted=true") or [])} - {*alive}) if deleted else alive

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """See `SchemaRegistry.subjects`; deleted ones are only those of which nothing is left."""
        alive = _sorted(str, self._call("GET", "/subjects"))
        return sorted({*_sorted(str, self._call("GET", "/subjects?deleted=true"))} - {*alive}) if deleted else alive

    def delete_subject(self, subject: str) -> list[int]:
        """See `SchemaRegistry.delete_subject`."""
        return _sorted(int, self._delete(subject, "") or [])

    def delete_version(self, subject: str, version: int) -> None:
        """See `SchemaRegistry.delete_version`."""
        self._delete(subject, f"/versions/{version}")

    def _delete(self, subject: str, rest: str) -> object:
        """Delete something of a subject; None if it is not there."""
        with self._lock:
            self._registered = {known: id_ for known, id_ in self._registered.items() if known[0] != subject}
            self._by_version = {known: found for known, found in self._by_version.items() if known[0] != subject}
        try:
            return self._call("DELETE", f"/subjects/{_quoted(subject)}{rest}")
        except _NotFoundError:
            return None

    def forget_version(self, subject: str, version: int) -> None:
        """See `SchemaRegistry.forget_version`."""
        self._delete(subject, f"/versions/{version}?permanent=true")

    def level(self, subject: str | None = None) -> str:
        """See `SchemaRegistry.level`."""
        own = None if subject is None else self.own_level(subject)
        return own or _level(self._call("GET", "/config"))

    def own_level(self, subject: str) -> str | None:
        """See `SchemaRegistry.own_level`."""
        answer = self._find(f"/config/{_quoted(subject)}")
        return None if answer is None else _level(answer)

    def set_level(self, level: str | None, subject: str | None = None) -> None:
        """See `SchemaRegistry.set_level`."""
        path = "/config" if subject is None else f"/config/{_quoted(subject)}"
        if level is not None:
            self._call("PUT", path, {"compatibility": level.upper()})
            return
        try:
            self._call("DELETE", path)
        except _NotFoundError:
            return

    def problems(self, subject: str, schema: SchemaText) -> list[str]:
        """See `SchemaRegistry.problems`."""
        path = f"/compatibility/subjects/{_quoted(subject)}/versions?verbose=true"
        try:
            answer = self._call("POST", path, _body(schema))
        except _NotFoundError:
            return []
        with _understood():
            return [] if answer["is_compatible"] else list(map(str, answer.get("messages") or ["not compatible"]))

    def _find(self, path: str) -> Any:
        try:
            return self._call("GET", path)
        except _NotFoundError:
            return None

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one request, again while the server is away or busy, and return the answer.

        Raises:
            StatementError, StorageError: see the module's text.
        """
        data = None if body is None else json.dumps(body).encode()
        pause_s = limits.REGISTRY_PAUSE_MS / 1000
        failure = StorageError("the schema registry was not asked")
        for attempt in range(limits.REGISTRY_ATTEMPTS_MAX):
            if attempt:
                time.sleep(pause_s)
                pause_s *= 2
            url, headers = self._servers[0]
            try:
                return _ask(self._opener, urllib.request.Request(url + path, data, headers, method=method), url)
            except _AwayError as error:
                failure = error
                with self._lock:
                    if self._servers[0][0] == url:
                        self._servers.append(self._servers.pop(0))
        raise failure


class _NotFoundError(StorageError):
    """The server does not have it."""


class _ConflictError(StatementError):
    """The schema is not compatible."""


class _AwayError(StorageError):
    """The server is away or busy: it can be asked again."""


def _ask(opener: urllib.request.OpenerDirector, request: urllib.request.Request, url: str) -> Any:
    """Send one request to one server, and return the answer.

    A socket's timeout holds for each piece of an answer.  The answer as a whole is limited here, too: if it takes too
    long, the thread that still reads it is left behind.
    """
    answered: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answered.put((True, _answer(opener, request, url)))
        except BaseException as error:  # handed to the thread that waits
            answered.put((False, error))

    threading.Thread(target=ask, name="schema-registry", daemon=True).start()
    try:
        good, answer = answered.get(timeout=limits.REGISTRY_ANSWER_SECONDS_MAX)
    except queue.Empty:
        raise StorageError(
            f"an answer of the schema registry took longer than {limits.REGISTRY_ANSWER_SECONDS_MAX} s",
            path=url,
            action="check the registry and the network to it",
        ) from None
    if not good:
        raise answer
    return answer


def _answer(opener: urllib.request.OpenerDirector, request: urllib.request.Request, url: str) -> Any:
    """Send a request without following redirects, which could take the credentials elsewhere, or make a POST a GET."""
    try:
        with opener.open(request, timeout=limits.REGISTRY_TIMEOUT_S) as response:
            content = response.read(limits.REGISTRY_ANSWER_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error.code, _message(error), url) from None
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _AwayError(
            f"the schema registry does not answer: {reason}",
            path=url,
            action="check that the registry runs and that its URL is right",
        ) from None
    try:
        if len(content) > limits.REGISTRY_ANSWER_BYTES_MAX:
            raise ValueError("too large")
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StorageError(
            f"the answer of the schema registry is not JSON: {error}", path=url, action="check that its URL is right"
        ) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an answer like others, which `_refusal` words."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        return None


def _opener(trusted: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """What opens URLs: only http and https, and no redirections.

    Args:
        trusted: whose certificates are believed; None: the system's.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=trusted),  # checks the certificate and the host's name
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _NoRedirects(),
    ):
        opener.add_handler(handler)
    return opener


def _trusting(ca_file: str) -> ssl.SSLContext | None:
    """What believes the certificates of a file and no others; None without a file.  Raises: StorageError."""
    if not ca_file:
        return None
    path = named_path(ca_file)
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # also what `ssl` finds wrong in it
        raise StorageError(
            f"the certificates for the schema registry cannot be read: {error.strerror or error}",
            path=str(path),
            action="name a file of certificates in PEM, see ksql.schema.registry.ssl.ca.location",
        ) from error


@contextmanager
def _understood() -> Iterator[None]:
    """A context for reading an answer.  Raises: StorageError, if it is not what a registry sends."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise StorageError(
            f"the answer of the schema registry cannot be understood: {error}",
            action="check that its URL is right",
        ) from None


def _sorted(type_: type, answer: Any) -> list[Any]:
    with _understood():
        if not isinstance(answer, list):
            raise TypeError("it is not a list")
        return sorted(map(type_, answer))


def _whole(number: object) -> int:
    """An id or a version.  Raises: ValueError."""
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 31:
        raise ValueError(f"{number!r:.40} is no id and no version")
    return number


def _level(answer: Any) -> str:
    with _understood():
        return str(answer["compatibilityLevel"])


def _refusal(code: int, message: str, url: str) -> StorageError | StatementError:
    if code == _NOT_FOUND:
        return _NotFoundError(f"the schema registry has no such thing: {message}", path=url)
    if code == _CONFLICT:
        return _ConflictError(message)
    if code == _INVALID:
        return StatementError(f"the schema registry refused: {message}")
    if code in _REFUSED_CREDENTIALS:
        return StorageError(
            f"the schema registry answered {code}: {message}",
            path=url,
            action="put the user and the password in its URL: http://user:password@host",
        )
    if 300 <= code < 400:
        return StorageError(
            f"the schema registry sends elsewhere ({code}), which is not followed",
            path=url,
            action="give the URL that it names, if that is the registry",
        )
    failed = _AwayError if code == _BUSY or code >= 500 else StorageError
    return failed(f"the schema registry answered {code}: {message}", path=url, action="check the registry's log")


def _server(url: str) -> tuple[str, dict[str, str]]:
    """The URL of a server without its credentials, and the headers of requests to it."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urllib.parse.urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        shown = re.sub(r"//[^/@]*@", "//", url)
        raise StatementError(
            f"this is not the URL of a schema registry: {shown}", suggestion="Write http://host:8081, or https://.."
        )
    host = f"[{host}]" if ":" in host else host
    headers = {"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE}
    if parts.username is not None:
        secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
    place = host if port is None else f"{host}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}", headers


def _quoted(subject: str) -> str:
    return urllib.parse.quote(subject, safe="")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(limits.REGISTRY_ANSWER_BYTES_MAX))["message"])
    except (ValueError, KeyError, TypeError, OSError, RecursionError, http.client.HTTPException):
        return str(error.reason)


def _body(schema: SchemaText) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": schema.text, "schemaType": schema.type}
    if schema.references:
        body["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in schema.references]
    return body


def _schema(answer: dict[str, Any]) -> SchemaText:
    with _understood():
        references = tuple(
            SchemaReference(str(r["name"]), str(r["subject"]), _whole(r["version"])) for r in answer.get("references") or ()
        )
        text = answer["schema"]
        if not isinstance(text, str):
            raise TypeError("the schema is not a text")
        text.encode()  # not with half of a surrogate pair
        return SchemaText(str(answer.get("schemaType") or "AVRO"), text, references)


def _registered(answer: dict[str, Any]) -> RegisteredSchema:
    with _understood():
        return RegisteredSchema(str(answer["subject"]), _whole(answer["version"]), _whole(answer["id"]), _schema(answer))
