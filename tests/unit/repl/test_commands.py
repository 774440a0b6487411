"""Backslash commands, and those of ksqlDB's own prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock
from penstock.repl.commands import Quit
from penstock.repl.pieces import cut
from penstock.repl.render import table, width_of
from penstock.repl.shell import Shell

SETUP = (
    "CREATE STREAM s (id INT KEY, item STRING) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);"
    "INSERT INTO s VALUES (1, 'pen'); INSERT INTO s VALUES (2, 'ink');"
)


@pytest.fixture
def console() -> Iterator[tuple[Shell, list[str]]]:
    with penstock.connect(settings={"auto.offset.reset": "earliest"}) as database:
        database.execute(SETUP)
        lines: list[str] = []
        shell = Shell(database, lines.append)
        yield shell, lines
        shell.close()


def said(console: tuple[Shell, list[str]], text: str) -> str:
    shell, lines = console
    lines.clear()
    shell.run(text)
    return "\n".join(lines)


def test_listing_and_looking(console: tuple[Shell, list[str]]) -> None:
    """Tables, jobs, plans."""
    said(console, "CREATE TABLE t AS SELECT item, COUNT(*) AS n FROM s GROUP BY item;")
    console[0].database.drain()
    assert "T" in said(console, "\\dt").split()
    assert [line.split(" | ")[0].strip() for line in said(console, "\\d").splitlines()[2:]] == ["stream", "stream", "table"]
    assert "ITEM" in said(console, "\\d t;")
    assert "CTAS_T_1 | RUNNING" in said(console, "\\jobs")
    assert "S" in said(console, "\\explain SELECT *\nFROM s EMIT CHANGES;")


def test_timing_and_blocks(console: tuple[Shell, list[str]]) -> None:
    """Both are switches; \\x takes a statement, too."""
    assert said(console, "\\timing") == "timing is on"
    assert said(console, "SHOW TABLES;").endswith(" ms)")
    assert said(console, "\\timing off") == "timing is off"
    assert "  ID: 1\nITEM: pen" in said(console, "\\x SELECT * FROM s;")
    assert "ID | ITEM" in said(console, "SELECT * FROM s;")
    said(console, "\\x")
    assert "ITEM: ink" in said(console, "SELECT * FROM s;")


def test_output_goes_to_a_new_file(console: tuple[Shell, list[str]], tmp_path: Path) -> None:
    """Errors stay on the screen; a file that is there is not overwritten."""
    target = tmp_path / "out.txt"
    said(console, f"\\o {target}")
    assert said(console, "SELECT item FROM s;") == ""
    assert "NOTHING" in said(console, "SELECT * FROM nothing;")
    said(console, "\\o")
    assert "pen" in target.read_text(encoding="utf-8")
    assert "there already" in said(console, f"\\o {target}")


def test_spool_keeps_a_copy(console: tuple[Shell, list[str]], tmp_path: Path) -> None:
    """As ksqlDB's own: the screen still shows it."""
    target = tmp_path / "spool.txt"
    said(console, f"SPOOL '{target}';")
    assert "pen" in said(console, "SELECT item FROM s;")
    said(console, "spool off")
    said(console, "SHOW TABLES;")
    assert "pen" in target.read_text(encoding="utf-8") and "none" not in target.read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "md", "parquet", "arrow"])
def test_copy(console: tuple[Shell, list[str]], tmp_path: Path, ending: str) -> None:
    """Of a SELECT or a whole source; the ending says the format."""
    target = tmp_path / f"rows.{ending}"
    assert said(console, f"\\copy SELECT item FROM s WHERE id = 2 TO {target}").endswith(": 1 row")
    assert b"ink" in target.read_bytes() or ending == "parquet"
    assert "there already" in said(console, f"\\copy s TO '{target}'")
    assert "ending" in said(console, f"\\copy s TO {tmp_path / 'rows.xyz'}")


def test_watch_repeats_what_reads_only(console: tuple[Shell, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Until Ctrl-C; an INSERT is never repeated."""
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("penstock.repl.commands.time.sleep", sleep)
    said(console, "SELECT id FROM s;")
    assert said(console, "\\watch 0.5").count("(2 rows)") == 3
    assert pauses == [0.5] * 3
    said(console, "INSERT INTO s VALUES (3, 'cap');")
    assert "was none of these" in said(console, "\\watch 1")
    pauses.clear()
    said(console, "CREATE TABLE n AS SELECT id, COUNT(*) AS n FROM s GROUP BY id;")
    (query,) = console[0].database.queries
    assert said(console, f"\\watch 1 EXPLAIN ANALYZE {query}").count("Rows In") == 3
    assert "seconds" in said(console, "\\watch 0")


def test_what_people_type(console: tuple[Shell, list[str]]) -> None:
    """With a semicolon or without, in any case."""
    assert "\\watch" in said(console, "help")
    assert said(console, "VERSION;") == f"penstock {penstock.__version__}"
    assert "shown as json" in said(console, "OUTPUT JSON;")
    assert '{"ID":1,"ITEM":"pen"}' in said(console, "SELECT * FROM s;")
    said(console, "output tabular")
    assert "takes JSON, TABULAR or CHART" in said(console, "OUTPUT XML;")
    said(console, "SET CLI COLUMN-WIDTH 4;")
    assert said(console, "SELECT 'a long text' AS t FROM s WHERE id = 1;").splitlines()[2:5] == ["a", "long", "text"]
    assert "no setting" in said(console, "SET CLI COLOUR red;")
    for word in ("exit", "QUIT;", "\\q"):
        with pytest.raises(Quit):
            said(console, word)
        assert console[0].is_complete(word)


def test_old_scripts_continue_lines_with_a_backslash(console: tuple[Shell, list[str]]) -> None:
    """Outside of quotes."""
    assert "pen" in said(console, "SELECT item \\\n FROM s \\\n WHERE id = 1;")
    assert not console[0].is_complete("SHOW \\")


def test_a_text_is_cut_at_commands() -> None:
    """Where a statement could begin, and nowhere else; places are kept."""
    text = "SHOW STREAMS; exit\n-- no\n\\dt\nSELECT 'exit\n\\dt' FROM s; \\duckdb SELECT 1,\n2; version;"
    assert [(p.kind, p.text.strip()) for p in cut(text)] == [
        ("statement", "SHOW STREAMS;"),
        ("cli", "exit"),
        ("command", "\\dt"),
        ("statement", "SELECT 'exit\n\\dt' FROM s;"),
        ("command", "\\duckdb SELECT 1,\n2"),
        ("cli", "version"),
    ]
    assert cut(text)[3].text.startswith("\n\n\n" + "SELECT")


def test_wide_and_combining_characters_are_aligned() -> None:
    """By the columns that a terminal gives them; control characters are shown, not sent."""
    lines = table(("T", "U"), [("日本", "x"), ("e\u0301", "y"), ("\x1b[31m", "z")]).splitlines()
    assert {width_of(line.rpartition("| ")[0]) for line in lines[2:]} == {width_of(lines[0].rpartition("| ")[0])}
    assert "\x1b" not in "".join(lines) and "\\x1b[31m" in lines[4]
    folded = table(("N", "T"), [(1, "日本語" * 20)], 40).splitlines()
    assert max(map(width_of, folded)) <= 40 and len(folded) > 4


def test_long_results_are_paged() -> None:
    """In a terminal; the count stays on the screen."""
    lines: list[str] = []
    pages: list[str] = []
    with penstock.connect() as database:
        shell = Shell(database, lines.append, page=pages.append, height=lambda: 20)
        shell.run("\\duckdb SELECT * FROM range(100000)")
    assert lines == ["(100,000 rows)"]
    assert pages[0].count("\n") == 100_002


def test_history(console: tuple[Shell, list[str]]) -> None:
    """What was typed, numbered."""
    console[0].history = lambda: ["SHOW STREAMS;", "exit"]
    assert said(console, "HISTORY") == "   1  SHOW STREAMS;\n   2  exit"


def test_a_command_without_a_statement_ends_with_its_line(console: tuple[Shell, list[str]]) -> None:
    """It does not take the next line's; a semicolon behind it does no harm."""
    for text in ("\\x", "\\x on", "\\x off;", "\\watch 5", "\\watch", "\\explain", "\\timing", "\\dt;", "\\dt"):
        pieces = [(p.kind, p.text.strip()) for p in cut(f"{text}\nSHOW STREAMS;")]
        assert pieces == [("command", text.removesuffix(";")), ("statement", "SHOW STREAMS;")]
    for text in ("\\x SELECT 1\nFROM s", "\\watch 5 SELECT 1\nFROM s", "\\copy s\nTO f"):
        assert [p.text.strip() for p in cut(f"{text};\nSHOW STREAMS;")] == [text, "SHOW STREAMS;"]
    assert "ITEM: pen" in said(console, "\\x\nSELECT * FROM s;")
