"""`penstock topic`: what it does to a data directory, what it prints, and how it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

import penstock
from penstock.repl.cli import main


def test_a_topic_from_beginning_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Created, altered, filled, described, listed, deleted."""
    data = ["-d", str(tmp_path / "db")]
    assert main(["topic", "create", "t", *data, "-p", "2", "-c", "retention.ms=1000", "-c", "compression.type=lz4"]) == 0
    assert main(["topic", "alter", "t", *data, "-c", "segment.ms=7", "--default", "retention.ms", "-p", "3"]) == 0
    with penstock.connect(tmp_path / "db") as db:
        db.produce("t", value=b"v", timestamp=1500, partition=1)
    assert capsys.readouterr().out == "topic t created\ntopic t altered\n"
    assert main(["topic", "describe", "t", *data]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("t: 3 partitions, ")
    assert "segment.ms            | 7" in shown
    assert "retention.ms          | -1" in shown
    assert shown.count("1970-01-01T00:00:01.500Z") == 2
    assert main(["topic", "list", *data]) == 0
    assert "compression.type=lz4, segment.ms=7" in capsys.readouterr().out
    assert main(["topic", "delete", "t", *data]) == 0
    assert main(["topic", "describe", "t", *data]) == 1
    assert "there is no topic t" in capsys.readouterr().err


def test_what_cannot_be_is_an_exit_code_and_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name of a config, a value without a name, no directory."""
    data = ["-d", str(tmp_path / "db")]
    assert main(["topic", "create", "t", *data, "-c", "retention=1"]) == 1
    assert main(["topic", "create", "t", *data, "-c", "retention.ms"]) == 1
    said = capsys.readouterr().err
    assert "there is no config 'retention' of topics" in said
    assert "--config takes NAME=VALUE" in said
    with pytest.raises(SystemExit) as left:
        main(["topic", "list"])
    assert left.value.code == 2
