"""Renames columns that DuckDB cannot hold: its names ignore case, and its DECIMALs end at 38 digits.

If names differ only in case, the name in upper case stays, because names without quotes are upper case in the dialect.  The
others get unique names.  The statement is rewritten with these names where it quotes the old ones, and the answer gets the
old names back.  DECIMALs of more digits are passed as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ...errors import StatementError
from ..renaming import renamed
from .check import Mention

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_MARK = "_penstock_"


def replacements(types: Sequence[Any]) -> dict[str, str]:
    """New names for the columns and fields that DuckDB would confuse, by old name."""
    found: dict[str, str] = {}
    stack: list[Any] = [pa.struct(list(schema)) for schema in types]
    while stack:
        type_ = stack.pop()
        if pa.types.is_struct(type_):
            groups: dict[str, list[str]] = {}
            for field in type_:
                groups.setdefault(field.name.lower(), []).append(field.name)
                stack.append(field.type)
            for names in groups.values():
                kept = next((n for n in names if n == n.upper()), names[0])
                for name in names:
                    if name != kept:
                        found.setdefault(name, f"{name}{_MARK}{len(found) + 1}")  # letters only: the name needs no quotes
        elif pa.types.is_map(type_):
            stack += [type_.key_type, type_.item_type]
        elif pa.types.is_list(type_):
            stack.append(type_.value_type)
    return found


def rewritten(sql: str, found: Sequence[Mention], names: Mapping[str, str], tables: Mapping[Mention, str]) -> str:
    """Rewrite a statement with the new names of columns and fields, and with other names for some tables.

    Raises:
        StatementError: a text names a field, and it is not clear which one.
    """
    pieces: list[str] = []
    done = 0
    for mention in sorted({m for m in found if m.start < len(sql)}, key=lambda m: m.start):
        if mention.start < done:
            continue
        text = sql[mention.start : mention.end]
        if mention.kind == "field" and mention.name in names:
            raise StatementError(
                f"the name {mention.name} differs from another one in case only: write it as a name, not as a text",
                text=sql,
                suggestion=f'p."{mention.name}"',
            )
        if mention.kind == "column":
            new = _QUOTED.sub(lambda m: quoted(names.get(bare(m[0]), bare(m[0]))), text)
        elif mention in tables:
            alias = mention.alias or mention.name
            new = f"{quoted(tables[mention])} AS {quoted(alias)}"
        else:
            continue
        pieces += [sql[done : mention.start], new]
        done = mention.end
    return "".join([*pieces, sql[done:]])


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def bare(text: str) -> str:
    """The name inside of quotes."""
    return text[1:-1].replace('""', '"')


def restored(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """An answer with the old names of columns and fields."""
    if not names:
        return table
    back = {new: old for old, new in names.items()}
    renamed_back = renamed(table, back)
    labels = []
    for label in renamed_back.column_names:
        for new, old in back.items():
            label = label.replace(new, old)
        labels.append(label)
    return renamed_back.rename_columns(labels)
