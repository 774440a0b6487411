"""The conformance kit's view of Penstock: one in-memory engine per case, stepped by hand.

The kit's rules that differ from Penstock's defaults are settings here, not special cases: every topic has one physical
partition, records are taken in order of arrival, every update is emitted, nothing runs in the background.  The clock
stands still, at a day that functions which tell the time can be asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapter import (  # the kit's module
    Done,
    Format,
    ProcessingError,
    ProtoRows,
    Record,
    Row,
    Rows,
    Schema,
    Source,
    StatementError,
    Topic,
    TopicInfo,
    Window,
)

import penstock
from penstock.engine.catalog import DataSource, FormatInfo
from penstock.engine.database import connect
from penstock.engine.query_options import PROPERTIES
from penstock.engine.results import Description, Listing, Message, PushResult, Table
from penstock.engine.settings import canonical_name
from penstock.runtime.clock import ManualClock
from penstock.storage.schemas.registry import WIRE_NAMES, SchemaReference, SchemaText
from penstock.tests.conformance import functions, nodes
from penstock.tests.conformance.proto_texts import proto_texts

NOW_MS = 1_700_000_000_000
_SILENT = {"insert values", "set", "unset", "define", "undefine"}
"""Statements that a server answers with nothing."""
_SETTINGS = {
    "processing.order": "arrival",
    "cache.max.bytes.buffering": "0",
    "ksql.persistence.default.format.value": "",
    "penstock.internal.topics": "true",
    "penstock.emit.final.expired": "drop",
    "penstock.join.unmatched": "early",
    "penstock.deviation": "running",
    "penstock.result.topics.writable": "true",
}


class PenstockAdapter:
    """See the kit's `Adapter` for the contract of every method."""

    def __init__(self) -> None:
        self._database: Any = None
        self._one_partition = True
        self._topics: dict[str, Topic] = {}

    def start(self, config: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """An engine in memory, with the case's settings."""
        # the REST suite ran on a real server, with its keys spread over partitions
        self._one_partition = "ksql.query.push.v2.registry.installed" not in config
        settings = {**{k: _text(v) for k, v in config.items()}, **{k: _text(v) for k, v in properties.items()}}
        functions.register()
        self._database = self._connect({**_SETTINGS, **{k: v for k, v in settings.items() if _ours(k)}})
        # The harness' registry takes every schema, a server's only compatible ones.
        self._database.schema_registry.set_level("NONE")

    def _connect(self, settings: Mapping[str, str]) -> Any:
        return connect(
            None, threads=0, clock=ManualClock(NOW_MS), one_partition=self._one_partition, settings=dict(settings)
        )

    def create_topic(self, topic: Topic) -> None:
        """A topic of bytes, and its schemas under the ids given."""
        if topic.name in self._topics:
            return
        self._topics[topic.name] = topic
        self._database.create_topic(topic.name, partitions=topic.partitions, replicas=topic.replicas)
        for side, schema in (("key", topic.key_schema), ("value", topic.value_schema)):
            if schema is not None:
                self._register(f"{topic.name}-{side}", schema)

    def _register(self, subject: str, schema: Schema) -> None:
        for name, reference in schema.references:
            self._register(name, reference)
        registry = self._database.schema_registry
        references = tuple(SchemaReference(name, name, registry.latest(name).version) for name, _ in schema.references)
        text = SchemaText(WIRE_NAMES[schema.format.upper()], schema.text, references)
        registry.register(subject, text, id=schema.id)

    def execute(self, sql: str) -> Done | Rows:
        """One statement."""
        try:
            (outcome,) = self._database.execute(sql)
        except penstock.UnsupportedError as error:
            raise StatementError(str(error), unsupported=True) from error
        except penstock.StatementError as error:
            raise StatementError(str(error)) from error
        if isinstance(outcome, Table):
            return self._pulled(outcome)
        if isinstance(outcome, PushResult):
            return self._pushed(outcome)
        if isinstance(outcome, Message) and outcome.kind in _SILENT:
            return Done(None)
        return Done(_entity(outcome, sql))

    def _pulled(self, table: Table) -> Rows:
        assert table.schema is not None
        rows = [Row([nodes.result_node(v, c.type) for v, c in zip(row, table.schema)]) for row in table.fetchall()]
        return Rows(str(table.schema), rows, None, table.final_message)

    def execute_proto(self, sql: str) -> ProtoRows:
        """A pull query's rows as protobuf, in text notation."""
        try:
            (outcome,) = self._database.execute(sql)
        except penstock.StatementError as error:
            raise StatementError(str(error)) from error
        rows = outcome.protobuf()
        return ProtoRows(rows.schema, proto_texts(rows.schema, rows.messages), outcome.final_message)

    def _pushed(self, result: PushResult) -> Rows:
        rows = Rows(str(result.schema), (), result.query_id)

        def read() -> Iterable[Row]:
            self._database.drain()
            while (row := result.subscription.poll(0)) is not None:
                values = [nodes.result_node(v, c.type) for v, c in zip(row.values, result.schema)]
                yield Row(values, row.tombstone)
            if result.subscription.limit_reached:
                rows.final_message = "Limit Reached"
            result.subscription.close()

        rows.rows = read()
        return rows

    def produce(self, record: Record) -> None:
        """Append one record, in the formats of the source on that topic."""
        source = self._source_on(record.topic)
        topic = self._topics.get(record.topic)
        key, value = nodes.encode_record(self._database, source, topic, record)
        self._database.produce(
            record.topic,
            key=key,
            value=value,
            timestamp=record.timestamp,
            headers=record.headers,
            partition=0 if self._one_partition else None,
        )

    def drain(self) -> None:
        """Process all there is."""
        try:
            self._database.drain()
        except penstock.PenstockError as error:
            raise ProcessingError(str(error)) from error

    def read(self, topic: str) -> Sequence[Record]:
        """All records of a topic, decoded."""
        name, source = self._internal_topics().get(topic) or (topic, self._source_on(topic))
        found = []
        for raw in self._database.consume(name, offset=0):
            key, value, window = nodes.decode_record(self._database, source, topic, raw)
            bounds = None if window is None else Window(*window)
            headers = tuple((name, data) for name, data in raw.headers)
            found.append(Record(topic, key, value, raw.timestamp, bounds, headers))
        return found

    def _source_on(self, topic: str) -> DataSource | None:
        sources = [s for s in self._database.catalog.sources.values() if s.topic == topic]
        return sources[0] if sources else None

    def sources(self) -> Iterable[Source]:
        """The catalog."""
        for source in self._database.catalog.sources.values():
            if source.name == "KSQL_PROCESSING_LOG":
                continue
            yield Source(
                source.name,
                source.kind,
                str(source.schema),
                source.topic,
                _format(source.key_format, source),
                _format(source.value_format),
                source.read_only,
                source.timestamp_column,
                source.timestamp_format,
            )

    def topics(self) -> Iterable[TopicInfo]:
        """All topics that sources stand on, and those to which queries copy inner rows, with their registered schemas."""
        registry = self._database.schema_registry
        named = {name: (name, self._source_on(name)) for name in self._database.topic_names()}
        for shown, (name, source) in {**named, **self._internal_topics()}.items():
            if source is None:
                continue
            key = None if registry is None else registry.latest(f"{name}-key")
            value = None if registry is None else registry.latest(f"{name}-value")
            yield TopicInfo(
                shown,
                _format(source.key_format, source),
                _format(source.value_format),
                None if key is None else key.schema.text,
                None if value is None else value.schema.text,
            )

    def _internal_topics(self) -> dict[str, tuple[str, DataSource]]:
        """The internal topics that the log has, by the name the kit knows them under.

        The number at the end of a query's id is its place among all statements, as in a server; the kit's cases come from a
        harness that counts queries only.
        """
        (topics,) = self._database.execute("SHOW ALL TOPICS;")
        there = {row[0] for row in topics.rows}
        found: dict[str, tuple[str, DataSource]] = {}
        for place, (query_id, query) in enumerate(self._database.queries.items()):
            counted = f"{query_id.rpartition('_')[0]}_{place}"
            for name, source in query.internal_topics.items():
                if name in there:
                    found[name.replace(f"query_{query_id}-", f"query_{counted}-")] = name, source
        return found

    def stop(self) -> None:
        """Close the engine."""
        if self._database is not None:
            self._database.close()


def _ours(name: str) -> bool:
    """Whether a case's setting is one of Penstock's.

    The others are switches of ksqlDB's harness and of its Java internals, or of features that are always on here.  The
    registry's address is the harness' own.
    """
    name = canonical_name(name)
    return name in PROPERTIES and name != "ksql.schema.registry.url"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _format(info: FormatInfo, source: DataSource | None = None) -> Format:
    window = source.window if source is not None else None
    return Format(
        info.name,
        dict(info.properties),
        info.features,
        None if window is None else window.type,
        None if window is None else window.size_ms,
    )


def _entity(outcome: Message | Listing | Description, sql: str) -> Mapping[str, Any]:
    """What a server would answer."""
    if isinstance(outcome, Message):
        kind = "warning_entity" if outcome.warning else "currentStatus"
        return {"@type": kind, "statementText": sql.strip(), "message": outcome.text}
    return {"@type": outcome.kind, "statementText": sql.strip()}
