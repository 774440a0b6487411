"""Who may come in, and what each role may do; what nobody may do from outside."""

from __future__ import annotations

import gc
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

import penstock
from penstock.errors import StatementError
from penstock.server.accounts import Accounts, hash_password, new_token, password_fits
from penstock.server.audit import cleaned
from penstock.server.config import ServerConfig
from tests.support.certificates import certificate

from .conftest import SHOP, Api

TOKEN, TOKEN_LINE = new_token()
ROLES = ("none", "read", "write", "admin", "prefix")


@pytest.fixture(scope="module")
def users_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five users with one password, whose hash is a cheap one: every server of these tests checks it anew."""
    path = tmp_path_factory.mktemp("users") / "users.toml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.server.accounts._SCRYPT", (4, 8, 1))
        kept = hash_password("pw")
    lines = []
    for role in ROLES:
        lines += [f"[users.{role}]", f'password = "{kept}"']
        if role in ("read", "write", "admin"):
            lines.append(f'role = "{role}"')
        if role == "prefix":
            lines.append('prefixes = { ORD = "write", spend = "read" }')
    lines += ["[tokens.robot]", f'token = "{TOKEN_LINE}"', 'role = "read"']
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def guarded(database: penstock.Database, users_file: Path, tmp_path: Path) -> Iterator[Api]:
    database.execute(SHOP)
    database.execute("CREATE STREAM secret (v INT) WITH (kafka_topic='secret', partitions=1, value_format='json');")
    database.execute("CREATE STREAM orders_out AS SELECT * FROM orders;")
    with penstock.serve(database, port=0, users=users_file, audit=tmp_path / "audit.log") as server:
        client = Api(server, database)
        yield client
        client.http.close()


_READ = {"read", "write", "admin", "prefix"}
_JSON = "partitions=1, value_format='json'"
STATEMENTS: dict[str, tuple[str, set[str]]] = {
    "select": ("SELECT * FROM spend;", _READ),
    "select of another": ("SELECT * FROM secret;", {"read", "write", "admin"}),
    "push": ("SELECT * FROM orders EMIT CHANGES LIMIT 0;", _READ),
    "join with another": (
        "SELECT o.id FROM orders o JOIN secret s WITHIN 1 HOUR ON o.id = CAST(s.v AS STRING) EMIT CHANGES LIMIT 0;",
        {"read", "write", "admin"},
    ),
    "print": ("PRINT orders LIMIT 1;", _READ),
    "print of another": ("PRINT secret LIMIT 1;", {"read", "write", "admin"}),
    "show": ("SHOW STREAMS;", _READ),
    "show properties": ("SHOW PROPERTIES;", _READ),
    "describe": ("DESCRIBE orders;", _READ),
    "describe another": ("DESCRIBE secret;", {"read", "write", "admin"}),
    "describe function": ("DESCRIBE FUNCTION substring;", _READ),
    "explain": ("EXPLAIN SELECT * FROM orders EMIT CHANGES;", _READ),
    "explain another": ("EXPLAIN SELECT * FROM secret EMIT CHANGES;", {"read", "write", "admin"}),
    "why": ("WHY NO ROWS FROM spend;", _READ),
    "why another": ("WHY NO ROWS FROM secret;", {"read", "write", "admin"}),
    "set": ("SET 'auto.offset.reset' = 'earliest';", _READ),
    "unset": ("UNSET 'auto.offset.reset';", _READ),
    "define": ("DEFINE x = '1';", _READ),
    "undefine": ("UNDEFINE x;", _READ),
    "delete": ("DELETE FROM spend WHERE customer = 'x';", {"write", "admin"}),
    "ordered": ("SELECT customer FROM spend ORDER BY total;", _READ),
    "subquery of another": ("SELECT * FROM (SELECT * FROM secret) AS x ORDER BY v;", {"read", "write", "admin"}),
    "named like another": ("WITH secret AS (SELECT * FROM spend) SELECT * FROM secret ORDER BY n;", _READ),
    "named after another": (
        "WITH x AS (SELECT * FROM secret), secret AS (SELECT * FROM spend) SELECT * FROM x;",
        {"read", "write", "admin"},
    ),
    "scalar of another": ("SELECT customer FROM spend WHERE n > (SELECT MAX(v) FROM secret);", {"read", "write", "admin"}),
    "insert": ("INSERT INTO orders VALUES ('9', 'c', 1.00);", {"write", "admin", "prefix"}),
    "insert into another": ("INSERT INTO secret VALUES (1);", {"write", "admin"}),
    "create": ("CREATE STREAM ord_x (v INT) WITH (kafka_topic='ord_x', " + _JSON + ");", {"write", "admin", "prefix"}),
    "create elsewhere": ("CREATE STREAM x (v INT) WITH (kafka_topic='x', " + _JSON + ");", {"write", "admin"}),
    "create over another's topic": (
        "CREATE STREAM ord_s (v INT) WITH (kafka_topic='secret', " + _JSON + ");",
        {"write", "admin"},
    ),
    "create as": ("CREATE STREAM ord_y AS SELECT * FROM orders;", {"write", "admin", "prefix"}),
    "create as of another": ("CREATE STREAM ord_z AS SELECT * FROM secret;", {"write", "admin"}),
    "create as by a prefix": (
        "SET 'ksql.output.topic.name.prefix'='sec_'; CREATE STREAM ord_w AS SELECT * FROM orders;",
        {"write", "admin"},
    ),
    "insert select": ("INSERT INTO orders_out SELECT * FROM orders;", {"write", "admin", "prefix"}),
    "insert select into another": ("INSERT INTO secret SELECT CAST(1 AS INT) AS v FROM orders;", {"write", "admin"}),
    "alter": ("ALTER STREAM orders ADD COLUMN z INT;", {"write", "admin", "prefix"}),
    "drop another": ("DROP STREAM secret;", {"write", "admin"}),
    "create type": ("CREATE TYPE a AS STRUCT<x INT>;", {"write", "admin", "prefix"}),
    "drop type": ("DROP TYPE IF EXISTS a;", {"write", "admin", "prefix"}),
    "pause": ("PAUSE CSAS_ORDERS_OUT_{out};", {"write", "admin", "prefix"}),
    "terminate all": ("TERMINATE ALL;", {"write", "admin"}),
    "assert topic": ("ASSERT TOPIC orders;", _READ),
    "assert schema": ("ASSERT NOT EXISTS SCHEMA SUBJECT 'x';", _READ),
    "assert values": ("ASSERT VALUES orders (id) VALUES ('1');", {"write", "admin", "prefix"}),
    "assert source": ("ASSERT STREAM orders (id STRING KEY);", _READ),
    "assert another": ("ASSERT STREAM secret (v INT);", {"read", "write", "admin"}),
    "alter system": ("ALTER SYSTEM 'auto.offset.reset' = 'latest';", {"admin"}),
    "drop connector": ("DROP CONNECTOR c;", {"admin"}),
    "connector": ("CREATE SOURCE CONNECTOR c WITH ('a'='b');", {"admin"}),
    "from a file": ("CREATE STREAM ord_f FROM '/etc/passwd' WITH (format='csv');", set()),
    "run script": ("RUN SCRIPT '/etc/passwd';", set()),
}  # fmt: skip


@pytest.mark.parametrize("kind", STATEMENTS)
def test_the_matrix_of_roles_and_statements(guarded: Api, kind: str) -> None:
    """Each statement is allowed to whom it should be, and 40300 for all others; whoever is allowed comes last."""
    text, allowed = STATEMENTS[kind]
    number = next(q for q in guarded.database.queries if q.startswith("CSAS_ORDERS_OUT")).rpartition("_")[2]
    sql = text.replace("{out}", number)
    rows = sql.startswith(("SELECT", "PRINT", "WITH"))
    for role in sorted(ROLES, key=lambda r: r in allowed):
        body: dict[str, Any] = {"sql": sql} if rows else {"ksql": sql}
        if sql.startswith("PRINT"):
            body["sql"] = sql.replace("LIMIT", "FROM BEGINNING LIMIT")
            guarded.database.produce(sql.split()[1], value=b'{"V":1}')
        answer = guarded.http.post("/query" if rows else "/ksql", json=body, auth=(role, "pw"))
        refused = answer.status_code == 403
        assert refused == (role not in allowed), (role, answer.status_code, answer.text[:300])
        if refused:
            assert answer.json()["error_code"] == 40300


PATHS: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/info", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/healthcheck", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/metadata", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/metadata/id", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/is_valid_property/auto.offset.reset", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/status", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/status/stream/x/create", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/catalog", None, {"read", "write", "admin", "prefix"}),
    ("POST", "/v1/wait", {"timeout_s": 0}, {"read", "write", "admin", "prefix"}),
    ("GET", "/chc/live", None, set(ROLES)),
    ("GET", "/chc/ready", None, set(ROLES)),
    ("GET", "/openapi.json", None, set(ROLES)),
    ("GET", "/metrics", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/graph", None, {"read", "write", "admin", "prefix"}),
    ("POST", "/v1/complete", {"text": "SELECT "}, {"read", "write", "admin", "prefix"}),
    ("POST", "/v1/check", {"text": "SELECT "}, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/topics", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/topics/orders", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/topics/orders/records", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/topics/secret", None, {"read", "write", "admin"}),
    ("GET", "/v1/topics/secret/records", None, {"read", "write", "admin"}),
    ("GET", "/v1/account", None, set(ROLES)),
    ("GET", "/clusterStatus", None, {"read", "write", "admin", "prefix"}),
    ("POST", "/ksql/terminate", {"deleteTopicList": ["nothing"]}, {"admin"}),
    ("GET", "/subjects", None, ROLES),  # type: ignore[list-item]
    ("PUT", "/config", {"compatibility": "NONE"}, {"admin"}),
    ("PUT", "/config/secret-value", {"compatibility": "NONE"}, {"write", "admin"}),
    ("PUT", "/config/orders-value", {"compatibility": "NONE"}, {"write", "admin", "prefix"}),
    ("POST", "/subjects/secret-value/versions", {"schema": '"string"'}, {"write", "admin"}),
    ("GET", "/v1/topics/secret", None, {"read", "write", "admin"}),
    ("GET", "/v1/topics/orders", None, {"read", "write", "admin", "prefix"}),
    ("GET", "/v1/topics/secret/records", None, {"read", "write", "admin"}),
    ("POST", "/v1/topics/secret/records", {}, {"write", "admin"}),
    ("POST", "/v1/topics/orders/records", {}, {"write", "admin", "prefix"}),
    ("POST", "/v1/topics/ord_new", {}, {"write", "admin", "prefix"}),
    ("POST", "/v1/topics/new", {}, {"write", "admin"}),
    ("PATCH", "/v1/topics/secret", {"config": {}}, {"write", "admin"}),
    ("DELETE", "/v1/topics/secret", None, {"write", "admin"}),
    ("GET", "/v1/producers/p", None, {"write", "admin", "prefix"}),
    ("POST", "/v1/submit", {"ksql": "SHOW STREAMS;", "name": "s"}, {"read", "write", "admin", "prefix"}),
    ("POST", "/v1/submit", {"ksql": "DROP STREAM secret;", "name": "t"}, {"write", "admin"}),
    ("POST", "/v1/submit", {"ksql": "DEFINE s = 'secret'; DROP STREAM ${s};", "name": "u"}, {"write", "admin"}),
    ("POST", "/v1/submit", {"ksql": "RUN SCRIPT '/etc/passwd';", "name": "v"}, set()),
]


ELSEWHERE = {
    ("GET", "/"): "leads to /info",
    ("POST", "/ksql"): "the matrix of statements",
    ("POST", "/query"): "the matrix of statements",
    ("POST", "/query-stream"): "the matrix of statements",
    ("POST", "/v1/execute"): "checks as /ksql does",
    ("POST", "/inserts-stream"): "test_who_may_insert",
    ("POST", "/v1/arrow"): "test_who_may_insert",
    ("POST", "/v1/arrow/{stream}"): "test_who_may_insert",
    ("POST", "/close-query"): "only the account that has opened a query, or an admin, closes it",
    ("GET", "/v1/queries/{id}"): "needs what DESCRIBE of the query's sources needs",
    ("POST", "/v1/partitions/{id}"): "for other processes of the service, which show its key",
}
"""Routes that are no line of `PATHS`, and why not."""


def test_every_route_has_a_place_in_a_matrix(routes: frozenset[tuple[str, str]]) -> None:
    """Whoever adds a route says who may use it."""
    tried = [(method, path) for method, path, _, _ in PATHS]
    missing = [
        (method, route)
        for method, route in sorted(routes - set(ELSEWHERE))
        if not any(m == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route), path) for m, path in tried)
    ]
    assert missing == [], "a line for each in PATHS, or in ELSEWHERE the reason why there is none"


@pytest.mark.parametrize(("method", "path", "body", "allowed"), PATHS, ids=lambda v: v if isinstance(v, str) else "")
def test_the_matrix_of_roles_and_paths(guarded: Api, method: str, path: str, body: Any, allowed: set[str]) -> None:
    """Endpoints beside the statements ask for roles, too."""
    for role in sorted(ROLES, key=lambda r: r in allowed):
        answer = guarded.http.request(method, path, json=body, auth=(role, "pw"))
        assert (answer.status_code == 403) == (role not in allowed), (role, answer.text[:200])


@pytest.mark.parametrize(("target", "allowed"), [("orders", {"write", "admin", "prefix"}), ("secret", {"write", "admin"})])
def test_who_may_insert(guarded: Api, target: str, allowed: set[str]) -> None:
    """Rows in JSON and in Arrow."""
    for role in ROLES:
        for path, content in (("/inserts-stream", json.dumps({"target": target})), (f"/v1/arrow/{target}", b"")):
            answer = guarded.http.post(path, content=content, auth=(role, "pw"))
            assert (answer.status_code == 403) == (role not in allowed), (role, path, answer.text[:200])


def test_lists_show_what_may_be_read(guarded: Api) -> None:
    """Sources, topics, queries and subjects of others are not even named."""
    for text in ("LIST STREAMS;", "LIST STREAMS EXTENDED;", "LIST TOPICS;", "SHOW QUERIES;", "DESCRIBE STREAMS;"):
        mine = guarded.http.post("/ksql", json={"ksql": text}, auth=("prefix", "pw")).text
        assert "secret" not in mine.lower(), text
        assert "orders" in mine.lower() or "SPEND" in mine, text
    assert "secret" not in guarded.http.get("/v1/graph", auth=("prefix", "pw")).text.lower()
    found = guarded.http.post("/v1/complete", json={"text": "SELECT * FROM "}, auth=("prefix", "pw")).json()
    assert "SECRET" not in [s["text"] for s in found["suggestions"]]


def test_every_statement_has_a_place_in_the_matrix() -> None:
    """A statement that nobody has tried as each role would be open or closed by accident."""
    from typing import get_args

    from penstock.grammar import ast
    from penstock.grammar.parse import parse

    tried = {type(s.statement) for text, _ in STATEMENTS.values() for s in parse(re.sub(r"\{\w+\}", "1", text))}
    assert {kind.__name__ for kind in get_args(ast.Statement)} == {kind.__name__ for kind in tried}


def test_who_are_you(guarded: Api) -> None:
    """Nobody, a stranger, a wrong password and a wrong scheme are 401; a token is as good as a name."""
    wrong = [None, ("read", "wrong"), ("nobody", "pw"), ("read", "")]
    for auth in wrong:
        answer = guarded.http.get("/info", auth=auth)
        assert (answer.status_code, answer.json()["error_code"]) == (401, 40100)
        assert answer.headers["www-authenticate"].startswith("Basic")
    for header in ("Bearer nonsense", "Basic %%%", "Basic", "Digest x", "", "Basic " + "A" * 5000):
        assert guarded.http.get("/info", headers={"authorization": header}).status_code == 401
    assert guarded.http.get("/info", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    for path in ("/chc/live", "/chc/ready"):
        assert guarded.http.get(path).json() == {}


def test_a_websocket_asks_too(guarded: Api) -> None:
    """By header, or by the parameter that browsers can give."""
    import websockets.sync.client
    from websockets.exceptions import InvalidStatus

    query = httpx.QueryParams({"request": '{"ksql":"SELECT * FROM spend;"}'})
    url = f"{guarded.url.replace('http', 'ws')}/ws/query?{query}"
    with pytest.raises(InvalidStatus) as refused:
        websockets.sync.client.connect(url)
    answer = refused.value.response
    assert (answer.status_code, json.loads(answer.body)["error_code"]) == (401, 40100)
    assert "basic" in answer.headers["www-authenticate"].lower()
    with pytest.raises(InvalidStatus) as foreign:
        websockets.sync.client.connect(url, additional_headers={"origin": "http://evil.example"})
    assert foreign.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as nowhere:
        websockets.sync.client.connect(url.replace("/ws/query", "/ws/nothing"))
    assert nowhere.value.response.status_code == 404
    with websockets.sync.client.connect(f"{url}&access_token={TOKEN}") as socket:
        assert json.loads(socket.recv(timeout=60))[0]["name"] == "CUSTOMER"


def test_the_file_is_read_again(tmp_path: Path) -> None:
    """Who is taken out of it is out, whatever was remembered."""
    path = tmp_path / "users.toml"
    path.write_text(f'[users.ada]\npassword = "{hash_password("pw")}"\nrole = "read"\n')
    accounts = Accounts(path)
    header = "Basic YWRhOnB3"
    assert accounts.remembered(header) is None
    found = accounts.check(header)
    assert found is not None and found.name == "ada"
    assert accounts.remembered(header) is found
    path.write_text("")
    accounts.refresh()
    assert accounts.remembered(header) is None
    assert accounts.check(header) is None


@pytest.mark.parametrize(
    "text",
    [
        "[users.a]\npassword = 'plain'\n",
        "[users.a]\nrole = 'read'\n",
        "[users.a]\npassword = 'scrypt$1$8$1$a$b'\nrole = 'king'\n",
        "[users.a]\npassword = 'scrypt$1$8$1$a$b'\nprefixes = { x = 'admin' }\n",
        "[users.a]\npassword = 'scrypt$1$8$1$a$b'\nextra = 1\n",
        "[tokens.a]\ntoken = 'plain'\n",
        "[people]\n",
        "not toml",
    ],
)
def test_files_of_users_that_make_no_sense(tmp_path: Path, text: str) -> None:
    """Refused when the server starts."""
    path = tmp_path / "users.toml"
    path.write_text(text)
    with pytest.raises(StatementError):
        Accounts(path)


def test_a_password_is_kept_as_a_hash() -> None:
    """With a salt of its own each time."""
    one, other = hash_password("secret"), hash_password("secret")
    assert one != other and "secret" not in one
    assert password_fits("secret", one) and not password_fits("Secret", one)


def test_where_it_may_listen(users_file: Path) -> None:
    """Beyond this machine only with accounts and TLS, or when told that it is safe."""
    for config in (ServerConfig(host="0.0.0.0"), ServerConfig(host="0.0.0.0", users=users_file), ServerConfig(host="::")):
        with pytest.raises(StatementError):
            config.check()
    ServerConfig(host="0.0.0.0", insecure=True).check()
    ServerConfig(host="127.0.0.1").check()
    ServerConfig(host="::1").check()


HOSTILE_HOSTS = ["evil.example", "evil.example:8088", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]", "a b"]


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_a_foreign_host_is_refused(shop: Api, host: str) -> None:
    """A name that somebody else's DNS leads to us (DNS rebinding)."""
    answer = shop.http.post("/ksql", json={"ksql": "SHOW STREAMS;"}, headers={"host": host})
    assert (answer.status_code, answer.json()["error_code"]) == (421, 42100)


def test_our_own_names(shop: Api) -> None:
    """With and without a port, in any case."""
    for host in ("127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:8088", "127.0.0.2"):
        assert shop.http.get("/info", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "https://127.0.0.1", ""]
)
def test_a_foreign_page_is_refused(shop: Api, origin: str) -> None:
    """Requests that a browser sends for a page of another origin (CSRF), text/plain and preflights included."""
    headers = {"origin": origin, "content-type": "text/plain"}
    answer = shop.http.post("/ksql", content='{"ksql":"DROP TABLE spend;"}', headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (403, 40300)
    assert "SPEND" in shop.database.catalog.sources
    preflight = shop.http.options("/ksql", headers={**headers, "access-control-request-method": "POST"})
    assert "access-control-allow-origin" not in preflight.headers


def test_our_own_pages_and_clients_without_an_origin(shop: Api) -> None:
    """The console is of our origin; other clients send none."""
    assert shop.http.get("/info", headers={"origin": shop.url}).status_code == 200
    assert shop.http.get("/info").status_code == 200


def test_cors_for_whom_it_is_on(database: penstock.Database) -> None:
    """Only for the origins given."""
    with penstock.serve(database, port=0, origins=("https://ui.example",)) as server:
        fine = httpx.get(f"{server.url}/info", headers={"origin": "https://ui.example"})
        assert fine.headers["access-control-allow-origin"] == "https://ui.example"
        asked = {"origin": "https://ui.example", "access-control-request-method": "POST"}
        preflight = httpx.options(f"{server.url}/ksql", headers=asked)
        assert preflight.status_code == 204
        assert "POST" in preflight.headers["access-control-allow-methods"]
        other = httpx.get(f"{server.url}/info", headers={"origin": "https://evil.example"})
        assert other.status_code == 403 and "access-control-allow-origin" not in other.headers


READERS = [
    "SELECT * FROM read_csv('/etc/passwd');",
    "SELECT * FROM '/etc/passwd';",
    "SELECT * FROM read_text('/etc/passwd');",
    "SELECT * FROM glob('/*');",
    "SELECT getenv('HOME') FROM spend;",
    "SELECT * FROM duckdb_settings();",
    "SELECT * FROM pragma_version();",
    "COPY spend TO '/tmp/x';",
    "ATTACH '/tmp/x.db';",
    "INSTALL httpfs;",
    "SET 'ksql.schema.registry.url' = 'http://evil';",
    "SELECT * FROM parquet_scan('/tmp/x');",
    "SELECT * FROM information_schema.tables;",
    "SELECT * FROM spend, read_csv('/etc/passwd');",
    "SELECT current_setting('home_directory') FROM spend;",
]


@pytest.mark.parametrize("sql", READERS)
def test_no_statement_sees_the_machine(shop: Api, sql: str) -> None:
    """Files, settings and other databases are out of reach, on every endpoint."""
    for path, member in (("/ksql", "ksql"), ("/query", "ksql"), ("/query-stream", "sql")):
        answer = shop.http.post(path, json={member: sql})
        assert answer.status_code in (400, 403), (path, answer.text[:300])
        assert "root:" not in answer.text


def test_limits_have_clear_errors(database: penstock.Database) -> None:
    """Body, statement, push queries and rate."""
    database.execute(SHOP)
    with (
        penstock.serve(database, port=0, body_bytes_max=10_000, statement_chars_max=1_000, push_queries_max=1) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        long = client.post("/ksql", json={"ksql": "SHOW STREAMS; " * 100})
        assert (long.status_code, "1,000" in long.json()["message"]) == (400, True)
        large = client.post("/ksql", content=b" " * 20_000)
        assert (large.status_code, large.json()["error_code"]) == (413, 41300)
        chunked = client.post("/ksql", content=(b" " * 1_000 for _ in range(20)))
        assert chunked.status_code == 413
        with client.stream("POST", "/query", json={"ksql": "SELECT * FROM orders EMIT CHANGES;"}) as first:
            chunks = first.iter_raw()
            next(chunks)
            second = client.post("/query", json={"ksql": "SELECT * FROM orders EMIT CHANGES;"})
            assert (second.status_code, second.json()["error_code"]) == (400, 40003)
            assert client.post("/query", json={"ksql": "SELECT * FROM spend;"}).status_code == 200
    with penstock.serve(database, port=0, requests_per_second=5) as server, httpx.Client(base_url=server.url) as client:
        answers = [client.get("/info") for _ in range(30)]
        refused = next(a for a in answers if a.status_code == 429)
        assert refused.json()["error_code"] == 42900 and int(refused.headers["retry-after"]) >= 1
        assert client.get("/chc/live").status_code == 200


def test_the_audit_log_tells_and_keeps_secrets(guarded: Api) -> None:
    """Who changed what, and who was refused; no data, no passwords, no tokens."""
    post: Callable[..., Any] = lambda text, user: guarded.http.post("/ksql", json={"ksql": text}, auth=(user, "pw"))  # noqa: E731
    post("INSERT INTO orders VALUES ('9', 'private', 1.00);", "write")
    post("CREATE STREAM ord_q AS SELECT * FROM orders;", "write")
    post("DROP STREAM secret;", "read")
    guarded.http.get("/info", auth=("read", "guessed-password"))
    guarded.http.get("/info", headers={"host": "evil.example"})
    assert guarded.server.config.audit is not None
    text = guarded.server.config.audit.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    events = [(line["account"], line["event"], line["statement"]) for line in lines]
    assert ("write", "changed", "CREATE STREAM ord_q AS SELECT * FROM orders") in events
    assert ("read", "refused", "DROP STREAM secret") in events
    assert ("unknown", "refused", "/info") in events
    for secret in ("private", "guessed-password", "pw", TOKEN):
        assert secret not in text
    assert all(isinstance(line["at"], int) for line in lines)


def test_secrets_are_cut_out_of_texts() -> None:
    """In properties and in addresses."""
    assert "hunter2" not in cleaned("CREATE SOURCE CONNECTOR c WITH ('connection.password' = 'hunter2')")
    assert "hunter2" not in cleaned("SET 'sasl.jaas.config'='hunter2'")
    assert "hunter2" not in cleaned("SET 'x' = 'http://ada:hunter2@host'")


@pytest.fixture(scope="module")
def certificate_and_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of this machine."""
    return certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


def test_a_socket_over_tls(
    database: penstock.Database, certificate_and_key: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """/ws/query; a client that says its goodbye after the server's is no failure of the server."""
    made, key = certificate_and_key
    context = ssl.create_default_context(cafile=str(made))
    query = quote(json.dumps({"ksql": "SELECT * FROM spend;"}))
    key_of_socket = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13"
    head = f"host: 127.0.0.1\r\nupgrade: websocket\r\nconnection: Upgrade\r\n{key_of_socket}"
    database.execute(SHOP)
    with penstock.serve(database, port=0, certificate=made, private_key=key) as server:
        place = urlsplit(server.url)
        with (
            socket.create_connection((str(place.hostname), place.port), 60) as connection,
            context.wrap_socket(connection, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(f"GET /ws/query?request={query} HTTP/1.1\r\n{head}\r\n\r\n".encode())
            received = b""
            while part := secure.recv(65_536):
                received += part
            assert received.startswith(b"HTTP/1.1 101") and b'{"error":"done"}' in received
            secure.sendall(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
    gc.collect()
    assert not [line for line in caplog.records if line.name == "asyncio"]


def test_tls(database: penstock.Database, certificate_and_key: tuple[Path, Path]) -> None:
    """HTTPS with a certificate, HTTP/1.1 and (by ALPN) HTTP/2."""
    made, key = certificate_and_key
    context = ssl.create_default_context(cafile=str(made))
    with penstock.serve(database, port=0, certificate=made, private_key=key) as server:
        assert server.url.startswith("https://")
        for http2 in (False, True):
            with httpx.Client(verify=context, http2=http2) as client:
                answer = client.get(f"{server.url}/info")
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                assert client.get(f"{server.url}/info", headers={"origin": server.url}).status_code == 200
