"""POST /ksql: entities, errors, sessions and command numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Api

_INTEGER = {"type": "INTEGER", "fields": None, "memberSchema": None}
FIELDS = [
    {"name": "ID", "schema": {"type": "STRING", "fields": None, "memberSchema": None}, "type": "KEY"},
    {"name": "V", "schema": {"type": "ARRAY", "fields": None, "memberSchema": _INTEGER}},
]


def test_a_stream_is_created_listed_and_described(api: Api) -> None:
    """CREATE answers with a command; LIST and DESCRIBE show what it made."""
    (made,) = api.ksql(
        "CREATE STREAM s (id STRING KEY, v ARRAY<INT>) WITH (kafka_topic='s', partitions=1, value_format='json');"
    )
    assert made["@type"] == "currentStatus"
    assert made["commandId"] == "stream/`S`/create"
    assert made["commandStatus"] == {"status": "SUCCESS", "message": "Stream created", "queryId": None}
    assert made["commandSequenceNumber"] >= 0
    (listed, described) = api.ksql("LIST STREAMS; DESCRIBE s;")
    line = {"type": "STREAM", "name": "S", "topic": "s", "keyFormat": "KAFKA", "valueFormat": "JSON", "isWindowed": False}
    assert line in listed["streams"]
    assert described["sourceDescription"]["fields"] == FIELDS


def test_a_query_has_its_id_in_the_message(shop: Api) -> None:
    """Clients read the query's id from the message, and terminate by it."""
    (made,) = shop.ksql("CREATE STREAM big AS SELECT * FROM orders WHERE euros > 10;")
    query_id = made["commandStatus"]["queryId"]
    assert made["commandStatus"]["message"] == f"Created query with ID {query_id}"
    (ended,) = shop.ksql(f"TERMINATE {query_id};")
    assert ended["commandStatus"]["message"] == "Query terminated."
    (dropped,) = shop.ksql("DROP STREAM big;")
    assert dropped["commandStatus"]["message"] == "Source BIG (topic: BIG) was dropped."


def test_statements_without_an_answer(api: Api) -> None:
    """SET, DEFINE and INSERT VALUES add no element; INSERT has a token among the headers."""
    api.database.execute("CREATE STREAM s (id STRING KEY) WITH (kafka_topic='s', partitions=1, value_format='json');")
    answer = api.http.post("/ksql", json={"ksql": "SET 'auto.offset.reset'='earliest'; INSERT INTO s VALUES ('a');"})
    assert answer.json() == []
    assert answer.headers["penstock-token"]


def test_what_a_request_sets_is_over_with_it(api: Api) -> None:
    """Properties, SET and DEFINE hold for their request only."""
    (shown,) = api.ksql("DEFINE x = '1'; SHOW VARIABLES;", sessionVariables={"y": "2"})
    assert shown["variables"] == [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]
    (after,) = api.ksql("SHOW VARIABLES;")
    assert after["variables"] == []
    earliest = {"ksql.streams.auto.offset.reset": "earliest"}
    (listed,) = api.ksql("SET 'processing.order'='arrival'; LIST PROPERTIES;", streamsProperties=earliest)
    assert set(listed["overwrittenProperties"]) >= {"processing.order", "auto.offset.reset"}
    (fresh,) = api.ksql("LIST PROPERTIES;")
    assert fresh["overwrittenProperties"] == []


def test_variables_are_replaced(api: Api) -> None:
    """Both those of the request and those that a statement before defines."""
    stream = "CREATE STREAM ${name} (v INT) WITH (kafka_topic='${topic}', partitions=1, value_format='${kind}');"
    text = "DEFINE kind = 'json'; " + stream
    (made,) = api.ksql(text, sessionVariables={"name": "s", "topic": "t"})
    assert made["commandId"] == "stream/`S`/create"
    assert api.database.catalog.sources["S"].topic == "t"


def test_a_bad_statement_keeps_what_was_done_before(api: Api) -> None:
    """The error has the entities of the statements before it."""
    stream = "CREATE STREAM s (v INT) WITH (kafka_topic='s', partitions=1, value_format='json');"
    answer = api.http.post("/ksql", json={"ksql": f"{stream} DROP STREAM nothing;"})
    assert answer.status_code == 400
    body = answer.json()
    assert (body["@type"], body["error_code"]) == ("statement_error", 40001)
    assert body["statementText"] == "DROP STREAM nothing;"
    assert [e["commandId"] for e in body["entities"]] == ["stream/`S`/create"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"ksql": "CREATE NONSENSE;"}, 400, 40001),
        ({"ksql": "SELECT * FROM s;"}, 400, 40002),
        ({"ksql": "PRINT s;"}, 400, 40002),
        ({"ksql": ""}, 400, 40000),
        ({}, 400, 40000),
        ({"ksql": 5}, 400, 40000),
        ({"ksql": "SHOW STREAMS;", "streamsProperties": {"no.such": 1}}, 400, 40000),
        ({"ksql": "SHOW STREAMS;", "streamsProperties": []}, 400, 40000),
        ({"ksql": "SHOW STREAMS;", "commandSequenceNumber": "x"}, 400, 40000),
        ({"ksql": "ASSERT TOPIC nothing TIMEOUT 1 MILLISECONDS;"}, 417, 41700),
        ({"ksql": "RUN SCRIPT '/etc/passwd';"}, 403, 40300),
    ],
)
def test_errors_and_their_codes(api: Api, body: dict[str, Any], status: int, code: int) -> None:
    """The status is the code without its last two digits."""
    answer = api.http.post("/ksql", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
def test_bodies_that_are_no_request(api: Api, content: bytes) -> None:
    """Answered, never a failure of the server."""
    answer = api.http.post("/ksql", content=content)
    assert (answer.status_code, answer.json()["error_code"]) == (400, 40000)


def test_if_not_exists_warns(shop: Api) -> None:
    """Nothing was changed, and no command was made."""
    (entity,) = shop.ksql("CREATE STREAM IF NOT EXISTS orders (v INT) WITH (kafka_topic='orders', value_format='json');")
    assert entity["@type"] == "warning_entity"


def test_a_request_waits_for_the_command_it_follows(shop: Api) -> None:
    """One that was executed is no wait; one that never comes is 50301 when the time is up."""
    (made,) = shop.ksql("CREATE STREAM s (v INT) WITH (kafka_topic='s', partitions=1, value_format='json');")
    number = made["commandSequenceNumber"]
    assert shop.ksql("LIST STREAMS;", commandSequenceNumber=number)[0]["@type"] == "streams"
    assert shop.ksql("LIST STREAMS;", commandSequenceNumber=-1)[0]["@type"] == "streams"


def test_every_list_has_its_entity(shop: Api) -> None:
    """And none of them fails."""
    kinds = {
        "LIST STREAMS;": "streams",
        "LIST TABLES;": "tables",
        "LIST STREAMS EXTENDED;": "source_descriptions",
        "DESCRIBE TABLES;": "source_descriptions",
        "LIST TOPICS;": "kafka_topics",
        "LIST TOPICS EXTENDED;": "kafka_topics_extended",
        "LIST QUERIES;": "queries",
        "LIST QUERIES EXTENDED;": "query_descriptions",
        "LIST FUNCTIONS;": "function_names",
        "DESCRIBE FUNCTION substring;": "describe_function",
        "LIST TYPES;": "type_list",
        "LIST PROPERTIES;": "properties",
        "LIST VARIABLES;": "variables",
        "DESCRIBE spend EXTENDED;": "sourceDescription",
        "EXPLAIN SELECT * FROM orders EMIT CHANGES;": "queryDescription",
        "ASSERT TOPIC orders;": "assert_topic",
        "ASSERT NOT EXISTS SCHEMA SUBJECT 'x';": "assert_schema",
    }
    for text, kind in kinds.items():
        found = shop.ksql(text)
        assert isinstance(found, list), (text, found)
        assert found[0]["@type"] == kind, text
        assert found[0]["statementText"] == text


def test_a_described_function_has_its_arguments(api: Api) -> None:
    """By name and type, with the variadic one marked."""
    (entity,) = api.ksql("DESCRIBE FUNCTION concat;")
    variant = next(v for v in entity["functions"] if v["returnType"] == "STRING")
    assert variant["arguments"] == [
        {"name": "first", "type": "STRING", "description": "", "isVariadic": False},
        {"name": "rest", "type": "STRING", "description": "", "isVariadic": True},
    ]


def test_a_running_query_among_the_lists(shop: Api) -> None:
    """With its sink, its topic and its state."""
    (entity,) = shop.ksql("SHOW QUERIES;")
    (query,) = entity["queries"]
    assert (query["sinks"], query["queryType"], query["state"]) == (["SPEND"], "PERSISTENT", "RUNNING:1")
    assert query["statusCount"] == {"RUNNING": 1}


def test_the_cluster_is_terminated(shop: Api) -> None:
    """All queries end, all sources go, and the topics that match with them."""
    answer = shop.http.post("/ksql/terminate", json={"deleteTopicList": ["ord.*"]})
    assert answer.json()[0]["commandStatus"]["status"] == "SUCCESS"
    assert not shop.database.queries
    assert list(shop.database.catalog.sources) == ["KSQL_PROCESSING_LOG"]
    assert "orders" not in shop.database.topic_names()
    assert shop.http.get("/info").json()["KsqlServerInfo"]["serverStatus"] == "TERMINATED"


def test_topics_to_delete_are_matched_in_a_bounded_time(shop: Api) -> None:
    """An expression that tries all ways to match would stop the whole server."""
    topic = "a" * 40 + "b"
    shop.ksql(f"CREATE STREAM s (v INT) WITH (kafka_topic='{topic}', partitions=1, value_format='json');")
    answer = shop.http.post("/ksql/terminate", json={"deleteTopicList": ["(a+)+", "ord.*|x"]})
    assert answer.json()[0]["commandStatus"]["status"] == "SUCCESS"
    assert topic in shop.database.topic_names() and "orders" not in shop.database.topic_names()


def test_the_outcome_of_a_command(shop: Api) -> None:
    """By its id, with back-quotes or without; 404 for one that never was."""
    shop.ksql("CREATE STREAM s (v INT) WITH (kafka_topic='s', partitions=1, value_format='json');")
    for path in ("/status/stream/%60S%60/create", "/status/stream/S/create", "/status/table/SPEND/create"):
        assert shop.http.get(path).json()["status"] == "SUCCESS", path
    missing = shop.http.get("/status/stream/nothing/create")
    assert (missing.status_code, missing.json()["error_code"]) == (404, 40400)
    assert "stream/`S`/create" in shop.http.get("/status").json()["commandStatuses"]


def test_push_queries_are_listed_and_terminated(shop: Api) -> None:
    """Beside the persistent ones, by whoever opened them; TERMINATE ends them with their final message."""
    sql = "SELECT id FROM orders EMIT CHANGES;"
    with shop.http.stream("POST", "/query", json={"ksql": sql}) as answer:
        lines = answer.iter_lines()
        query_id = json.loads(next(lines).strip("[,"))["header"]["queryId"]
        (entity,) = shop.ksql("LIST QUERIES;")
        (pushed,) = [q for q in entity["queries"] if q["queryType"] == "PUSH"]
        assert (pushed["id"], pushed["queryString"], pushed["state"]) == (query_id, sql, "RUNNING:1")
        (ended,) = shop.ksql(f"TERMINATE {query_id};")
        assert {k: ended[k] for k in ("@type", "queryId", "wasTerminated")} == {
            "@type": "terminate_query",
            "queryId": query_id,
            "wasTerminated": True,
        }
        assert json.loads(list(lines)[-1].strip("],")) == {"finalMessage": "Query Completed"}
    (entity,) = shop.ksql("LIST QUERIES;")
    assert [q["queryType"] for q in entity["queries"]] == ["PERSISTENT"]
    assert shop.ksql(f"TERMINATE {query_id};")["error_code"] == 40001


def test_there_are_no_connectors(api: Api) -> None:
    """Lists of them are empty; to make one is refused."""
    for text, kind, member in (
        ("SHOW CONNECTORS;", "connector_list", "connectors"),
        ("LIST SOURCE CONNECTORS;", "connector_list", "connectors"),
        ("SHOW CONNECTOR PLUGINS;", "connector_plugins_list", "connectorsPlugins"),
    ):
        (entity,) = api.ksql(text)
        assert (next(iter(entity)), entity["@type"], entity[member]) == ("@type", kind, [])
    assert api.ksql("DROP CONNECTOR IF EXISTS x;")[0]["@type"] == "warning_entity"
    assert api.ksql("DROP CONNECTOR x;")["error_code"] == 40001


def test_texts_of_statements_end_as_statements_do(shop: Api) -> None:
    """Clients take them and send them again."""
    (described, listed, extended) = shop.ksql("DESCRIBE spend; LIST QUERIES; LIST QUERIES EXTENDED;")
    assert described["sourceDescription"]["statement"].endswith(";")
    assert described["sourceDescription"]["writeQueries"][0]["queryString"].endswith(";")
    assert listed["queries"][0]["queryString"].endswith(";")
    assert extended["queryDescriptions"][0]["statementText"].endswith(";")
