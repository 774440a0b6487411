"""Makes syntax errors: what is wrong, what could stand there, and what was probably meant."""

from __future__ import annotations

import difflib
import re

from ..errors import StatementError
from .lexer import Lines, Token, is_open
from .tables import END, ParserTables, accepts
from .words import number_meant, statement_words

EXPECTED_MAX = 10
"""The number of alternatives that an error lists.  Longer lists do not help."""

_NAMES = frozenset({"IDENTIFIER", "DIGIT_IDENTIFIER", "BACKTICKED", "DOUBLE_QUOTED"})
_WORDS_FOR = {
    "IDENTIFIER": "a name",
    "DIGIT_IDENTIFIER": "a name",
    "BACKTICKED": "a name",
    "DOUBLE_QUOTED": "a name",
    "TEXT": "a text in single quotes",
    "INTEGER": "a whole number",
    "DECIMAL_NUMBER": "a number",
    "DOUBLE_NUMBER": "a number",
    "LAMBDA_OPEN": "a lambda",
    "NAMED_PARAMETER": "a parameter",
    "ARRAY_OPEN": "ARRAY[",
    "MAP_OPEN": "MAP(",
    "STRUCT_OPEN": "STRUCT(",
    "ARRAY_TYPE": "ARRAY<",
    "MAP_TYPE": "MAP<",
    "STRUCT_TYPE": "STRUCT<",
    END: "the end of the statement",
}
_DOTTED = re.compile(r"\w+(?:\.\w+)*")
_NOT_NULL = re.compile(r"NOT\s+NULL", re.IGNORECASE)
_NESTED = re.compile(r"/\*(?:(?!\*/).)*/\*.*\*/", re.DOTALL)
_OPERATORS = frozenset(["+", "-", "*", "/", "%", "||", "=", "<>", "!=", "<", "<=", ">", ">=", "[", "->"])
DUCKDB_HAS_IT = "db.duckdb() takes DuckDB's own SQL, which has it (at the prompt: \\duckdb SELECT ..)"
_ONE_SELECT = "INSERT INTO .. SELECT takes one SELECT: write one statement for each of the inputs"
_PARAMETER = (
    "A parameter can only stand for a value.  Write names, types and units into the text, and also the texts of DEFINE and"
    " RUN SCRIPT."
)
_PLACES = "Parameters are written ? or $name."
_STRUCT = "The fields of a struct have names: STRUCT(name := value, ..)"
_ONE_COMMIT = "Each statement is one commit; an INSERT takes several rows: VALUES (..), (..)"
_KEPT = "CREATE TABLE name AS SELECT keeps a result up to date"
_INTERVAL = "There is no INTERVAL: TIMESTAMPADD(HOURS, 1, t) and TIMESTAMPSUB(HOURS, 1, t) move a time"
_DIRECTORY = "A database is a directory: penstock -d shop.db, or penstock.connect('shop.db')"
_CLAUSES = frozenset({"FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "EMIT", "WITH", "AS"})
_FOREIGN = {
    "INTERVAL": _INTERVAL,
    "VIEW": _KEPT,
    "MATERIALIZED": _KEPT,
    "INDEX": "There are no indexes: only keys are looked up; conditions on other columns search the whole table",
    "USE": _DIRECTORY,
    "DATABASE": _DIRECTORY,
    "DATABASES": _DIRECTORY,
    "BEGIN": _ONE_COMMIT,
    "COMMIT": _ONE_COMMIT,
    "ROLLBACK": _ONE_COMMIT,
    "UNION": f"UNION stands between two queries. {_ONE_SELECT}",
    "INTERSECT": "INTERSECT stands between two queries",
    "EXCEPT": "EXCEPT stands between two queries",
    "UPDATE": "There is no UPDATE: insert a row with the same key instead",
    "MERGE": "There is no MERGE: insert a row with the same key instead",
    "NATURAL": "There is no NATURAL JOIN: write JOIN .. USING (..)",
    "RENAME": "There is no RENAME: copy it by CREATE .. AS SELECT under the new name, and DROP the old one",
    "AUTO_INCREMENT": "There is no AUTO_INCREMENT: every INSERT gives the keys of its rows",
    "DEFAULT": "Columns have no defaults: a column that an INSERT leaves out is NULL",
    "TRUNCATE": "There is no TRUNCATE: DROP .. DELETE TOPIC, and CREATE it again",
    **{
        word: f"{word} is not in this dialect: {DUCKDB_HAS_IT}"
        for word in (
            "ASOF", "CUBE", "FETCH", "FILTER", "GLOB", "GROUPING", "ILIKE", "LATERAL", "PIVOT", "POSITIONAL", "QUALIFY",
            "RECURSIVE", "ROLLUP", "SEMI", "ANTI", "SIMILAR", "TABLESAMPLE", "UNPIVOT", "ANY", "SOME", "EXCLUDE", "COLUMNS",
            "ATTACH", "COPY", "PRAGMA",
        )
    },
}  # fmt: skip
"""Words of other SQL dialects that this dialect does not have, and what to write here instead."""


def syntax_error(text: str, token: Token, previous: list[Token], states: list[int], grammar: ParserTables) -> StatementError:
    """The error for a token that the grammar does not take at its place."""
    group, start, end = token
    lexeme = text[start:end]
    accepted = _accepted(grammar, states)
    suggestion: str | None = None
    if group == "bad":
        message, suggestion, end = _bad_character(text, start)
        if is_open(token, text):
            return StatementError(message, span=Lines(text).span(start, end), text=text, suggestion=suggestion)
    elif group == "end" or lexeme == ";":
        message = "the statement is incomplete"
        if group == "end" and previous:
            start = previous[-1][2] - 1
            end = start + 1
        suggestion = _habit("", previous, text, accepted)
        if suggestion is None and lexeme == ";":
            suggestion = _suggestion(text, (group, token[1], token[2]), previous, accepted, grammar)
    else:
        message = f"{_shown(lexeme)} was not expected here"
        suggestion = _suggestion(text, token, previous, accepted, grammar)
    span = Lines(text).span(start, end)
    return StatementError(message, span=span, text=text, suggestion=suggestion, expected=_readable(accepted, grammar))


def _accepted(grammar: ParserTables, states: list[int]) -> list[str]:
    row = grammar.actions[states[-1]]
    return [symbol for symbol in row if not symbol.islower() and accepts(grammar, states, symbol)]


def _shown(lexeme: str) -> str:
    return lexeme if len(lexeme) <= 40 else lexeme[:37] + "..."


def _bad_character(text: str, start: int) -> tuple[str, str | None, int]:
    character = text[start]
    if character == "'":
        return "this text has no closing quote", "Close it with ', and write a quote inside of it as ''.", start + 1
    if character in '"`':
        suggestion = f"Close it with {character}, and write a {character} inside of it as {character * 2}."
        return f"this name has no closing {character}", suggestion, start + 1
    if text.startswith("/*", start):
        return "this comment has no end", "End it with */.", start + 2
    if character == ":":
        named = re.compile(r"(?<!:):\w").match(text, start)
        hint = _PLACES if named is not None else "A type is changed by CAST(value AS type)."
        return "the character : has no meaning here", hint, start + 1
    if character == "{":
        return "the character { has no meaning here", f"{_STRUCT}; a map MAP(key := value, ..).", start + 1
    variable = re.compile(r"\$\{([^}]*)\}").match(text, start)
    if variable is not None:
        suggestion = f"DEFINE {variable[1]} = '..'; gives it a value."
        return f"the variable {variable[1]} is not defined", suggestion, variable.end()
    return f"the character {character} has no meaning here", None, start + 1


def _suggestion(text: str, token: Token, previous: list[Token], accepted: list[str], grammar: ParserTables) -> str | None:
    group, start, end = token
    lexeme = text[start:end]
    word = lexeme.upper()
    comment = _ended_comment(text, token, previous)
    if comment is not None:
        return comment
    forgotten = _next_statement(text, token, previous)
    if forgotten is not None and (END in accepted or forgotten != lexeme):
        return f"Is a ; missing before {forgotten}?"
    number = number_meant(lexeme)
    if number is not None:
        return f"Numbers have no underscores: write {number}."
    if previous and previous[-1][2] == start and lexeme[0] == "." and previous[-1][0] == "DIGIT_IDENTIFIER":
        number = number_meant(text[previous[-1][1] : start])
        if number is not None:  # 1_000.5 is the name 1_000 and the number .5
            return f"Numbers have no underscores: write {number}{lexeme}."
    if group == "DOUBLE_QUOTED" and "TEXT" in accepted:
        return f"Double quotes make a name; a text is written '{lexeme[1:-1]}'."
    if group == "NAMED_PARAMETER" or lexeme == "?":
        return _PARAMETER
    if word == "NOT" and _NOT_NULL.match(text, start):
        return "There is no NOT NULL: any column may be NULL."
    if lexeme == "(" and len(previous) > 1 and text[previous[-2][1] : previous[-2][2]].upper() in ("FROM", "JOIN", ","):
        return f"A function that makes rows stands in the SELECT list here: EXPLODE(..). {DUCKDB_HAS_IT}."
    if group == "IDENTIFIER" and "TEXT" in accepted and "IDENTIFIER" not in accepted:
        name = _DOTTED.match(text, start)  # most likely of a property
        return f"A text stands in quotes: '{lexeme if name is None else name[0]}'."
    if previous and previous[-1][0] == "TEXT" and previous[-1][2] == start:
        return "A quote inside of a text is written twice: ''."
    habit = _habit(lexeme, previous, text, accepted)
    if habit is not None:
        return habit
    before = text[previous[-1][1] : previous[-1][2]].upper() if previous and previous[-1][0] == "IDENTIFIER" else ""
    for foreign in (word, before):
        if foreign in _FOREIGN:
            return f"{_FOREIGN[foreign]}."
    if group == "IDENTIFIER" and "IDENTIFIER" in accepted and grammar.is_reserved(word):
        return f"{word} is a reserved word: to use it as a name, write `{word}`."
    words = _keywords_at(text, end, grammar, accepted)
    begun = [other for other in words if other.startswith(word)] if len(word) > 2 else []  # DESC for DESCRIBE
    if group == "IDENTIFIER" and len(begun) == 1:
        return f"Did you mean {begun[0]}?"
    near = difflib.get_close_matches(word, words, 1, 0.7) if group == "IDENTIFIER" else []
    if near:
        return f"Did you mean {near[0]}?"
    if before:
        if before == "EMIT":
            return "Write EMIT CHANGES or EMIT FINAL."
        likely = _keywords_at(text, previous[-1][2], grammar)
        near = [] if before in grammar.keywords or word in _FOREIGN else difflib.get_close_matches(before, likely, 1, 0.77)
        if near:
            return f"Did you mean {near[0]} instead of {before}?"
    return _missing(lexeme, group, accepted, grammar)


def _ended_comment(text: str, token: Token, previous: list[Token]) -> str | None:
    """The hint if a token comes after the end of a comment that ends twice."""
    _, start, end = token
    if _NESTED.search(text[previous[-1][2] if previous else 0 : start]):
        return "Comments do not nest: the first */ has ended the comment."
    if text.startswith("*/", start) or (text[start:end] == "/" and text[:start].endswith("*")):
        return "There is no open comment that */ could end."
    return None


def _next_statement(text: str, token: Token, previous: list[Token]) -> str | None:
    """The word, at the start of a line, where another statement seems to begin.

    It is this token, or the one before it, which was read as a name.
    """
    for (_, start, end), before in ((token, previous[-1:]), (previous[-1], previous[-2:-1])) if previous else ():
        begins = text[start:end].upper() in statement_words() or text[start:end].upper() in _WORDS_OF_PROMPTS
        if begins and before and "\n" in text[before[0][2] : start]:
            return text[start:end]
    return None


_WORDS_OF_PROMPTS = {"EXIT", "QUIT", "HELP"}


def _habit(lexeme: str, previous: list[Token], text: str, accepted: list[str]) -> str | None:
    """The hint for words that people know from other dialects."""
    words = [text[start:end].upper() for _, start, end in previous]
    word, last, last_two = lexeme.upper(), words[-1:], words[-2:]
    inside = words[len(words) - words[::-1].index("WITH") :] if "WITH" in words else []
    if inside[:1] == ["("] and ")" not in inside and last in (["("], [","]) and word in _OTHER_PROPERTIES:
        return f"The property is called {_OTHER_PROPERTIES[word]}."
    if word == "EXTENDED" and last == ["DESCRIBE"]:
        return "Write DESCRIBE name EXTENDED."
    if last == [","] and word in (_CLAUSES | {")"}) and not inside:
        return f"Leave out the comma before {word}."
    if last == ["."] and word in (_CLAUSES | {"", ";", ",", ")"}):
        return "The name of a column must follow the dot."
    if last_two == ["SELECT", "TOP"] and word.isdecimal():
        return f"The number of rows stands last: SELECT .. LIMIT {word}."
    if last and last[0] in ("TERMINATE", "PAUSE", "RESUME") and word == "QUERY":
        return f"Leave out QUERY: {last[0]} and the query's id."
    if last == ["DROP"] and lexeme.isidentifier() and word not in _FOREIGN:
        return f"Write what it is: DROP STREAM {lexeme}, or DROP TABLE {lexeme}."
    if words[-3:-1] == ["EXTRACT", "("] and word == "FROM":
        return "There is no EXTRACT: FORMAT_TIMESTAMP(t, 'HH') gives the hour of a TIMESTAMP, as text."
    if word == "[" and "ARRAY_OPEN" in accepted:
        return "An array is written ARRAY[.., ..]."
    if last_two == ["STRUCT", "("] and "IDENTIFIER" in accepted:
        return f"{_STRUCT}."
    if lexeme == "%" and "QMARK" in accepted:
        return _PLACES
    if last and (last[0] in _LENGTHS or last_two == ["ADVANCE", "BY"]) and "INTEGER" in accepted and lexeme:
        return f"A length of time is a number and a unit, without quotes: {last[0]} {_length(lexeme)}."
    if word == "=" and last == ["="]:
        return "Equality is written with one =."
    if word == "ALL" and last and last[0] in ("=", "<>", "!=", "<", "<=", ">", ">="):
        return f"A comparison with ALL rows of a subquery is not in this dialect: {DUCKDB_HAS_IT}."
    if word == "ALL" and last_two == ["GROUP", "BY"]:
        return "Name what to group by: GROUP BY column, .."
    if word == "WINDOW" and "GROUP" in words:
        return "WINDOW stands before WHERE and GROUP BY: FROM .. WINDOW TUMBLING (SIZE 1 HOUR) .. GROUP BY .."
    if word == "EMIT" and words[-2:-1] == ["LIMIT"]:
        return f"LIMIT stands last: EMIT CHANGES LIMIT {words[-1]}."
    if word == "FROM" and not words:
        return "Write SELECT * FROM .."
    if last in (["FROM"], ["JOIN"]) and lexeme[:1] == "'":
        return f"A file becomes a stream first: CREATE STREAM name FROM {lexeme};"
    if last == ["("] and words[-2:-1] == ["SESSION"] and word == "SIZE":
        return "A session window has a gap and no size: WINDOW SESSION (30 MINUTES)."
    if "HOURS" in accepted and word in ("", ")", ",") and words and words[-1].isdecimal():
        return f"A length of time has a unit: {words[-1]} MINUTES."
    if word == ")" and "HOPPING" in words and accepted == ["COMMA"]:
        return "A hopping window also needs ADVANCE BY: HOPPING (SIZE 1 HOUR, ADVANCE BY 10 MINUTES)."
    if "ON" in accepted and "USING" in accepted and word in ("", ";", "EMIT", "WHERE", "GROUP", "LIMIT"):
        return "A JOIN needs its condition: JOIN .. ON a.x = b.y."
    if word in ("", ";") and last == ["COLUMN"]:
        return "A column has a name and a type: ADD COLUMN name STRING."
    return None


_LENGTHS = frozenset({"WITHIN", "SIZE", "PERIOD", "RETENTION"})
"""Words that are followed by a length of time."""
_LENGTH = re.compile(r"'?(\d+) *([a-z]*)'?", re.IGNORECASE)
_UNITS = {"": "MINUTES", "ms": "MILLISECONDS", "s": "SECONDS", "m": "MINUTES", "h": "HOURS", "d": "DAYS"}


def _length(lexeme: str) -> str:
    """A length of time as it is written here: ``'5 minutes'``, ``5m`` and ``5min`` are 5 MINUTES."""
    found = _LENGTH.fullmatch(lexeme)
    unit = None if found is None else _UNITS.get(found[2].lower(), _UNITS.get(found[2][:1].lower()))
    return "1 HOUR" if found is None or unit is None else f"{found[1]} {unit}"


_OTHER_PROPERTIES = {
    "TOPIC": "KAFKA_TOPIC",
    "PARTITION": "PARTITIONS",
    "KEY": "KEY_FORMAT (a column is a key by KEY after its type)",
}
"""Keywords that people write as names of properties in WITH, and the properties that they mean."""


def _missing(lexeme: str, group: str, accepted: list[str], grammar: ParserTables) -> str | None:
    """What is probably missing before a token: a comma, or the one thing that can stand there."""
    found = _readable(accepted, grammar)
    if '","' in found and group in (*_NAMES, "TEXT", "INTEGER"):
        return f"Is a comma{' or FROM' if 'FROM' in found else ''} missing before {_shown(lexeme)}?"
    if len(found) == 1 and found[0][:1] == '"':
        wanted = found[0].strip('"')
        return f"Write {wanted} before {_shown(lexeme)}."
    if len(found) == 1 and found[0].isupper():
        is_word = lexeme.upper() in grammar.keywords
        return f"Only {found[0]} can stand here." if is_word else f"Write {found[0]} before {_shown(lexeme)}."
    return None


def _keywords_at(text: str, end: int, grammar: ParserTables, accepted: list[str] | None = None) -> list[str]:
    """The words that would be keywords at this place: those of ``accepted``, or of the whole grammar."""
    return sorted(
        word
        for word, readings in grammar.keywords.items()
        for k in readings
        if (accepted is None or k.terminal in accepted) and (k.lookahead is None or k.lookahead.match(text, end))
    )


def _readable(accepted: list[str], grammar: ParserTables) -> tuple[str, ...]:
    """The alternatives as text.  Expressions and operators are summed up; the list is sorted, and cut to `EXPECTED_MAX`."""
    words_by_terminal = {k.terminal: word for word, readings in grammar.keywords.items() for k in readings}
    texts = {terminal: symbol for symbol, terminal in grammar.symbols.items()}
    left = set(accepted)
    shown: set[str] = set()
    if {"CASE", "CAST", "NULL"} <= left:
        start = grammar.starts["expression"]
        left -= set(grammar.actions[start])
        shown.add("an expression")
    elif {"NULL", "TRUE", "TEXT"} <= left:
        left -= {
            "NULL",
            "TRUE",
            "FALSE",
            "TEXT",
            "INTEGER",
            "DECIMAL",
            "DECIMAL_NUMBER",
            "DOUBLE_NUMBER",
            "PLUS",
            "MINUS",
            "NAMED_PARAMETER",
            "QMARK",
        }
        shown.add("a literal")
    operators = {t for t in left if texts.get(t) in _OPERATORS}
    if len(operators) > 3:
        left -= operators
        left -= {"BETWEEN", "IN", "LIKE", "IS", "NOT", "AND", "OR", "AT"}
        shown.add("an operator")
    for terminal in left:
        if terminal in _WORDS_FOR:
            shown.add(_WORDS_FOR[terminal])
        elif texts.get(terminal) == "?":
            shown.add("a parameter")
        elif terminal in texts:
            shown.add(f'"{texts[terminal]}"')
        else:
            shown.add(words_by_terminal.get(terminal, terminal))
    listed = sorted(shown, key=lambda s: (not s[:2].isupper(), s))
    return tuple(listed[:EXPECTED_MAX] + (["..."] if len(listed) > EXPECTED_MAX else []))
