"""``penstock test``: what it prints, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.repl.cli import main


def test_a_report_and_its_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File and line of each test and failure, a closing line; 0, 1 and 5 as exit codes."""
    (tmp_path / "a.sql").write_text("--@test: good\nSHOW TYPES;\n--@test: bad\n\nDROP STREAM nope;\n")
    assert main(["test", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    path = tmp_path / "a.sql"
    assert printed.startswith(f"pass  {path}:1  good  (runs through, and asserts nothing)\nFAIL  {path}:5  bad\n")
    assert "1 passed (1 of them without an ASSERT), 1 failed in " in printed.splitlines()[-1]
    assert main(["test", "-q", "-k", "goo", str(path)]) == 0
    assert main(["test", "-k", "nothing", str(path)]) == 5
    assert main(["test", str(tmp_path / "missing.sql")]) == 1


def test_scripts_beside_a_test_are_run(tmp_path: Path) -> None:
    """RUN SCRIPT looks beside the file, and an error in it is an error of the test."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "setup").write_text("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');")
    test = "RUN SCRIPT '../setup'; INSERT INTO s VALUES (1); ASSERT VALUES s (a) VALUES (1);"
    (tmp_path / "tests" / "a.sql").write_text(test)
    assert main(["test", str(tmp_path / "tests")]) == 0


def test_what_asserts_has_no_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An ASSERT or an expected error; the word in a comment or a text is none."""
    (tmp_path / "a.sql").write_text(
        "--@test: asserts\nASSERT NOT EXISTS TOPIC s;\n"
        "--@test: fails\n--@expected.error: StatementError\nDROP STREAM nope;\n"
        "--@test: only talks\n-- ASSERT\nDEFINE a = 'ASSERT';\n"
    )
    assert main(["test", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("asserts nothing)") for line in lines[:3]] == [False, False, True]
    assert lines[-1].startswith("3 passed (1 of them without an ASSERT), 0 failed in ")
