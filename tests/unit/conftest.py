"""What several rooms share: a schema registry server on the loopback interface, and works done at once by threads."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from penstock.errors import DataError, StatementError
from penstock.storage.formats import EmbeddedRegistry, RegisteredSchema, SchemaReference, SchemaText

PATIENCE_S = 30
"""How long a thread that must end may take; it decides nothing but how soon a failing test ends."""


class RegistryServer:
    """Confluent's REST protocol over an embedded registry.

    Attributes:
        registry: what it serves.
        failures: codes that the next requests are answered with, instead of an answer.
        credentials: ``user:password`` that requests must bring, if set.
        requests: what was asked for: ``GET /subjects``.
    """

    def __init__(self) -> None:
        self.registry = EmbeddedRegistry()
        self.failures: list[int] = []
        self.credentials = ""
        self.requests: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, body: Any, authorization: str | None) -> tuple[int, Any]:
        """Code and body of the answer to a request."""
        self.requests.append(f"{method} {path}")
        if self.failures:
            return self.failures.pop(0), {"error_code": 50001, "message": "out of order"}
        if self.credentials and authorization != "Basic " + base64.b64encode(self.credentials.encode()).decode():
            return 401, {"error_code": 401, "message": "Unauthorized"}
        try:
            parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
            found = self._route(method, parts, body, urlsplit(path).query)
        except DataError as error:
            return 404, {"error_code": 40403, "message": str(error)}
        except StatementError as error:
            refused = "cannot be the next version" in error.message
            return (409 if refused else 422), {"error_code": 409 if refused else 42201, "message": error.message}
        return (404, {"error_code": 40401, "message": "not found"}) if found is None else (200, found)

    def _route(self, method: str, parts: list[str], body: Any, query: str) -> Any:
        registry, deleted = self.registry, query == "deleted=true"
        match method, *parts:
            case "GET", "subjects":
                return sorted({*registry.subjects(), *(registry.subjects(deleted=True) if deleted else ())})
            case "GET", "subjects", subject, "versions" if deleted:
                return sorted(registry.versions(subject) + registry.versions(subject, deleted=True)) or None
            case "GET", "subjects", subject, "versions", number if deleted:
                return _version(registry.version(subject, int(number), deleted=True))
            case "DELETE", "subjects", subject, "versions", number:
                (registry.forget_version if query == "permanent=true" else registry.delete_version)(subject, int(number))
                return int(number)
            case "GET", "schemas", "ids", number:
                return _text(registry.by_id(int(number)))
            case "GET", "subjects", subject, "versions":
                return registry.versions(subject) or None
            case "GET", "subjects", subject, "versions", "latest":
                latest = registry.latest(subject)
                return None if latest is None else _version(latest)
            case "GET", "subjects", subject, "versions", number:
                return _version(registry.version(subject, int(number)))
            case "POST", "subjects", subject, "versions":
                return {"id": registry.register(subject, _schema(body), id=body.get("id"))}
            case "DELETE", "subjects", subject:
                return registry.delete_subject(subject) or None
            case "POST", "compatibility", "subjects", subject, "versions":
                problems = registry.problems(subject, _schema(body))
                return {"is_compatible": not problems, "messages": problems}
            case "GET", "config":
                return {"compatibilityLevel": registry.level()}
            case "GET", "config", subject:
                level = registry.own_level(subject)
                return None if level is None else {"compatibilityLevel": level}
            case "PUT", "config", *subjects:
                registry.set_level(body["compatibility"], *subjects)
                return {"compatibility": body["compatibility"]}
            case "DELETE", "config", subject:
                registry.set_level(None, subject)
                return {"compatibility": registry.level()}
        return None


def _handler(server: RegistryServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, found = server.answer(self.command, self.path, body, self.headers.get("Authorization"))
            data = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, *args: Any) -> None:
            """Be quiet."""

    return Handler


def _schema(body: dict[str, Any]) -> SchemaText:
    references = tuple(SchemaReference(r["name"], r["subject"], r["version"]) for r in body.get("references", ()))
    return SchemaText(body.get("schemaType", "AVRO"), body["schema"], references)


def _text(schema: SchemaText) -> dict[str, Any]:
    """As the server answers: AVRO is not named, and no references are left out."""
    answer: dict[str, Any] = {"schema": schema.text}
    if schema.type != "AVRO":
        answer["schemaType"] = schema.type
    if schema.references:
        answer["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in schema.references]
    return answer


def _version(found: RegisteredSchema) -> dict[str, Any]:
    return {"subject": found.subject, "version": found.version, "id": found.id, **_text(found.schema)}


@pytest.fixture
def registry_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    """A running server; the client's pauses are short."""
    monkeypatch.setattr("penstock.limits.REGISTRY_PAUSE_MS", 1)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = RegistryServer()
    yield server
    if server._thread.is_alive():
        server.stop()


@pytest.fixture(name="together", scope="session")
def at_once() -> Callable[..., list[Any]]:
    """What each of some works gives or raises, run at once in threads of their own."""

    def together(*works: Callable[[], Any]) -> list[Any]:
        got: list[Any] = [None] * len(works)

        def run(number: int) -> None:
            try:
                got[number] = works[number]()
            except BaseException as error:
                got[number] = error

        threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        return got

    return together
