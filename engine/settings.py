"""Properties: their names, what they do here, and the layers in which they are set.

There are two kinds of properties.  A property *in effect* changes what Penstock does.  A property that is *always met* can
be set, but that changes nothing, because Penstock does at least what any of its values asks for.  A property that ksqlDB has
and Penstock does not have is refused by name: nothing is accepted and ignored.

There are three layers, and a later one wins: the default, the database (`connect`), the session (its initial properties,
then SET).

Some properties can only be set for the database: those of the process or the directory (threads, the time after which
relaxed commits are written, the registry's address), and those that limit sessions (the deny list).  A session can set all
others.  Limits on queries can only be lowered in a session (see `_limited`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..errors import StatementError, UnsupportedError, unwritable
from .query_options import DENYLIST, PROPERTIES, DatabaseOptions, QueryOptions

STREAMS_PREFIX = "ksql.streams."
_BOTH = ("true", "false")

_REFUSED = {
    "num.stream.threads": "set penstock.threads for the whole engine",
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
    "ksql.query.pull.enable.standby.reads": "pull queries do not read standby copies of state",
    "listeners": "give the address to `penstock serve`",
    "bootstrap.servers": "it is given when the database is opened: connect(kafka=..), --kafka",
    "session.timeout.ms": "it is given when the database is opened",
    "transaction.timeout.ms": "it is given when the database is opened",
}
_PASSWORD = re.compile(r"(://[^/@:,]*:)[^/@,]*@")
_REFUSED_PREFIXES = ("ksql.", "producer.", "consumer.", "rocksdb.", "ssl.", "sasl.")


def canonical_name(name: str) -> str:
    """The name of a property, without the prefix that ksqlDB gives to the properties of Kafka Streams."""
    trimmed = name.strip()
    return trimmed[len(STREAMS_PREFIX) :] if trimmed.startswith(STREAMS_PREFIX) else trimmed


def check(name: str, value: object) -> tuple[str, str]:
    """Check a property, and return its canonical name and its value.

    Raises:
        StatementError: the property does not exist, or the value is not allowed.
        UnsupportedError: ksqlDB has it, but Penstock does not.
    """
    name = canonical_name(name)
    found = PROPERTIES.get(name)
    if found is None:
        raise _unknown(name)
    if isinstance(value, (list, tuple, dict, set)):
        raise StatementError(f"the value of {name} must be one value, not a {type(value).__name__}")
    text = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if not text.isprintable() and (refused := unwritable(text)) is not None:
        raise StatementError(f"the value of {name} holds {refused}")
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
        raise StatementError(
            f"{name} must be one of {listed}, not {text!r}", suggestion=f"For example: '{found.choices[0]}'."
        )
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
    """The values of all properties, computed once after each change.

    Attributes:
        values: of all properties.
        overrides: the values that differ from the defaults, of properties that a session can set.
        options: the same values with their types.
    """

    values: Mapping[str, str]
    overrides: Mapping[str, str]
    options: QueryOptions


def _in_force(database: Mapping[str, str], *layers: Mapping[str, str]) -> _InForce:
    chosen = {name: value for layer in (database, *layers) for name, value in layer.items()}
    values = {name: chosen.get(name, p.default) for name, p in PROPERTIES.items()}
    overrides = {
        name: value
        for name, value in chosen.items()
        if value != PROPERTIES[name].default and not PROPERTIES[name].at_connect
    }
    options = _limited(QueryOptions.of(chosen), QueryOptions.of(database))
    return _InForce(MappingProxyType(values), MappingProxyType(overrides), options)


def _limited(options: QueryOptions, most: QueryOptions) -> QueryOptions:
    """Apply the limits on queries: a session's limit cannot be above the database's."""
    return replace(
        options,
        persistent_queries_max=min(options.persistent_queries_max, most.persistent_queries_max),
        push_queries_max=min(options.push_queries_max, most.push_queries_max),
    )


class Settings(Mapping[str, str]):
    """The properties of a session: a mapping from all names to values.

    Other threads never see a change in part.

    Args:
        database: the properties given to `connect`.

    Raises:
        StatementError: see `check`.
    """

    def __init__(self, database: Mapping[str, object] | None = None) -> None:
        self._database = dict(check(name, value) for name, value in (database or {}).items())
        self._base: Mapping[str, str] = {}
        self._chosen: Mapping[str, str] = {}
        self._now = _in_force(self._database)

    def for_session(self, base: Mapping[str, object] | None = None) -> Settings:
        """The properties of a new session of this database.

        Args:
            base: the session's initial properties.  SET overrides them, and UNSET returns to them.

        Raises:
            StatementError: a property does not exist, may not be set in a session, or its value is not allowed.
        """
        made = Settings.__new__(Settings)
        made._database = self._database
        made._base = dict(self._settable(name, value) for name, value in (base or {}).items())
        made._chosen = {}
        made._now = _in_force(self._database, made._base)
        return made

    def other_than(self, opened: Settings) -> tuple[list[str], dict[str, str]]:
        """The properties given to `connect` here that differ from those of an open database.

        Returns:
            the names of properties that only `connect` takes, and the properties that a session can have.
        """
        differing = {name: value for name, value in self._database.items() if opened._database.get(name) != value}
        fixed = [name for name in differing if PROPERTIES[name].at_connect]
        return fixed, {name: value for name, value in differing.items() if name not in fixed}

    @staticmethod
    def recorded(overrides: Mapping[str, str]) -> Settings:
        """The properties that a statement was executed with, from its record.  Unknown names are ignored."""
        made = Settings()
        made._database = {name: value for name, value in overrides.items() if name in PROPERTIES}
        made._now = _in_force(made._database)
        return made

    @property
    def options(self) -> QueryOptions:
        """The properties for statements, with their types.  A later `set` does not change this object."""
        return self._now.options

    @property
    def database(self) -> DatabaseOptions:
        """The properties that only `connect` takes, with their types."""
        return DatabaseOptions.of(self._database)

    @property
    def overrides(self) -> dict[str, str]:
        """The properties of the database or the session that differ from the defaults."""
        return dict(self._now.overrides)

    def set(self, name: str, value: object) -> None:
        """SET: set a property.

        Raises:
            StatementError: see `check`; or a session may not set the property.
        """
        name, text = self._settable(name, value)
        self._choose({**self._chosen, name: text})

    def unset(self, name: str) -> None:
        """UNSET: remove the session's value of a property.

        Raises:
            StatementError: the property does not exist.
        """
        name = canonical_name(name)
        if name not in PROPERTIES:
            raise _unknown(name)
        self._choose({n: v for n, v in self._chosen.items() if n != name})

    def _choose(self, chosen: Mapping[str, str]) -> None:
        self._chosen = chosen
        self._now = _in_force(self._database, self._base, chosen)

    def _settable(self, name: str, value: object) -> tuple[str, str]:
        """Check that a session may set a property to a value, and return both.

        Raises:
            StatementError: it may not.
        """
        name, text = check(name, value)
        if PROPERTIES[name].at_connect:
            raise StatementError(f"{name} cannot be set in a session", suggestion="Give it to connect().")
        denylist = self._database.get(DENYLIST, "")
        if name in {canonical_name(n) for n in denylist.split(",")}:
            raise StatementError(f"{name} cannot be set: {DENYLIST} forbids it")
        return name, text

    def shown(self, name: str) -> str:
        """A value for printing.  Passwords in URLs are left out."""
        return _PASSWORD.sub(r"\1***@", self[name])

    @staticmethod
    def choices(name: str) -> tuple[str, ...]:
        """The possible values of a property; empty if there is no list of them."""
        described = PROPERTIES[name]
        return described.choices or (_BOTH if described.kind == "boolean" else ())

    def level(self, name: str) -> str:
        """The layer that a value comes from: DEFAULT, DATABASE or SESSION."""
        if name in self._chosen or name in self._base:
            return "SESSION"
        return "DATABASE" if name in self._database else "DEFAULT"

    def __getitem__(self, name: str) -> str:
        return self._now.values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(PROPERTIES)

    def __len__(self) -> int:
        return len(PROPERTIES)
