"""Where a package is missing or an argument is wrong: what to do is said, and nothing is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import penstock
from penstock.errors import StatementError

WITHOUT_CLIENT = """
import sys
sys.modules["confluent_kafka"] = None
import penstock
try:
    penstock.connect(sys.argv[1], kafka="127.0.0.1:1", service_id="shop")
except penstock.StatementError as error:
    print(error, error.suggestion)
"""
WITHOUT_KIO = """
import sys
sys.modules["kio"] = None
import penstock
from penstock.testing.kafka import run_kafka_broker
try:
    with run_kafka_broker():
        pass
except penstock.StatementError as error:
    print(error, error.suggestion)
"""


def run(program: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_log_in_kafka_without_its_client(tmp_path: Path) -> None:
    """The extra is named, and there is no directory."""
    told = run(WITHOUT_CLIENT, str(tmp_path / "db"))
    assert "confluent_kafka" in told and "penstock[kafka]" in told
    assert not (tmp_path / "db").exists()


def test_the_fixture_without_the_broker() -> None:
    """The extra is named."""
    told = run(WITHOUT_KIO)
    assert "kio" in told and "penstock[broker]" in told


@pytest.mark.parametrize("wrong", [{"service_id": "a b"}, {"settings": {"session.timeout.ms": "soon"}}])
def test_what_is_wrong_makes_no_directory(tmp_path: Path, wrong: dict[str, object]) -> None:
    """It is said before anything is made."""
    pytest.importorskip("confluent_kafka")
    with pytest.raises(StatementError):
        penstock.connect(tmp_path / "db", kafka="127.0.0.1:1", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "db").exists()
