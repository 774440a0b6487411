"""What checks look up in a running database: its topics, schemas and queries (`checking.Outside`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import Span, StatementError
from ...grammar import ast
from ...runtime.query.repartitioning import COPY_OF
from ...storage.log.ownership import refused_name, refused_new_name, refused_write
from ..analysis.with_clause import WithClause
from ..catalog import Catalog, FormatInfo
from ..schema import Schema
from ..serdes import value_type
from ..state import Engine
from ..types import from_arrow
from .inference import infer


@dataclass(frozen=True, slots=True)
class Live:
    """See `checking.Outside`."""

    engine: Engine

    @property
    def number(self) -> int:
        return self.engine.journal.next_offset

    def partitions(self, topic: str, asked: int | None = None) -> int | None:
        if self.engine.topic(topic) is None:
            return None
        return asked if self.engine.one_partition and asked else self.engine.partitions(topic)

    def is_missing(self, topic: str) -> bool:
        return self.engine.topic(topic) is None

    def with_columns(
        self, statement: ast.CreateSource, clause: WithClause, topic: str, formats: tuple[FormatInfo, FormatInfo]
    ) -> ast.CreateSource:
        return infer(self.engine.schemas, statement, clause, topic, *formats)

    def check_topic(
        self, topic: str, clause: WithClause, format_: FormatInfo, schema: Schema, span: Span, *, grows: bool, written: bool
    ) -> None:
        missing = self.engine.topic(topic) is None
        refused = refused_new_name(topic) if missing else refused_write(topic, None) if written else None
        if refused is not None:
            raise StatementError(
                refused, span=clause.span("KAFKA_TOPIC") or span, suggestion="Choose another name for the topic."
            )
        if missing:
            return
        self._check_partitions(topic, clause, exact=written)
        self._check_values(topic, format_, schema, clause.span("KAFKA_TOPIC") or span, grows=grows)
        self._check_settings(topic, clause)

    def _check_partitions(self, topic: str, clause: WithClause, *, exact: bool) -> None:
        asked, have = clause.integer("PARTITIONS", 1), self.engine.partitions(topic)
        if asked is not None and asked != have and (exact or not self.engine.one_partition):
            raise StatementError(
                f"the topic {topic} has {have} partitions, not {asked}",
                span=clause.span("PARTITIONS"),
                suggestion="Leave PARTITIONS out: the topic exists already.",
            )

    def _check_settings(self, topic: str, clause: WithClause) -> None:
        """Check that a statement asks for nothing else than an existing topic has."""
        config = self.engine.log.topics()[topic]
        have = {
            "REPLICAS": self.engine.replicas(topic),
            "RETENTION_MS": -1 if config.retention_ms is None else config.retention_ms,
            "CLEANUP_POLICY": config.cleanup_policy,
        }
        wanted = {"REPLICAS": clause.integer("REPLICAS", -1), "RETENTION_MS": clause.integer("RETENTION_MS", -1)}
        for name, value in {**wanted, "CLEANUP_POLICY": clause.cleanup_policy()}.items():
            if value not in (None, have[name]) and (name, value) != ("REPLICAS", -1):
                raise StatementError(
                    f"the topic {topic} exists already, and its {name} is {have[name]}, not {value}",
                    span=clause.span(name),
                    suggestion=f"Leave {name} out: the topic keeps what it was made with.",
                )

    def _check_values(self, topic: str, format_: FormatInfo, schema: Schema, span: Span, *, grows: bool) -> None:
        """Check that a topic is not one of the engine's own, and holds what the format needs: typed columns of the same
        types, or bytes.
        """
        config = self.engine.log.topics()[topic]
        if config.internal:
            raise StatementError(
                f"the topic {topic} is internal: it belongs to the query that writes it",
                span=span,
                suggestion=f"PRINT `{topic}` FROM BEGINNING; shows what it holds.",
            )
        wanted = value_type(format_, schema)
        if config.value_type is None and wanted is None:
            return
        if config.value_type is None:
            raise StatementError(
                f"the topic {topic} holds bytes, not the typed values of the ARROW format",
                span=span,
                suggestion="Say which VALUE_FORMAT its records have, JSON for example.",
            )
        if wanted is None:
            raise StatementError(
                f"the topic {topic} holds typed values, which have the format ARROW, not {format_.name}",
                span=span,
                suggestion="Write VALUE_FORMAT = 'ARROW'.",
            )
        have = {f.name: f.type for f in config.value_type}
        for item in wanted:
            if have.get(item.name) != item.type and not (grows and item.name not in have):
                held = f"holds it as {from_arrow(have[item.name])}" if item.name in have else "does not have it"
                raise StatementError(
                    f"the column {item.name} is {from_arrow(item.type)}, but the topic {topic} {held}",
                    span=span,
                    suggestion="Choose another name for the column, or another KAFKA_TOPIC.",
                )

    def deleted(self, topic: str) -> tuple[str, int] | None:
        refused = refused_name(topic)
        if refused is not None:
            raise StatementError(refused, suggestion="DROP without DELETE TOPIC.")
        return None if self.engine.topic(topic) is None else (topic, self.engine.log.topic_id(topic))

    def check_writes(self, catalog: Catalog, topic: str, sink: str, sources: Iterable[str], span: Span) -> None:
        refused = catalog.refused_write(topic, sink)
        if refused is not None:
            raise StatementError(refused, span=span, suggestion="Write to another topic.")
        if self.is_missing(topic):
            return  # a topic that does not exist has no readers
        self._check_circle(catalog, topic, sources, span)

    def _check_circle(self, catalog: Catalog, topic: str, sources: Iterable[str], span: Span) -> None:
        topics = {name: source.topic for name, source in catalog.sources.items()}
        left, seen = [topics[name] for name in sources if name in topics], set()
        while left:
            read = left.pop()
            if read == topic:
                raise StatementError(
                    f"the query would read what it writes to the topic {topic}, and never end",
                    span=span,
                    suggestion="Write to another topic.",
                )
            if read not in seen:
                seen.add(read)
                writers = (q for q in catalog.queries.values() if topics.get(q.sink) == read and q.kind != "CST")
                left.extend(topics[name] for query in writers for name in query.sources if name in topics)

    def check_copies(self, topics: Iterable[str], query_id: str) -> None:
        for topic in topics:
            config = self.engine.topic(topic)
            if config is not None and config.properties.get(COPY_OF) != query_id:
                raise StatementError(
                    f"the query needs an internal topic {topic}, but another topic has this name",
                    suggestion="SET 'penstock.internal.topics' = 'false', or another 'ksql.service.id'.",
                )

    def check_resumable(self, query_id: str) -> None:
        self.engine.host.run(query_id).check_resumable()

    def check_room(self, queries: int, limit: int, span: Span) -> None:
        if queries >= limit:
            raise StatementError(
                f"there are {queries} persistent queries, and ksql.query.persistent.active.limit is {limit}",
                span=span,
                suggestion="TERMINATE one first.",
            )
