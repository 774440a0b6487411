"""The endpoints that the console needs beyond ksqlDB's: checking a text, topics and their records, the console's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import penstock
from penstock.server.accounts import hash_password
from penstock.server.static import POLICY

from .conftest import Api


def check(api: Api, text: str, **members: Any) -> Any:
    return api.http.post("/v1/check", json={"text": text, **members}).json()


def test_a_right_text_has_its_statements(shop: Api) -> None:
    """With their places and what becomes of them; comments are none."""
    text = "SET 'auto.offset.reset' = 'latest'; -- x\nSELECT * FROM spend;\nSELECT * FROM spend EMIT CHANGES; "
    text += "PRINT orders; SHOW TOPICS"
    found = check(shop, text)
    assert found["problems"] == []
    kinds = [(text[s["start"] : s["end"]].strip(";").split()[0], s["kind"]) for s in found["statements"]]
    assert [k for _, k in kinds] == ["set", "pull", "push", "print", "statement"]
    assert found["statements"][0]["name"] == "auto.offset.reset" and found["statements"][0]["value"] == "latest"


@pytest.mark.parametrize(
    ("text", "underlined", "words"),
    [
        ("SELECT * FRM spend;", "FRM", ""),
        ("SHOW TOPICS; SELECT nam FROM spend;", "nam", "does not exist"),
        ("SELECT *\n  FROM spent EMIT CHANGES;", "spent", "SPENT"),
        ("CREATE TABLE t AS SELECT customer, SUM(id) FROM orders GROUP BY customer;", "SUM(id)", ""),
    ],
)
def test_faults_have_a_place(shop: Api, text: str, underlined: str, words: str) -> None:
    """Of syntax and of meaning, in the text as it was typed; nothing was run."""
    (problem,) = check(shop, text)["problems"]
    assert text[problem["start"] : problem["end"]] == underlined
    assert words in problem["message"]
    assert "T" not in shop.database.catalog.sources


def test_what_an_earlier_statement_makes_is_not_missed(shop: Api) -> None:
    """A script's later statements name what its earlier ones make."""
    text = "CREATE STREAM s2 AS SELECT * FROM orders; SELECT x FROM s2 EMIT CHANGES; SELECT x FROM s3 EMIT CHANGES;"
    (problem,) = check(shop, text)["problems"]
    assert text[problem["start"] : problem["end"]] == "s3"


def test_variables_are_put_in(shop: Api) -> None:
    """A fault in a statement with variables underlines all of it."""
    text = "SELECT ${what} FROM spend;"
    assert check(shop, text, sessionVariables={"what": "total"})["problems"] == []
    (problem,) = check(shop, text, sessionVariables={"what": "totl"})["problems"]
    assert (problem["start"], problem["end"]) == (0, len(text))
    assert check(shop, "DEFINE what = 'n'; SELECT ${what} FROM spend;")["problems"] == []
    assert len(check(shop, "SET 'auto.offset.reset' = 'never'; SHOW TOPICS;")["problems"]) == 1
    assert shop.http.post("/v1/check", json={"text": 3}).status_code == 400


def test_topics_and_their_sizes(shop: Api) -> None:
    """What they hold, and who reads them."""
    topics = {topic["name"]: topic for topic in shop.http.get("/v1/topics").json()}
    assert topics["orders"]["records"] == 3 and topics["orders"]["sources"] == ["ORDERS"]
    one = shop.http.get("/v1/topics/orders").json()
    assert [(p["start"], p["end"]) for p in one["partitions"]] == [(0, 3)]
    assert one["queries"] == list(shop.database.queries)
    assert "retention.ms" in one["config"]
    assert shop.http.get("/v1/topics/nothing").status_code == 404


def records(api: Api, topic: str, **asked: Any) -> Any:
    answer = api.http.get(f"/v1/topics/{topic}/records", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_records_are_found_by_key_offset_and_time(api: Api) -> None:
    """In the order of arrival over all partitions, page by page, and none twice."""
    api.database.create_topic("t", partitions=3)
    for i in range(25):
        api.database.produce("t", key=f"k{i % 5}".encode(), value=f'{{"i": {i}}}'.encode(), timestamp=1_000 * i)
    seen: list[str] = []
    place = "beginning"
    while True:
        found = records(api, "t", **{"from": place, "limit": 4})
        seen += [r["value"] for r in found["records"]]
        place = found["next"]
        if found["end"]:
            break
    assert seen == [f'{{"i": {i}}}' for i in range(25)]
    assert [r["value"] for r in records(api, "t", key="k2")["records"]] == [f'{{"i": {i}}}' for i in range(2, 25, 5)]
    late = records(api, "t", **{"from": "time:20000"})["records"]
    assert sorted(r["timestamp"] for r in late) == [20_000, 21_000, 22_000, 23_000, 24_000]
    one = records(api, "t", partition=0, **{"from": "offset:1", "limit": 1})["records"][0]
    assert (one["partition"], one["offset"]) == (0, 1)
    end = records(api, "t", **{"from": "end"})
    assert end["records"] == [] and end["end"]
    api.database.produce("t", key=b"k0", value=b"new")
    assert [r["value"] for r in records(api, "t", **{"from": end["next"]})["records"]] == ["new"]
    assert records(api, "t", **{"from": "last", "limit": 2})["records"]
    for wrong in ({"from": "x"}, {"from": "offset:a"}, {"partition": 3}, {"limit": "-1"}, {"from": "next:a-b"}):
        assert api.http.get("/v1/topics/t/records", params=wrong).status_code == 400


def test_a_query_in_full(shop: Api) -> None:
    """All that its page shows."""
    (query,) = shop.database.queries
    found = shop.http.get(f"/v1/queries/{query}").json()
    assert found["sources"] == ["ORDERS"] and found["sink"] == "SPEND"
    assert found["positions"] == [{"topic": "orders", "partition": 0, "position": 3, "start": 0, "end": 3}]


def test_who_asks(api: Api, tmp_path: Path) -> None:
    """Without accounts nobody in particular; with them the console's files are there for all, and nothing else."""
    assert api.http.get("/v1/account").json() == {
        "name": "anonymous",
        "role": "admin",
        "prefixes": {},
        "authenticated": False,
    }
    users = tmp_path / "users.toml"
    users.write_text(f'[users.ada]\npassword = "{hash_password("pw")}"\nprefixes = {{ SHOP_ = "read" }}\n')
    with penstock.connect(None) as database, penstock.serve(database, port=0, users=users) as server:
        database.create_topic("hidden")
        with httpx.Client(base_url=server.url) as http:
            assert http.get("/console/").status_code == 200
            assert http.get("/v1/account").status_code == 401
            http.auth = ("ada", "pw")
            assert http.get("/v1/account").json()["name"] == "ada"
            assert http.get("/v1/topics").json() == []
            for path in ("/v1/topics/hidden", "/v1/topics/hidden/records"):
                assert http.get(path).status_code == 403


def test_the_console_s_files(api: Api) -> None:
    """The page under a strict policy; what it needs is kept by browsers for ever, and packed; nothing else is served."""
    assert api.http.get("/console").headers["location"] == "/console/"
    page = api.http.get("/console/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY and page.headers["cache-control"] == "no-cache"
    script = page.text.split('src="./')[1].split('"')[0]
    answer = api.http.get(f"/console/{script}")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"] and answer.headers["content-encoding"] == "gzip"
    for path in ("/console/nothing.js", "/console/../app.py", "/console/%2e%2e/app.py"):
        assert api.http.get(path).status_code == 404
