"""What colour, weight or a picture shows is there as text: for people who see no colours or no screen, and for pipes."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock
from penstock.engine.flow_picture import Flow, FlowBox
from penstock.engine.live_rows import LiveRows
from penstock.repl.charts import chart
from penstock.repl.cli import main
from penstock.repl.highlight import fragments
from penstock.repl.live import live_lines
from penstock.repl.opening import bar
from penstock.repl.prompt import Prompt
from penstock.repl.redraw import Redrawn
from penstock.repl.render import shown
from penstock.repl.working import bar as work_bar
from penstock.runtime.metrics import RecoveryProgress
from tests.support.checkout import ROOT

show = pytest.importorskip("penstock.notebook.show")

ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.one_of(st.none(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False, width=32))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rows_that_changed_have_a_mark_where_they_are_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold lines are those with ``*``; without colours the screen has the same characters."""
    rows = LiveRows(("K", "V"), (0,))
    for key, value in (("a", 1), ("b", 2), ("c", 3)):
        rows.take(SimpleNamespace(values=(key, value), tombstone=False, missed=0, timestamp=0))
    job: Any = SimpleNamespace(rows=rows, starts_late=False, windowed=False)
    live_lines(job, "table", 80, 24, 0.0)
    rows.take(SimpleNamespace(values=("b", 5), tombstone=False, missed=0, timestamp=0))
    lines, bold = live_lines(job, "table", 80, 24, 0.0)
    assert [n for n, line in enumerate(lines) if line.startswith("* ")] == bold and len(bold) == 1
    monkeypatch.setenv("TERM", "xterm-256color")
    drawn = {}
    for no_colour in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_colour)
        out = Terminal()
        Redrawn(out).draw(lines, bold)
        drawn[no_colour] = out.getvalue()
    assert "\x1b[1m" in drawn[""] and "\x1b" not in drawn["1"]
    assert ESCAPES.sub("", drawn[""]) == drawn["1"]


@given(st.text())
def test_highlighting_changes_no_character(text: str) -> None:
    """What is coloured is what was typed: quotes, keywords and comments say what they are by themselves."""
    assert "".join(piece for _, piece in fragments(text)) == text


def test_every_fault_is_told_in_words() -> None:
    """The line below the prompt has the one at the cursor and how many others there are; each is reached by the cursor."""
    prompt: Any = SimpleNamespace(
        _marks=[SimpleNamespace(start=n * 10, end=n * 10 + 3, message=f"fault {n}") for n in range(3)],
        session=SimpleNamespace(default_buffer=SimpleNamespace(cursor_position=0)),
    )
    for number in range(3):
        prompt.session.default_buffer.cursor_position = number * 10 + 1
        assert Prompt._toolbar(prompt) == f" fault {number} (and 2 more) "


@given(st.lists(st.tuples(st.text("abc日", max_size=5), NUMBERS, NUMBERS), min_size=1, max_size=8))
def test_bars_stand_beside_their_numbers(rows: list[tuple[str, Any, Any]]) -> None:
    """In a terminal and in a notebook."""
    names = ("K", "A", "B")
    lines = chart(names, rows, 100).splitlines()
    bars = show.bars_html(names, rows, None)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", bars)
    assert all('aria-hidden="true"' in span for span in re.findall(r"<span[^>]*>", bars))
    assert [re.sub("<[^>]*>", "", cell) for cell in cells] == ["NULL" if v is None else str(v) for row in rows for v in row]
    for place in (1, 2):
        if all(row[place] is None for row in rows):
            continue
        begin = lines.index(names[place]) + 1
        for row, line in zip(rows, lines[begin:], strict=False):
            label = ", ".join([row[0], *("NULL" for p in (1, 2) if all(r[p] is None for r in rows))])
            assert line[len(label) :].split()[0] == shown(row[place])


@given(
    st.lists(st.sampled_from(["stream", "table", "query", "operator"]), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12),
)
def test_a_flow_is_told_in_words(kinds: list[Any], pairs: list[tuple[int, int]]) -> None:
    """The description has each box with its kind, and each arrow; kinds are written in the boxes, whose colours differ."""
    boxes = [FlowBox(f"n{i}", f"BOX{i}", kind, ("a < b",)) for i, kind in enumerate(kinds)]
    flow = Flow(boxes, [(f"n{a}", f"n{b}") for a, b in pairs if a != b and max(a, b) < len(boxes)])
    picture = ElementTree.fromstring(flow.svg())
    said = picture.findtext(f"{SVG}desc")
    assert said == flow.text()
    arrows = {
        (before, line.split(" (")[0])
        for line in said.splitlines()
        for before in line.partition(" <- ")[2].split(", ")
        if " <- " in line
    }
    titles = {box.name: box.title for box in boxes}
    assert arrows == {(titles[a], titles[b]) for a, b in flow.edges}
    assert len(picture.findall(f"{SVG}path")) == len(flow.edges)
    for box in boxes:
        assert f"{box.title} ({box.kind}, a < b)" in said
        if box.kind != "operator":
            assert f"{box.kind} {box.title}" in [text.text for text in picture.iter(f"{SVG}text")]
    assert said.replace("&", "&amp;").replace("<", "&lt;") in flow._repr_html_()  # and beside the picture


def test_bars_of_progress_have_their_share_in_digits() -> None:
    """Loading, recovery, a backup."""
    assert " 25%" in bar(RecoveryProgress(5, 20, 1.0)) and "5 of 20 rows" in bar(RecoveryProgress(5, 20, 1.0))
    assert "25%" in work_bar(5, 20, "rows", 1.0)


@pytest.mark.parametrize("format_", ["table", "vertical", "chart", "csv", "json", "jsonl", "markdown"])
def test_a_pipe_gets_no_escapes(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Results, push queries and errors."""
    script = (
        "SET 'auto.offset.reset' = 'earliest'; CREATE STREAM s (k STRING KEY, v INT);"
        "INSERT INTO s VALUES ('\x1b[31mred', 1), ('b', 2);"
        "SELECT * FROM s ORDER BY v; SELECT * FROM s EMIT CHANGES LIMIT 2; SHOW STREAMS; SELECT nothing FROM s;"
    )
    assert main(["--format", format_, "-e", script]) == 1
    out, err = capsys.readouterr()
    assert "\x1b" not in (out if format_ not in ("csv", "markdown") else out.replace("\x1b[31mred", "")) + err
    assert "NOTHING does not exist" in err and "^" in err


def test_pictures_in_documents_have_words() -> None:
    """Each has a text in its place, and pictures of screens their characters."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    pictures = [(page, *found) for page in pages for found in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text("utf-8"))]
    assert len(pictures) > 5
    for page, words, target in pictures:
        assert len(words) > 3, f"{page}: {target}"
        if target.endswith(".svg"):
            picture = ElementTree.parse((page.parent / target).resolve())
            assert len(picture.getroot().findtext(f"{SVG}desc") or "") > 40


def test_an_error_in_a_notebook_is_more_than_red() -> None:
    """The text is the error's own, and an exception ends the cell (see the tests of the kernel)."""
    with penstock.connect(threads=0) as database, pytest.raises(penstock.StatementError) as raised:
        database.sql("SELECT nothing FROM nowhere")
    text = show.MonospacedText(str(raised.value), error=True)
    assert "color" in text._repr_html_() and "there is no" in repr(text).lower() and "^^^" in repr(text)
