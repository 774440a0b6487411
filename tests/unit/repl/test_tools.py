"""`penstock validate`, `import`, `export`, `top`, `doctor`, `completion`."""

from __future__ import annotations

import io
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.repl import exporting, working
from penstock.repl.cli import main, parser
from penstock.repl.completion_script import script
from penstock.repl.formats import FORMATS

SETUP = (
    "SET 'auto.offset.reset' = 'earliest';"
    "CREATE STREAM s (id INT KEY, item STRING, amount DECIMAL(9, 2)) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);"
    "CREATE TABLE t AS SELECT item, COUNT(*) AS n FROM s GROUP BY item;"
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    place = tmp_path / "shop"
    with penstock.connect(place) as database:
        database.execute(SETUP)
        database.insert("s", [(1, "pen", "1.50"), (2, "", None), (3, None, "0.10")])
        database.wait_idle(30)
    return place


def test_validate_finds_all_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With file and line; what a faulty statement should have made is no second fault; scripts that are run are checked."""
    inner = tmp_path / "inner.sql"
    inner.write_text("\nSELECT nothing FROM orders;\n", encoding="utf-8")
    path = tmp_path / "script.sql"
    path.write_text(
        "CREATE STREAM orders (id INT KEY, item STRING) WITH (KAFKA_TOPIC = 'o', PARTITIONS = 1);\n"
        "SELCT 1;\n"
        "CREATE TABLE broken AS SELECT itm, COUNT(*) AS n FROM orders GROUP BY itm;\n"
        "SELECT * FROM broken;\n"
        "SET 'auto.offset.reset' = 'earlest';\n"
        "INSERT INTO orders VALUES (1, 2, 3);\n"
        "RUN SCRIPT 'inner.sql';\n"
        "RUN SCRIPT 'none.sql';\n"
        "SELECT * FROM orders EMIT CHANGES;\n"
        "exit\n",
        encoding="utf-8",
    )
    assert main(["validate", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == f"{path}: 9 statements, 6 faults, 1 not checked because of them\n"
    for line in (2, 3, 5, 6, 8):
        assert f"{path}, line {line}" in err
    assert f"{inner}, line 2" in err and "none.sql" in err


def test_validate_of_a_script_without_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Later statements see what those before made; nothing is left behind."""
    path = tmp_path / "script.sql"
    path.write_text(SETUP + "INSERT INTO s VALUES (1, 'a', 2.5); DROP TABLE t;", encoding="utf-8")
    assert main(["validate", str(path)]) == 0
    assert "no faults" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["script.sql"]


def test_what_a_table_takes_in_at_opening_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By export, and by the first SELECT of a command line or behind a new query: not what the query had got to by then."""
    place, target = tmp_path / "shop", tmp_path / "rows.csv"
    with penstock.connect(place, threads=0) as database:  # its queries take in nothing
        database.execute(SETUP)
        database.insert("s", [(n, "pen", None) for n in range(1000)])
    assert main(["-d", str(place), "-e", "SELECT n FROM t", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "N\n1000\n"
    more = "SET 'auto.offset.reset' = 'earliest'; CREATE TABLE t2 AS SELECT item, COUNT(*) AS n FROM s GROUP BY item;"
    assert main(["-d", str(place), "-e", f"SELECT 1 AS one; {more} SELECT n FROM t2", "--format", "jsonl"]) == 0
    assert capsys.readouterr().out.endswith('{"N":1000}\n')
    with penstock.connect(place, threads=0) as database:
        database.insert("s", [(n, "pen", None) for n in range(500)])
    assert main(["export", "t", str(target), "-d", str(place)]) == 0
    assert target.read_text("utf-8").splitlines()[1] == "pen,1500"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "arrow"])
def test_export_and_import(shop: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What was exported comes in again as it was: NULLs, empty texts, decimals."""
    target = tmp_path / f"rows.{ending}"
    assert main(["export", "SELECT * FROM s", str(target), "-d", str(shop)]) == 0
    assert "3 rows into" in capsys.readouterr().out
    assert (
        main(
            [
                "-d",
                str(shop),
                "-e",
                "CREATE STREAM c (id INT KEY, item STRING, amount DECIMAL(9, 2)) WITH (KAFKA_TOPIC = 'c', PARTITIONS = 1);",
            ]
        )
        == 0
    )
    assert main(["import", str(target), "c", "-d", str(shop)]) == 0
    assert "3 rows of" in capsys.readouterr().out
    with penstock.connect(shop) as database:
        assert database.sql("SELECT * FROM c;").fetchall() == database.sql("SELECT * FROM s;").fetchall()


def test_import_says_what_does_not_fit(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with exit code 1, and how many rows are in."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": 1}\nno json\n', encoding="utf-8")
    assert main(["import", str(bad), "s", "-d", str(shop)]) == 1
    assert "line 2 is not JSON" in capsys.readouterr().err
    bad.write_text('{"id": "one"}\n', encoding="utf-8")
    assert main(["import", str(bad), "s", "-d", str(shop)]) == 1
    assert "after 0 rows that are in" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "rows.xls"), "s", "-d", str(shop)]) == 1
    assert main(["export", "s", str(bad), "-d", str(shop)]) == 1
    assert "there already" in capsys.readouterr().err


def test_top_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One table of all queries."""
    assert main(["top", "--once", "-d", str(shop)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["QUERY", "STATE", "READ"]
    assert lines[1].split()[:2] == ["CTAS_T_1", "RUNNING"] and len(lines) == 2


def test_doctor(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No fault here; a directory that is no database is one."""
    assert main(["doctor", "-d", str(shop)]) == 0
    out = capsys.readouterr().out
    assert "a query in memory gives what it should" in out and "opens" in out and out.endswith("no faults\n")
    other = tmp_path / "file"
    other.write_text("", encoding="utf-8")
    assert main(["doctor", "-d", str(other)]) == 1
    assert "fault" in capsys.readouterr().out


def test_a_shell_completes(capsys: pytest.CaptureFixture[str]) -> None:
    """bash runs the script and offers sub-commands and options; zsh and fish get theirs."""
    assert main(["completion", "bash"]) == 0
    text = capsys.readouterr().out

    def offered(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        ask = (
            f"{text}\nCOMP_WORDS=(penstock {line}); COMP_CWORD={len(words)}; _penstock; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        return subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split()

    assert offered("val") == ["validate"]
    assert "verify" in offered("log", "ver")
    assert offered("top", "--o") == ["--once"]
    assert offered("--format", "") == list(FORMATS)
    assert offered("--format", "=", "js") == ["json", "jsonl"]
    assert offered("--format", "=") == list(FORMATS)
    assert offered("completion", "f") == ["fish"]
    assert "bashcompinit" in script("zsh", parser())
    fish = script("fish", parser()).splitlines()
    assert "complete -c penstock -n '__fish_seen_subcommand_from top' -l once" in fish
    assert "complete -c penstock -n '__fish_seen_subcommand_from top' -l interval -r" in fish
    (formats,) = [line for line in fish if " -l format " in line]
    assert formats.endswith(f"-x -a '{' '.join(FORMATS)}'")


def test_options_before_a_sub_command_are_its_own(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the sub-command takes, too, is not forgotten; anything else is an error that shows the sub-command's usage."""
    assert main(["-d", str(shop), "top", "--once"]) == 0
    assert "CTAS_T" in capsys.readouterr().out
    read = parser().parse_args(["-s", "a=1", "-d", "x", "run", "-s", "b=2", "s.sql"])
    assert (read.data, read.set) == ("x", ["a=1", "b=2"])
    assert parser().parse_args(["-d", "x", "run", "-d", "y", "s.sql"]).data == "y"
    for given, said in (
        (["-d", "x", "log", "verify"], "penstock log: error: --data means nothing before log"),
        (["--format", "csv", "top", "--once"], "penstock top: error: --format means nothing before top"),
        (["--kafka", "h:1", "serve"], "penstock serve: error: --kafka means nothing before serve"),  # it listens there
        (["import", "a.csv", "--into", "s", "-d", "x"], "penstock import: error: unrecognized arguments: --into"),
        (["log", "verify", "-d", "x", "--all"], "penstock log: error: unrecognized arguments: --all"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(given)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_the_demo_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Its rows are lines, and it ends by itself."""
    assert main(["demo", "--seconds", "2", "--rate", "50"]) == 0
    said = capsys.readouterr().out
    assert "+ WINDOWSTART=20" in said and "CITY | PAYMENTS" in " ".join(said.split()) and "rows)" in said
    assert main(["demo", "--rate", "0"]) == 1


def test_the_graph_of_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words, or as a new picture; faults are told, and what the rest makes is shown."""
    script = tmp_path / "flow.sql"
    script.write_text("CREATE STREAM s (k STRING KEY, v INT); CREATE TABLE t AS SELECT k, SUM(v) AS v FROM s GROUP BY k;")
    assert main(["graph", str(script)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "S (stream, key K)",
        "CTAS_T_1 (query) <- S",
        "T (table, key K) <- CTAS_T_1",
    ]
    assert main(["graph", str(script), "-o", str(tmp_path / "flow.svg")]) == 0
    assert "<desc>S (stream" in (tmp_path / "flow.svg").read_text(encoding="utf-8")
    assert main(["graph", str(script), "-o", str(tmp_path / "flow.svg")]) == 1
    assert main(["graph", str(script), "-o", str(tmp_path / "flow.png")]) == 1
    script.write_text("CREATE STREAM s (k STRING KEY, v INT); SELECT w FROM s EMIT CHANGES;")
    assert main(["graph", str(script)]) == 1
    found = capsys.readouterr()
    assert "column W does not exist" in found.err and "S (stream" in found.out


class Terminal(io.StringIO):
    """A terminal as far as a progress line is concerned; ``wanted`` sets ``seen`` when it is written."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self._wanted = wanted
        self.seen = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._wanted in text:
            self.seen.set()
        return super().write(text)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "arrow", "md", "json"])
def test_export_shows_a_bar(
    shop: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With rows done, rate and time left, whatever the format; pieces are one file."""
    terminal = Terminal("2 of 3 rows")
    monkeypatch.setattr(working, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(exporting, "_CHUNK_ROWS", 2)
    monkeypatch.setattr("sys.stderr", terminal)
    real = exporting._Chunks._starts

    def starts(chunks: Any) -> Any:
        for start in real(chunks):
            if start == 2:  # the writer waits here until the line has been drawn
                assert terminal.seen.wait(60)
            yield start

    monkeypatch.setattr(exporting._Chunks, "_starts", starts)
    target = tmp_path / f"rows.{ending}"
    assert main(["export", "SELECT * FROM s ORDER BY id", str(target), "-d", str(shop)]) == 0
    assert "67%" in terminal.getvalue() and "/s, " in terminal.getvalue() and "s left" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K") or "\r\x1b[K3 rows" in terminal.getvalue()
    capsys.readouterr()
    if ending in ("csv", "jsonl", "parquet", "arrow"):
        with penstock.connect() as database:
            database.create_stream("again", target)
            assert [row[0] for row in database.sql("SELECT id FROM again ORDER BY id")] == [1, 2, 3]
    else:
        assert target.read_text(encoding="utf-8").count("pen") == 1


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("tset", "Did you mean test?"),
        ("shop.db", "penstock -d shop.db"),
        ("shop.sql", "penstock run shop.sql keeps its queries up"),
        ("rows.csv", "CREATE STREAM name FROM 'rows.csv';"),
        ("xyzzy", "There are run, test,"),
    ],
)
def test_what_is_no_sub_command(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A file or a directory, as other databases' shells take it, is answered with what was meant."""
    with pytest.raises(SystemExit) as left:
        main([word])
    assert left.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"there is no sub-command {word}." in said and hint in said


def test_doctor_of_a_directory_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so: the path may be wrong."""
    main(["doctor", "-d", str(tmp_path / "none.db")])
    assert "there is no database here" in capsys.readouterr().out
