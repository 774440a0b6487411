"""``penstock doctor``: checks this machine and a data directory, with one line per finding."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import PenstockError

__all__ = ["examine"]

_NEEDED = ("crc32c", "duckdb", "google-re2", "lark", "msgspec", "numpy", "prompt-toolkit", "pyarrow", "regex", "wcwidth")
_EXTRAS = {
    "avro": ("fastavro",),
    "protobuf": ("protobuf",),
    "broker": ("kio",),
    "client": ("httpx",),
    "server": ("starlette", "httptools", "hypercorn", "h2", "wsproto"),
    "notebook": ("ipython",),
    "sqlalchemy": ("sqlalchemy",),
}
_FREE_BYTES_MIN = 1 << 30
"""With less free space than this, a growing log is soon in trouble."""
_SYNC_S_MAX = 0.05
"""If a sync takes longer than this, every durable commit is slow."""


def examine(data: str | None, tell: Callable[[str], None]) -> int:
    """Check Python, the libraries, the kernels, the terminal, and the disk of a data directory.

    Lines begin with ``ok``, ``note`` (it works, with less) or ``fault``.

    Returns:
        the exit code: 1 if there is a fault.
    """
    faults = 0

    def say(kind: str, text: str) -> None:
        nonlocal faults
        faults += kind == "fault"
        tell(f"{kind:<5}  {text}")

    from .. import __version__

    say("ok", f"penstock {__version__}, Python {platform.python_version()}, {platform.platform()}")
    missing = [name for name in _NEEDED if _version(name) is None]
    for name in missing:
        say("fault", f"{name} is not installed: pip install --force-reinstall penstock")
    if not missing:
        say("ok", "libraries: " + ", ".join(f"{name} {_version(name)}" for name in _NEEDED))
    for extra, names in _EXTRAS.items():
        absent = [name for name in names if _version(name) is None]
        if absent:
            say("note", f"without {', '.join(absent)}: pip install 'penstock[{extra}]'")
    _try_engine(say)
    encoding = (sys.stdout.encoding or "").lower()
    kind = "ok" if "utf" in encoding else "note"
    colour = "no colours (NO_COLOR)" if "NO_COLOR" in os.environ else f"TERM {os.environ.get('TERM', 'not set')}"
    say(kind, f"output: {encoding or 'unknown encoding'}, {colour}")
    _look_at_disk(Path(data).expanduser() if data is not None else Path.cwd(), data is not None, say)
    tell("no faults" if not faults else f"{faults} {'fault' if faults == 1 else 'faults'}")
    return 1 if faults else 0


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _try_engine(say: Callable[[str, str], None]) -> None:
    """A query from end to end, in memory."""
    from .. import connect

    began_s = time.perf_counter()
    try:
        with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as database:
            database.execute(
                "CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);"
                "CREATE TABLE t AS SELECT k, SUM(v) AS total FROM s GROUP BY k;"
                "INSERT INTO s VALUES (1, 2); INSERT INTO s VALUES (1, 3);"
            )
            database.drain()
            rows = database.sql("SELECT total FROM t;").fetchall()
    except (PenstockError, ImportError, OSError) as problem:
        say("fault", f"a query in memory fails: {problem}")
        return
    if rows == [(5,)]:
        say("ok", f"a query in memory gives what it should ({time.perf_counter() - began_s:.2f} s)")
    else:
        say("fault", f"a query in memory gives {rows}, not 5")


def _look_at_disk(place: Path, is_data: bool, say: Callable[[str, str], None]) -> None:
    folder = place
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        say("fault", f"{folder} is not a directory that can be written to")
        return
    free = shutil.disk_usage(folder).free
    say("ok" if free >= _FREE_BYTES_MIN else "note", f"{folder}: {free / (1 << 30):.1f} GiB free")
    try:
        took_s = min(_sync_s(folder) for _ in range(3))
    except OSError as problem:
        say("fault", f"{folder}: nothing can be made durable: {problem.strerror}")
        return
    say("ok" if took_s <= _SYNC_S_MAX else "note", f"{folder}: {took_s * 1000:.1f} ms to make a page durable")
    if not is_data:
        return
    if not place.exists():
        say("note", f"{place}: there is no database here; the first statement that writes makes it")
        return
    from .. import connect

    try:
        with connect(place, create=False, threads=0) as database:
            say("ok", f"{place}: opens; {database.describe_state()}. `penstock log verify -d {place}` checks every byte")
    except PenstockError as problem:
        say("fault", f"{place}: {problem}")


def _sync_s(folder: Path) -> float:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(4096))
        file.flush()
        began_s = time.perf_counter()
        os.fsync(file.fileno())
        return time.perf_counter() - began_s
