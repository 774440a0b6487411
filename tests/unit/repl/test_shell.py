"""The shell, driven by a list of inputs and read from a list of what it prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.repl.cli import main
from penstock.repl.commands import COMMANDS, Quit
from penstock.repl.shell import Shell

SETUP = "CREATE STREAM orders (id INT KEY, item STRING) WITH (KAFKA_TOPIC='o', PARTITIONS=1);"


@pytest.fixture
def database() -> Iterator[Any]:
    with penstock.connect(settings={"auto.offset.reset": "earliest"}) as opened:
        yield opened


def printed(database: Any, *inputs: str) -> str:
    """What the shell prints for these inputs."""
    lines: list[str] = []
    shell = Shell(database, lines.append)
    for text in inputs:
        shell.run(text)
    return "\n".join(lines)


def test_results_are_tables(database: Any) -> None:
    """Numbers flush right, NULL by name, and how many rows there are."""
    text = printed(
        database,
        SETUP,
        "INSERT INTO orders VALUES (1, 'pen'); INSERT INTO orders (id) VALUES (20);",
        "SELECT * FROM orders;",
    )
    assert text.splitlines()[-5:] == ["ID | ITEM", "---+-----", " 1 | pen", "20 | NULL", "(2 rows)"]


def test_errors_are_underlined(database: Any) -> None:
    """With a suggestion; statements after the wrong one are not run."""
    text = printed(database, SETUP, "SELECT itm FROM orders; DROP STREAM orders;")
    lines = text.splitlines()
    assert "SELECT itm FROM orders;" in lines[2]
    assert lines[3].strip() == "^^^"
    assert "Did you mean ITEM?" in text
    assert "ORDERS" in database.catalog.sources


def test_a_push_query_ends_at_its_limit(database: Any) -> None:
    """Its rows are printed as they come; the query is closed."""
    text = printed(database, SETUP, "INSERT INTO orders VALUES (1, 'pen');", "SELECT * FROM orders EMIT CHANGES LIMIT 1;")
    assert text.splitlines()[-2:] == ["+ ID=1, ITEM=pen", "(limit reached, 1 row)"]
    assert database._engine.host.subscriptions == 0


def test_what_enter_runs(database: Any) -> None:
    """Statements ended by a semicolon and backslash commands; a semicolon in a text or a comment ends nothing."""
    shell = Shell(database, print)
    complete = ["", "SHOW TABLES;", "SELECT ';' FROM s;", "\\d", "SHOW TABLES; SHOW STREAMS; "]
    incomplete = ["SHOW TABLES", "SELECT ';", "SHOW TABLES -- ;", "SHOW TABLES; SHOW"]
    assert [shell.is_complete(text) for text in complete] == [True] * len(complete)
    assert [shell.is_complete(text) for text in incomplete] == [False] * len(incomplete)


def test_backslash_commands(database: Any, tmp_path: Path) -> None:
    """They list, describe, run scripts, and measure; an unknown one is named."""
    script = tmp_path / "more.sql"
    script.write_text("INSERT INTO orders VALUES (7, 'ink');", encoding="utf-8")
    text = printed(database, SETUP, "\\streams", "\\d orders", f"\\i {script}", "\\time SELECT * FROM orders", "\\nothing")
    assert "ORDERS" in text
    assert " 7 | ink" in text
    assert " ms)" in text
    assert "there is no command \\nothing" in text
    assert all(name in printed(database, "\\help") for name in COMMANDS if name not in ("\\?", "\\q", "\\exit"))


def test_quit_leaves(database: Any) -> None:
    """By raising Quit through run()."""
    with pytest.raises(Quit):
        printed(database, "\\q")


def test_completion_sees_the_catalog(database: Any) -> None:
    """Sources with their columns, functions and topics."""
    printed(database, SETUP)
    names = Shell(database, print).names()
    assert list(names.sources["ORDERS"]) == ["ID", "ITEM", "ROWTIME"]
    assert "COUNT" in names.functions
    assert "o" in names.topics


def test_command_line_statements(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """-f and -e run in this order, a missing last semicolon is added, and the exit code tells of failure."""
    script = tmp_path / "s.sql"
    script.write_text(SETUP, encoding="utf-8")
    arguments = ["-f", str(script), "-e", "INSERT INTO orders VALUES (1, 'pen')", "-e", "SELECT item FROM orders"]
    assert main(arguments) == 0
    assert "pen" in capsys.readouterr().out
    assert main(["-e", "SELECT 1 FROM nowhere"]) == 1
    assert main(["-s", "auto.offset.reset=sometimes", "-e", "SHOW TABLES"]) == 1
    assert "auto.offset.reset must be one of" in capsys.readouterr().err


def test_selects_with_any_clauses_and_duckdbs_own(database: Any) -> None:
    """ORDER BY, CTEs and the like have the dialect's meaning at the prompt too; DuckDB's SQL has a command of its own."""
    inserts = "INSERT INTO orders VALUES (1, 'pen'); INSERT INTO orders VALUES (2, 'ink');"
    text = printed(database, SETUP, inserts, "SELECT item FROM orders ORDER BY item;")
    assert text.splitlines()[-3:] == ["ink", "pen", "(2 rows)"]
    assert "2 | " in printed(database, "WITH o AS (SELECT * FROM orders) SELECT COUNT(*), MAX(id) FROM o;")
    assert "2 | " in printed(database, "\\duckdb WITH o AS (FROM orders) SELECT count(*), max(item) FROM o;")
    assert "7 / 2" not in printed(database, "SELECT 7 / 2 AS x;") and "3.5" in printed(database, "\\duckdb SELECT 7 / 2")
    assert "Did you mean ITEM?" in printed(database, "SELECT itm FROM orders;")
    assert "DuckDB" in printed(database, "\\duckdb WITH o AS (FROM orders) SELECT nothing FROM o;")


def test_no_text_commands_the_terminal() -> None:
    """Whatever holds control characters is shown with escapes; a program gets them as they are."""
    said: list[str] = []
    with penstock.connect(threads=0) as database:
        shell = Shell(database, said.append)
        database.execute("CREATE STREAM s (v STRING) WITH (VALUE_FORMAT = 'JSON');")
        database.produce("S", key=b"\x1b[2J", value=b"\x1b]0;title\x07")
        for text in (
            "PRINT s FROM BEGINNING LIMIT 1;",
            "SELECT '\x1b[2J' AS `\x1b[2J`;",
            "DEFINE x = '\x1b[2J';",
            "EXPLAIN SELECT '\x1b[2J' AS x FROM s EMIT CHANGES;",
            "SELECT \x1b[2J;",
            "PRINT `\x1b[2J`;",
            "\\no\x1b[2J",
        ):
            shell.run(text)
            shell.run("\\explain " + text)
        assert len(said) >= 10 and not [text for text in said if "\x1b" in text or "\x07" in text]
        said.clear()
        shell.format = "csv"
        shell.run("SELECT '\x1b[2J' AS x;")
        assert said == ["X\n\x1b[2J"]


def test_the_prompt_sees_its_own_rows() -> None:
    """A SELECT after an INSERT waits for the tables, also for one that was made in between; a paused one stops nothing."""
    with penstock.connect(threads=1) as db:
        lines: list[str] = []
        shell = Shell(db, lines.append)
        assert shell.run("SET 'auto.offset.reset' = 'earliest'; CREATE STREAM s (k STRING KEY, v INT);")
        assert shell.run("INSERT INTO s VALUES ('a', 1);")
        assert shell.run("CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
        for count in range(1, 20):
            lines.clear()
            assert shell.run("SELECT n FROM t;")
            assert str(count) in "".join(lines).split()
            assert shell.run("INSERT INTO s VALUES ('a', 1);")
        assert shell.run("PAUSE ALL; INSERT INTO s VALUES ('a', 1); SELECT n FROM t;")


DEFINED = """
    CREATE STREAM s (id INT KEY, `lower` INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
    INSERT INTO s (id) VALUES (1);
    CREATE STREAM big AS SELECT * FROM s WHERE id > 0;
"""
SAID = (
    "T reads only what comes from now on, not the 1 record already there: to have it read, "
    "SET 'auto.offset.reset' = 'earliest'; before the statement.\n"
)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("CREATE TABLE t AS SELECT id, COUNT(*) AS n FROM s GROUP BY id;", SAID),
        ("SET 'auto.offset.reset' = 'earliest'; CREATE TABLE t AS SELECT id, COUNT(*) AS n FROM s GROUP BY id;", ""),
        ("CREATE TABLE t AS SELECT id, COUNT(*) AS n FROM s GROUP BY id; insert into `S` (id) VALUES (2);", ""),
        ("CREATE TABLE t AS SELECT id, COUNT(*) AS n FROM s GROUP BY id; INSERT INTO other (id) VALUES (2);", SAID),
        ("CREATE TABLE t AS SELECT id, COUNT(*) AS n FROM big GROUP BY id; INSERT INTO s (id) VALUES (2);", ""),
    ],
)
def test_a_script_is_told_what_its_queries_pass_over(rest: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line on stderr, unless it inserts later; and nothing where rows are."""
    other = "CREATE STREAM other (id INT KEY) WITH (KAFKA_TOPIC = 'other', PARTITIONS = 1);"
    defined = DEFINED.replace("CREATE STREAM big", "SET 'auto.offset.reset' = 'earliest'; CREATE STREAM big")
    assert main(["-e", other + defined + "UNSET 'auto.offset.reset';" + rest]) == 0
    assert capsys.readouterr().err == said


def test_a_later_text_of_the_command_line_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """What another -e inserts is no surprise either."""
    table = "CREATE TABLE t AS SELECT id, COUNT(*) AS n FROM s GROUP BY id;"
    first = DEFINED.partition("CREATE STREAM big")[0]
    assert main(["-e", first + table, "-e", "INSERT INTO s (id) VALUES (2);"]) == 0
    assert capsys.readouterr().err == ""
