"""What the error about an unknown function suggests."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_NOW = "UNIX_TIMESTAMP(), in milliseconds, or as a TIMESTAMP FROM_UNIXTIME(UNIX_TIMESTAMP())"
_OWN = (
    "an aggregate of your own (@penstock.udaf), or DuckDB's, in a query that is answered once: db.duckdb(..), at the prompt"
    " \\duckdb SELECT .."
)
_ELSEWHERE = {
    "ARRAY_AGG": "COLLECT_LIST",
    "ARRAY_APPEND": "ARRAY_CONCAT",
    "CARDINALITY": "ARRAY_LENGTH",
    "CEILING": "CEIL",
    "CHARINDEX": "INSTR",
    "CHAR_LENGTH": "LEN",
    "CURRENT_DATE": "FROM_DAYS(UNIX_DATE())",
    "CURRENT_TIMESTAMP": _NOW,
    "DATE": "CAST(t AS DATE)",
    "DATE_ADD": "DATEADD",
    "DATE_FORMAT": "FORMAT_DATE",
    "DATE_SUB": "DATESUB",
    "DAY": "FORMAT_TIMESTAMP(t, 'dd')",
    "DATE_TRUNC": "WINDOW TUMBLING (SIZE 1 HOUR), or FORMAT_TIMESTAMP with a pattern that ends at the hour",
    "EXTRACT": "FORMAT_TIMESTAMP with a pattern: 'HH' gives the hour",
    "FIRST": "EARLIEST_BY_OFFSET",
    "FIRST_VALUE": "EARLIEST_BY_OFFSET",
    "HOUR": "FORMAT_TIMESTAMP(t, 'HH')",
    "IF": "CASE WHEN .. THEN .. END",
    "JSON_EXTRACT": "EXTRACTJSONFIELD",
    "JSON_VALUE": "EXTRACTJSONFIELD",
    "LAST": "LATEST_BY_OFFSET",
    "LAST_VALUE": "LATEST_BY_OFFSET",
    "LENGTH": "LEN",
    "LOWER": "LCASE",
    "MEAN": "AVG",
    "MOD": "the operator %",
    "MEDIAN": _OWN,
    "NOW": _NOW,
    "MONTH": "FORMAT_TIMESTAMP(t, 'MM')",
    "NVL": "IFNULL",
    "PERCENTILE": _OWN,
    "PERCENTILE_CONT": _OWN,
    "POSITION": "INSTR",
    "POW": "POWER",
    "QUANTILE": _OWN,
    "RAND": "RANDOM",
    "STDDEV": "STDDEV_SAMPLE",
    "STRFTIME": "FORMAT_TIMESTAMP",
    "STRING_AGG": "ARRAY_JOIN(COLLECT_LIST(..), ',')",
    "STRPOS": "INSTR",
    "SUBSTR": "SUBSTRING",
    "TO_CHAR": "FORMAT_TIMESTAMP",
    "TO_DATE": "PARSE_DATE",
    "TO_TIMESTAMP": "PARSE_TIMESTAMP",
    "UNNEST": "EXPLODE",
    "UPPER": "UCASE",
    "YEAR": "FORMAT_TIMESTAMP(t, 'yyyy')",
}
"""Functions of other dialects, and what to write here."""
_NONE = "SHOW FUNCTIONS; lists all.  Register your own with @penstock.udf before the statement."


def of_column(name: str) -> str | None:
    """What to write here for a name that other dialects use without parentheses, such as CURRENT_TIMESTAMP."""
    return f"Use {_ELSEWHERE[name]}." if name in ("CURRENT_TIMESTAMP", "CURRENT_DATE") else None


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
