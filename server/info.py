"""Answers about the server: ``/info``, health, the cluster, properties, command statuses, completion and the flow graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..runtime.clock import now_ms
from .accounts import Account
from .entities import query_positions
from .problems import BAD_REQUEST, NO_SUCH_COMMAND, ApiError
from .service import Service
from .sessions import is_property

_CLUSTER = "penstock"


def server_info(service: Service) -> dict[str, Any]:
    """``/info``: the server's version, ids and status."""
    status = "TERMINATED" if service.terminated else "TERMINATING" if service.stopping.is_set() else "RUNNING"
    if status == "RUNNING" and any(h.state == "ERROR" for h in service.database.queries.values()):
        status = "DEGRADED"
    info = {
        "version": __version__,
        "kafkaClusterId": _CLUSTER,
        "ksqlServiceId": service.database.settings.options.service_id,
        "serverStatus": status,
    }
    return {"KsqlServerInfo": info}


def health(service: Service) -> dict[str, Any]:
    """``/healthcheck``.  The server is unhealthy while a query is in ERROR, and when it is stopping."""
    failed = [query_id for query_id, handle in service.database.queries.items() if handle.state == "ERROR"]
    healthy = not failed and not service.stopping.is_set()
    return {
        "isHealthy": healthy,
        "details": {
            "metastore": {"isHealthy": True},
            "kafka": {"isHealthy": True},
            "commandRunner": {"isHealthy": not service.stopping.is_set()},
            **({"queries": {"isHealthy": False, "failed": failed}} if failed else {}),
        },
        "serverState": "TERMINATING" if service.stopping.is_set() else "READY",
    }


def metadata(service: Service) -> dict[str, Any]:
    """``/v1/metadata``: the version, and the ids of the clusters."""
    return {"version": __version__, "clusterId": metadata_id(service)}


def metadata_id(service: Service) -> dict[str, Any]:
    """``/v1/metadata/id``: the ids of the clusters."""
    clusters = {"kafka-cluster": _CLUSTER, "ksql-cluster": service.database.settings.options.service_id}
    return {"id": "", "scope": {"path": [], "clusters": clusters}}


def cluster_status(service: Service) -> dict[str, Any]:
    """``/clusterStatus``: this host and, for a service on Kafka, the other hosts with their partitions.

    Positions and lags are those of this host; each host reports its own.
    """
    database = service.database
    now = now_ms()
    active: dict[str, Any] = {}
    others: dict[str, dict[str, Any]] = {}
    lags: dict[str, Any] = {}
    for query_id in database.queries:
        places = query_positions(database, query_id)
        partitions = [{"topic": p["topic"], "partition": p["partition"]} for p in places]
        copies = [{"topic": topic, "partition": partition} for topic, partition in database.queries[query_id].standbys]
        active[query_id] = _active(query_id, partitions, copies)
        elsewhere: dict[str, list[dict[str, Any]]] = {}
        for (topic, partition), owner in sorted(database.queries[query_id].owners.items()):
            elsewhere.setdefault(owner, []).append({"topic": topic, "partition": partition})
        for owner, found in elsewhere.items():
            others.setdefault(owner, {})[query_id] = _active(query_id, found)
        by_partition = {
            str(p["partition"]): {
                "currentOffsetPosition": p["position"],
                "endOffsetPosition": p["end"],
                "offsetLag": p["end"] - p["position"],
            }
            for p in places
        }
        lags[f"{query_id}#{query_id}"] = {"lagByPartition": by_partition, "size": len(by_partition)}
    entity = {
        "hostAlive": True,
        "lastStatusUpdateMs": now,
        "activeStandbyPerQuery": active,
        "hostStoreLags": {"stateStoreLags": lags, "updateTimeMs": now},
    }
    hosts = {
        host: {
            "hostAlive": True,
            "lastStatusUpdateMs": now,
            "activeStandbyPerQuery": queries,
            "hostStoreLags": {"stateStoreLags": {}, "updateTimeMs": now},
        }
        for host, queries in others.items()
    }
    return {"clusterStatus": {service.address: entity, **hosts}}


def _active(query_id: str, partitions: list[dict[str, Any]], copies: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {
        "activeStores": [query_id],
        "activePartitions": partitions,
        "standByStores": [query_id] if copies else [],
        "standByPartitions": list(copies),
    }


def property_is_valid(name: str) -> bool:
    """``/is_valid_property/{name}``: true for a property that requests may set.  Raises: ApiError, for others."""
    if not is_property(name):
        raise ApiError(BAD_REQUEST, f"there is no property {name} that a request could set")
    return True


def status(service: Service, parts: list[str]) -> dict[str, Any]:
    """``/status/{type}/{entity}/{action}``: the outcome of a command.  Raises: ApiError, for an unknown one."""
    found = service.commands.find("/".join(parts), service.database.catalog)
    if found is None:
        raise ApiError(NO_SUCH_COMMAND, f"there is no command {'/'.join(parts)}")
    return found


def completions(service: Service, body: dict[str, Any], account: Account) -> dict[str, Any]:
    """``POST /v1/complete``: suggestions for a place in a text, best first.

    The request is ``{"text": "SELECT * FR", "cursor": 11}``.  ``cursor`` is an offset in characters, by default the end.

    Raises:
        ApiError: the request is not valid.
    """
    from ..grammar.complete import CompletionNames, suggest

    text = body.get("text")
    if not isinstance(text, str):
        raise ApiError(BAD_REQUEST, "the member text is missing")
    cursor = body.get("cursor", len(text))
    if isinstance(cursor, bool) or not isinstance(cursor, int) or not 0 <= cursor <= len(text):
        raise ApiError(BAD_REQUEST, "cursor must be a place in the text, from 0 to its length")
    database = service.database
    catalog = database.catalog
    seen = [s for s in catalog.sources.values() if account.may("read", s.name, s.topic)]
    names = CompletionNames(
        sources={s.name: [c.name for c in s.schema] for s in seen},
        functions=database.function_names(),
        queries=[q.id for q in catalog.queries.values() if any(s.name == q.sink for s in seen)],
        topics=[t for t in database.topic_names() if account.may("read", t) or any(s.topic == t for s in seen)],
        types=list(catalog.types),
    )
    found = suggest(text, cursor, names)
    return {"suggestions": [{"text": s.text, "kind": s.kind, "length": s.length} for s in found]}


def graph(service: Service, account: Account) -> dict[str, Any]:
    """``GET /v1/graph``: the topics, streams, tables and queries that an account may see, and how data flows between them.

    Nodes have an ``id`` (``topic:orders``), a ``kind``, a ``name``, a ``label`` that fits their box, and their place in a
    drawing: ``layer`` (counted from left to right), ``x``, ``y``, ``width`` and ``height``.  Edges have ``from``, ``to`` and
    the ``points`` of their path; edges into queries also have the ``lag`` in records.  `penstock.engine.flow` describes the
    rest.
    """
    return service.database.graph(lambda source: account.may("read", source.name, source.topic)).json()


__all__ = [
    "cluster_status",
    "completions",
    "graph",
    "health",
    "metadata",
    "metadata_id",
    "property_is_valid",
    "server_info",
    "status",
]
