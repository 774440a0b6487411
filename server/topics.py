"""``GET /v1/topics``, ``/v1/topics/{name}`` and its ``/records``: topics, and search in their records."""

from __future__ import annotations

from typing import Any, Final

from ..engine.database import Database
from ..engine.statements.printing import RecordPrinter
from ..errors import PenstockError, StatementError
from ..runtime.topic_tail import TopicRecord, records_of
from .access import Need, check_need
from .accounts import Account
from .problems import BAD_REQUEST, NO_SUCH_COMMAND, ApiError, api_error
from .service import Service

_RECORDS_MAX: Final = 1_000
"""The largest number of records in one answer."""
_LOOKED_AT_MAX: Final = 20_000
"""The largest number of records that one request searches for a key, in about 0.2 s.  A client continues with ``next``."""


class TopicsApi:
    """The endpoints of one server."""

    def __init__(self, service: Service) -> None:
        self._database: Database = service.database

    def all(self, account: Account) -> list[dict[str, Any]]:
        """The topics that an account may read: ``name``, ``partitions``, ``records``, ``bytes``, and their ``sources``."""
        found = []
        for name in self._database.topic_names():
            if not account.may("read", name, *self._sources(name)):
                continue
            described = self._database.describe_topic(name)
            found.append(
                {
                    "name": name,
                    "partitions": len(described.partitions),
                    "records": sum(p.end_offset - p.start_offset for p in described.partitions),
                    "bytes": described.size_bytes,
                    "sources": list(described.sources),
                }
            )
        return found

    def one(self, name: str, account: Account) -> dict[str, Any]:
        """A topic's partitions and config.  Raises: ApiError, if there is no such topic."""
        self._check(name, account)
        described = self._database.describe_topic(name)
        partitions = [
            {
                "partition": p.partition,
                "start": p.start_offset,
                "end": p.end_offset,
                "segments": p.segments,
                "bytes": p.size_bytes,
                "firstTimestamp": p.first_timestamp,
                "lastTimestamp": p.last_timestamp,
            }
            for p in described.partitions
        ]
        readers = [
            query.id
            for query in self._database.catalog.queries.values()
            if any(self._database.catalog.sources[s].topic == name for s in query.sources)
        ]
        return {
            "name": name,
            "partitions": partitions,
            "config": dict(described.config),
            "sources": list(described.sources),
            "queries": readers,
        }

    def records(self, name: str, asked: dict[str, str], account: Account) -> dict[str, Any]:
        """Records of a topic in order of arrival, as PRINT shows them.

        Args:
            asked: the request's parameters, all optional: ``from``, one of ``beginning`` (the default), ``end``,
                ``offset:123`` (in each partition), ``time:1700000000000`` (ms since 1970), ``last`` (``limit`` records
                before the end of each partition), or the ``next`` of an earlier answer; ``partition``, to read only this
                one; ``key``, to read only records whose key is shown as this text; ``limit``, the number of records (100).

        Returns:
            ``records``; ``next``, the ``from`` to continue with; ``end``, whether there are no more records now.

        Raises:
            ApiError: the topic does not exist, or the request is not valid.
        """
        self._check(name, account)
        limit = min(_number(asked, "limit", 100), _RECORDS_MAX)
        count = len(self._database.log.partition_sizes(name))
        only = None if "partition" not in asked else _number(asked, "partition", 0)
        if only is not None and only >= count:
            raise ApiError(BAD_REQUEST, f"the topic {name} has {count} partitions")
        chosen = range(count) if only is None else range(only, only + 1)
        try:
            places = self._places(name, chosen, asked.get("from", "beginning"), limit)
            return self._read(name, places, asked.get("key"), limit)
        except PenstockError as error:
            raise api_error(error) from error

    def _places(self, name: str, chosen: range, start: str, limit: int) -> dict[int, int]:
        """Partition -> the offset at which to begin."""
        log = self._database.log
        word, _, value = start.partition(":")
        if word in ("offset", "time") and not (value.isascii() and value.isdigit() and len(value) < 19):
            raise ApiError(BAD_REQUEST, f"from={word}: must be followed by a number")
        match word:
            case "beginning":
                return {p: log.start_offset(name, p) for p in chosen}
            case "end":
                return {p: log.end_offset(name, p) for p in chosen}
            case "last":
                return {p: max(log.start_offset(name, p), log.end_offset(name, p) - limit) for p in chosen}
            case "offset":
                return {p: min(max(log.start_offset(name, p), int(value)), log.end_offset(name, p)) for p in chosen}
            case "time":
                return {p: log.offset_for_time(name, p, int(value)) for p in chosen}
            case "next":
                pairs = [item.partition("-") for item in value.split(".") if item]
                if all(p.isdigit() and o.isdigit() and len(o) < 19 for p, _, o in pairs):
                    found = {int(p): int(o) for p, _, o in pairs if int(p) in chosen}
                    return {p: max(found.get(p, 0), log.start_offset(name, p)) for p in chosen}
        raise ApiError(BAD_REQUEST, "from must be beginning, end, last, offset:N, time:MS, or what an answer gave as next")

    def _read(self, name: str, places: dict[int, int], key: str | None, limit: int) -> dict[str, Any]:
        """Read records in order of arrival over all partitions.  ``next`` is the place behind the last record returned."""
        log = self._database.log
        sources = [s for s in self._database.catalog.sources.values() if s.topic == name]
        reader = RecordPrinter(self._database.schema_registry, sources)
        found: list[dict[str, Any]] = []
        looked_at = 0
        while len(found) < limit and looked_at < _LOOKED_AT_MAX:
            batch: list[tuple[int, TopicRecord]] = []
            until = 2**63 - 1  # arrivals beyond which some partition has not been read
            for partition, place in places.items():
                end = log.end_offset(name, partition)
                if place >= end:
                    continue
                fetched = log.read(name, partition, place, rows_max=limit, reset="earliest")
                batch += records_of(partition, fetched)
                if not len(fetched):
                    places[partition] = max(fetched.next_offset, end)
                elif fetched.next_offset < end:
                    until = min(until, int(fetched.arrivals[-1]))
            batch = sorted((pair for pair in batch if pair[0] <= until), key=lambda pair: pair[0])
            if not batch:
                break
            for _, record in batch:
                if len(found) >= limit:
                    break
                looked_at += 1
                places[record.partition] = record.offset + 1
                printed = reader.read(record)
                if key is None or printed.key == key or printed.key == f'"{key}"':
                    found.append(
                        {
                            "partition": printed.partition,
                            "offset": printed.offset,
                            "timestamp": printed.timestamp,
                            "key": printed.key,
                            "value": printed.value,
                            "headers": [list(header) for header in printed.headers],
                            "keyFormat": printed.key_format,
                            "valueFormat": printed.value_format,
                        }
                    )
        at_end = all(place >= log.end_offset(name, p) for p, place in places.items())
        following = "next:" + ".".join(f"{p}-{place}" for p, place in places.items())
        return {"records": found, "next": following, "end": at_end}

    def _sources(self, topic: str) -> list[str]:
        return [s.name for s in self._database.catalog.sources.values() if s.topic == topic]

    def _check(self, name: str, account: Account) -> None:
        check_need(account, Need("read", (name, *self._sources(name)), f"the topic {name}"))
        if name not in self._database.topic_names():
            missing = StatementError(f"there is no topic {name}", suggestion="SHOW ALL TOPICS; lists them.")
            raise ApiError(NO_SUCH_COMMAND, missing.message) from missing


def _number(asked: dict[str, str], name: str, default: int) -> int:
    text = asked.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ApiError(BAD_REQUEST, f"{name} must be a number, not {text[:40]}")
    return int(text)


__all__ = ["TopicsApi"]
