"""Completion.  It depends only on the text, the cursor and the names in the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .words import keywords, reserved_words, statement_words

Kind = Literal["keyword", "source", "column", "function", "query", "topic", "type", "command", "property", "value"]


@dataclass(frozen=True, slots=True)
class CompletionNames:
    """The names that completion can suggest, taken from the catalog.

    Attributes:
        sources: streams and tables, each with its columns.
        functions, queries, topics, types: names.
        properties: the properties that SET can set, each with its possible values (empty if there is no list of them).
    """

    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    functions: Sequence[str] = ()
    queries: Sequence[str] = ()
    topics: Sequence[str] = ()
    types: Sequence[str] = ()
    properties: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggestion.  ``text`` replaces the last ``length`` characters before the cursor."""

    text: str
    kind: Kind
    length: int


_WORD = re.compile(r"[A-Za-z0-9_@]*$|`[^`]*$")
_PLAIN = re.compile(r"[A-Z_][A-Z0-9_@]*\Z")
_COLUMNS_MAX = 500
"""The largest number of columns that are suggested at once.

Until FROM names the sources, all columns of the catalog fit, and there may be tens of thousands.
"""
_AFTER_SOURCE = {"FROM", "JOIN", "INTO", "DESCRIBE", "STREAM", "TABLE"}
_QUERY_ACTIONS = {"TERMINATE", "PAUSE", "RESUME", "EXPLAIN"}
_PRIMITIVES = ("BOOLEAN", "INT", "BIGINT", "DOUBLE", "DECIMAL", "STRING", "BYTES", "DATE", "TIME", "TIMESTAMP")
_TYPES = (*_PRIMITIVES, "ARRAY", "MAP", "STRUCT")
_SHOWABLE = ("STREAMS", "TABLES", "TOPICS", "QUERIES", "FUNCTIONS", "TYPES", "PROPERTIES", "VARIABLES", "ALL")

_NEXT: dict[str, tuple[str, ...]] = {
    "ORDER": ("BY",),
    "GROUP": ("BY",),
    "PARTITION": ("BY",),
    "INSERT": ("INTO",),
    "DELETE": ("FROM",),
    "EMIT": ("CHANGES", "FINAL"),
    "WINDOW": ("TUMBLING", "HOPPING", "SESSION"),
    "IS": ("NULL", "NOT NULL", "DISTINCT FROM", "NOT DISTINCT FROM"),
    "INNER": ("JOIN",),
    "OUTER": ("JOIN",),
    "LEFT": ("JOIN", "OUTER JOIN"),
    "RIGHT": ("JOIN", "OUTER JOIN"),
    "FULL": ("JOIN", "OUTER JOIN"),
    "CREATE": ("STREAM", "TABLE", "OR REPLACE", "SOURCE", "TYPE"),
    "DROP": ("STREAM", "TABLE", "TYPE"),
    "ALTER": ("STREAM", "TABLE"),
    "RUN": ("SCRIPT",),
    "SCRIPT": (),
}
"""Words after which only these words can follow."""
_FORMATS = ("ARROW", "AVRO", "DELIMITED", "JSON", "JSON_SR", "KAFKA", "NONE", "PROTOBUF", "PROTOBUF_NOSR")
_BOTH = ("true", "false")
_NULLABLE = ("OPTIONAL", "WRAPPER")
WITH_PROPERTIES: dict[str, tuple[str, ...]] = {
    "KAFKA_TOPIC": (),
    "PARTITIONS": (),
    "FORMAT": _FORMATS,
    "KEY_FORMAT": _FORMATS,
    "VALUE_FORMAT": _FORMATS,
    "TIMESTAMP": (),
    "TIMESTAMP_FORMAT": (),
    "WINDOW_TYPE": ("TUMBLING", "HOPPING", "SESSION"),
    "WINDOW_SIZE": (),
    "RETENTION_MS": (),
    "CLEANUP_POLICY": ("delete", "compact", "compact,delete"),
    "REPLICAS": (),
    "KEY_DELIMITER": ("SPACE", "TAB"),
    "VALUE_DELIMITER": ("SPACE", "TAB"),
    "WRAP_SINGLE_VALUE": _BOTH,
    "KEY_SCHEMA_ID": (),
    "VALUE_SCHEMA_ID": (),
    "KEY_SCHEMA_FULL_NAME": (),
    "VALUE_SCHEMA_FULL_NAME": (),
    "VALUE_AVRO_SCHEMA_FULL_NAME": (),
    "KEY_PROTOBUF_NULLABLE_REPRESENTATION": _NULLABLE,
    "VALUE_PROTOBUF_NULLABLE_REPRESENTATION": _NULLABLE,
}
"""The properties of CREATE .. WITH with their possible values, the most common ones first."""
_INSIDE_WITH = re.compile(r"\bWITH\s*\((?:[^()']|'(?:[^']|'')*')*\Z", re.I)
_VALUE = re.compile(r"(\w+)\s*=\s*('?)([\w,]*)\Z")
_SET_NAME = re.compile(r"\A\s*(?:UN)?SET\s+('?)([\w.]*)\Z", re.I)
_SET_VALUE = re.compile(r"\A\s*SET\s+'([\w.]+)'\s*=\s*('?)([\w.-]*)\Z", re.I)


def suggest(text: str, cursor: int, names: CompletionNames, commands: Iterable[str] = ()) -> list[Suggestion]:
    """The suggestions for the word before the cursor, the best ones first.

    Args:
        text: the whole input, which may have several statements.
        cursor: the offset of the cursor in ``text``.
        commands: the shell's backslash commands.
    """
    before = _statement_before(text[:cursor])
    if before is None:
        return _inside_quotes(text, cursor, names)
    if before.lstrip().startswith("\\"):
        start = before.lstrip()
        return [Suggestion(c, "command", len(start)) for c in sorted(commands) if c.startswith(start)]
    match = _WORD.search(before)
    word = match.group(0) if match else ""
    rest = before[: len(before) - len(word)]
    properties = _properties(before, "", names)
    if properties is not None:
        return properties
    owner = re.search(r"(`[^`]+`|[A-Za-z0-9_@]+)\.\Z", rest)
    whole = before + text[cursor:].split(";", 1)[0]
    if owner:
        columns = _columns_of(owner.group(1), whole, names)
        return _matching(word, [("column", c) for c in columns])
    return _matching(word, _candidates(rest, whole, names))


def _inside_quotes(text: str, cursor: int, names: CompletionNames) -> list[Suggestion]:
    """The suggestions inside of quotes, where statements write names and values of properties."""
    quote = text.rfind("'", 0, cursor)
    outer = _statement_before(text[:quote]) if quote >= 0 else None
    if outer is None:
        return []
    after = "" if text[cursor : cursor + 1] == "'" else "'"
    return _properties(outer + text[quote:cursor], after, names) or []


def _properties(before: str, after: str, names: CompletionNames) -> list[Suggestion] | None:
    """Names or values of properties inside SET or a WITH clause; None elsewhere.

    Args:
        after: what must follow the suggestion if a quote is open.
    """

    def found(kind: Kind, texts: Iterable[str], word: str, quote: str, *, quoted: bool) -> list[Suggestion]:
        fitting = [t for t in texts if t.lower().startswith(word.lower())]
        around = "'" if quoted and not quote else ""
        return [Suggestion(f"{around}{t}{around or after}", kind, len(word)) for t in fitting]

    if (match := _SET_NAME.search(before)) is not None and (match.group(1) or match.group(0)[-1:].isspace()):
        return found("property", names.properties, match.group(2), match.group(1), quoted=True)
    if (match := _SET_VALUE.search(before)) is not None:
        values = names.properties.get(match.group(1), ())
        return found("value", values, match.group(3), match.group(2), quoted=True)
    if _INSIDE_WITH.search(before.rpartition("'")[0] if after else before) is None:
        return None
    if (match := _VALUE.search(before)) is not None:
        name, quote, word = match.group(1).upper(), match.group(2), match.group(3)
        if name == "KAFKA_TOPIC":
            return found("topic", names.topics, word, quote, quoted=True)
        values = WITH_PROPERTIES.get(name, ())
        return found("value", values, word, quote, quoted=values is not _BOTH)
    word = re.search(r"\w*\Z", before).group(0)  # type: ignore[union-attr]
    if not before[: len(before) - len(word)].rstrip().endswith(("(", ",")):
        return []
    used = {name.upper() for name in re.findall(r"(\w+)\s*=", before)}
    free = [name for name in WITH_PROPERTIES if name not in used]
    lower = word != "" and word == word.lower()
    return found("property", [n.lower() if lower else n for n in free], word, "", quoted=False)


def _statement_before(text: str) -> str | None:
    """The text of the current statement up to the cursor; None inside a text literal or a comment."""
    start = position = 0
    pattern = re.compile(r"'(?:[^']|'')*('|\Z)|`[^`]*(`|\Z)|--[^\n]*(\n|\Z)|/\*.*?(\*/|\Z)|;", re.S)
    while (match := pattern.search(text, position)) is not None:
        if match.group(0) == ";":
            start = match.end()
        elif match.end() == len(text) and not match.group(0).startswith("`"):
            closed = match.group(0).endswith(("'", "*/")) and len(match.group(0)) > 1
            if not closed:
                return None
        position = match.end()
    return text[start:]


def _each(kind: Kind, names: Iterable[str]) -> list[tuple[Kind, str]]:
    return [(kind, name) for name in names]


def _candidates(rest: str, whole: str, names: CompletionNames) -> list[tuple[Kind, str]]:
    words = re.findall(r"[A-Za-z_][A-Za-z0-9_]*|[(),=;]", rest.upper())
    if not words:
        return [("keyword", w) for w in sorted(statement_words())]
    last = words[-1]
    first = words[0]
    if last in _NEXT and not (last in ("LEFT", "RIGHT") and rest.rstrip().endswith("(")):
        return _keywords(_NEXT[last])
    if last in ("SHOW", "LIST"):
        return [("keyword", w) for w in _SHOWABLE]
    if last in _QUERY_ACTIONS:
        others = ("ANALYZE", "SELECT", "CREATE") if last == "EXPLAIN" else ("ALL",)
        return [*_each("query", names.queries), *_keywords(others)]
    if first == "WHY":
        following = {"WHY": "NO", "NO": "ROWS", "ROWS": "FROM"}.get(last)
        return _keywords((following,)) if following else [*_each("query", names.queries), *_each("source", names.sources)]
    if words[-2:] == ["EXPLAIN", "ANALYZE"]:
        return _each("query", names.queries)
    if last == "PRINT":
        return [("topic", t) for t in names.topics]
    if last in _AFTER_SOURCE and (first not in ("CREATE",) or last in ("FROM", "JOIN")):
        extra = ("STREAM", "TABLE", "FUNCTION", "QUERY") if last == "DESCRIBE" else ()
        return [*_each("source", names.sources), *_keywords(extra)]
    found: list[tuple[Kind, str]] = []
    if "SELECT" in words or first == "INSERT":
        for source in _sources_in(whole, names):
            found += _each("column", names.sources[source])
        found += _each("function", names.functions)
    if first == "CREATE" and "AS" not in words:
        found += _each("type", (*_TYPES, *names.types))
    return found + _keywords(sorted(keywords()))


def _keywords(words: Iterable[str]) -> list[tuple[Kind, str]]:
    return [("keyword", w) for w in words]


def _sources_in(statement: str, names: CompletionNames) -> list[str]:
    """The sources that the statement names after FROM, JOIN or INTO; all sources if it names none."""
    named = re.findall(r"\b(?:FROM|JOIN|INTO)\s+(`[^`]+`|[A-Za-z0-9_@]+)", statement, re.I)
    found = [n for n in (_plain(m) for m in named) if n in names.sources]
    return found or list(names.sources)


def _columns_of(owner: str, statement: str, names: CompletionNames) -> Sequence[str]:
    """The columns for ``owner.``, where ``owner`` is a source or the alias of one."""
    name = _plain(owner)
    if name in names.sources:
        return names.sources[name]
    pattern = rf"\b(?:FROM|JOIN)\s+(`[^`]+`|[A-Za-z0-9_@]+)\s+(?:AS\s+)?{re.escape(owner)}\b"
    match = re.search(pattern, statement, re.I)
    return names.sources.get(_plain(match.group(1)), ()) if match else ()


def _plain(name: str) -> str:
    return name.strip("`") if name.startswith("`") else name.upper()


def _matching(word: str, candidates: Sequence[tuple[Kind, str]]) -> list[Suggestion]:
    wanted = word.strip("`").upper()
    found = []
    seen = set()
    columns = 0
    for kind, name in candidates:
        if kind == "column" and columns == _COLUMNS_MAX:
            continue
        if name.upper().startswith(wanted) and name not in seen:
            seen.add(name)
            columns += kind == "column"
            found.append(Suggestion(_written(name, kind, word), kind, len(word)))
    return found


def _written(name: str, kind: Kind, word: str) -> str:
    """A name as text.  It is in backticks if it needs them, and in lower case if the person types in lower case."""
    if kind in ("source", "column") and (word.startswith("`") or not _PLAIN.match(name) or name in reserved_words()):
        return "`" + name.replace("`", "``") + "`"
    return name.lower() if kind != "topic" and word and word == word.lower() and word != word.upper() else name
