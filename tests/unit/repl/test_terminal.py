"""The REPL in a terminal of its own: prompt, several lines, completion, Ctrl-C and Ctrl-D as a person types them."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock

WAIT_S = 20
ASKS_CURSOR = b"\x1b[6n"


class Terminal:
    """A child process behind a pseudo terminal."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            environment = {
                **os.environ,
                "TERM": "xterm",
                "COLUMNS": "100",
                "LINES": "40",
                "XDG_STATE_HOME": str(home),
                "PYTHONPATH": str(Path(penstock.__file__).parent / ".typing"),
            }
            os.execve(sys.executable, [sys.executable, "-m", "penstock.repl.cli", *arguments], environment)
        self.seen = b""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def expect(self, text: str) -> str:
        """Wait for a text, and return all that came up to it."""
        deadline = time.monotonic() + WAIT_S
        while (place := self.seen.find(text.encode())) < 0:
            assert time.monotonic() < deadline, f"no {text!r} in {self.seen!r}"
            if select.select([self._descriptor], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self._descriptor, 65536)
                except OSError as ended:
                    raise AssertionError(f"it ended before {text!r}: {self.seen!r}") from ended
            if ASKS_CURSOR in self.seen:  # prompt_toolkit wants to know where the cursor is
                self.seen = self.seen.replace(ASKS_CURSOR, b"", 1)
                os.write(self._descriptor, b"\x1b[1;1R")
        end = place + len(text.encode())
        before, self.seen = self.seen[:end], self.seen[end:]
        return before.decode(errors="replace")

    def end(self) -> int:
        """The exit code, once it has ended."""
        try:
            while os.read(self._descriptor, 65536):
                pass
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    opened.expect("penstock>")
    yield opened


def test_a_session(terminal: Terminal, tmp_path: Path) -> None:
    """A statement over two lines, TAB completion, a push query ended by Ctrl-C, an error, and Ctrl-D."""
    terminal.type("CREATE STREAM orders (id INT KEY, item STRING)\r")
    terminal.expect("...>")
    terminal.type("WITH (KAFKA_TOPIC='o', PARTITIONS=1);\r")
    terminal.expect("stream ORDERS created")
    terminal.expect("penstock>")
    terminal.type("SELECT * FROM ORD\t")
    terminal.expect("ERS")
    terminal.type(" EMIT CHANGES;\r")
    terminal.expect("Ctrl-C ends")
    terminal.type("\x03")
    terminal.expect("(0 rows)")
    terminal.expect("penstock>")
    terminal.type("SELCT;\r")
    terminal.expect("^^^^^")
    terminal.expect("penstock>")
    terminal.type("\x04")
    assert terminal.end() == 0
    history = (tmp_path / "penstock" / "history").read_text(encoding="utf-8")
    assert "+CREATE STREAM orders (id INT KEY, item STRING)\n+WITH" in history


def test_ctrl_c_at_the_prompt_empties_the_line(terminal: Terminal) -> None:
    """And nothing of it is run."""
    terminal.type("DROP STREAM nothing\x03")
    terminal.expect("penstock>")
    terminal.type("\\q\r")
    assert terminal.end() == 0


def test_a_database_that_cannot_be_opened_ends_the_prompt(tmp_path: Path) -> None:
    """With the reason and exit code 1, though the prompt was there first."""
    with penstock.connect(tmp_path / "db"):
        opened = Terminal(tmp_path, "-d", str(tmp_path / "db"))
        opened.expect("storage error")
        assert opened.end() == 1


def test_what_people_type_and_long_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result longer than the screen goes through the pager, whole; `exit` leaves without a semicolon."""
    monkeypatch.setenv("PAGER", "tail -n 2")
    opened = Terminal(tmp_path)
    opened.expect("penstock>")
    opened.type("\\duckdb SELECT i AS number FROM range(100000) t(i)\r")
    opened.expect("99999")
    opened.expect("(100,000 rows)")
    opened.expect("penstock>")
    opened.type("HISTORY\r")
    opened.expect("range(100000)")
    opened.expect("penstock>")
    opened.type("exit\r")
    assert opened.end() == 0


def test_tab_offers_properties(terminal: Terminal) -> None:
    """In a WITH clause, and the values of one."""
    terminal.type("SET 'auto.off\t")
    terminal.expect("set.reset'")
    terminal.type(" = 'ear\t")
    terminal.expect("liest'")
    terminal.type("\x03")
    terminal.expect("penstock>")
    terminal.type("\\q\r")
    assert terminal.end() == 0
