"""``python -m benchmarks install``: from an empty virtual environment to a live windowed table.

Once from a wheel, which is built first, and once from the source: the seconds that a newcomer waits, and those of the
processor, which depend less on what else the machine does.  ``pip`` fetches the dependencies as it is set up here; what it
has in its cache it does not fetch again.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .measure import ROOT

PROMISES_S = {"wheel": 60.0, "source": 90.0}
"""From the virtual environment's making to the first row of a window, building the wheel apart."""
_LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "node_modules", "__pycache__", "*.so", "*.egg-info", "site")
_FIRST_ROW = re.compile(r"Lisbon|Oslo|Porto|Turku|Zürich|京都")


class Clock:
    """Times parts, prints each, and sums them up."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def part(self, name: str, work: Callable[[], object]) -> None:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        work()
        wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.wall_s += wall
        self.cpu_s += cpu
        print(f"  {name:<44}{wall:8.1f} s {cpu:8.1f} s of the processor", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a promise is not kept in processor time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks install", description=__doc__)
    parser.add_argument("--from", dest="which", choices=["wheel", "source"], help="one of them alone")
    options = parser.parse_args(arguments)
    kept = True
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="penstock-install-") as folder:
        source = Path(folder, "source")
        shutil.copytree(ROOT, source, ignore=_LEFT_OUT)
        for which in ["wheel", "source"] if options.which is None else [options.which]:
            kept &= _way(which, source, Path(folder, f"from-{which}"))
    return 0 if kept else 1


def _way(which: str, source: Path, place: Path) -> bool:
    """Go one way from an empty folder.  Returns: whether it is as fast as promised."""
    place.mkdir()
    target = str(source)
    print(f"from {'a wheel' if which == 'wheel' else 'the source'}:")
    if which == "wheel":
        Clock().part("(building the wheel)", lambda: _pip(sys.executable, "wheel", "--no-deps", "-w", str(place), target))
        (built,) = place.glob("penstock-*.whl")
        target = str(built)
    clock = Clock()
    environment = place / "venv"
    clock.part("an empty virtual environment", lambda: _run(sys.executable, "-m", "venv", str(environment)))
    python = str(environment / "bin" / "python")
    clock.part("pip install, with the dependencies", lambda: _pip(python, "install", target))
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    clock.part("the README's lines: a table that changes", lambda: _run(python, "-c", example, folder=place))
    clock.part("penstock demo, to a window's first row", lambda: _first_row(environment / "bin" / "penstock", place))
    promised = PROMISES_S[which]
    kept = clock.cpu_s <= promised
    word = "kept" if clock.wall_s <= promised else "kept in processor time" if kept else "NOT KEPT"
    print(f"  {'together':<44}{clock.wall_s:8.1f} s {clock.cpu_s:8.1f} s; promised {promised:.0f} s: {word}")
    return kept


def _run(*command: str, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed: {done.stderr[-2000:]}")


def _pip(python: str, *arguments: str) -> None:
    _run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _first_row(program: Path, folder: Path) -> None:
    """Start the demo and end it when a window has a row."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    demo = subprocess.Popen([program, "demo"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    seen = any(_FIRST_ROW.search(line) for line in demo.stdout)
    demo.terminate()
    demo.wait()
    if not seen:
        raise SystemExit("the demo ended without a row")
