"""Properties: which there are, what they do here, and the layers they are set in.

A property is *in effect* (it changes what Penstock does) or *always met* (Penstock does at least what any value asks for,
so setting it is allowed and changes nothing).  Whatever ksqlDB has and Penstock has not is refused by name: nothing is
accepted and ignored.  Layers, later ones win: default, database (`connect`), session (what it was made with, then SET).

Which layer a property can be set in: what belongs to the process or the directory (threads, the time after which relaxed
commits are written, the registry's address), and what limits sessions (the deny list), is the database's alone.  All else
a session may set for itself; limits on queries it can only lower (see `Settings.limit`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ..errors import StatementError, UnsupportedError
from ..storage.schemas.registry import LEVELS

Kind = Literal["text", "integer", "boolean"]
STREAMS_PREFIX = "ksql.streams."
DENYLIST = "ksql.properties.overrides.denylist"
_INT_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Property:
    """A property that can be set.

    Attributes:
        default: its value when nobody sets it.
        in_effect: see the module's text.
        choices: the values it can take; empty for any of its kind.
        least: of an integer.
        at_connect: belongs to the database: given to `connect` only, and kept with no statement or query.
    """

    name: str
    kind: Kind
    default: str
    meaning: str
    in_effect: bool = True
    choices: tuple[str, ...] = ()
    least: int = 0
    at_connect: bool = False


_BOTH = ("true", "false")
PROPERTIES: dict[str, Property] = {
    p.name: p
    for p in (
        Property(
            "auto.offset.reset", "text", "latest", "where new queries start to read streams", choices=("latest", "earliest")
        ),
        Property(
            "processing.order",
            "text",
            "timestamp",
            "how records of several inputs are ordered: by timestamp, or as the log received them",
            choices=("timestamp", "arrival"),
        ),
        Property(
            "processing.guarantee",
            "text",
            "exactly_once_v2",
            "every step is committed as a whole: exactly once, which meets all guarantees, also where penstock.durability "
            "is relaxed",
            in_effect=False,
            choices=("exactly_once_v2", "exactly_once", "exactly_once_beta", "at_least_once"),
        ),
        Property(
            "commit.interval.ms",
            "integer",
            "2000",
            "the longest time between commits; here every step is committed at once (penstock.durability says when that is "
            "on disk)",
            in_effect=False,
        ),
        Property(
            "cache.max.bytes.buffering",
            "integer",
            "10000000",
            "0: every update of a table is emitted; else the last one per key and step",
        ),
        Property("max.task.idle.ms", "integer", "0", "how long a query waits for an input that has no record"),
        Property("ksql.service.id", "text", "default_", "a name for this engine, part of the names of internal topics"),
        Property("ksql.output.topic.name.prefix", "text", "", "put before the topic names of CREATE .. AS SELECT"),
        Property("ksql.persistence.default.format.key", "text", "KAFKA", "KEY_FORMAT of statements without one"),
        Property("ksql.persistence.default.format.value", "text", "ARROW", "VALUE_FORMAT of statements without one"),
        Property(
            "ksql.persistence.wrap.single.values",
            "text",
            "",
            "WRAP_SINGLE_VALUE of statements without it; empty: the format decides",
            choices=("", *_BOTH),
        ),
        Property("ksql.sink.partitions", "text", "", "PARTITIONS of CREATE .. AS SELECT without it; empty: the source's"),
        Property("ksql.sink.replicas", "text", "", "REPLICAS of CREATE .. AS SELECT without it; empty: the source's"),
        Property("ksql.functions.collect_list.limit", "integer", str(_INT_MAX), "items COLLECT_LIST keeps"),
        Property("ksql.functions.collect_set.limit", "integer", str(_INT_MAX), "items COLLECT_SET keeps"),
        Property("ksql.insert.into.values.enabled", "boolean", "true", "whether INSERT INTO .. VALUES is allowed"),
        Property("ksql.create.or.replace.enabled", "boolean", "true", "whether CREATE OR REPLACE is allowed"),
        Property("ksql.variable.substitution.enable", "boolean", "true", "whether ${variables} are replaced"),
        Property("ksql.query.persistent.active.limit", "integer", str(_INT_MAX), "persistent queries at most"),
        Property("ksql.max.push.queries", "integer", "100", "push queries at most at the same time"),
        Property(
            "ksql.new.query.planner.enabled",
            "boolean",
            "false",
            "whether a persistent query may leave its key out of the SELECT list",
        ),
        Property("ksql.query.pull.table.scan.enabled", "boolean", "true", "whether pull queries may read whole tables"),
        Property("ksql.query.pull.range.scan.enabled", "boolean", "true", "whether pull queries may read ranges of keys"),
        Property("ksql.query.pull.limit.clause.enabled", "boolean", "true", "whether pull queries may have a LIMIT"),
        Property("ksql.query.pull.stream.enabled", "boolean", "true", "whether pull queries may read streams"),
        Property(
            "ksql.query.push.v2.enabled",
            "boolean",
            "false",
            "whether push queries that filter and project the result of one query start at its end, tables included",
        ),
        Property("ksql.assert.topic.default.timeout.ms", "integer", "1000", "how long ASSERT TOPIC waits"),
        Property("ksql.assert.schema.default.timeout.ms", "integer", "1000", "how long ASSERT SCHEMA waits"),
        Property(
            DENYLIST,
            "text",
            "",
            "names that SET refuses, separated by commas",
            at_connect=True,
        ),
        Property("ksql.headers.columns.enabled", "boolean", "true", "whether sources may have header columns"),
        Property("ksql.suppress.enabled", "boolean", "true", "whether EMIT FINAL is allowed"),
        Property("ksql.lambdas.enabled", "boolean", "true", "whether lambdas are allowed"),
        Property(
            "ksql.nested.error.set.null",
            "boolean",
            "true",
            "whether a nested expression that fails becomes NULL on its own; false: the whole one around it fails",
        ),
        Property(
            "ksql.timestamp.throw.on.invalid",
            "boolean",
            "false",
            "whether a record whose TIMESTAMP column holds no valid time fails the query",
        ),
        Property(
            "ksql.schema.registry.url",
            "text",
            "",
            "the schema registry server: http://[user:password@]host:8081, several with commas; empty: schemas live in the "
            "database",
            at_connect=True,
        ),
        Property(
            "penstock.schema.compatibility",
            "text",
            "",
            "the level of compatibility that statements give to the subjects they register schemas under; empty: the "
            "registry's, BACKWARD unless it was changed",
            choices=("", *(level.lower() for level in LEVELS)),
        ),
        Property(
            "penstock.internal.topics",
            "boolean",
            "false",
            "whether new persistent queries also write what they re-key, and what their joins keep, to internal topics "
            "under the names ksqlDB gives them",
        ),
        Property(
            "penstock.topic.auto.create",
            "boolean",
            "false",
            "whether CREATE STREAM and CREATE TABLE make a topic that is not there, with one partition",
        ),
        Property(
            "penstock.durability",
            "text",
            "durable",
            "when inserts return and steps of new queries go on: when their commit is on disk (durable), or as soon as it "
            "is visible (relaxed)",
            choices=("durable", "relaxed"),
        ),
        Property(
            "penstock.durability.relaxed.ms",
            "integer",
            "200",
            "after how long relaxed commits are written to disk: what a crash may lose",
            at_connect=True,
        ),
        Property(
            "penstock.threads", "integer", "2", "threads that run queries; 0 leaves all work to drain()", at_connect=True
        ),
        Property(
            "penstock.rows.per.step",
            "integer",
            "65536",
            "records a query takes in one step at most",
            least=1,
            at_connect=True,
        ),
    )
}

_REFUSED = {
    "num.stream.threads": "set penstock.threads for the whole engine",
    "num.standby.replicas": "there is one process, and its state is on disk",
    "state.dir": "state lives in the database's directory",
    "ksql.connect.url": "there is no Kafka Connect",
    "ksql.extension.dir": "register functions with @penstock.udf",
    "ksql.udfs.enabled": "functions registered with @penstock.udf are always there",
    "ksql.queries.file": "run a script with execute() or `penstock run`",
    "ksql.hidden.topics": "internal topics are always hidden",
    "ksql.readonly.topics": "internal topics are always read-only",
    "ksql.fail.on.deserialization.error": "bad records never stop a query, they go to the processing log",
    "fail.on.deserialization.error": "bad records never stop a query, they go to the processing log",
    "ksql.fail.on.production.error": "a query whose log cannot be written fails, whatever this says",
    "ksql.query.pull.max.qps": "pull queries run in your process: limit them there",
    "ksql.query.pull.max.concurrent.requests": "pull queries run in your process: limit them there",
    "ksql.suppress.buffer.size.bytes": "EMIT FINAL keeps its rows in the table's state, without a buffer of its own",
    "ksql.query.retry.backoff.initial.ms": "a failed query stays as it is until RESUME",
    "ksql.cast.strings.preserve.nulls": "a NULL stays NULL in every CAST",
    "ksql.query.pull.enable.standby.reads": "there are no standbys",
    "listeners": "there is no server",
    "bootstrap.servers": "the log is the database's own",
}
_PASSWORD = re.compile(r"(://[^/@:,]*:)[^/@,]*@")
_REFUSED_PREFIXES = ("ksql.", "producer.", "consumer.", "rocksdb.", "ssl.", "sasl.")


def canonical_name(name: str) -> str:
    """The name of a property without the prefix that ksqlDB puts before those of Kafka Streams."""
    trimmed = name.strip()
    return trimmed[len(STREAMS_PREFIX) :] if trimmed.startswith(STREAMS_PREFIX) else trimmed


def check(name: str, value: object) -> tuple[str, str]:
    """A property's canonical name and value.

    Raises:
        StatementError: there is no such property, or the value does not fit it.
        UnsupportedError: ksqlDB has it, Penstock has not.
    """
    name = canonical_name(name)
    found = PROPERTIES.get(name)
    if found is None:
        raise _unknown(name)
    text = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if found.kind == "boolean" or found.choices:
        text = text.lower()
    if found.kind == "integer":
        try:
            number = int(text)
        except ValueError:
            raise StatementError(f"{name} must be a whole number, not {text!r}") from None
        if number < found.least:
            raise StatementError(f"{name} must be at least {found.least}, not {number}")
        return name, str(number)
    if found.kind == "boolean" and text not in _BOTH:
        raise StatementError(f"{name} must be true or false, not {text!r}")
    if found.choices and text not in found.choices:
        listed = ", ".join(c or "empty" for c in found.choices)
        raise StatementError(f"{name} must be one of {listed}, not {text!r}")
    return name, text


def _unknown(name: str) -> StatementError:
    reason = _REFUSED.get(name)
    if reason is not None:
        return UnsupportedError(f"Penstock has no property {name}: {reason}")
    near = difflib.get_close_matches(name, PROPERTIES, 1, 0.87)
    if near:
        return StatementError(f"there is no property {name}", suggestion=f"Did you mean {near[0]}?")
    if name.startswith(_REFUSED_PREFIXES):
        return UnsupportedError(f"Penstock has no property {name}", suggestion="SHOW PROPERTIES; lists those it has.")
    return StatementError(f"there is no property {name}", suggestion="SHOW PROPERTIES; lists them.")


@dataclass(frozen=True, slots=True)
class _InForce:
    """What counts between two changes, worked out once.

    Attributes:
        values: of all properties.
        given: those that are not empty.
        overrides: those that differ from their defaults and can be set in a session.
    """

    values: Mapping[str, str]
    given: Mapping[str, str]
    overrides: Mapping[str, str]


def _in_force(*layers: Mapping[str, str]) -> _InForce:
    chosen = {name: value for layer in layers for name, value in layer.items()}
    values = {name: chosen.get(name, p.default) for name, p in PROPERTIES.items()}
    given = {name: value for name, value in values.items() if value}
    overrides = {
        name: value
        for name, value in chosen.items()
        if value != PROPERTIES[name].default and not PROPERTIES[name].at_connect
    }
    return _InForce(MappingProxyType(values), MappingProxyType(given), MappingProxyType(overrides))


class Settings(Mapping[str, str]):
    """The values in force in a session, by name; a mapping over all properties.

    A change is seen whole by readers in other threads.

    Args:
        database: what `connect` was given.

    Raises:
        StatementError: see `check`.
    """

    def __init__(self, database: Mapping[str, object] | None = None) -> None:
        self._database = dict(check(name, value) for name, value in (database or {}).items())
        self._base: Mapping[str, str] = {}
        self._chosen: Mapping[str, str] = {}
        self._now = _in_force(self._database)

    def for_session(self, base: Mapping[str, object] | None = None) -> Settings:
        """The settings of a session of this database, on which nothing is SET.

        Args:
            base: what the session is made with: SET goes over it, and UNSET back to it.

        Raises:
            StatementError: a property does not exist, may not be set in a session, or has a value that it cannot have.
        """
        made = Settings.__new__(Settings)
        made._database = self._database
        made._base = dict(self._settable(name, value) for name, value in (base or {}).items())
        made._chosen = {}
        made._now = _in_force(self._database, made._base)
        return made

    @staticmethod
    def recorded(overrides: Mapping[str, str]) -> Settings:
        """The settings under which a statement was executed, from what was kept with it; names that are gone are none."""
        made = Settings()
        made._database = {name: value for name, value in overrides.items() if name in PROPERTIES}
        made._now = _in_force(made._database)
        return made

    @property
    def given(self) -> Mapping[str, str]:
        """The values that are not empty; stays what it is after a later `set`."""
        return self._now.given

    @property
    def overrides(self) -> dict[str, str]:
        """What was set, in the database or the session, and differs from the default."""
        return dict(self._now.overrides)

    @property
    def durable(self) -> bool:
        """Whether inserts return when they are on disk (``penstock.durability``)."""
        return self["penstock.durability"] == "durable"

    def set(self, name: str, value: object) -> None:
        """SET.  Raises: StatementError."""
        name, text = self._settable(name, value)
        self._choose({**self._chosen, name: text})

    def unset(self, name: str) -> None:
        """UNSET.  Raises: StatementError, for a property that does not exist."""
        name = canonical_name(name)
        if name not in PROPERTIES:
            raise _unknown(name)
        self._choose({n: v for n, v in self._chosen.items() if n != name})

    def _choose(self, chosen: Mapping[str, str]) -> None:
        self._chosen = chosen
        self._now = _in_force(self._database, self._base, chosen)

    def _settable(self, name: str, value: object) -> tuple[str, str]:
        """A property and its value, if a session may have it.  Raises: StatementError."""
        name, text = check(name, value)
        if PROPERTIES[name].at_connect:
            raise StatementError(f"{name} cannot be set in a session", suggestion="Give it to connect().")
        denylist = self._database.get(DENYLIST, "")
        if name in {canonical_name(n) for n in denylist.split(",")}:
            raise StatementError(f"{name} may not be set here: {DENYLIST} names it")
        return name, text

    def limit(self, name: str) -> int:
        """A limit on queries: the session's, but never above the database's."""
        database = self._database.get(name, PROPERTIES[name].default)
        return min(int(self[name]), int(database))

    def shown(self, name: str) -> str:
        """A value as it may be printed: without the passwords of URLs."""
        return _PASSWORD.sub(r"\1***@", self[name])

    def level(self, name: str) -> str:
        """Where a value comes from: DEFAULT, DATABASE or SESSION."""
        if name in self._chosen or name in self._base:
            return "SESSION"
        return "DATABASE" if name in self._database else "DEFAULT"

    def integer(self, name: str) -> int:
        return int(self[name])

    def boolean(self, name: str) -> bool:
        return self[name] == "true"

    def __getitem__(self, name: str) -> str:
        return self._now.values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(PROPERTIES)

    def __len__(self) -> int:
        return len(PROPERTIES)
