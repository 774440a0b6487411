"""Paths and scripts that cannot be meant: an error of the family that says why, and nothing is read without end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import penstock
from penstock.repl import cli
from penstock.repl.script_tests import run_tests

STREAM = "CREATE STREAM s (v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);"


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "~no_such_user_here/x"], ids=ascii)
def test_what_can_be_no_path_is_an_error_of_the_family(name: str, tmp_path: Path) -> None:
    """Opening, backing up, loading and writing: each says so, in a message that can be printed."""
    given = name if name.startswith("~") else f"{tmp_path}/{name}"
    with penstock.connect(tmp_path / "db", threads=0) as db:
        db.execute(STREAM)
        table = db.sql("SELECT * FROM s;")
        for action in (
            lambda: penstock.connect(given),
            lambda: penstock.connect(given, create=False),
            lambda: db.backup(given),
            lambda: db.create_stream("loaded", given + ".csv"),
            lambda: table.to_csv(given),
            lambda: table.to_parquet(given),
        ):
            with pytest.raises(penstock.PenstockError) as caught:
                action()
            str(caught.value).encode()
            assert "\0" not in str(caught.value)


def test_a_backup_expands_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `connect` does: no folder that is called ``~``."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    with penstock.connect(tmp_path / "db", threads=0) as db:
        db.backup("~/copy")
    assert (tmp_path / "home" / "copy" / "format").exists()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("kind", ["device", "pipe", "directory", "large", "bytes", "missing"])
def test_a_script_is_a_regular_file_of_text(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    r"""RUN SCRIPT, ``-f``, ``\i`` and the runner of tests refuse everything else, without reading it or waiting for it."""
    script = tmp_path / "script.sql"
    match kind:
        case "device":
            script = Path("/dev/zero")
        case "pipe":
            os.mkfifo(script)
        case "directory":
            script.mkdir()
        case "large":
            monkeypatch.setattr("penstock.grammar.script_files.SCRIPT_BYTES_MAX", 10)
            script.write_text("-- more than ten bytes\n")
        case "bytes":
            script.write_bytes(b"SELECT \xff;")
    with penstock.connect(threads=0) as db, pytest.raises(penstock.StatementError, match="cannot be read"):
        db.execute(f"RUN SCRIPT '{script}';")
    assert cli.main(["-e", f"\\i {script}"]) != 0
    if kind != "pipe":  # named on a command line it may be one
        assert cli.main(["-f", str(script)]) != 0
    assert "cannot be read" in capsys.readouterr().err
    if kind not in ("directory", "missing", "pipe"):
        with pytest.raises(penstock.StatementError):
            run_tests([str(script)], {}, print)


def test_messages_can_be_printed() -> None:
    """Half of a surrogate pair that a caller gave as a name is escaped in the error."""
    with penstock.connect(threads=0) as db:
        db.execute(STREAM)
        for action in (
            lambda: db.insert("\ud800", (1,)),
            lambda: db.insert("s", {"\ud800": 1}),
            lambda: db.stream("\ud800"),
        ):
            with pytest.raises(penstock.PenstockError) as caught:
                action()
            str(caught.value).encode()
