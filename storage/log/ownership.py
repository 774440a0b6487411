"""The log belongs to the engine: which topics nobody else makes, writes, changes or deletes.

Every way in asks here before it does anything: `Database.insert`, ``produce``, producers and their transactions, CREATE,
INSERT INTO, DROP .. DELETE TOPIC and the methods on topics; and so must every door that is built beside them (servers,
other protocols).  What the engine itself writes goes to the log directly, and asks nobody.

Two things make a topic the engine's own: its name, which is refused for new topics, and `TopicConfig.internal`.  A topic
that somebody named before its name was the engine's is his as long as it is there: it is not internal, so nothing sweeps it,
but nothing more is written to it.
"""

from __future__ import annotations

from ...errors import unwritable
from ..layout import CHANGELOG_PREFIX
from .protocol import TopicConfig

__all__ = [
    "PROCESSING_LOG",
    "SCHEMAS",
    "STATEMENTS",
    "SUBMISSIONS",
    "is_own_name",
    "refused_name",
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
        return f"topics named {name} are the engine's own: {_words()}"
    return None


def refused_write(name: str, config: TopicConfig | None) -> str | None:
    """Why nobody but the engine writes to a topic, in one clause; None if anybody may.

    Args:
        config: the topic's; None if there is none of this name.
    """
    if config is not None and config.internal:
        return f"the topic {name} is internal: only the engine writes to it"
    if is_own_name(name):
        return f"the topic {name} is the engine's own: only the engine writes to it"
    return None


def _words() -> str:
    return f"those that begin with {' or '.join(_PREFIXES)}, {' and '.join(sorted(_NAMES))}"
