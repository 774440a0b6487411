"""`penstock group`: list, describe, reset, delete."""

from __future__ import annotations

from pathlib import Path

import pytest

import penstock
from penstock.repl.cli import main


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A topic of ten records a second apart from 2026 on, of which the group g has read four."""
    with penstock.connect(tmp_path / "d") as db:
        db.create_topic("t")
        with db.producer() as producer:
            for i in range(10):
                producer.send("t", value=b"%d" % i, timestamp=1_767_225_600_000 + i * 1000)
        with db.consumer("t", group="g", auto_offset_reset="earliest", max_poll_records=4) as consumer:
            consumer.poll()
    return str(tmp_path / "d")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[list[str]]:
    """The words of each line of the output."""
    assert main(["group", *arguments]) == code
    captured = capsys.readouterr()
    return [line.replace("|", " ").split() for line in (captured.out + captured.err).splitlines()]


def test_groups_are_listed_and_described(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the columns of Kafka's tool."""
    assert ["g", "Empty", "1", "6"] in shown(capsys, "list", "-d", data)
    lines = shown(capsys, "describe", "g", "-d", data)
    assert ["TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"] in lines
    assert ["t", "0", "4", "10", "6"] in lines


@pytest.mark.parametrize(
    ("where", "offset"),
    [
        (["--to-earliest"], 0),
        (["--to-latest"], 10),
        (["--to-offset", "7"], 7),
        (["--to-offset", "70"], 10),
        (["--shift-by", "-3"], 1),
        (["--to-datetime", "2026-01-01T00:00:02.500"], 3),
        (["--to-datetime", "2026-01-01T01:00:02+01:00"], 2),
    ],
)
def test_a_reset_moves_the_group(data: str, capsys: pytest.CaptureFixture[str], where: list[str], offset: int) -> None:
    """With --dry-run it says what it would do."""
    assert ["t", "0", str(offset)] in shown(capsys, "reset", "g", *where, "--dry-run", "-d", data)
    assert ["t", "0", "4", "10", "6"] in shown(capsys, "describe", "g", "-d", data)
    assert ["t", "0", str(offset)] in shown(capsys, "reset", "g", *where, "--topic", "t", "-d", data)
    assert ["t", "0", str(offset), "10", str(10 - offset)] in shown(capsys, "describe", "g", "-d", data)


def test_what_cannot_be_is_said(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A group, a directory, a time that is not there."""
    assert shown(capsys, "delete", "g", "-d", data) == [["group", "g", "deleted"]]
    assert shown(capsys, "list", "-d", data) == [["(none)"]]
    for arguments, words in (
        (["describe", "g", "-d", data], "there is no group 'g'"),
        (["reset", "g", "--to-earliest", "-d", data], "name the topics"),
        (["reset", "g", "--to-datetime", "noon", "-d", data], "takes a time such as"),
        (["list", "-d", str(tmp_path / "nothing")], "needs the directory of a database"),
    ):
        assert main(["group", *arguments]) == 1
        error = capsys.readouterr().err
        assert error.startswith(("error: ", "client error: ")) and words in error
