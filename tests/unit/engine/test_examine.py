"""Faults of statements that are not run: what an editor marks."""

from __future__ import annotations

import pytest

import penstock
from penstock.grammar.lexer import with_places

ORDERS = "CREATE STREAM orders (id INT KEY, item STRING, price DOUBLE) WITH (KAFKA_TOPIC = 'o', PARTITIONS = 2);"


def faults(*statements: str, database: penstock.Database | None = None) -> list[str]:
    """Line, column and message of each fault."""
    with penstock.connect(threads=0) if database is None else database.session() as db:
        found = db.examiner().faults(with_places("\n".join(statements)))
        return [f"{f.span.line}:{f.span.column} {f.message}" for f in found if f.span is not None]


def test_nothing_is_run() -> None:
    """Of statements without faults nothing is left: no source, no topic, no setting, no variable."""
    with penstock.connect(threads=0) as db:
        before = db.catalog, db.topic_names(), dict(db.settings)
        found = db.examiner().faults(
            with_places(
                ORDERS
                + "CREATE TABLE t AS SELECT item, COUNT(*) AS n FROM orders GROUP BY item;"
                + "INSERT INTO orders (id, item, price) VALUES (1, 'a', 2.5);"
                + "SET 'auto.offset.reset' = 'earliest'; DEFINE x = 'y'; SELECT * FROM t; DROP TABLE t;"
            )
        )
        assert found == []
        assert (db.catalog, db.topic_names(), dict(db.settings)) == before


def test_each_statement_sees_what_those_before_it_make() -> None:
    """Sources, their columns, types, dropped ones; the place of each fault is that in the whole text."""
    assert faults(
        ORDERS,
        "CREATE TABLE t AS SELECT item, SUM(prise) AS s FROM orders GROUP BY item;",
        "CREATE TABLE u AS SELECT item, SUM(price) AS s FROM orders GROUP BY item;",
        "SELECT z FROM u;",
        "SELECT s FROM u EMIT CHANGES;",
        "INSERT INTO orders (id, item, price) VALUES (1, 'a', 'b');",
        "DROP TABLE u;",
        "SELECT * FROM u;",
        "SET 'auto.ofset.reset' = 'earliest';",
        "SELCT 1;",
    ) == [
        "2:36 SELECT column PRISE does not exist",
        "4:8 SELECT column Z does not exist",
        "6:54 'b' is not a valid DOUBLE",
        "8:15 there is no stream or table named U",
        "9:5 there is no property auto.ofset.reset",
        "10:1 SELCT was not expected here",
    ]


def test_what_hangs_on_a_fault_is_passed_over() -> None:
    """One fault is told once, not in all statements that use what it should have made."""
    assert faults(ORDERS.replace("INT", "INTT"), "SELECT * FROM orders EMIT CHANGES;", "SELECT * FROM other;") == [
        "1:26 there is no type named INTT",
        "3:15 there is no stream or table named OTHER",
    ]


@pytest.mark.parametrize("unread", ["RUN SCRIPT 'nowhere.sql';", "CREATE STREAM f FROM 'nowhere.csv';"])
def test_what_files_hold_is_not_looked_at(unread: str) -> None:
    """What a script or a file may have made is no fault, but what cannot be parsed is one."""
    assert faults(unread, "SELECT a, b FROM f EMIT CHANGES;", "SELECT FROM;") == ["3:8 FROM was not expected here"]


def test_variables_are_replaced() -> None:
    """Those of the session, and those that the text defines."""
    assert faults(ORDERS, "DEFINE c = 'price';", "SELECT ${c} FROM orders EMIT CHANGES;") == []
    assert faults(ORDERS, "DEFINE c = 'prise';", "SELECT ${c} FROM orders EMIT CHANGES;") == [
        "3:1 SELECT column PRISE does not exist"
    ]


def test_an_edit_redoes_only_what_is_behind_it() -> None:
    """The same answers as from scratch, whatever was examined before; a statement that was run counts from then on."""
    with penstock.connect(threads=0) as db:
        examiner = db.examiner()
        first, second = [ORDERS, "SELECT a FROM orders EMIT CHANGES;"], [ORDERS, "SELECT id FROM orders EMIT CHANGES;"]
        assert len(examiner.faults(first)) == 1
        assert examiner.faults(second) == []
        assert examiner.faults([second[1]]) != []
        db.execute(ORDERS)
        assert examiner.faults([second[1]]) == []
        assert examiner.faults([second[1]], lambda: True) == []
        assert examiner.faults([first[1]], lambda: True) == [], "the answer was not wanted any more"


def test_the_remote_prompt_knows_the_syntax() -> None:
    """Without the database's names: only what cannot be parsed."""
    from penstock.engine.statements.examine import SyntaxExaminer

    found = SyntaxExaminer().faults(["SELECT a FROM nowhere;", "SELECT FROM a;"])
    assert [fault.message for fault in found] == ["FROM was not expected here"]
