"""The conformance kit's view of Penstock through its HTTP API: statements and queries go over the wire.

Topics are written and read, and queries are stepped, by the engine of this process, which the server stands on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import httpx
from adapter import Done, Row, Rows, StatementError  # the kit's module

import penstock
from penstock.tests.conformance.adapter import PenstockAdapter

_QUIET_S = 0.05
"""How long nothing must come from a push query, once everything is processed, before it is closed."""


class HttpAdapter(PenstockAdapter):
    """See the kit's `Adapter` for the contract of every method."""

    def start(self, config: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """An engine in memory with the case's settings, and a server over it."""
        super().start(config, properties)
        self._server = penstock.serve(self._database, port=0)
        self._http = httpx.Client(base_url=self._server.url, timeout=30)
        self._session: dict[str, Any] = {}
        self._variables: dict[str, str] = {}

    def execute(self, sql: str) -> Done | Rows:
        """One statement, over the wire; what it SETs goes with those after it, as a client of ksqlDB does it."""
        words = sql.split(None, 1)
        if words and words[0].upper() in ("SET", "UNSET", "DEFINE", "UNDEFINE"):
            return super().execute(sql)  # a request's own, which is over with it
        path, member = ("/query", "ksql") if words and words[0].upper() in ("SELECT", "WITH", "PRINT") else ("/ksql", "ksql")
        session = self._database.settings
        chosen = {name: session[name] for name in session if session.level(name) == "SESSION"}
        body = {member: sql, "streamsProperties": chosen}
        if path == "/ksql":
            answer = self._http.post(path, json=body)
            self._check(answer.status_code, answer.text)
            entities = answer.json()
            return Done(entities[-1] if entities else None)
        request = self._http.build_request("POST", path, json=body)
        opened = self._http.send(request, stream=True)
        if opened.status_code != 200:
            opened.read()
            self._check(opened.status_code, opened.text)
        return self._rows(opened)

    def _check(self, status: int, text: str) -> None:
        if status != 200:
            error = json.loads(text)
            raise StatementError(error["message"], unsupported="not supported" in error["message"])

    def _rows(self, opened: httpx.Response) -> Rows:
        lines = opened.iter_lines()
        header = json.loads(next(lines).strip().removeprefix("[").rstrip(",]"))["header"]
        rows = Rows(header["schema"], (), header["queryId"])
        types = [_type(text) for text in _columns(header["schema"])]
        push = not header["queryId"].startswith("query_")

        def read() -> Iterable[Row]:
            if push:
                self._database.drain()
                time.sleep(_QUIET_S)
                self._http.post("/close-query", json={"queryId": header["queryId"]})
            for line in lines:
                text = line.strip().rstrip(",")
                text = text[:-1] if text.endswith("]") and not text.endswith("]}") else text
                if not text:
                    continue
                found = json.loads(text, parse_float=Decimal)
                if "finalMessage" in found:
                    if found["finalMessage"] == "Limit Reached" or not push:
                        rows.final_message = found["finalMessage"]
                elif "row" in found:
                    values = [_node(v, type_) for v, type_ in zip(found["row"]["columns"], types, strict=True)]
                    yield Row(values, found["row"].get("tombstone", False))
            opened.close()

        rows.rows = read() if push else list(read())
        return rows

    def stop(self) -> None:
        """Close server and engine."""
        if self._database is not None:
            self._http.close()
            self._server.stop()
        super().stop()


def _columns(schema: str) -> list[str]:
    """The types in a header's schema."""
    found, depth, item = [], 0, ""
    for character in schema + ",":
        depth += (character in "(<") - (character in ")>")
        if character == "," and not depth:
            name_end = item.index("`", item.index("`") + 1)
            found.append(item[name_end + 1 :].strip().removesuffix(" KEY"))
            item = ""
        else:
            item += character
    return found


def _type(text: str) -> Any:
    """``DOUBLE`` anywhere makes numbers floats; DECIMAL keeps their digits."""
    return text


def _node(value: Any, text: str) -> Any:
    if "DOUBLE" in text and "DECIMAL" not in text:
        return _floats(value)
    return value


def _floats(value: Any) -> Any:
    match value:
        case Decimal():
            return float(value)
        case list():
            return [_floats(v) for v in value]
        case dict():
            return {k: _floats(v) for k, v in value.items()}
    return value


__all__ = ["HttpAdapter"]
