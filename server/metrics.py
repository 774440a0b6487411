"""``/metrics``: figures of the server and the engine in Prometheus' text format.

If ``opentelemetry-api`` is installed and a meter provider is set, OpenTelemetry gets the same figures (see `telemetry`).
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ..runtime.metrics import LATENESS_BOUNDS_MS
from .measures import BOUNDS_S, Histogram
from .service import Service

_RECENT_S: Final = 1.0
Sample = tuple[str, dict[str, str], float]
"""A sample: suffix of the name, labels, value."""


class Family:
    """A metric (a metric family, as Prometheus calls it) with its samples."""

    __slots__ = ("help", "kind", "name", "samples")

    def __init__(self, name: str, kind: str, help: str, samples: Iterable[Sample]) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.samples = list(samples)


def families(service: Service) -> list[Family]:
    """All metrics with their present values."""
    return [*_server(service), *_queries(service), *_log(service), *_state_of_tables(service)]


def _plain(values: Iterable[tuple[dict[str, str], float]]) -> list[Sample]:
    return [("", labels, value) for labels, value in values]


def _server(service: Service) -> Iterator[Family]:
    measures = service.measures
    yield Family(
        "penstock_http_requests_total",
        "counter",
        "Requests answered.",
        _plain(({"method": m, "route": r, "status": str(s)}, n) for (m, r, s), n in sorted(measures.requests.items())),
    )
    yield Family(
        "penstock_http_request_duration_seconds",
        "histogram",
        "How long requests took, push queries aside.",
        [s for route, h in sorted(measures.durations.items()) for s in _buckets(h, {"route": route})],
    )
    yield Family(
        "penstock_http_requests_in_work", "gauge", "Requests that are being answered.", [("", {}, measures.in_work)]
    )
    yield Family(
        "penstock_http_refused_total",
        "counter",
        "Requests refused before they reached a statement, by reason.",
        _plain(({"reason": reason}, n) for reason, n in sorted(measures.refused.items())),
    )
    yield Family("penstock_push_readers", "gauge", "Open push queries.", [("", {}, len(service.open_queries))])
    yield Family(
        "penstock_http_rows_inserted_total", "counter", "Rows inserted by requests.", [("", {}, measures.rows_inserted)]
    )
    yield Family(
        "penstock_http_rows_pushed_total", "counter", "Rows sent to push readers.", [("", {}, measures.rows_pushed)]
    )


def _queries(service: Service) -> Iterator[Family]:
    found = [(query_id, handle.progress()) for query_id, handle in service.database.queries.items()]

    def samples(value: Any) -> list[Sample]:
        return [("", {"query": query_id}, value(progress)) for query_id, progress in found]

    for name, help_, value in (
        ("read", "Records a query has read.", lambda p: p.account.read),
        ("filtered", "Records a query's WHERE left out.", lambda p: p.account.filtered),
        ("late", "Records that came after their window's grace period.", lambda p: p.account.late),
        ("bad", "Records that could not be processed.", lambda p: p.account.bad),
        ("written", "Records a query has written.", lambda p: p.account.written),
    ):
        yield Family(f"penstock_query_records_{name}_total", "counter", help_, samples(value))
    yield Family(
        "penstock_query_lateness_seconds",
        "histogram",
        "How far records of windows and joins were behind stream time, of those behind it.",
        [
            sample
            for query_id, p in found
            if p.lateness
            for sample in _buckets_of(
                [ms / 1000 for ms in LATENESS_BOUNDS_MS], list(p.lateness), p.lateness_ms / 1000, {"query": query_id}
            )
        ],
    )
    yield Family("penstock_query_lag_records", "gauge", "Records a query has not read yet.", samples(lambda p: p.lag))
    yield Family("penstock_query_state_rows", "gauge", "Keys in a query's state.", samples(lambda p: p.state_rows))
    yield Family("penstock_query_state_bytes", "gauge", "Bytes of a query's state.", samples(lambda p: p.state_bytes))
    yield Family(
        "penstock_query_up",
        "gauge",
        "1 for a query that runs.",
        [("", {"query": i, "state": p.state}, float(p.state == "RUNNING")) for i, p in found],
    )


def _log(service: Service) -> Iterator[Family]:
    database = service.database
    bytes_: list[Sample] = []
    records: list[Sample] = []
    for name in database.topic_names():
        described = database.describe_topic(name)
        bytes_.append(("", {"topic": name}, described.size_bytes))
        records.append(("", {"topic": name}, sum(p.end_offset - p.start_offset for p in described.partitions)))
    yield Family("penstock_topic_bytes", "gauge", "Bytes of a topic's files.", bytes_)
    yield Family("penstock_topic_records", "gauge", "Records from a topic's first offset to its end.", records)
    commits = database.commit_measures
    yield Family(
        "penstock_commit_duration_seconds",
        "histogram",
        "From handing a commit in until it is durable.",
        _buckets_of(commits.bounds_s, commits.counts, commits.total_s, {}) if commits is not None else [],
    )
    yield Family(
        "penstock_fsyncs_total", "counter", "Times files were forced to disk.", [("", {}, commits.fsyncs)] if commits else []
    )


def _state_of_tables(service: Service) -> Iterator[Family]:
    catalog = service.database.catalog
    kinds = [s.kind for s in catalog.sources.values()]
    yield Family(
        "penstock_sources",
        "gauge",
        "Streams and tables.",
        [("", {"kind": kind.lower()}, kinds.count(kind)) for kind in ("STREAM", "TABLE")],
    )
    statements = service.database.statements_executed
    yield Family("penstock_statements_total", "counter", "Statements in the journal.", [("", {}, statements)])


def _buckets(histogram: Histogram, labels: dict[str, str]) -> list[Sample]:
    return _buckets_of(BOUNDS_S, histogram.counts, histogram.total_s, labels)


def _buckets_of(bounds: Iterable[float], counts: list[int], total_s: float, labels: dict[str, str]) -> list[Sample]:
    found: list[Sample] = []
    below = 0
    for bound, count in zip(bounds, counts, strict=False):
        below += count
        found.append(("_bucket", {**labels, "le": repr(bound)}, below))
    count = sum(counts)
    return [*found, ("_bucket", {**labels, "le": "+Inf"}, count), ("_sum", labels, total_s), ("_count", labels, count)]


def exposition(found: Iterable[Family]) -> str:
    """Write metrics in Prometheus' text format, version 0.0.4."""
    lines: list[str] = []
    for family in found:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        for suffix, labels, value in family.samples:
            shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            lines.append(f"{family.name}{suffix}{'{' + shown + '}' if shown else ''} {value!r}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class _Recent:
    """Keeps all metrics for less than a second, since OpenTelemetry asks for one metric after the other."""

    def __init__(self, service: Service) -> None:
        self._service: weakref.ref[Service] = weakref.ref(service)
        self._guard = threading.Lock()
        self._taken_s = -math.inf
        self._found: dict[str, Family] = {}

    def family(self, name: str) -> Family | None:
        service = self._service()
        if service is None or service.closed:
            return None
        with self._guard:
            if time.monotonic() - self._taken_s > _RECENT_S:
                self._found = {family.name: family for family in families(service)}
                self._taken_s = time.monotonic()
            return self._found.get(name)


def observe(service: Service) -> None:
    """Register all metrics with OpenTelemetry, if its API is installed.  A program that sets a meter provider gets them.

    OpenTelemetry cannot take a histogram that was filled elsewhere, so it gets a histogram's sum and count as counters.
    """
    try:
        from opentelemetry import metrics
    except ImportError:
        return
    meter = metrics.get_meter("penstock")

    recent = _Recent(service)

    def values(name: str, suffix: str = "") -> Any:
        def callback(options: Any) -> Any:
            family = recent.family(name)
            samples = [] if family is None else family.samples
            return [metrics.Observation(value, labels) for ending, labels, value in samples if ending == suffix]

        return callback

    for family in families(service):
        if family.kind == "gauge":
            meter.create_observable_gauge(family.name, [values(family.name)], description=family.help)
        elif family.kind == "counter":
            meter.create_observable_counter(family.name, [values(family.name)], description=family.help)
        else:
            for suffix in ("_sum", "_count"):
                named = family.name + suffix
                meter.create_observable_counter(named, [values(family.name, suffix)], description=family.help)


__all__ = ["Family", "exposition", "families", "observe"]
