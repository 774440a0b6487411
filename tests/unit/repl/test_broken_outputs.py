"""What results are written to fails: a full disk, a pager that leaves, a file that is none, an encoding that lacks a letter.

A sub-command says so in a sentence; the prompt goes on, since a database in memory is behind it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.history import InMemoryHistory

from penstock import connect
from penstock.repl import pager
from penstock.repl.prompt import history_at
from penstock.repl.shell import Shell

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is full")


@pytest.fixture
def shell() -> Iterator[Shell]:
    printed: list[str] = []
    with connect(threads=0) as db:
        made = Shell(db, printed.append)
        made.printed = printed  # type: ignore[attr-defined]
        yield made
        made.close()


@needs_full
@pytest.mark.parametrize("which", ["output", "spool"])
def test_a_file_on_a_full_disk_is_closed_and_told(shell: Any, which: str) -> None:
    setattr(shell, which, open(FULL, "w"))  # noqa: SIM115
    assert not shell.run("SHOW STREAMS;")
    assert "/dev/full cannot be written: No space left" in "\n".join(shell.printed)
    assert getattr(shell, which) is None
    shell.printed.clear()
    assert shell.run("SHOW STREAMS;") and "KSQL_PROCESSING_LOG" in shell.printed[0]


@needs_full
def test_a_file_that_fails_is_closed_at_the_end(shell: Any) -> None:
    shell.output = open(FULL, "w")  # noqa: SIM115
    shell.output.write("not yet flushed")
    shell.close()


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x.csv", "a\0b.csv", "x" * 300 + ".csv", "no/such/x.csv"])
def test_names_that_no_file_can_have(shell: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (f"\\o {name}", f"\\copy ksql_processing_log TO {name}", f"\\graph {name[:-4]}.svg", f"\\backup {name}"):
        if command.startswith("\\backup") and "/" in name and not name.startswith("~"):
            continue
        assert not shell.run(command), command
    assert shell.output is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["true", "head -c 10", "false", "less 'x", "  ", "", "no-such-pager", "/etc/passwd"])
def test_a_pager_that_leaves_or_is_none(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Much more text than a pipe holds."""
    monkeypatch.setenv("PAGER", command)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    pager.page("line \ud800\n" * 100_000 if command == "true" else "line\n" * 100_000)


def test_histories_that_cannot_be_kept(tmp_path: Path) -> None:
    """A pipe, at which opening would wait for ever; a directory; what a terminal sends that is no UTF-8; a full disk."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for name in ("pipe", "directory"):
        assert isinstance(history_at(tmp_path / name), InMemoryHistory)
    kept = history_at(tmp_path / "history")
    kept.append_string("SELECT '\udcff';")
    kept.append_string("SHOW STREAMS;")
    assert next(iter(history_at(tmp_path / "history").load_history_strings())) == "SHOW STREAMS;"
    if FULL.exists():
        kept = history_at(tmp_path / "other")
        (tmp_path / "other").unlink()
        (tmp_path / "other").symlink_to(FULL)
        kept.append_string("SHOW STREAMS;")
        assert kept.get_strings() == ["SHOW STREAMS;"]


def command(*arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **how.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        env=environment,
        **how,
    )


@needs_full
@pytest.mark.parametrize("format_", ["table", "csv", "arrow"])
def test_a_full_disk_below_the_output(format_: str) -> None:
    with open(FULL, "w") as full:
        done = command("--format", format_, "-e", "SHOW FUNCTIONS;", stdout=full)
    assert done.returncode == 1 and done.stderr == "error: the output cannot be written: No space left on device\n"


def test_closed_input() -> None:
    done = command(stdout=subprocess.PIPE, preexec_fn=lambda: os.close(0))
    assert done.returncode == 1 and "standard input is closed" in done.stderr and "Traceback" not in done.stderr


def test_an_encoding_that_lacks_a_letter() -> None:
    """People see an escape; what programs read is never changed, so it fails."""
    script = "SELECT * FROM (VALUES ('\N{LATIN SMALL LETTER A WITH DIAERESIS}')) AS rows(q);"
    ascii_ = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    shown = command("-e", script, stdout=subprocess.PIPE, env=ascii_)
    assert shown.returncode == 0 and "\\xe4" in shown.stdout
    rows = command("--format", "csv", "-e", script, stdout=subprocess.PIPE, env=ascii_)
    assert rows.returncode == 1 and "the output is in ascii" in rows.stderr and "Traceback" not in rows.stderr


def test_the_prompt_survives_files_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the system in a command ends the command."""
    from penstock.repl import prompt

    inputs = iter(["one", "two"])
    ran: list[str] = []

    class Typed:
        def __init__(self, *given: Any) -> None:
            self.session = self
            self.history = self
            self.get_strings = list

        def ask(self) -> str:
            try:
                return next(inputs)
            except StopIteration:
                raise EOFError from None

    class Failing:
        history: Any = None
        told: list[str] = []  # noqa: RUF012

        def run(self, text: str) -> None:
            ran.append(text)
            raise OSError(28, "No space left on device")

        def print_error(self, text: str) -> None:
            self.told.append(text)

    monkeypatch.setattr(prompt, "Prompt", Typed)
    failing: Any = Failing()
    prompt.interact(failing, None)
    assert ran == ["one", "two"] and failing.told == ["error: No space left on device"] * 2
