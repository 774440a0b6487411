"""``penstock test``: runs tests written as SQL and reports the results.  Their form: `penstock.engine.script_tests`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..grammar.script_files import read_script

Write = Callable[[str], None]


def run_tests(
    paths: Sequence[str],
    settings: Mapping[str, str],
    write: Write,
    *,
    chosen: str | None = None,
    foreign_messages: bool = False,
    quiet: bool = False,
) -> int:
    """Run the tests of files (of all ``*.sql`` files of a directory) and report the results.

    Args:
        chosen: run only tests whose name contains this.
        foreign_messages: compare the wording of error messages also if it is ksqlDB's.
        quiet: print only failures and the last line.

    Returns:
        the exit code: 0 if all passed, 1 if one failed, 5 if there was none.

    Raises:
        StatementError: a file cannot be read, or has no tests in the expected form.
    """
    from .. import read_tests, run_test

    began = time.perf_counter()
    passed, silent, failures = 0, 0, []
    for path in _files(paths):
        for test in read_tests(_read(path), path):
            if chosen is not None and chosen.lower() not in test.name.lower():
                continue
            result = run_test(test, settings, foreign_messages=foreign_messages)
            if result.passed:
                passed += 1
                silent += not test.asserts
                if not quiet:
                    note = "" if test.asserts else "  (runs through, and asserts nothing)"
                    write(f"pass  {path}:{test.line}  {test.name}{note}")
            else:
                failures.append(result)
                write(f"FAIL  {path}:{result.line}  {test.name}")
    for result in failures:
        write(f"\n{result.test.path}:{result.line}: {result.test.name}\n{_indented(str(result.failure))}")
    nothing = f" ({silent} of them without an ASSERT)" if silent else ""
    write(f"\n{passed} passed{nothing}, {len(failures)} failed in {time.perf_counter() - began:.2f} s")
    return 1 if failures else 0 if passed else 5


def _files(paths: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        found += sorted(path.rglob("*.sql")) if path.is_dir() else [path]
    return found


def _read(path: Path) -> str:
    return read_script(path, named_by_person=True)


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())
