"""Run SQLAlchemy's suite on a database of its own, in a directory that is gone at the end; arguments go to pytest."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pytest", "-c", str(HERE / "pytest.ini"), str(HERE / "suite.py")]
        database = f"penstock:///{Path(directory) / 'db'}"
        return subprocess.run([*command, "--dburi", database, *arguments], cwd=HERE.parent.parent).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
