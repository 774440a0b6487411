"""Harlequin without a terminal: opens a database, executes one statement, prints what its screen then holds as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from harlequin import Harlequin
from harlequin.plugins import load_adapter


async def main(place: str, statement: str) -> None:
    app = Harlequin(adapter=load_adapter("penstock")([place]))
    async with app.run_test(size=(120, 36)) as pilot:
        while app.connection is None or not app.data_catalog.database_tree.root.children:
            await pilot.pause(0.05)
        app.editor.text = statement
        await pilot.press("ctrl+j")
        table: Any = None
        while table is None or not table.row_count:
            await pilot.pause(0.05)
            table = app.results_viewer.get_visible_table()
        shown = {
            "catalog": [str(node.label) for node in app.data_catalog.database_tree.root.children],
            "columns": [column.label.plain for column in table.ordered_columns],
            "rows": [[str(value) for value in table.get_row_at(i)] for i in range(table.row_count)],
        }
    print(json.dumps(shown))


asyncio.run(main(*sys.argv[1:]))
