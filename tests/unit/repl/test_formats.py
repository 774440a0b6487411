"""What programs read: ``--format``, exit codes, which output gets what."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

import penstock
from penstock.repl.cli import main

SETUP = (
    "SET 'auto.offset.reset' = 'earliest';"
    "CREATE STREAM s (id INT KEY, item STRING, amount DECIMAL(9, 2)) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);"
    "INSERT INTO s VALUES (1, 'a|b, \"c\"', 1.50); INSERT INTO s VALUES (2, '', NULL); INSERT INTO s (id) VALUES (3);"
)
SELECT = "SELECT * FROM s;"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(penstock.__file__).parent / ".typing")}


def command(arguments: Sequence[str], given: str = "") -> subprocess.CompletedProcess[bytes]:
    whole = [sys.executable, "-m", "penstock", *arguments]
    return subprocess.run(whole, input=given.encode(), capture_output=True, env=ENVIRONMENT, timeout=120, check=False)


def test_csv_tells_null_from_an_empty_text(capsys: pytest.CaptureFixture[str]) -> None:
    """And what is no row is on standard error."""
    assert main(["--format", "csv", "-e", SETUP + SELECT]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["ID,ITEM,AMOUNT", '1,"a|b, ""c""",1.50', '2,"",', "3,,"]
    assert "stream S created" in err


def test_json_is_one_array_with_exact_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """-c is -e."""
    assert main(["--format", "json", "-c", SETUP + SELECT]) == 0
    out = capsys.readouterr().out
    assert [row["ITEM"] for row in json.loads(out)] == ['a|b, "c"', "", None]
    assert '"AMOUNT":1.50' in out


def test_json_lines_of_a_push_query(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, nothing else."""
    assert main(["--format", "jsonl", "-e", SETUP + "SELECT id FROM s EMIT CHANGES LIMIT 2;"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [{"ID": 1}, {"ID": 2}]


def test_markdown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of a script; bars in cells are escaped."""
    script = tmp_path / "s.sql"
    script.write_text(SETUP + SELECT, encoding="utf-8")
    assert main(["--format", "markdown", "-f", str(script)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["| --- | --- | --- |", '| 1 | a\\|b, "c" | 1.50 |']
    assert lines[4] == "| 3 | NULL | NULL |"


def test_arrow_from_standard_input() -> None:
    """`python -m penstock` writes a stream that Arrow reads, listings too."""
    done = command(["--format", "arrow"], SETUP + "SELECT id, amount FROM s EMIT CHANGES LIMIT 1;" + SELECT)
    assert done.returncode == 0, done.stderr
    buffer = io.BytesIO(done.stdout)
    assert pa.ipc.open_stream(buffer).read_all().num_rows == 1
    assert pa.ipc.open_stream(buffer).read_all().column("ID").to_pylist() == [1, 2, 3]
    done = command(["--format", "arrow", "-e", "SHOW STREAMS; DESCRIBE FUNCTION abs;"])
    assert pa.ipc.open_stream(io.BytesIO(done.stdout)).read_all().column_names[0] == "Name"


def test_errors_go_to_standard_error_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever way the statements come; the exit code is 1."""
    script = tmp_path / "bad.sql"
    script.write_text("SHOW STREAMS;\n\nSELECT nothing FROM nowhere;\nSHOW TABLES;\n", encoding="utf-8")
    for arguments in (["-f", str(script)], ["-e", f"\\i {script}"], ["-e", f"RUN SCRIPT '{script}';"]):
        assert main(arguments) == 1
        out, err = capsys.readouterr()
        assert "NOWHERE" in err and f"{script}, line 3" in err
        assert "NOWHERE" not in out
    done = command([], "SHOW STREAMS;\nSELECT nothing FROM nowhere;\n")
    assert done.returncode == 1 and b"<stdin>, line 2" in done.stderr
    done = command(["-f", "-"], "\\nothing\n")
    assert done.returncode == 1 and b"\\nothing" in done.stderr


@pytest.mark.parametrize("how", ["\\i {}", "RUN SCRIPT '{}';"])
def test_only_regular_files_that_begin_as_scripts_are_run(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices, pipes, directories, what is too large; and no line of what is no script is shown."""
    secret = tmp_path / "shadow"
    secret.write_text("root:$6$secret:19000::\n", encoding="utf-8")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    irregular = "not a regular file"
    for name, reason in (("/dev/zero", irregular), (pipe, irregular), (tmp_path, ""), (secret, "not a script")):
        assert main(["-e", how.format(name)]) == 1
        err = capsys.readouterr().err
        assert reason in err and "secret" not in err.replace(str(secret), "")
    monkeypatch.setattr("penstock.grammar.script_files.SCRIPT_BYTES_MAX", 10)
    large = tmp_path / "large.sql"
    large.write_text("SHOW STREAMS; SHOW TABLES;", encoding="utf-8")
    assert main(["-e", how.format(large)]) == 1
    assert "more than 10 bytes" in capsys.readouterr().err


def test_a_script_of_a_file_cannot_use_commands_of_the_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What comes from elsewhere cannot make the prompt write or read other files."""
    script = tmp_path / "s.sql"
    target = tmp_path / "new.csv"
    script.write_text(f"SHOW STREAMS;\n\\o {target}\nSHOW TABLES;", encoding="utf-8")
    assert main(["-e", f"\\i {script}"]) == 1
    assert not target.exists()


def test_many_rows_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody leafs through them, all are printed."""
    assert main(["-e", "\\duckdb SELECT * FROM range(5000)"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5003 and lines[-1] == "(5,000 rows)"


def test_what_commands_say_is_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    """It goes where messages go, where a program reads the rows."""
    text = "\\timing\nVERSION;\nhelp\n\\duckdb SELECT 1 AS x"
    assert main(["--format", "csv", "-e", text + ";\nSHOW TABLES;"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["x", "1"]
    assert "timing is on" in err and " ms)" in err and "\\watch" in err and "penstock " in err
    assert not any(word in out for word in ("timing", " ms)", "watch"))
