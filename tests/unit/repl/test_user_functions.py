"""`--functions FILE.py`: users' functions on the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.engine.functions.registry import BUILT_INS, Registry
from penstock.repl.cli import main

RISK = """
import penstock
from scale import SCALE

@penstock.udf
def risk(euros: float) -> float:
    return euros * SCALE
"""
SCRIPT = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM paid (id INT KEY, euros DOUBLE);
INSERT INTO paid VALUES (1, 21.0);
CREATE STREAM risky AS SELECT id, RISK(euros) AS risk FROM paid;
"""


def as_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no user's functions are known."""
    functions = Registry(BUILT_INS)
    monkeypatch.setattr("penstock.engine.functions.user.USER_FUNCTIONS", functions)
    monkeypatch.setattr("penstock.engine.opened.USER_FUNCTIONS", functions)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of functions, its neighbour, and a script; nothing of it stays in the process."""
    as_a_new_process(monkeypatch)
    path, modules = list(sys.path), set(sys.modules)
    (tmp_path / "risk.py").write_text(RISK, encoding="utf-8")
    (tmp_path / "scale.py").write_text("SCALE = 2", encoding="utf-8")
    (tmp_path / "shop.sql").write_text(SCRIPT, encoding="utf-8")
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name == "scale" or name.startswith("penstock_functions_"):
            del sys.modules[name]


def test_every_command_that_opens_a_database_takes_them(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that calls one is checked and run; the database opens with the file only, and the error names the way."""
    script, functions = str(folder / "shop.sql"), ["--functions", str(folder / "risk.py")]
    assert main(["validate", script]) == 1
    assert "@penstock.udf" in capsys.readouterr().err
    assert main(["run", script, "--until-idle", *functions]) == 0
    capsys.readouterr()
    shop = ["-d", str(folder / "shop.penstock")]
    assert main([*shop, *functions, "-e", "SELECT * FROM risky", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "ID,RISK\n1,42.0\n"
    for command in (["validate", script], ["top", "--once", *shop], ["topic", "list", *shop], ["doctor", *shop]):
        assert main([*command, *functions]) == 0, command
    as_a_new_process(monkeypatch)
    assert main([*shop, "-e", "SELECT * FROM risky"]) == 1
    assert "--functions FILE.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "FileNotFoundError"),
        ("import penstock\n@penstock.udf\ndef f(x):\n    return x\n", "line 2: TypeError: f has no result annotation"),
        ("1 / 0\n", "line 1: ZeroDivisionError"),
        ("def f(:\n", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    folder: Path, text: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the line at fault."""
    path = folder / "wrong.py"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert main(["--functions", str(path), "-e", "SELECT 1 AS one"]) == 1
    err = capsys.readouterr().err
    assert f"the functions of {path} cannot be used: " in err and said in err


def test_a_servers_functions_are_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They would not be known where the statements run."""
    assert main(["--server", "http://127.0.0.1:1", "--functions", str(folder / "risk.py"), "-e", "SHOW STREAMS"]) == 1
    assert "penstock serve" in capsys.readouterr().err
