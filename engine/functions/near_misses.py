"""Suggestions for unknown functions."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_ELSEWHERE = {
    "ARRAY_AGG": "COLLECT_LIST",
    "ARRAY_APPEND": "ARRAY_CONCAT",
    "CARDINALITY": "ARRAY_LENGTH",
    "CEILING": "CEIL",
    "CHARINDEX": "INSTR",
    "CHAR_LENGTH": "LEN",
    "CURRENT_DATE": "UNIX_DATE",
    "CURRENT_TIMESTAMP": "UNIX_TIMESTAMP",
    "DATE_ADD": "DATEADD",
    "DATE_FORMAT": "FORMAT_DATE",
    "DATE_SUB": "DATESUB",
    "DATE_TRUNC": "WINDOW TUMBLING (SIZE 1 HOUR), or FORMAT_TIMESTAMP with a pattern that ends at the hour",
    "FIRST": "EARLIEST_BY_OFFSET",
    "FIRST_VALUE": "EARLIEST_BY_OFFSET",
    "IF": "CASE WHEN .. THEN .. END",
    "JSON_EXTRACT": "EXTRACTJSONFIELD",
    "JSON_VALUE": "EXTRACTJSONFIELD",
    "LAST": "LATEST_BY_OFFSET",
    "LAST_VALUE": "LATEST_BY_OFFSET",
    "LENGTH": "LEN",
    "LOWER": "LCASE",
    "MEAN": "AVG",
    "MOD": "the operator %",
    "NOW": "UNIX_TIMESTAMP",
    "NVL": "IFNULL",
    "POSITION": "INSTR",
    "POW": "POWER",
    "RAND": "RANDOM",
    "STRING_AGG": "ARRAY_JOIN(COLLECT_LIST(..), ',')",
    "STRPOS": "INSTR",
    "SUBSTR": "SUBSTRING",
    "TO_CHAR": "FORMAT_TIMESTAMP",
    "TO_DATE": "PARSE_DATE",
    "TO_TIMESTAMP": "PARSE_TIMESTAMP",
    "UNNEST": "EXPLODE",
    "UPPER": "UCASE",
}
"""Functions of other dialects, and the equivalents here."""
_NONE = "SHOW FUNCTIONS; lists them all; one of your own needs @penstock.udf, before the statement."


def suggestion(name: str, known: Sequence[str]) -> str:
    """The last sentence of an error about an unknown function."""
    elsewhere = _ELSEWHERE.get(name.upper())
    if elsewhere is not None:
        return f"It is called {elsewhere} here." if elsewhere in known else f"Use {elsewhere}."
    near = difflib.get_close_matches(name.upper(), known, 3, 0.75)
    foreign = difflib.get_close_matches(name.upper(), _ELSEWHERE, 1, 0.8)
    if foreign and not near:
        return suggestion(foreign[0], known)
    return f"Did you mean {' or '.join(near)}?" if near else _NONE
