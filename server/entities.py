"""Converts results of statements to the entities of ``/ksql``: JSON objects with a member ``@type``.

Entities of lists and descriptions are made from the catalog and the running queries, not from the text that a result shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from ..engine.catalog import DataSource, QueryEntry
from ..engine.database import Database
from ..engine.functions.registry import Signature
from ..engine.opened import PROCESSING_LOG
from ..engine.query_options import PROPERTIES
from ..engine.results import Description, Listing, Message
from ..engine.schema import Schema
from ..grammar import ast
from .accounts import Account
from .problems import BAD_STATEMENT, ApiError
from .sessions import RequestSession, RequestStatement
from .values import field_json, schema_json

_SECRET = re.compile(r"password|secret|credential|basic\.auth|sasl\.jaas", re.I)
_HIDDEN = "[hidden]"


class Entities:
    """Makes the entities of one server.

    Args:
        database: the database of the catalog.
        host: the server's name in answers, ``host:port``.
        open_queries: returns the push queries that an account may see, as pairs of id and text.
    """

    def __init__(self, database: Database, host: str, open_queries: Callable[[Account], Iterable[tuple[str, str]]]) -> None:
        self._database = database
        self._host = host
        self._open_queries = open_queries

    def of(self, piece: RequestStatement, result: Any, session: RequestSession, account: Account) -> dict[str, Any]:
        """Make the entity of a list or description.  The module `statements` makes those of `Message`s (commands)."""
        statement = piece.statement
        match statement:
            case ast.Show():
                entity = self._list(statement, result, session, account)
            case ast.Describe(what="STREAMS" | "TABLES" as what):
                entity = self._source_descriptions(what, True, account)
            case ast.Describe(what="SOURCE", name=name, extended=extended):
                source = self._database.catalog.sources[name or ""]
                entity = {"@type": "sourceDescription", "sourceDescription": self._source(source, extended)}
            case ast.Describe(what="FUNCTION"):
                entity = self._function(result)
            case ast.Describe(what="QUERY") | ast.Explain(analyze=False):
                entity = {"@type": "queryDescription", "queryDescription": self._described_query(result)}
            case ast.AssertTopic(topic=topic, exists=exists):
                entity = {"@type": "assert_topic", "topicName": topic, "exists": exists}
            case ast.AssertSchema(subject=subject, schema_id=schema_id, exists=exists):
                entity = {"@type": "assert_schema", "subject": subject, "id": schema_id, "exists": exists}
            case _ if isinstance(result, Listing):
                entity = {"@type": "listing", "columns": list(result.columns), "rows": [list(r) for r in result.rows]}
            case _ if isinstance(result, Description):
                entity = {"@type": "description", "title": result.title, "sections": _sections(result)}
            case _ if isinstance(result, Message):
                entity = {"@type": "warning_entity" if result.warning else "generic_entity", "message": result.text}
            case _:
                raise ApiError(
                    BAD_STATEMENT,
                    "/ksql has no answer for this statement: send it to /query, or to /v1/sql",
                    statement=piece.text,
                )
        return {"@type": entity.pop("@type"), "statementText": piece.text + ";", "warnings": [], **entity}

    # --- lists -----------------------------------------------------------------------------

    def _list(self, statement: ast.Show, result: Any, session: RequestSession, account: Account) -> dict[str, Any]:
        catalog = self._database.catalog
        match statement.what:
            case "STREAMS" | "TABLES" as what if statement.extended:
                return self._source_descriptions(what, True, account)
            case "STREAMS" | "TABLES" as what:
                kind = what[:-1]
                rows = [self._source_line(s) for s in self._visible(account) if s.kind == kind]
                return {"@type": what.lower(), what.lower(): rows}
            case "TOPICS":
                return self._topics(statement, result, account)
            case "QUERIES":
                found = [q for q in catalog.queries.values() if self._sees_query(account, q)]
                if statement.extended:
                    return {"@type": "query_descriptions", "queryDescriptions": [self._query(q) for q in found]}
                pushed = [_pushed(id_, text) for id_, text in self._open_queries(account)]
                return {"@type": "queries", "queries": [self._running(q) for q in found] + pushed}
            case "FUNCTIONS":
                rows = [
                    {"name": name, "type": _function_type(kind), "category": category}
                    for category, name, kind, _ in result.rows
                ]
                return {"@type": "function_names", "functions": rows}
            case "TYPES":
                types = {name: schema_json(type_) for name, type_ in sorted(catalog.types.items())}
                return {"@type": "type_list", "types": types}
            case "PROPERTIES":
                return self._properties(session)
            case "VARIABLES":
                rows = [{"name": name, "value": value} for name, value in sorted(session.variables.items())]
                return {"@type": "variables", "variables": rows}
        return {"@type": "listing", "columns": list(result.columns), "rows": [list(row) for row in result.rows]}

    def _visible(self, account: Account) -> Iterable[DataSource]:
        """The sources that lists show to an account.

        The processing log is left out, since clients do not expect it and cannot drop it.
        """
        sources = self._database.catalog.sources.values()
        return [s for s in sources if s.name != PROCESSING_LOG and account.may("read", s.name, s.topic)]

    def _sees_query(self, account: Account, query: QueryEntry) -> bool:
        catalog = self._database.catalog
        names = [query.sink, *query.sources]
        return all(account.may("read", n, catalog.sources[n].topic if n in catalog.sources else n) for n in names)

    def _source_line(self, source: DataSource) -> dict[str, Any]:
        return {
            "type": source.kind,
            "name": source.name,
            "topic": source.topic,
            "keyFormat": source.key_format.name,
            "valueFormat": source.value_format.name,
            "isWindowed": source.window is not None,
        }

    def _topics(self, statement: ast.Show, result: Listing, account: Account) -> dict[str, Any]:
        rows = []
        sources: dict[str, list[str]] = {}
        for source in self._database.catalog.sources.values():
            sources.setdefault(source.topic, []).append(source.name)
        for row in result.rows:
            name, partitions, replicas = row[:3]
            if not account.may("read", name, *sources.get(name, ())):
                continue
            entry: dict[str, Any] = {"name": name, "replicaInfo": [int(replicas)] * int(partitions)}
            if statement.extended:
                readers = [q for q in self._database.catalog.queries.values() if self._reads_topic(q, name)]
                entry |= {"consumerCount": len(readers), "consumerGroupCount": len(readers)}
            rows.append(entry)
        return {"@type": "kafka_topics_extended" if statement.extended else "kafka_topics", "topics": rows}

    def _reads_topic(self, query: QueryEntry, topic: str) -> bool:
        sources = self._database.catalog.sources
        return any(name in sources and sources[name].topic == topic for name in query.sources)

    def _properties(self, session: RequestSession) -> dict[str, Any]:
        settings = session.settings
        overwritten = [name for name in PROPERTIES if settings.level(name) == "SESSION"]
        rows = [
            {
                "name": name,
                "scope": "KSQL" if name.startswith(("ksql.", "penstock.")) else "KAFKA STREAMS",
                "value": _HIDDEN if _SECRET.search(name) and settings[name] else settings.shown(name),
                "editable": not PROPERTIES[name].at_connect,
                "level": "CLUSTER" if settings.level(name) != "SESSION" else "QUERY",
            }
            for name in sorted(PROPERTIES)
        ]
        defaults = [name for name in PROPERTIES if settings.level(name) == "DEFAULT"]
        return {
            "@type": "properties",
            "properties": rows,
            "overwrittenProperties": overwritten,
            "defaultProperties": defaults,
        }

    # --- sources ---------------------------------------------------------------------------

    def _source_descriptions(self, what: str, extended: bool, account: Account) -> dict[str, Any]:
        found = [s for s in self._visible(account) if s.kind == what[:-1]]
        return {
            "@type": "source_descriptions",
            "sourceDescriptions": [self._source(source, extended) for source in found],
        }

    def _source(self, source: DataSource, extended: bool) -> dict[str, Any]:
        queries = self._database.catalog.queries.values()
        found: dict[str, Any] = {
            "name": source.name,
            "windowType": None if source.window is None else source.window.type,
            "readQueries": [self._running(q) for q in queries if source.name in q.sources and q.id != source.query_id],
            "writeQueries": [self._running(q) for q in queries if q.sink == source.name and q.kind != "CST"],
            "fields": [field_json(column) for column in source.schema],
            "type": source.kind,
            "timestamp": source.timestamp_column or "",
            "statistics": "",
            "errorStats": "",
            "extended": extended,
            "keyFormat": source.key_format.name,
            "valueFormat": source.value_format.name,
            "topic": source.topic,
            "partitions": source.partitions,
            "replication": 1,
            "statement": _ended(source.statement),
            "queryOffsetSummaries": self._offsets(source) if extended else [],
            "sourceConstraints": [],
            "clusterStatistics": [],
            "clusterErrorStats": [],
        }
        if extended:
            progress = [self._database.queries[q.id].progress() for q in queries if q.sink == source.name]
            written = sum(p.account.written for p in progress)
            bad = sum(p.account.bad for p in progress)
            found["statistics"] = f"total-messages: {written}" if progress else ""
            found["errorStats"] = f"failed-messages: {bad}" if bad else ""
        return found

    def _offsets(self, source: DataSource) -> list[dict[str, Any]]:
        """The offsets up to which queries have read a source's topic, as ksqlDB's consumer groups."""
        found = []
        for query in self._database.catalog.queries.values():
            if source.name not in query.sources:
                continue
            positions = [p for p in query_positions(self._database, query.id) if p["topic"] == source.topic]
            offsets = [
                {
                    "partition": p["partition"],
                    "logStartOffset": p["start"],
                    "logEndOffset": p["end"],
                    "consumerOffset": p["position"],
                }
                for p in positions
            ]
            summary = {"kafkaTopic": source.topic, "offsets": offsets}
            found.append({"groupId": query.id, "topicSummaries": [summary]})
        return found

    # --- queries ---------------------------------------------------------------------------

    def _running(self, query: QueryEntry) -> dict[str, Any]:
        state = self._database.queries[query.id].state
        topic = self._database.catalog.sources[query.sink].topic
        return {
            "queryString": _ended(query.statement),
            "sinks": [query.sink] if query.kind != "CST" else [],
            "sinkKafkaTopics": [topic] if query.kind != "CST" else [],
            "id": query.id,
            "statusCount": {state: 1},
            "queryType": "PERSISTENT",
            "state": f"{state}:1",
        }

    def _query(self, query: QueryEntry) -> dict[str, Any]:
        handle = self._database.queries[query.id]
        progress = handle.progress()
        sink = self._database.catalog.sources[query.sink]
        errors = []
        if progress.error is not None:
            errors.append({"timestamp": 0, "errorMessage": str(progress.error), "type": "SYSTEM"})
        return {
            "id": query.id,
            "statementText": _ended(query.statement),
            "windowType": None if sink.window is None else sink.window.type,
            "fields": [field_json(column) for column in sink.schema],
            "sources": list(query.sources),
            "sinks": [query.sink] if query.kind != "CST" else [],
            "topology": handle.explain(),
            "executionPlan": handle.explain(),
            "overriddenProperties": dict(query.properties),
            "ksqlHostQueryStatus": {self._host: progress.state},
            "queryType": "PERSISTENT",
            "queryErrors": errors,
            "tasksMetadata": [],
            "consumerGroupId": query.id,
            "state": progress.state,
        }

    def _described_query(self, result: Description) -> dict[str, Any]:
        query = self._database.catalog.queries.get(result.title)
        if query is not None:
            return self._query(query)
        schema: Schema = result.details["schema"]
        plan = result.details["plan"]
        return {
            "id": "",
            "statementText": result.statement,
            "windowType": None,
            "fields": [field_json(column) for column in schema],
            "sources": [],
            "sinks": [],
            "topology": plan,
            "executionPlan": plan,
            "overriddenProperties": {},
            "ksqlHostQueryStatus": {},
            "queryType": "UNKNOWN",
            "queryErrors": [],
            "tasksMetadata": [],
            "consumerGroupId": "",
            "state": None,
        }

    # --- functions -------------------------------------------------------------------------

    def _function(self, result: Description) -> dict[str, Any]:
        function = self._database.functions.find(result.title)
        assert function is not None
        variants = []
        for overload in function.overloads:
            signature = overload.signature
            variants.append(
                {
                    "arguments": _arguments(signature),
                    "returnType": str(signature.result),
                    "description": function.meaning,
                }
            )
        return {
            "@type": "describe_function",
            "name": function.name,
            "description": function.meaning,
            "author": "",
            "version": "",
            "path": "internal",
            "functions": variants,
            "type": _function_type(function.kind),
        }


def _ended(text: str) -> str:
    """The text of a statement as the API shows it: with a semicolon at the end."""
    return text if not text or text.endswith(";") else text + ";"


def _pushed(query_id: str, text: str) -> dict[str, Any]:
    """The entry of a push query in a list of queries."""
    return {
        "queryString": _ended(text),
        "sinks": [],
        "sinkKafkaTopics": [],
        "id": query_id,
        "statusCount": {"RUNNING": 1},
        "queryType": "PUSH",
        "state": "RUNNING:1",
    }


def query_positions(database: Database, query_id: str) -> list[dict[str, Any]]:
    """A query's progress in each partition that it reads, as objects with ``topic``, ``partition`` and the offsets
    ``position``, ``start`` and ``end``.
    """
    (described,) = database.execute(f"DESCRIBE QUERY `{query_id}`;")
    assert isinstance(described, Description)
    found = []
    for title, section in described.sections:
        if title == "Positions" and isinstance(section, Listing):
            for topic, partition, position, unread in section.rows:
                start = database.describe_topic(topic).partitions[partition].start_offset
                places = {"position": position, "start": start, "end": position + unread}
                found.append({"topic": topic, "partition": partition, **places})
    return found


def _function_type(kind: str) -> str:
    return {"SCALAR": "SCALAR", "AGGREGATE": "AGGREGATE", "TABLE": "TABLE"}.get(kind.upper(), kind.upper())


def _arguments(signature: Signature) -> list[dict[str, Any]]:
    return [{"name": p.name, "type": str(p.type), "description": "", "isVariadic": p.variadic} for p in signature.parameters]


def _sections(description: Description) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for title, content in description.sections:
        if isinstance(content, Listing):
            found.append({"title": title, "columns": list(content.columns), "rows": [list(r) for r in content.rows]})
        else:
            found.append({"title": title, "text": content})
    return found


__all__ = ["Entities", "query_positions"]
