"""What a server says about itself: metrics, health, completion, the flow graph, and the registry's paths."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest

import penstock
from penstock.server.openapi import operations
from penstock.server.telemetry import trace_of

from .conftest import SHOP, Api

_LINE = re.compile(r'[a-z_]+(?:\{[a-z_]+="(?:[^"\\]|\\.)*"(?:,[a-z_]+="(?:[^"\\]|\\.)*")*\})? (?:[0-9.e+-]+|\+Inf|NaN)')


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 9 HOURS) GROUP BY k;",
        "CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s WINDOW SESSION (1 MINUTE, GRACE PERIOD 10 SECONDS) GROUP BY k;",
        "CREATE STREAM j AS SELECT s.k, s.v, r.v FROM s JOIN r WITHIN 1 MINUTE GRACE PERIOD 10 SECONDS ON s.k = r.k;",
    ],
)
def test_how_late_rows_come(api: Api, query: str) -> None:
    """Per query, those in time and those too late: 0.05 s, 2 s and 1,000 s behind stream time."""
    api.database.execute(
        """
        SET 'auto.offset.reset' = 'earliest';
        CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
        CREATE STREAM r (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 'r', PARTITIONS = 1);
        CREATE TABLE plain AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
        """
    )
    api.database.execute(query)
    times = [2_000_000, 1_999_950, 2_001_000, 1_999_000, 1_001_000]
    api.database.insert("s", {"k": ["a"] * 5, "v": [1] * 5, "rowtime": times})
    assert api.database.wait_idle(60)
    (windowed,) = (name for name in api.database.queries if "PLAIN" not in name)
    progress = api.database.queries[windowed].progress()
    assert (sum(progress.lateness), progress.lateness_ms) == (3, 50 + 2_000 + 1_000_000)
    with penstock.connect(api.url) as remote:
        assert remote.queries[windowed].progress().lateness == progress.lateness
    page = api.http.get(f"/v1/queries/{windowed}").json()
    counts = dict(zip([*page["lateness_bounds_ms"], None], page["progress"]["lateness"], strict=True))
    assert {bound: n for bound, n in counts.items() if n} == {100: 1, 5_000: 1, 3_600_000: 1}
    lines = api.http.get("/metrics").text.splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if line.startswith("penstock_query_lateness_seconds"))
    assert not [line for line in samples if "PLAIN" in line]
    buckets = {
        le: samples[f'penstock_query_lateness_seconds_bucket{{query="{windowed}",le="{le}"}}'] for le in ("0.1", "1.0")
    }
    assert buckets == {"0.1": "1", "1.0": "1"}
    for le, below in (("5.0", "2"), ("900.0", "2"), ("3600.0", "3"), ("+Inf", "3")):
        assert samples[f'penstock_query_lateness_seconds_bucket{{query="{windowed}",le="{le}"}}'] == below
    assert samples[f'penstock_query_lateness_seconds_sum{{query="{windowed}"}}'] == "1002.05"


def test_metrics_in_prometheus_format(shop: Api) -> None:
    """Every line is one of the format; counts are those of the requests and the queries."""
    shop.rows("SELECT * FROM spend;")
    answer = shop.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert all(_LINE.fullmatch(line) for line in lines if not line.startswith("#")), lines
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    query = next(iter(shop.database.queries))
    assert samples[f'penstock_query_records_read_total{{query="{query}"}}'] == "3"
    assert samples[f'penstock_query_state_rows{{query="{query}"}}'] == "2"
    assert samples['penstock_http_requests_total{method="POST",route="/query-stream",status="200"}'] == "1"
    assert samples['penstock_http_request_duration_seconds_count{route="/query-stream"}'] == "1"
    assert float(samples['penstock_topic_bytes{topic="orders"}']) > 0
    assert float(samples["penstock_commit_duration_seconds_count"]) > 0
    assert float(samples["penstock_fsyncs_total"]) > 0


def test_metrics_go_to_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the meter provider that the program has set, by the same names; nothing of a server that has stopped."""
    sdk = pytest.importorskip("opentelemetry.sdk.metrics")
    export = pytest.importorskip("opentelemetry.sdk.metrics.export")
    from opentelemetry import metrics

    reader = export.InMemoryMetricReader()
    provider = sdk.MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)

    def collected() -> dict[str, list[tuple[dict[str, str], float]]]:
        data = reader.get_metrics_data()
        found = [] if data is None else [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return {m.name: [(dict(p.attributes), p.value) for p in m.data.data_points] for m in found}

    with penstock.connect(None) as database:
        with penstock.serve(database, port=0) as server:
            database.execute(SHOP)
            database.insert("orders", [{"id": "1", "customer": "ada", "euros": 1}])
            assert database.wait_idle(20)
            httpx.get(f"{server.url}/info")
            query = next(iter(database.queries))
            duration = "penstock_http_request_duration_seconds_count"  # (of a request whose answer has been sent)
            deadline = time.monotonic() + 20
            while duration not in (seen := collected()) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert ({"query": query}, 1) in seen["penstock_query_records_read_total"]
            assert seen["penstock_sources"] and seen["penstock_fsyncs_total"]
            assert ({"route": "/info"}, 1) in seen[duration]
        assert not any(collected().values())
    provider.shutdown()


def test_health_and_info(shop: Api) -> None:
    """A query that failed is unhealthy."""
    assert shop.http.get("/info").json()["KsqlServerInfo"]["serverStatus"] == "RUNNING"
    found = shop.http.get("/healthcheck").json()
    assert found["isHealthy"] is True and set(found["details"]) == {"metastore", "kafka", "commandRunner"}
    assert shop.http.get("/v1/metadata").json()["clusterId"]["scope"]["clusters"]["ksql-cluster"] == "default_"
    assert shop.http.get("/v1/metadata/id").json()["id"] == ""


def test_the_cluster_is_this_server(shop: Api) -> None:
    """With the lag of each partition."""
    (host,) = shop.http.get("/clusterStatus").json()["clusterStatus"].items()
    query = next(iter(shop.database.queries))
    assert host[1]["activeStandbyPerQuery"][query]["activePartitions"] == [{"topic": "orders", "partition": 0}]
    lags = host[1]["hostStoreLags"]["stateStoreLags"][f"{query}#{query}"]["lagByPartition"]["0"]
    assert lags == {"currentOffsetPosition": 3, "endOffsetPosition": 3, "offsetLag": 0}


def test_properties(shop: Api) -> None:
    """Those that a request may set are valid, with the prefix or without."""
    for name in ("auto.offset.reset", "ksql.streams.auto.offset.reset"):
        assert shop.http.get(f"/is_valid_property/{name}").json() is True
    for name in ("no.such", "ksql.schema.registry.url", "penstock.threads"):
        answer = shop.http.get(f"/is_valid_property/{name}")
        assert (answer.status_code, answer.json()["error_code"]) == (400, 40000)


def test_completion(shop: Api) -> None:
    """By the engine's own completer."""
    found = shop.http.post("/v1/complete", json={"text": "SELECT * FROM sp"}).json()["suggestions"]
    assert found[0] == {"text": "spend", "kind": "source", "length": 2}
    assert shop.http.post("/v1/complete", json={"text": "x", "cursor": 5}).status_code == 400


def test_the_flow_graph(shop: Api) -> None:
    """From topics through queries to topics, in layers, with lags on the edges."""
    graph = shop.http.get("/v1/graph").json()
    layers = {node["id"]: node["layer"] for node in graph["nodes"]}
    query = next(iter(shop.database.queries))
    path = ["topic:orders", "source:ORDERS", f"query:{query}", "topic:SPEND", "source:SPEND"]
    assert [layers[node] for node in path] == [0, 1, 2, 3, 4]
    edges = {(edge["from"], edge["to"]): edge for edge in graph["edges"]}
    assert edges["source:ORDERS", f"query:{query}"]["lag"] == 0


def test_what_is_not_there(shop: Api) -> None:
    """404 as text, 405 for the wrong method."""
    answer = shop.http.get("/nothing")
    assert (answer.status_code, answer.text) == (404, "Not Found")
    wrong = shop.http.get("/ksql")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.text == "Method Not Allowed: POST only"
    wrong = shop.http.put("/v1/topics/orders")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, POST")
    root = shop.http.get("/", follow_redirects=False)
    assert (root.status_code, root.headers["location"]) == (307, "/info")


def test_traces() -> None:
    """W3C's grammar, and nothing else."""
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    found = trace_of(good)
    assert found is not None and found.text == good
    zero = "0" * 32
    for bad in (None, "", good.upper(), good[:-1], "ff" + good[2:], f"00-{zero}-00f067aa0ba902b7-01", good + "-x"):
        assert trace_of(bad) is None, bad
    assert trace_of("01" + good[2:] + "-more") is not None


def test_every_route_is_described(routes: frozenset[tuple[str, str]]) -> None:
    """A route that the OpenAPI document does not name is found by nobody, and no fuzzer tries it."""
    missing = sorted(routes - {(method.upper(), path) for method, path, _ in operations()})
    assert missing == [], "a line for each in server/openapi.py::operations"


def test_the_openapi_document_is_the_one_in_the_docs(shop: Api) -> None:
    """And names every path that the server answers at."""
    document = shop.http.get("/openapi.json").json()
    kept = Path(__file__).resolve().parents[3] / "docs" / "server" / "openapi.json"
    assert document == json.loads(kept.read_text()), "python -m penstock.server.openapi > docs/server/openapi.json"
    for path, methods in document["paths"].items():
        for method in methods if path != "/ws/query" else ():
            answer = shop.http.request(method, re.sub(r"{\w+}", "x", path))
            assert answer.text != "Not Found" and answer.status_code < 500 and answer.status_code != 405, (method, path)
        wrong = shop.http.request("TRACE", re.sub(r"{\w+}", "x", path))
        assert wrong.status_code in (404, 405), path
