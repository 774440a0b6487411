"""Writes the generated pages: ``python build_tools/reference_pages.py`` (``make reference``); ``--check`` only compares.

``docs/reference/functions.md`` comes from the registry of functions, each with a call and what it gives, computed here.
``docs/llms.txt`` is the list of pages from ``docs/README.md``, for readers that are programs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / ".typing"), str(ROOT / "build_tools")]

from function_examples import AGGREGATES, ROWS, SCALARS, TABLES  # noqa: E402

import penstock  # noqa: E402

FUNCTIONS = ROOT / "docs" / "reference" / "functions.md"
LLMS = ROOT / "docs" / "llms.txt"


def functions_page() -> str:
    """The page of functions, in Markdown.

    Raises:
        KeyError: a function of the registry has no example.
    """
    lines = [
        "# Functions",
        "",
        "Made from the registry of functions by `make reference`; the results were computed. In the prompt,",
        "`DESCRIBE FUNCTION name` shows the same. Functions of your own: `@penstock.udf`, `@penstock.udtf`,",
        "`@penstock.udaf` ([functions of your own](../how-to/functions.md)).",
        "",
        "Aggregates were called over the rows " + ", ".join(_row(row) for row in ROWS) + ".",
    ]
    with penstock.connect(auto_offset_reset="earliest") as db:
        db.execute("""
            CREATE STREAM rows_here (k INT KEY, n INT, d DOUBLE, word STRING, items ARRAY<INT>)
                WITH (KAFKA_TOPIC = 'sample', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
        """)
        db.insert("rows_here", [{"k": 1, **row} for row in ROWS])
        category = ""
        (listing,) = db.execute("SHOW FUNCTIONS;")
        assert isinstance(listing, penstock.Listing)
        for group, name, kind, meaning in listing:
            if group != category:
                category = group
                lines += ["", f"## {category.capitalize()}"]
            lines += ["", f"### {name}", "", meaning, "", "```"]
            (description,) = db.execute(f"DESCRIBE FUNCTION {name};")
            assert isinstance(description, penstock.Description)
            lines += [f"{name}{signature}" for signature in description.details["signatures"]]
            lines += ["```"]
            lines += _example(db, name, kind)
    return "\n".join(lines) + "\n"


def _row(row: dict[str, object]) -> str:
    return "`" + ", ".join(f"{name}={value!r}" for name, value in row.items()) + "`"


def _example(db: penstock.Database, name: str, kind: str) -> Iterator[str]:
    call = {"AGGREGATE": AGGREGATES, "TABLE": TABLES}.get(kind, SCALARS)[name]
    if call is None:
        return
    try:
        table = _called(db, call, kind)
    except penstock.PenstockError as error:
        raise RuntimeError(f"the example of {name}: {error}") from error
    yield ""
    yield f"`{call}` gives " + ", then ".join(f"`{cells[0]}`" for cells in table.cells()) + "."


def _called(db: penstock.Database, call: str, kind: str) -> penstock.Table:
    if kind == "AGGREGATE":
        return db.sql(f"SELECT {call} AS x FROM rows_here GROUP BY k")
    elif kind == "TABLE":
        return db.sql(f"SELECT {call} AS x FROM (SELECT k FROM rows_here LIMIT 1) one")
    return db.sql(f"SELECT {call} AS x")


def llms_text() -> str:
    """The pages and what is in them, as llmstxt.org proposes."""
    lines = [
        "# Penstock",
        "",
        "> Streaming SQL inside a Python process: ksqlDB's dialect, Kafka's log semantics, DuckDB's ergonomics.",
        "",
        "Try first: `pip install .`, then `import penstock; db = penstock.connect()`; statements go to `db.execute`,",
        "rows to `db.insert(stream, rows)`, questions to `db.sql`. Unquoted names become upper case. A table of a query is",
        "a little behind its stream: hand the token of `insert` to `sql(after=token)`.",
    ]
    for line in (ROOT / "docs" / "README.md").read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| \[[^\]]*\]\((?P<path>[^)]*)\) \| (?P<what>.*) \|", line)
        if line.startswith("## "):
            lines += ["", line, ""]
        elif row is not None and not row["path"].startswith("../"):
            title = (ROOT / "docs" / row["path"]).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
            lines.append(f"- [{title}]({row['path']}): {row['what']}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Writes the pages, or with ``--check`` says which are not as they would be written (exit code 1)."""
    stale = []
    for path, text in ((FUNCTIONS, functions_page()), (LLMS, llms_text())):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'is not what `make reference` writes' if '--check' in arguments else 'written'}")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
