"""The properties of a session and of a database with their types.  Each is declared once, with its default and its meaning.

Statements are checked, planned and run with `QueryOptions`; `DatabaseOptions` is only for `connect`.  The text of a property
is parsed once, when it is set (by `settings`).  All other code reads attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..limits import DUCKDB_MEMORY_BYTES, STEP_ROWS_MAX
from ..storage.schemas.registry import LEVELS

Kind = Literal["text", "integer", "boolean"]
DENYLIST = "ksql.properties.overrides.denylist"
_INT_MAX = 2**31 - 1
_BOTH = ("true", "false")


@dataclass(frozen=True, slots=True)
class Property:
    """A property that can be set.

    Attributes:
        default: the value if it is not set.
        in_effect: whether it changes what Penstock does.  If not, Penstock does what any of its values asks for.
        choices: the possible values; empty if there is no list of them.
        least: the smallest value of an integer.
        at_connect: whether it belongs to the database: only `connect` takes it, and statements and queries do not store it.
    """

    name: str
    kind: Kind
    default: str
    meaning: str
    in_effect: bool = True
    choices: tuple[str, ...] = ()
    least: int = 0
    at_connect: bool = False


def _as_bool(text: str) -> bool:
    return text.strip().lower() == "true"


def _option(parse: Callable[[str], Any], described: Property) -> Any:
    """A field for a property.  ``parse`` converts the property's text."""
    return field(default=parse(described.default), metadata={"property": described, "parse": parse})


def _word(name: str, default: str, choices: tuple[str, ...], meaning: str) -> Any:
    return _option(lambda text: text.strip().lower(), Property(name, "text", default, meaning, choices=choices))


def _text(name: str, default: str, meaning: str, *, at_connect: bool = False) -> Any:
    return _option(str.strip, Property(name, "text", default, meaning, at_connect=at_connect))


def _number(name: str, default: int, meaning: str, *, least: int = 0, at_connect: bool = False) -> Any:
    return _option(int, Property(name, "integer", str(default), meaning, least=least, at_connect=at_connect))


def _switch(name: str, default: bool, meaning: str, at_connect: bool = False) -> Any:
    return _option(_as_bool, Property(name, "boolean", "true" if default else "false", meaning, at_connect=at_connect))


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The properties of a session.  They apply to one statement, and to a query for its whole life.

    An attribute that is None stands for an empty text.
    """

    auto_offset_reset: Literal["latest", "earliest"] = _word(
        "auto.offset.reset", "latest", ("latest", "earliest"), "where new queries start to read streams"
    )
    processing_order: Literal["timestamp", "arrival"] = _word(
        "processing.order",
        "timestamp",
        ("timestamp", "arrival"),
        "how records of several inputs are ordered: by timestamp, or as the log received them",
    )
    cache_max_bytes: int = _number(
        "cache.max.bytes.buffering", 10_000_000, "0: every update of a table is emitted; else the last one per key and step"
    )
    max_task_idle_ms: int = _number("max.task.idle.ms", 0, "how long a query waits for an input that has no record, in ms")
    standby_replicas: int = _number(
        "num.standby.replicas", 0, "how many other processes keep a copy of a query's state (for a log in Kafka)"
    )
    processing_guarantee: Literal["exactly_once_v2", "exactly_once", "exactly_once_beta", "at_least_once"] = _word(
        "processing.guarantee",
        "exactly_once_v2",
        ("exactly_once_v2", "exactly_once", "exactly_once_beta", "at_least_once"),
        "exactly_once_v2: every record is processed once; at_least_once: quicker over Kafka, but after a failure records "
        "may be processed twice (a log in a directory is always exactly once)",
    )
    service_id: str = _text("ksql.service.id", "default_", "a name for this engine, part of the names of internal topics")
    output_topic_prefix: str = _text(
        "ksql.output.topic.name.prefix", "", "the start of the topic names of CREATE .. AS SELECT"
    )
    default_key_format: str = _text("ksql.persistence.default.format.key", "KAFKA", "KEY_FORMAT of statements without one")
    default_value_format: str = _text(
        "ksql.persistence.default.format.value", "ARROW", "VALUE_FORMAT of statements without one"
    )
    wrap_single_values: bool | None = _option(
        lambda text: _as_bool(text) if text.strip() else None,
        Property(
            "ksql.persistence.wrap.single.values",
            "text",
            "",
            "WRAP_SINGLE_VALUE of statements without it; empty: the format decides",
            choices=("", *_BOTH),
        ),
    )
    sink_partitions: str = _text(
        "ksql.sink.partitions", "", "PARTITIONS of CREATE .. AS SELECT without it; empty: the source's"
    )
    sink_replicas: str = _text("ksql.sink.replicas", "", "REPLICAS of CREATE .. AS SELECT without it; empty: the source's")
    collect_list_limit: int = _number("ksql.functions.collect_list.limit", _INT_MAX, "items COLLECT_LIST keeps")
    collect_set_limit: int = _number("ksql.functions.collect_set.limit", _INT_MAX, "items COLLECT_SET keeps")
    insert_values: bool = _switch("ksql.insert.into.values.enabled", True, "whether INSERT INTO .. VALUES is allowed")
    create_or_replace: bool = _switch("ksql.create.or.replace.enabled", True, "whether CREATE OR REPLACE is allowed")
    variable_substitution: bool = _switch("ksql.variable.substitution.enable", True, "whether ${variables} are replaced")
    persistent_queries_max: int = _number("ksql.query.persistent.active.limit", _INT_MAX, "persistent queries at most")
    push_queries_max: int = _number("ksql.max.push.queries", 100, "push queries at most at the same time")
    keys_may_be_left_out: bool = _switch(
        "ksql.new.query.planner.enabled", False, "whether a persistent query may leave its key out of the SELECT list"
    )
    pull_table_scan: bool = _switch("ksql.query.pull.table.scan.enabled", True, "whether pull queries may read whole tables")
    pull_range_scan: bool = _switch(
        "ksql.query.pull.range.scan.enabled", True, "whether pull queries may read ranges of keys"
    )
    pull_limit: bool = _switch("ksql.query.pull.limit.clause.enabled", True, "whether pull queries may have a LIMIT")
    pull_stream: bool = _switch("ksql.query.pull.stream.enabled", True, "whether pull queries may read streams")
    push_from_the_end: bool = _switch(
        "ksql.query.push.v2.enabled",
        False,
        "whether push queries that filter and project the result of one query start at its end, tables included",
    )
    assert_topic_timeout_ms: int = _number("ksql.assert.topic.default.timeout.ms", 1000, "how long ASSERT TOPIC waits")
    assert_schema_timeout_ms: int = _number("ksql.assert.schema.default.timeout.ms", 1000, "how long ASSERT SCHEMA waits")
    headers: bool = _switch("ksql.headers.columns.enabled", True, "whether sources may have header columns")
    emit_final: bool = _switch("ksql.suppress.enabled", True, "whether EMIT FINAL is allowed")
    emit_final_expired: Literal["emit", "drop"] = _word(
        "penstock.emit.final.expired",
        "emit",
        ("emit", "drop"),
        "what EMIT FINAL does with windows whose retention is over when stream time jumps past their end: emit them, "
        "or drop them, as ksqlDB does",
    )
    unmatched_rows: Literal["grace", "early"] = _word(
        "penstock.join.unmatched",
        "grace",
        ("grace", "early"),
        "when an outer join of streams with a GRACE PERIOD emits a row that has no match: after its grace period, or, as "
        "ksqlDB does, at once if its window is over when it comes",
    )
    deviation: Literal["exact", "running"] = _word(
        "penstock.deviation",
        "exact",
        ("exact", "running"),
        "how STDDEV_SAMP and STDDEV_SAMPLE are computed: from exact sums, or row by row with rounding, as ksqlDB does",
    )
    log_late: bool = _switch(
        "penstock.log.late", False, "whether rows that come too late for their window or join are in the processing log"
    )
    lambdas: bool = _switch("ksql.lambdas.enabled", True, "whether lambdas are allowed")
    nested_errors_are_null: bool = _switch(
        "ksql.nested.error.set.null",
        True,
        "whether a nested expression that fails becomes NULL on its own; false: the whole one around it fails",
    )
    fail_on_invalid_timestamp: bool = _switch(
        "ksql.timestamp.throw.on.invalid",
        False,
        "whether a record whose TIMESTAMP column holds no valid time fails the query",
    )
    schema_compatibility: str = _word(
        "penstock.schema.compatibility",
        "",
        ("", *(level.lower() for level in LEVELS)),
        "the level of compatibility that statements give to the subjects they register schemas under; empty: the "
        "registry's, BACKWARD unless it was changed",
    )
    internal_topics: bool = _switch(
        "penstock.internal.topics",
        False,
        "whether new persistent queries also write re-keyed rows, and the rows that their joins keep, to internal topics "
        "with ksqlDB's names",
    )
    create_missing_topics: bool = _switch(
        "penstock.topic.auto.create",
        False,
        "whether CREATE STREAM and CREATE TABLE create a missing topic, with one partition",
    )
    durability: Literal["durable", "relaxed"] = _word(
        "penstock.durability",
        "durable",
        ("durable", "relaxed"),
        "when inserts return and steps of new queries go on: when their commit is on disk (durable), or as soon as it "
        "is visible (relaxed)",
    )

    row_failure: Literal["log", "stop"] = _word(
        "penstock.row.failure",
        "log",
        ("log", "stop"),
        "what happens to a row on which an aggregate, a join, a sink or a format fails: it is left out and reported in the "
        "processing log (log), or the query stops (stop); a query that is answered once says what is left out, or fails",
    )

    @property
    def every_update(self) -> bool:
        """Whether every update of a table is emitted, and not only the last one for each key and step."""
        return self.cache_max_bytes == 0

    @property
    def durable(self) -> bool:
        """Whether a commit waits for the disk."""
        return self.durability == "durable"

    @staticmethod
    def of(properties: Mapping[str, str]) -> QueryOptions:
        """Make options from texts that were checked, by the names of properties.  Other names are ignored."""
        return QueryOptions(**_parsed(QueryOptions, properties))


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """The properties of the database, and of the process that has it open."""

    denylist: str = _text(DENYLIST, "", "names that SET refuses, separated by commas", at_connect=True)
    schema_registry_url: str = _text(
        "ksql.schema.registry.url",
        "",
        "the schema registry server: http://[user:password@]host:8081, several with commas; empty: schemas live in the "
        "database",
        at_connect=True,
    )
    schema_registry_ca: str = _text(
        "ksql.schema.registry.ssl.ca.location",
        "",
        "a PEM file of the authorities that sign the certificate of the schema registry server; empty: those of the system",
        at_connect=True,
    )
    result_topics_writable: bool = _switch(
        "penstock.result.topics.writable",
        False,
        "whether programs can write records to the topic of a query's table, as in ksqlDB: readers of the topic get them, "
        "pull queries of that table do not",
        at_connect=True,
    )
    relaxed_ms: int = _number(
        "penstock.durability.relaxed.ms",
        200,
        "how long until relaxed commits are on disk, in ms: a crash may lose so much",
        at_connect=True,
    )
    duckdb_memory: int = _number(
        "penstock.duckdb.memory",
        DUCKDB_MEMORY_BYTES,
        "bytes that one query of DuckDB's own SQL may take, and as many again for its answer",
        least=16 * 1024 * 1024,
        at_connect=True,
    )
    duckdb_threads: int = _number(
        "penstock.duckdb.threads", 1, "threads that one query of DuckDB's own SQL may take", least=1, at_connect=True
    )
    threads: int = _number("penstock.threads", 2, "threads that run queries; 0 leaves all work to drain()", at_connect=True)
    rows_per_step: int = _number(
        "penstock.rows.per.step", STEP_ROWS_MAX, "records a query takes in one step at most", least=1, at_connect=True
    )

    @staticmethod
    def of(properties: Mapping[str, str]) -> DatabaseOptions:
        """Make options from texts that were checked, by the names of properties.  Other names are ignored."""
        return DatabaseOptions(**_parsed(DatabaseOptions, properties))


def _parsed(options: type[QueryOptions] | type[DatabaseOptions], properties: Mapping[str, str]) -> dict[str, Any]:
    named = {f.metadata["property"].name: f for f in fields(options)}
    return {f.name: f.metadata["parse"](properties[name]) for name, f in named.items() if name in properties}


_ALWAYS_MET = (
    Property(
        "commit.interval.ms",
        "integer",
        "2000",
        "the longest time between commits; here every step is committed at once (penstock.durability says when that is "
        "on disk)",
        in_effect=False,
    ),
)

PROPERTIES: dict[str, Property] = {
    p.name: p
    for p in (*(f.metadata["property"] for kind in (QueryOptions, DatabaseOptions) for f in fields(kind)), *_ALWAYS_MET)
}
"""All properties, by name."""
