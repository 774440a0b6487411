"""The endpoints for Penstock's own client: ``/v1/execute``, ``/v1/catalog``, ``/v1/queries/{id}``, ``/v1/wait``."""

from __future__ import annotations

from typing import Any

from ..engine.results import Description, Listing, Message
from ..errors import PenstockError
from ..grammar import ast
from ..runtime.metrics import LATENESS_BOUNDS_MS
from .access import Need, check, check_need
from .accounts import Account
from .entities import query_positions
from .problems import BAD_REQUEST, NO_SUCH_COMMAND, QUERY_ENDPOINT, ApiError, api_error
from .service import Service
from .sessions import RequestSession
from .statements import SqlRequest
from .tokens import read_token
from .wire import catalog_json, progress_json, result_json, with_parts


class OwnApi:
    """The endpoints of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def execute(self, request: SqlRequest, account: Account) -> tuple[int, Any]:
        """Run statements that return no rows.

        Returns:
            the status and the answer: a result for each statement, or the error with its parts.
        """
        service = self._service
        session = RequestSession(service.database, request.properties, request.variables, account.name, request.headers)
        done: list[dict[str, Any]] = []
        try:
            for piece in session.pieces(request.sql):
                if isinstance(piece.statement, ast.Query | ast.TableQuery | ast.Print):
                    raise ApiError(QUERY_ENDPOINT, "this gives rows: send it to /query")
                try:
                    check(account, piece.statement, service.database.catalog, session.topic_prefix)
                except ApiError as error:
                    service.audit.refused(account.name, piece.text, error.message)
                    raise
                result = session.execute(piece)
                assert isinstance(result, Message | Listing | Description)
                if isinstance(result, Message) and result.kind not in ("set", "unset", "define", "undefine"):
                    service.audit.changed(account.name, piece.text)
                done.append(result_json(self._visible(result, account)))
        except (ApiError, PenstockError) as error:
            cause = error if isinstance(error, PenstockError) else error.__cause__
            problem = api_error(error)
            return problem.status, with_parts(problem, cause if isinstance(cause, PenstockError) else None)
        finally:
            session.close()
        return 200, done

    def _visible(self, result: Message | Listing | Description, account: Account) -> Message | Listing | Description:
        """Remove the entries that an account may not see from the lists in a result.

        Raises:
            ApiError: the result describes all sources or queries, and the account has only prefixes.
        """
        if account.role != "none" or isinstance(result, Message):
            return result
        catalog = self._service.database.catalog
        hidden = {s.name for s in catalog.sources.values() if not account.may("read", s.name, s.topic)}
        hidden |= {s.topic for s in catalog.sources.values() if s.name in hidden}
        hidden |= {t for t in self._service.database.topic_names() if not self._sees_topic(account, t)}
        hidden |= {q.id for q in catalog.queries.values() if {q.sink, *q.sources} & hidden}
        if isinstance(result, Listing):
            rows = tuple(row for row in result.rows if not row or row[0] not in hidden)
            return Listing(result.kind, result.columns, rows, result.statement)
        if result.kind in ("describe streams", "describe tables", "describe queries"):
            raise ApiError(BAD_REQUEST, "an account that is limited to prefixes describes one thing at a time")
        sections = tuple(
            (title, Listing(s.kind, s.columns, tuple(r for r in s.rows if not r or r[0] not in hidden), s.statement))
            if isinstance(s, Listing)
            else (title, s)
            for title, s in result.sections
        )
        return Description(result.kind, result.title, sections, result.statement)

    def _sees_topic(self, account: Account, topic: str) -> bool:
        names = [s.name for s in self._service.database.catalog.sources.values() if s.topic == topic]
        return account.may("read", topic, *names)

    def catalog(self, account: Account) -> dict[str, Any]:
        """``/v1/catalog``: the sources, queries, types, topics and functions that an account may see."""
        database = self._service.database
        catalog = database.catalog
        sources = {s.name: s for s in catalog.sources.values() if account.may("read", s.name, s.topic)}
        queries = {q.id: q for q in catalog.queries.values() if {q.sink, *q.sources} <= set(sources)}
        return {
            **catalog_json(catalog, sources, queries),
            "topics": [t for t in database.topic_names() if self._sees_topic(account, t)],
            "functions": database.function_names(),
            "state": database.describe_state().partition(": ")[2],
        }

    def query(self, query_id: str, account: Account) -> dict[str, Any]:
        """``/v1/queries/{id}``: a persistent query's statement, progress, plan and positions.  Raises: ApiError."""
        database = self._service.database
        query = database.catalog.queries.get(query_id)
        if query is None:
            raise ApiError(NO_SUCH_COMMAND, f"there is no query {query_id}")
        source = database.catalog.sources[query.sink]
        for name in (query.sink, *query.sources):  # as lists show it
            seen = database.catalog.sources[name]
            check_need(account, Need("read", (seen.name, seen.topic), f"the query {query_id}"))
        handle = database.queries[query_id]
        return {
            "id": query_id,
            "statement": query.statement,
            "sources": list(query.sources),
            "sink": query.sink,
            "topic": source.topic,
            "properties": dict(query.properties),
            "progress": progress_json(handle.progress()),
            "lateness_bounds_ms": list(LATENESS_BOUNDS_MS),  # of the counts in progress.lateness; the last has no bound
            "plan": handle.explain(),
            "positions": query_positions(database, query_id),
        }

    def wait(self, body: dict[str, Any]) -> dict[str, Any]:
        """``/v1/wait``: wait until tables include a write; without a token, until all queries have processed all records."""
        timeout = body.get("timeout_s", self._service.config.request_timeout_s)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout < 0:
            raise ApiError(BAD_REQUEST, "timeout_s must be a number of seconds")
        bound = float(min(timeout, self._service.config.request_timeout_s))  # (a float cannot be 10**400)
        if body.get("token") is None:
            return {"idle": self._service.database.wait_idle(bound)}
        names = body.get("names") or []
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise ApiError(BAD_REQUEST, "names must be a list of texts")
        try:
            self._service.database.wait(read_token(body["token"]), names, bound)
        except PenstockError as error:
            raise api_error(error) from error
        return {}


__all__ = ["OwnApi"]
