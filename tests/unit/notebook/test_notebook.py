"""``%load_ext penstock`` in a real kernel: what cells show; live tables update in place and stop with their cell."""

from __future__ import annotations

from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

SETUP = """%%ksql
CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
CREATE TABLE t AS SELECT k, SUM(v) AS v FROM s GROUP BY k;
INSERT INTO s (k, v) VALUES ('<b>', 1), ('a', 2);"""


def run(*cells: str, allow_errors: bool = False) -> list[list[Any]]:
    """The outputs of each cell, in order."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=allow_errors).execute()
    return [cell.outputs for cell in notebook.cells]


def html_of(outputs: list[Any]) -> str:
    return "".join(output.data.get("text/html", "") for output in outputs if "data" in output)


def test_statements_show_what_they_give() -> None:
    """Messages, tables as HTML with the same as text beside it, listings, descriptions; --into keeps the result."""
    outputs = run(
        "%load_ext penstock",
        SETUP + "\nSELECT * FROM t WHERE k = 'a';",  # the cell waits for what it has inserted
        "%%ksql --into found\nSELECT * FROM t ORDER BY k;",
        "found.df()['V'].tolist()",
        "%ksql SHOW STREAMS",
        "%ksql DESCRIBE t;",
        "%ksql --close",
    )
    assert "2 rows inserted" in html_of(outputs[1])
    assert ">a</td>" in html_of(outputs[1])
    table = outputs[2][-1].data
    assert ">&lt;b&gt;</td>" in table["text/html"] and "<b>" in table["text/plain"]
    assert outputs[3][-1].data["text/plain"] == "[1, 2]"
    assert ">Topic</th>" in html_of(outputs[4])
    assert "<pre" in html_of(outputs[5]) or "<table" in html_of(outputs[5])


def test_an_error_names_the_place() -> None:
    """The message is shown with the underlined text; the cell fails."""
    outputs = run("%load_ext penstock", "%ksql SELECT nothing FROM nowhere", allow_errors=True)
    assert "nowhere" in html_of(outputs[1]).lower()
    assert any(output.output_type == "error" and output.ename == "UsageError" for output in outputs[1]) or any(
        "nowhere" in str(output).lower() for output in outputs[1]
    )


def test_a_live_table_updates_in_place_and_stops_with_its_cell() -> None:
    """One output, which holds the latest row of each key; afterwards the query is gone."""
    outputs = run(
        "import penstock, threading\ndb = penstock.connect(auto_offset_reset='earliest')\n%load_ext penstock\n%ksql --db db",
        SETUP,
        "threading.Timer(0.6, lambda: db.insert('s', [('a', 40), ('c', 1)])).start()",
        "%%ksql --seconds 2 --into live\nSELECT * FROM t EMIT CHANGES;",
        "print(sorted(live.rows), db._engine.host.subscriptions, live.state)",
        "%%ksql --seconds 30\nSELECT * FROM s EMIT CHANGES LIMIT 2;",
        "import _thread\nthreading.Timer(0.8, _thread.interrupt_main).start()",
        "%%ksql --seconds 50 --into stopped\nSELECT * FROM s EMIT CHANGES;",
        "print(stopped.state, db._engine.host.subscriptions, len(stopped.rows))\ndb.close()",
    )
    shown = html_of(outputs[3])
    assert ">a</td>" in shown and ">42</td>" in shown and ">2</td>" not in shown
    assert outputs[4][0].text.strip() == "[('<b>', 1), ('a', 42), ('c', 1)] 0 stopped after 2 s"
    assert "2 rows read, over" in html_of(outputs[5])
    assert outputs[8][0].text.split() == ["stopped", "0", "4"]


def test_charts_and_flows() -> None:
    """Bars beside values, in results and in live tables; EXPLAIN and --flow draw an SVG with its words beside it."""
    outputs = run(
        "import penstock\ndb = penstock.connect(auto_offset_reset='earliest')\n%load_ext penstock\n%ksql --db db",
        SETUP,
        "db.wait_idle()",
        "%ksql --chart SELECT * FROM t ORDER BY k;",
        "%%ksql --chart --seconds 1\nSELECT * FROM t EMIT CHANGES;",
        "%ksql EXPLAIN SELECT k, COUNT(*) AS n FROM s GROUP BY k EMIT CHANGES;",
        "%ksql --flow",
        "db.flow()",
        "db.execute('EXPLAIN SELECT k, COUNT(*) AS n FROM s GROUP BY k EMIT CHANGES;')[0]",
        "db.close()",
    )
    bars = html_of(outputs[3])
    assert bars.count("<span") == 2 and "width:12.00em" in bars and ">&lt;b&gt;</td>" in bars
    live = html_of(outputs[4])
    assert live.count("<span") == 2 and "stopped after 1 s" in live and len(outputs[4]) == 1
    assert "| 2" in outputs[4][0].data["text/plain"]
    for explained in (html_of(outputs[5]), html_of(outputs[8])):  # by the magic, and as a value of the program
        assert "<svg" in explained and "Aggregate" in explained and "<pre>" in explained
    assert "Description(" not in outputs[8][-1].data["text/plain"]
    for output in (outputs[6][-1], outputs[7][-1]):
        assert "<svg" in output.data["text/html"] and "<desc>" in output.data["text/html"]
        assert output.data["text/plain"].splitlines()[-1].startswith("T (table, key K) <- CTAS_T_")


def test_a_cell_takes_the_database_of_the_notebook() -> None:
    """The one that a variable holds now; of several the person says which."""
    outputs = run(
        "%load_ext penstock\nimport penstock\ndb = penstock.connect(threads=0)",
        "%%ksql\nCREATE STREAM s (id INT KEY, v STRING);",
        "db.insert('s', {'id': 1, 'v': 'a'})\nprint([s.name for s in db.catalog.sources.values()])",
        "%ksql SELECT id, v FROM s;",
        "db.close()\ndb = penstock.connect(threads=0)",
        "%ksql SHOW STREAMS;",
        "other = penstock.connect(threads=0)",
        "%ksql SHOW STREAMS;",
        "%ksql --db other SHOW STREAMS;",
        allow_errors=True,
    )

    def plain(output: list[Any]) -> str:
        return "".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") + o.get("evalue", "") for o in output)

    assert "variable db" in plain(outputs[1]) and "stream S created" in plain(outputs[1])
    assert "'S'" in plain(outputs[2])
    assert "1  | a" in plain(outputs[3]) and 'text-align:right">1<' in html_of(outputs[3])
    assert "S " not in plain(outputs[5]).replace("KSQL", "")
    assert "--db db or %ksql --db other" in str(outputs[7])
    assert "KSQL_PROCESSING_LOG" in plain(outputs[8])


def test_a_fault_in_a_statement_shows_no_lines_of_python() -> None:
    """``db.sql`` in a cell: the place in the text, and not the way there through our code."""
    outputs = run("import penstock; db = penstock.connect()", "db.sql('SELECT nothing FROM nowhere')", allow_errors=True)
    (error,) = [output for output in outputs[1] if output.output_type == "error"]
    assert error.ename == "UnknownSourceError"
    shown = "\n".join(error.traceback)
    assert "line 1, column 21" in shown and "^^^^" in shown
    assert "session.py" not in shown
