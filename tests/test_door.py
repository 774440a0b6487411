"""The door: names are there when they are asked for, and nothing slow is imported before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import penstock

ROOT = Path(__file__).resolve().parent.parent
SLOW = ("duckdb", "lark", "numpy", "pandas", "prompt_toolkit", "pyarrow")


def imported_by(code: str) -> set[str]:
    """Those of `SLOW` that a fresh interpreter has imported after running ``code``."""
    report = f"\nimport sys, json; print(json.dumps([name for name in {SLOW} if name in sys.modules]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".typing")}
    done = subprocess.run(
        [sys.executable, "-c", code + report], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", penstock.__all__)
def test_every_name_is_there(name: str) -> None:
    """Each name of __all__ can be imported, and dir() lists it."""
    assert getattr(penstock, name) is not None
    assert name in dir(penstock)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = penstock.nothing


WITHOUT_EXTRAS = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("starlette", "hypercorn", "httptools", "kio"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import penstock\ntry:\n    penstock.serve\nexcept penstock.StatementError as error:\n    print(error)", "server"),
        ("import penstock\ntry:\n    penstock.broker\nexcept penstock.StatementError as error:\n    print(error)", "broker"),
        ("from penstock.repl.cli import main\nsys.stderr = sys.stdout\nassert main(['serve']) == 1", "server"),
    ],
)
def test_a_door_whose_packages_are_missing_says_which_extra_has_them(code: str, extra: str) -> None:
    """In Python as a StatementError, on the command line without a traceback."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"pip install 'penstock[{extra}]'"


def test_importing_penstock_imports_nothing_slow() -> None:
    """The engine comes with the first name that needs it; the errors come without it."""
    assert imported_by("import penstock; penstock.StatementError") == set()


def test_the_version_needs_no_engine() -> None:
    """`penstock --version` answers at once."""
    code = "import penstock.repl.cli as cli\ntry:\n    cli.main(['--version'])\nexcept SystemExit:\n    pass"
    assert imported_by(code) == set()


def test_opening_a_database_imports_neither_duckdb_nor_the_prompt() -> None:
    """DuckDB is imported by the first query that it answers."""
    code = "import penstock\nwith penstock.connect() as db:\n    db.execute('SHOW STREAMS;')"
    assert imported_by(code) & {"duckdb", "prompt_toolkit", "pandas"} == set()
