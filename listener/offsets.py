"""Reads and commits the offsets of consumer groups.  They are in the log, as those of consumers in this process are.

A client may store a text with an offset, which Kafka calls its metadata.  The topic of `state` keeps those texts that are
not empty.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from ..storage.log.protocol import TopicPartition
from .appender import Append, Gathering
from .log_access import LogAccess, group_name
from .state import Entry, StateTopic
from .transactions import OffsetText

__all__ = ["Offsets"]

TEXT_BYTES_MAX = 4096
"""The largest metadata of an offset, in bytes (Kafka's ``offset.metadata.max.bytes``)."""


class Offsets:
    """Reads and commits offsets of groups; see the module's text.  Thread-safe."""

    def __init__(self, access: LogAccess, state: StateTopic, entries: Mapping[tuple[Any, ...], Any]) -> None:
        self._access = access
        self._state = state
        self._guard = threading.Lock()
        self._texts: dict[tuple[str, TopicPartition], str] = {
            (key[1], (key[2], key[3])): value for key, value in entries.items() if key[0] == "offset"
        }

    def commit(self, group: str, offsets: Mapping[TopicPartition, tuple[int, str | None]]) -> Append:
        """Make the append that commits a group's offsets with their metadata."""

        def add(gathering: Gathering) -> None:
            positions = {place: offset for place, (offset, _) in offsets.items()}
            gathering.change().set_positions(group_name(group), positions)
            self._state.append(
                gathering.change(), self.keep_texts((group, place, text) for place, (_, text) in offsets.items())
            )

        return Append(add)

    def keep_texts(self, texts: Iterable[OffsetText]) -> list[Entry]:
        """Remember metadata; return the entries to write with the offsets.  An empty text removes an entry."""
        entries: list[Entry] = []
        with self._guard:
            for group, place, text in texts:
                if text:
                    self._texts[group, place] = text
                elif self._texts.pop((group, place), None) is None:
                    continue
                entries.append((("offset", group, *place), text or None))
        return entries

    def committed(self, group: str) -> dict[TopicPartition, tuple[int, str]]:
        """A group's committed offsets with their metadata, of the topics that clients see."""
        known = self._access.topics()
        positions = self._access.log.positions(group_name(group))
        with self._guard:
            return {
                place: (offset, self._texts.get((group, place), ""))
                for place, offset in positions.items()
                if place[0] in known
            }

    def forget(self, group: str) -> Append:
        """Make the append that removes a group's offsets."""
        with self._guard:
            gone = [key for key in self._texts if key[0] == group]
            for key in gone:
                del self._texts[key]
        entries: list[Entry] = [(("offset", name, *place), None) for name, place in gone]

        def add(gathering: Gathering) -> None:
            if entries:
                self._state.append(gathering.change(), entries)

        return Append(add)

    def names(self) -> list[str]:
        """The groups that have committed offsets."""
        prefix = group_name("")
        return [name.removeprefix(prefix) for name in self._access.log.groups() if name.startswith(prefix)]
