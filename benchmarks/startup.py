"""Milliseconds of what a person waits for: the import, the prompt, a statement's parse."""

from __future__ import annotations

import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from .measure import ROOT, Measurement, Options, timed, workload

STATEMENT = (
    "CREATE TABLE spend AS SELECT region, product, COUNT(*) AS orders, SUM(amount * (1 - discount)) AS total, "
    "MAX(amount) AS dearest FROM orders WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 10 MINUTES) "
    "WHERE amount > 10 AND region IN ('north', 'south') GROUP BY region, product HAVING COUNT(*) > 3 EMIT CHANGES;"
)


@workload
def startup(options: Options) -> Iterator[Measurement]:
    """``import penstock``, ``penstock`` until its prompt stands, and parsing a statement of 300 characters."""
    from penstock.grammar.parse import parse

    _compile_once()
    command = [sys.executable, "-c", "import penstock"]
    imports = [timed(lambda: subprocess.run(command, check=True, cwd=ROOT)) * 1e3 for _ in range(5)]
    yield Measurement("import penstock", statistics.median(imports), "ms", 300.0, "python")
    command = [*command[:2], "import penstock; penstock.connect"]
    first = [timed(lambda: subprocess.run(command, check=True, cwd=ROOT)) * 1e3 for _ in range(3)]
    yield Measurement("import and penstock.connect", statistics.median(first), "ms", yardstick="python")
    prompts = [_prompt_ms() for _ in range(5)]
    yield Measurement("prompt of the REPL", statistics.median(p[0] for p in prompts), "ms", 500.0, "python")
    yield Measurement("its processor time", statistics.median(p[1] for p in prompts), "ms", None, "python")
    parse(STATEMENT)
    parses = [timed(lambda: parse(STATEMENT)) * 1e3 for _ in range(200)]
    yield Measurement(f"parse of {len(STATEMENT)} characters", statistics.median(parses), "ms", 1.0, "python")


def _compile_once() -> None:
    """Let the interpreters started below find compiled modules, as those of an installed package are."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", os.path.join(tempfile.gettempdir(), "penstock-bench-bytecode"))
    _prompt_ms()


def _prompt_ms() -> tuple[float, float]:
    """Start the REPL in a terminal and wait for its prompt; milliseconds of waiting, and of processor time."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as home:
        environment = {**os.environ, "TERM": "xterm", "HOME": home, "PROMPT_TOOLKIT_NO_CPR": "1"}
        start = time.perf_counter()
        child, terminal = pty.fork()
        if child == 0:
            start_shell = "import sys; from penstock.repl.cli import main; sys.exit(main(sys.argv[1:]))"
            os.chdir(ROOT)
            os.execve(sys.executable, [sys.executable, "-c", start_shell, "-d", os.path.join(home, "db")], environment)
        seen = b""
        try:
            while b"penstock>" not in seen and time.perf_counter() - start < 20:
                if select.select([terminal], [], [], 0.5)[0]:
                    seen += os.read(terminal, 65536)
            if b"penstock>" not in seen:
                raise RuntimeError(f"no prompt came: {seen[-400:]!r}")
            waited = (time.perf_counter() - start) * 1e3
            with open(f"/proc/{child}/stat") as stat:
                ticks = stat.read().rpartition(")")[2].split()[11:13]
            return waited, sum(map(int, ticks)) * 1e3 / os.sysconf("SC_CLK_TCK")
        finally:
            os.close(terminal)
            os.kill(child, 9)
            os.waitpid(child, 0)
