"""The log belongs to the engine: which topics nobody else makes, writes, changes or deletes.

Every way in asks here before it does anything: `Database.insert`, ``produce``, producers and their transactions, CREATE,
INSERT INTO, DROP .. DELETE TOPIC and the methods on topics; and so must every door that is built beside them (servers,
other protocols).  What the engine itself writes goes to the log directly, and asks nobody.

Two things make a topic the engine's own: its name, which is refused for new topics, and `TopicConfig.internal`.  A topic
that somebody named before its name was the engine's is his as long as it is there: it is not internal, so nothing sweeps it,
but nothing more is written to it.
"""

from __future__ import annotations

import re
from typing import Final

from ...errors import unwritable
from ..layout import CHANGELOG_PREFIX
from .protocol import TopicConfig

__all__ = [
    "PROCESSING_LOG",
    "SCHEMAS",
    "STATEMENTS",
    "SUBMISSIONS",
    "is_kafka_name",
    "is_own_name",
    "refused_name",
    "refused_new_name",
    "refused_write",
]

STATEMENTS = "_penstock-statements"
"""The journal of statements."""
SUBMISSIONS = "_penstock-submissions"
"""Which statements of submitted scripts were executed."""
SCHEMAS = "_schemas"
"""The schema registry's."""
PROCESSING_LOG = "ksql_processing_log"
"""What was bad; anybody may read it."""

_KAFKA_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka calls topics, with two exceptions: clients that list topics take no other names."""
_PREFIXES = ("_penstock", CHANGELOG_PREFIX)
_NAMES = frozenset({SCHEMAS, PROCESSING_LOG})


def is_own_name(name: str) -> bool:
    """Whether the engine calls topics like this."""
    return name in _NAMES or name.startswith(_PREFIXES)


def refused_name(name: str) -> str | None:
    """Why nobody but the engine makes (or deletes) a topic of this name, in one clause; None if anybody may.

    Each door puts it into an error of its own family.
    """
    if not name.isprintable() and (refused := unwritable(name)) is not None:
        return f"the name of the topic holds {refused}"
    if is_own_name(name):
        return f"{name} is the name of an internal topic: {_words()}"
    return None


def is_kafka_name(name: str) -> bool:
    """Whether a topic can have the name in Kafka."""
    return _KAFKA_NAME.fullmatch(name) is not None and name not in (".", "..")


def refused_new_name(name: object) -> str | None:
    """Why nobody but the engine makes a topic of this name, in one clause; None if anybody may."""
    if not isinstance(name, str):
        return f"the name of a topic is text, not {type(name).__name__}"
    if (refused := refused_name(name)) is not None:
        return refused
    if is_kafka_name(name):
        return None
    shown = name if len(name) < 60 else f"{name[:40]}.. ({len(name)} characters)"
    return f"a topic cannot be called {shown!r}: a name has 1 to 249 letters (a to z), digits, '.', '_' and '-'"


def refused_write(name: str, config: TopicConfig | None) -> str | None:
    """Why nobody but the engine writes to a topic, in one clause; None if anybody may.

    Args:
        config: the topic's; None if there is none of this name.
    """
    if is_own_name(name) or (config is not None and config.internal):
        return f"the topic {name} is internal: only the engine writes to it"
    return None


def _words() -> str:
    return f"so are {' and '.join(sorted(_NAMES))}, and all that begin with {' or '.join(_PREFIXES)}"
