"""`penstock run`: submitting, resuming, ending, and what it shows."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import penstock
from penstock.repl.cli import main
from penstock.repl.progress import COLUMNS, Display, Sample, rows_of, sample
from penstock.runtime.metrics import Progress, RowCounts

SCRIPT = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM orders (id INT KEY, item STRING) WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 1);
INSERT INTO orders VALUES (1, 'pen');
CREATE TABLE counts AS SELECT item, COUNT(*) AS n FROM orders GROUP BY item;
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sql"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_until_idle_ends_and_a_second_run_resumes(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The data directory stands beside the script, and nothing is inserted twice."""
    assert main(["run", str(script), "--until-idle"]) == 0
    assert "table COUNTS created" in capsys.readouterr().out
    assert main(["run", str(script), "--until-idle"]) == 0
    assert "3 statements of shop.sql were submitted before" in capsys.readouterr().out
    with penstock.connect(script.with_suffix(".penstock")) as database:
        assert database.sql("SELECT * FROM counts;").fetchall() == [("pen", 1)]


def test_a_changed_script_is_refused(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 1 and the statement that was changed."""
    main(["run", str(script), "--until-idle"])
    script.write_text(SCRIPT.replace("'pen'", "'ink'"), encoding="utf-8")
    assert main(["run", str(script), "--until-idle"]) == 1
    assert "statement 2 of shop.sql is not the one" in capsys.readouterr().err


def test_a_fault_is_told_with_the_scripts_name(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As by the prompt: file, line and column."""
    script.write_text(SCRIPT + "SELECT nothing FROM orders;\n", encoding="utf-8")
    assert main(["run", str(script), "--until-idle"]) == 1
    assert f"{script}, line 6, column 8: SELECT column NOTHING" in capsys.readouterr().err


def test_a_missing_script_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named, with exit code 1."""
    assert main(["run", str(tmp_path / "none.sql")]) == 1
    assert "none.sql" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_until_a_signal_and_ends_cleanly(script: Path, number: signal.Signals) -> None:
    """Exit code 0 on Ctrl-C and on SIGTERM, with everything kept."""
    command = [sys.executable, "-m", "penstock.repl.cli", "run", str(script), "--interval", "0.05"]
    environment = {**os.environ, "PYTHONPATH": str(Path(penstock.__file__).parent / ".typing")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "read=1 used=1" in line:
            process.send_signal(number)
            break
    lines += process.stdout.readlines()
    assert process.wait(30) == 0
    assert lines[-1] == "stopped; the next start resumes here\n"


@pytest.mark.parametrize(("width", "left_out"), [(160, ()), (80, ("USED", "FILTERED", "WRITTEN", "READ"))])
def test_a_terminal_gets_one_table_that_is_redrawn(
    width: int, left_out: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sample goes up over the first, and shows the rate between the two; a narrow terminal gets fewer columns."""
    monkeypatch.setenv("COLUMNS", str(width))

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    display = Display(out)
    for second, read in ((0.0, 0), (2.0, 5000)):
        progress = Progress("RUNNING", 7, RowCounts(read=read, late=1), 0, 4096, 1, None, 60_000)
        display.show(Sample(second, {"CTAS_A_1": progress}))
    first, second_drawing = out.getvalue().split("\x1b[2F\x1b[J")
    values = ["CTAS_A_1", "RUNNING", "5,000", "4,999", "0", "1", "0", "0", "7", "2,500", "4,096", "1970-01-01 00:01:00"]
    shown = [i for i, name in enumerate(COLUMNS) if name not in left_out]
    assert first.split("\n")[0].split() == " ".join(COLUMNS[i] for i in shown).split()
    assert second_drawing.split("\n")[1].split() == " ".join(values[i] for i in shown).split()


def test_elsewhere_only_what_moved_is_printed() -> None:
    """A query that stands still has one line, and a failure is told once."""
    out = io.StringIO()
    display = Display(out)
    failed = Progress("ERROR", 0, RowCounts(read=3), 0, 0, 1, "the disk is full")
    for _ in range(3):
        display.show(Sample(time.monotonic(), {"CTAS_A_1": failed}))
    assert out.getvalue().splitlines() == [
        "CTAS_A_1 ERROR read=3 used=3 filtered=0 late=0 bad=0 written=0 lag=0 rows/s=0 state_bytes=0 stream_time=-",
        "CTAS_A_1 has failed: the disk is full",
    ]


def test_a_sample_holds_every_query() -> None:
    """With its account; without an earlier sample there is no rate."""
    with penstock.connect(threads=0) as database:
        database.execute(SCRIPT)
        database.drain()
        rows = rows_of(sample(database), None)
    assert [row[:10] for row in rows] == [("CTAS_COUNTS_1", "RUNNING", 1, 1, 0, 0, 0, 1, 0, 0)]
    assert rows[0][10] > 0 and rows[0][11] == "-"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """As behind ``| head``: nothing is written to standard error."""
    environment = {**os.environ, "PYTHONPATH": str(Path(penstock.__file__).parent / ".typing")}
    command = [sys.executable, "-m", "penstock.repl.cli", "-e", "SHOW FUNCTIONS;" * 40]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
