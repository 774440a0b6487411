"""What a person sees: screens of the prompt and its tools, captured from a pseudo terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyte")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))

from screens import Screen

pytestmark = pytest.mark.xdist_group("screens")

SETUP = """CREATE STREAM orders (id INT KEY, item STRING, price DOUBLE);
CREATE TABLE spend AS SELECT item, SUM(price) AS total FROM orders GROUP BY item;
SET 'auto.offset.reset' = 'earliest';
INSERT INTO orders VALUES (1, 'pen', 2.5), (2, '日本', 3.5), (3, 'e\u0301clair', 7.0);
"""

Open = Callable[..., Screen]
LEFT = "\x1b[D"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Starts a program in a terminal; all of them are gone at the end."""
    started: list[Screen] = []

    def start(*arguments: str, setup: str | None = None, **how: object) -> Screen:
        screen = Screen(tmp_path, *arguments, **how)  # type: ignore[arg-type]
        started.append(screen)
        if setup is not None:
            screen.until("penstock>")
            screen.until("in memory")
            screen.paste(setup)
            screen.type("\r")
            screen.until("rows inserted")
            screen.until(lambda s: s.lines[-1].startswith(" in memory: 1 stream, 1 table, 1 query"))
            screen.type("CLEAR\r")
            screen.until(lambda s: "rows inserted" not in s.text and "penstock>" in s.text)
        return screen

    yield start
    for screen in started:
        screen.kill()


def test_faults_are_underlined_before_enter(opened: Open) -> None:
    """The place is underlined, and the line below says what is wrong and what to do; mended, it is gone."""
    screen = opened(setup=SETUP)
    screen.type("SELECT item,\rSUM(prce) FROM orders GROUP BY item EMIT CHANGES ")
    screen.until("Did you mean PRICE?")
    assert screen.styled("underscore") == ["prce"]
    screen.until("line 2, column 5: SELECT column PRCE does not exist")
    screen.type(LEFT * len("ce) FROM orders GROUP BY item EMIT CHANGES "))
    screen.read(0.3)
    screen.type("i")
    screen.until(lambda s: "SUM(price)" in s.text and not s.styled("underscore") and "does not exist" not in s.text)


def test_what_is_not_finished_is_no_fault(opened: Open) -> None:
    """A word that is being typed, and an end that is missing, are left alone; a typo behind the cursor is not."""
    screen = opened(setup=SETUP)
    screen.type("SELCT * FROM orders EMIT")
    screen.until("Did you mean SELECT?")
    assert screen.styled("underscore") == ["SELCT"]
    screen.type("\x15")  # the line is emptied
    screen.type("SELECT * FROM ord")
    screen.until("FROM ord")
    for _ in range(10):
        screen.read(0.1)
    assert screen.styled("underscore") == []


def test_statements_see_what_those_before_them_make(opened: Open) -> None:
    """Nothing of a paste has run, and only its real fault is marked."""
    screen = opened(setup=SETUP)
    screen.paste(
        "CREATE TABLE hourly AS SELECT item, COUNT(*) AS n FROM orders GROUP BY item;\n"
        "SELECT m FROM hourly WHERE item = 'pen';\nSELECT n FROM hourly WHERE item = 'pen';"
    )
    screen.until("does not exist")
    assert screen.styled("underscore") == ["m"]


def test_a_thousand_lines_are_pasted(opened: Open) -> None:
    """They are there, and typing goes on behind them."""
    screen = opened(setup=SETUP)
    lines = "".join(f"CREATE STREAM s{i} (\n id INT KEY,\n item STRING\n);\n" for i in range(250))
    screen.paste(lines + "SELECT nothing FROM s249 EMIT CHANGES")
    screen.type(" LIMIT 1;")
    screen.until("EMIT CHANGES LIMIT 1;")
    screen.until("line 1001, column 8: SELECT column NOTHING does not exist")


MENUS = [
    ("CREATE STREAM s (id INT) WITH (", ["KAFKA_TOPIC", "VALUE_FORMAT"], ["ORDERS"]),
    ("CREATE STREAM s (id INT) WITH (VALUE_FORMAT = '", ["AVRO", "JSON"], ["KAFKA_TOPIC"]),
    ("SELECT * FROM orders ORDER ", ["ORDER BY"], ["PRICE", "SELECT"]),
    ("SELECT o. FROM orders o" + LEFT * len(" FROM orders o"), ["ITEM", "PRICE"], ["COUNT"]),
    ("SHOW ", ["STREAMS", "QUERIES"], ["ORDERS"]),
    ("SELECT * FROM ", ["ORDERS", "SPEND"], ["PRICE"]),
    ("DESCRIBE ", ["ORDERS", "FUNCTION"], ["PRICE"]),
    ("\\", ["\\bg", "\\chart", "\\graph"], ["SELECT"]),
    ("SELECT * FROM orders EMIT ", ["CHANGES", "FINAL"], ["ORDERS"]),
]


def test_completion_menus(opened: Open) -> None:
    """TAB offers what can stand there, and nothing else."""
    screen = opened(setup=SETUP)
    for typed, offered, not_offered in MENUS:
        screen.type(typed)
        screen.read(0.3)
        screen.type("\t")
        screen.until(lambda s, offered=offered: all(word in s.text for word in offered))
        menu = " ".join(line for line in screen.lines if not line.startswith("penstock>") and "...>" not in line)
        assert not [word for word in not_offered if f" {word} " in f" {menu} "], screen.text
        screen.type("\x03")
        screen.read(0.5)
        screen.type("CLEAR\r")
        screen.until(lambda s: [line for line in s.lines if line and "help for help" not in line] == ["penstock>"])


def test_a_live_table_changes_in_place(opened: Open) -> None:
    """Rows of a table replace the rows of their keys; Ctrl-Z puts it behind the prompt, \\fg brings it back."""
    screen = opened(setup=SETUP)
    screen.type("SELECT * FROM spend EMIT CHANGES;\r")
    screen.until("Ctrl-Z puts it behind")
    assert [line for line in screen.lines if "|" in line] == [
        "  ITEM   | TOTAL",
        "* \u00e9clair |   7.0",
        "* pen    |   2.5",
        "* 日本   |   3.5",
    ]
    screen.type("\x1a")
    screen.until("[1] goes on behind the prompt")
    screen.until("1 in the background")
    screen.type("INSERT INTO orders VALUES (4, 'pen', 10.0);\r")
    screen.until("1 row inserted")
    screen.type("\\jobs\r")
    screen.until("CTAS_SPEND")
    screen.until("running")
    screen.type("CLEAR\r")
    screen.until(lambda s: "running" not in s.text)
    screen.type("\\fg\r")
    screen.until("pen    |  12.5")
    assert "pen    |   2.5" not in screen.text
    screen.type("\x03")
    screen.until("(3 rows, 4 changes)")


def test_windows_are_in_order(opened: Open) -> None:
    """Those of a live table by their start, which is shown as a time."""
    screen = opened(setup=SETUP)
    for second in (30, 10, 20):
        screen.type(f"INSERT INTO orders (ROWTIME, id, item, price) VALUES ({second}000, 1, 'w', {second});\r")
        screen.until(f"VALUES ({second}000")
        screen.until(lambda s: s.text.count("1 row inserted") >= 1)
    screen.type("CLEAR\r")
    screen.type(
        "SELECT WINDOWSTART, item, SUM(price) AS total FROM orders WINDOW TUMBLING (SIZE 10 SECONDS) "
        "WHERE item = 'w' GROUP BY item EMIT CHANGES;\r"
    )
    screen.until("30.0")
    rows = [line.split("|")[0].strip("* ") for line in screen.lines if "Z |" in line]
    assert rows == [f"1970-01-01T00:00:{second}.000Z" for second in (10, 20, 30)]


def test_a_stream_scrolls(opened: Open) -> None:
    """One row below the other, with headings; the reader may leave."""
    screen = opened(setup=SETUP)
    screen.type("SELECT * FROM orders EMIT CHANGES LIMIT 3;\r")
    text = screen.until("(limit reached, 3 rows)")
    assert "ID | ITEM | PRICE" in text
    assert "2  | 日本 | 3.5" in text


def test_charts(opened: Open) -> None:
    """A bar beside its number, in a result and in a push query."""
    screen = opened(setup=SETUP)
    screen.type("\\chart SELECT * FROM spend ORDER BY total;\r")
    screen.until("█")
    bars = {line.split()[0]: line.count("█") for line in screen.lines if "█" in line}
    assert bars["pen"] < bars["日本"] < bars["\u00e9clair"]
    screen.type("OUTPUT CHART;\r")
    screen.until("shown as chart")
    screen.type("CLEAR\r")
    screen.type("SELECT * FROM spend EMIT CHANGES;\r")
    screen.until("Ctrl-Z puts it behind")
    assert sum("█" in line for line in screen.lines) == 3
    screen.type("\x03")
    screen.until("changes)")


def test_wide_characters_are_aligned(opened: Open) -> None:
    """Columns stand below each other, whatever is in them."""
    screen = opened(setup=SETUP)
    screen.type("SELECT item, total FROM spend;\r")
    screen.until("(3 rows)")
    places = {line.rstrip().rfind("|") for line in screen.screen_lines() if "|" in line}
    assert len(places) == 1, screen.text


def test_no_colour(opened: Open) -> None:
    """With NO_COLOR the same is said without colours: rows that have changed have their mark, faults their words."""
    screen = opened(setup=SETUP, environment={"NO_COLOR": "1"})
    screen.bytes = b""
    screen.type("SELECT * FROM spend EMIT CHANGES;\r")
    screen.until("* pen")
    screen.type("\x03")
    screen.until("changes)")
    screen.type("SELECT nothing FROM spend; ")
    screen.until("does not exist")
    assert not [code for code in (b"\x1b[31m", b"\x1b[38;5;", b"\x1b[91m", b"\x1b[34m") if code in screen.bytes]


def test_a_progress_bar_for_what_takes_long(opened: Open, tmp_path: Path) -> None:
    """It is there from the third second on, and gone at the end."""
    screen = opened()
    screen.until("penstock>")
    screen.until("in memory")
    screen.type("\\duckdb SELECT count(*) AS n FROM range(100000) a(i), range(1000000) b(j) WHERE (i * j) % 7 = 3\r")
    screen.until("working, ")
    screen.type("\x03")
    screen.until(lambda s: "working, " not in s.text)


def test_top(opened: Open, tmp_path: Path) -> None:
    """The queries of a directory, with state and stream time; Ctrl-C ends it."""
    import penstock

    with penstock.connect(tmp_path / "db") as database:
        database.execute(
            "CREATE STREAM s (k STRING KEY, v INT); CREATE TABLE t AS SELECT k, SUM(v) AS v FROM s "
            "WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY k;"
        )
        database.insert("s", {"k": ["a"], "v": [1], "rowtime": [61_000]})
        database.wait_idle()
    screen = opened("top", "-d", str(tmp_path / "db"), columns=150)
    text = screen.until("CTAS_T")
    assert "STATE BYTES" in text and "STREAM TIME (UTC)" in text
    screen.until("1970-01-01 00:01:01")
    screen.type("\x03")
    assert screen.end() == 0


def test_the_demo(opened: Open) -> None:
    """A live table by windows, then a SELECT over it and a prompt; what is on the screen can be a picture."""
    screen = opened("demo", columns=90, lines=32)
    screen.until("Ctrl-C ends")
    screen.until(lambda s: s.text.count("Lisbon") >= 1 and "京都" in s.text)
    assert "<desc>CREATE STREAM payments" in screen.svg()
    screen.type("\x03")
    screen.until("The payments go on")
    screen.until("penstock>")
    screen.type("SELECT COUNT(*) AS n FROM payments;\r")
    screen.until(lambda s: "(1 row)" in s.text and s.text.count("penstock>") == 2)
    screen.type("\x04")
    assert screen.end() == 0


def test_what_surprises_everybody_once_is_said(opened: Open) -> None:
    """A new query does not read what is there; a statement without its semicolon goes on; a command that is none."""
    screen = opened(setup=SETUP)
    screen.type("UNSET 'auto.offset.reset';\r")
    screen.until("default again")
    screen.type("CREATE TABLE n AS SELECT item, COUNT(*) AS n FROM orders GROUP BY item;\r")
    screen.until("not the 3 records already there")
    screen.type("SELECT * FROM n EMIT CHANGES;\r")
    screen.until("(waiting for what comes; SET 'auto.offset.reset' = 'earliest'; shows what is there, too)")
    screen.type("\x03")
    screen.until("(0 rows, 0 changes)")
    screen.type("\\chrt\r")
    screen.until("did you mean \\chart?")
    screen.type("SHOW STREAMS\r")
    screen.until("a statement ends with ;")
