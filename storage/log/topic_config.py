"""Kafka's names for what can be set about a topic, and their values as text.

=========================  =========================  ==========================================================
name                       field of `TopicConfig`     values
=========================  =========================  ==========================================================
``cleanup.policy``         ``cleanup_policy``         ``delete``, ``compact``, or both with a comma
``retention.ms``           ``retention_ms``           milliseconds; -1 keeps everything
``retention.bytes``        ``retention_bytes``        bytes of a partition; -1 keeps everything
``segment.bytes``          ``segment_bytes``          bytes, at least 14 (as in Kafka); -1 takes the log's own
``segment.ms``             ``segment_ms``             milliseconds, at least 1; -1 never closes a segment for its age
``delete.retention.ms``    ``delete_retention_ms``    milliseconds
``min.compaction.lag.ms``  ``min_compaction_lag_ms``  milliseconds
``compression.type``       ``compression``            ``none`` (also ``producer``, ``uncompressed``), ``lz4``, ``zstd``
=========================  =========================  ==========================================================

Kafka's other names are refused, each with its reason: none is taken and ignored.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...errors import StatementError, StorageError, UnsupportedError
from .protocol import TopicConfig

__all__ = ["CONFIG_NAMES", "check_grown", "described", "with_config"]

_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Number:
    """A whole number; -1 stands for None where there is such a thing."""

    field: str
    least: int
    unlimited: bool
    most: int = _LONG_MAX

    def parse(self, name: str, text: str) -> int | None:
        try:
            value = int(text)
        except ValueError:
            raise StatementError(f"{name} must be a whole number, not {text!r}") from None
        if value == -1 and self.unlimited:
            return None
        if not self.least <= value <= self.most:
            also = ", or -1" if self.unlimited else ""
            raise StatementError(f"{name} must be from {self.least} to {self.most}{also}, not {value}")
        return value


_CHOICES: dict[str, tuple[str, dict[str, str]]] = {
    "cleanup.policy": (
        "cleanup_policy",
        {
            "delete": "delete",
            "compact": "compact",
            "compact,delete": "compact,delete",
            "delete,compact": "compact,delete",
        },
    ),
    "compression.type": (
        "compression",
        {"none": "none", "uncompressed": "none", "producer": "none", "lz4": "lz4", "zstd": "zstd"},
    ),
}
_NUMBERS: dict[str, _Number] = {
    "retention.ms": _Number("retention_ms", 0, True),
    "retention.bytes": _Number("retention_bytes", 0, True),
    "segment.bytes": _Number("segment_bytes", 14, True, _INT_MAX),
    "segment.ms": _Number("segment_ms", 1, True),
    "delete.retention.ms": _Number("delete_retention_ms", 0, False),
    "min.compaction.lag.ms": _Number("min_compaction_lag_ms", 0, False),
}
_REFUSED = {
    "flush.messages": "every durable commit is synced; write with durable=False to wait for less",
    "flush.ms": "every durable commit is synced; write with durable=False to wait for less",
    "index.interval.bytes": "every frame of a segment is in its index",
    "max.message.bytes": "a record may have up to 1 GiB",
    "message.timestamp.type": "a record has the timestamp that it is written with",
    "min.insync.replicas": "there is one process, and no replica",
    "unclean.leader.election.enable": "there is one process, and no replica",
    "max.compaction.lag.ms": "compaction begins when half of what is closed is new",
    "min.cleanable.dirty.ratio": "compaction begins when half of what is closed is new",
}
CONFIG_NAMES = tuple(sorted([*_CHOICES, *_NUMBERS]))
"""The names that can be set."""


def with_config(config: TopicConfig, changes: Mapping[str, object]) -> TopicConfig:
    """``config`` with changes by Kafka's names; None as a value goes back to the default.

    Raises:
        StatementError: a name that does not exist or is not supported, or a value that it cannot have.
    """
    fields: dict[str, Any] = {}
    default = TopicConfig()
    for name, value in changes.items():
        if name in _NUMBERS:
            number = _NUMBERS[name]
            fields[number.field] = (
                getattr(default, number.field) if value is None else number.parse(name, str(value).strip())
            )
        elif name in _CHOICES:
            field, values = _CHOICES[name]
            text = str(value).replace(" ", "").lower()
            if value is not None and text not in values:
                raise StatementError(f"{name} must be one of {', '.join(sorted({*values.values()}))}, not {value!r}")
            fields[field] = getattr(default, field) if value is None else values[text]
        else:
            raise _refusal(name)
    return replace(config, **fields)


def _refusal(name: str) -> StatementError:
    if name in _REFUSED:
        return UnsupportedError(f"{name} is not supported: {_REFUSED[name]}")
    near = difflib.get_close_matches(name, CONFIG_NAMES, 1)
    suggestion = f"Did you mean {near[0]}?" if near else f"There are {', '.join(CONFIG_NAMES)}."
    return StatementError(f"there is no config {name!r} of topics", suggestion=suggestion)


def described(config: TopicConfig) -> dict[str, str]:
    """All values by Kafka's names, as text; the reverse of `with_config`."""
    found = {name: str(getattr(config, field)) for name, (field, _) in _CHOICES.items()}
    for name, number in _NUMBERS.items():
        value = getattr(config, number.field)
        found[name] = "-1" if value is None else str(value)
    return dict(sorted(found.items()))


def check_grown(topic: str, old: Any | None, new: Any | None, *, takes: Callable[[Any], bool] = lambda kind: True) -> None:
    """A topic's values stay what they are, or gain fields at the end.

    Args:
        old, new: types of the values, see `TopicConfig.value_type`.
        takes: whether the log takes a type that has grown.

    Raises:
        StorageError: they would become something else.
    """
    grown = old == new or (
        old is not None
        and new is not None
        and new.num_fields >= old.num_fields
        and all(new.field(i) == old.field(i) for i in range(old.num_fields))
        and takes(new)
    )
    if not grown:
        raise StorageError(f"the values of the topic {topic!r} are {old}; they may gain fields at the end, not become {new}")
