"""The tables that lark's LALR generator makes from ``ksql.lark``, in the form that `parse` runs on.

lark checks the grammar and builds the tables; our own loop runs them (`parse`).  That loop takes a fifth of the time of
lark's own, chooses keywords by the parser's state, and does not import lark.  Building Penstock writes the tables into the
package (`write`).  If the grammar has changed since, the tables are made when they are first needed, which takes 0.4 s.
They are kept in the user's cache directory, by lark's version, the layout of this file and a hash of the grammar.  If that
file is damaged, old or not writable, the tables are made again.

Conventions of the grammar that this file turns into data:

* A terminal whose pattern is a word in capitals, with or without a lookahead, is a keyword; priority 1 means reserved.
* Terminals without letters are symbols.  All others are token classes.
* Rules follow lark's meaning of ``?``, ``_``, ``->`` and ``!``; keywords and symbols are dropped without ``!``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAYOUT = 3
"""The version of the cached file.  Raise it when `_generate` gives other data for the same grammar."""

STARTS = ("statement", "expression", "type")
END = "$END"
GRAMMAR_PATH = Path(__file__).with_name("ksql.lark")
BUILT_PATH = Path(__file__).with_name("tables.json")
"""The tables in the package."""

_WORD = re.compile(r"([A-Z]+)(\(\?=.*\))?", re.DOTALL)

PASS, CALL, COLLECT = 0, 1, 2
"""What a reduction does: pass on one child, call a method of the builder, or collect a list for the rule around it."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """One way to read a word as a keyword.  It applies only if ``lookahead`` matches the text after the word."""

    terminal: str
    reserved: bool
    lookahead: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A production.

    Attributes:
        origin: the nonterminal that it makes.
        length: the number of symbols that it takes from the stack.
        action: `PASS`, `CALL` or `COLLECT`.
        kept: for `PASS` the index of the child; otherwise for each child (index, whether it is a list whose items are
        added).
        method: the builder's method.
    """

    origin: str
    length: int
    action: int
    kept: Any
    method: str


@dataclass(frozen=True, slots=True)
class ParserTables:
    """The parser's tables.

    Attributes:
        actions: for each state: terminal or nonterminal -> the next state (>= 0), or a reduction by rule ``~action`` (< 0).
        starts, ends: the first and the accepting state, by start symbol.
        keywords: the `Keyword` readings of each word (upper case), those with lookaheads first.
        symbols: text -> terminal.
        classes: token classes in order of precedence, name -> pattern.
        token: matches blanks and comments, then one token.  The token's group has the name of its class, or is ``symbol``,
            ``end``, or ``bad`` (a character that begins no token, or a comment that does not end).
    """

    actions: Sequence[Mapping[str, int]]
    rules: Sequence[Rule]
    starts: Mapping[str, int]
    ends: Mapping[str, int]
    keywords: Mapping[str, tuple[Keyword, ...]]
    symbols: Mapping[str, str]
    classes: Mapping[str, str]
    token: re.Pattern[str]

    def is_reserved(self, word: str) -> bool:
        """Whether the word (upper case) is a name only in backticks."""
        return any(k.reserved for k in self.keywords.get(word, ()))


@functools.cache
def tables() -> ParserTables:
    """The grammar's tables: from the package, from the cache, or built now.  They are kept for the life of the process."""
    grammar = GRAMMAR_PATH.read_text(encoding="utf-8")
    built = _read(BUILT_PATH)
    if isinstance(built, dict) and built.get("of") == _digest(grammar) and (found := _sound(built)) is not None:
        return found
    path = _cache_path(grammar)
    if (found := _sound(_read(path))) is not None:
        return found
    data = json.loads(json.dumps(_generate(grammar)))  # as the cache returns it: lists instead of tuples
    _write_cache(path, data)
    return _assemble(data)


def _sound(data: object) -> ParserTables | None:
    """The tables in a file; None if there is no file or it is damaged."""
    try:
        return None if data is None else _assemble(data)
    except (KeyError, TypeError, ValueError, IndexError, re.error):
        return None


def _assemble(data: Any) -> ParserTables:
    keywords: dict[str, list[Keyword]] = {}
    for word, terminal, reserved, lookahead in data["keywords"]:
        pattern = re.compile(lookahead, re.IGNORECASE) if lookahead else None
        keywords.setdefault(word, []).append(Keyword(terminal, reserved, pattern))
    classes: dict[str, str] = dict(data["classes"])
    symbols: dict[str, str] = {**data["symbols"], ";": END}
    blanks = r"(?:[\s\ufeff]+|--[^\r\n]*|/\*(?s:.*?)\*/)*"
    groups = [f"(?P<{name}>{pattern})" for name, pattern in classes.items()]
    by_length = sorted(symbols, key=len, reverse=True)
    groups.append(f"(?P<symbol>(?!/\\*)(?:{'|'.join(map(re.escape, by_length))}))")
    groups += [r"(?P<end>\Z)", r"(?P<bad>/\*(?s:.*)|(?s:.))"]
    return ParserTables(
        actions=data["actions"],
        rules=[Rule(*rule) for rule in data["rules"]],
        starts=data["starts"],
        ends=data["ends"],
        keywords={w: tuple(sorted(ks, key=lambda k: k.lookahead is None)) for w, ks in keywords.items()},
        symbols=symbols,
        classes=classes,
        token=re.compile(blanks + "(?:" + "|".join(groups) + ")", re.IGNORECASE),
    )


def accepts(grammar: ParserTables, states: list[int], terminal: str) -> bool:
    """Whether the parser, with this stack of states, would shift ``terminal`` (for `END`: would accept the text)."""
    stack = list(states)
    while True:
        action = grammar.actions[stack[-1]].get(terminal)
        if action is None:
            return False
        if action >= 0:
            return True
        rule = grammar.rules[~action]
        if rule.length:
            del stack[-rule.length :]
        target = grammar.actions[stack[-1]].get(rule.origin)
        if target is None:
            return False
        stack.append(target)
        if terminal == END and target in grammar.ends.values():
            return True


# --- building ------------------------------------------------------------------------------


def _generate(grammar: str) -> Any:
    """Make the tables, as JSON data."""
    import lark
    from lark.parsers.lalr_analysis import Shift

    class _KeepAll:
        """Keeps terminals that no rule uses: words that are reserved, but not used yet."""

        always_accept = re.findall(r"^([A-Z_]+)(?:\.1)?:", grammar, re.MULTILINE)

        def process(self, stream: Any) -> Any:
            return stream

    parser: Any = lark.Lark(
        grammar, parser="lalr", lexer="basic", start=list(STARTS), maybe_placeholders=False, postlex=_KeepAll()
    )
    table = parser.parser.parser._parse_table
    keywords: list[tuple[str, str, bool, str | None]] = []
    symbols: dict[str, str] = {}
    classes: list[tuple[int, str, str]] = []
    dropped: set[str] = set()
    for order, terminal in enumerate(parser.terminals):
        pattern = terminal.pattern.value
        word = _WORD.fullmatch(pattern)
        if word is not None:
            keywords.append((word[1], terminal.name, terminal.priority > 0, word[2]))
            dropped.add(terminal.name)
        elif terminal.pattern.type == "str":
            symbols[pattern] = terminal.name
            dropped.add(terminal.name)
        else:
            place = grammar.find(f"\n{terminal.name}:")
            classes.append((place if place >= 0 else order, terminal.name, pattern))
    numbers = {rule: number for number, rule in enumerate(parser.rules)}
    for rule in (r for row in table.states.values() for _, r in row.values() if hasattr(r, "origin")):
        numbers.setdefault(rule, len(numbers))
    rules = [_rule(rule, dropped) for rule in numbers]
    actions = [
        {symbol: target if kind is Shift else ~numbers[target] for symbol, (kind, target) in table.states[state].items()}
        for state in range(len(table.states))
    ]
    return {
        "actions": actions,
        "rules": rules,
        "starts": table.start_states,
        "ends": table.end_states,
        "keywords": keywords,
        "symbols": symbols,
        "classes": [(name, pattern) for _, name, pattern in sorted(classes)],
    }


def _rule(rule: Any, dropped: set[str]) -> tuple[str, int, int, Any, str]:
    origin = str(rule.origin.name)
    kept = [
        (index, not symbol.is_term and symbol.name.startswith("_"))
        for index, symbol in enumerate(rule.expansion)
        if rule.options.keep_all_tokens or symbol.name not in dropped
    ]
    if origin.startswith("_"):
        return origin, len(rule.expansion), COLLECT, kept, ""
    if len(kept) == 1 and not kept[0][1] and rule.options.expand1 and not rule.alias:
        return origin, len(rule.expansion), PASS, kept[0][0], ""
    if rule.alias == "same":
        return origin, len(rule.expansion), PASS, kept[0][0], ""
    return origin, len(rule.expansion), CALL, kept, rule.alias or origin


def conflicts(grammar: str) -> list[str]:
    """The shift/reduce conflicts that lark resolved without a message.  Each is one line."""
    import logging

    import lark

    class _Collect(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.lines.append(record.getMessage())

    collect = _Collect()
    level = lark.logger.level
    lark.logger.addHandler(collect)
    lark.logger.setLevel(logging.DEBUG)
    try:
        lark.Lark(grammar, parser="lalr", lexer="basic", start=list(STARTS), maybe_placeholders=False, debug=True)
    finally:
        lark.logger.removeHandler(collect)
        lark.logger.setLevel(level)
    return [line for line in collect.lines if "conflict" in line.lower()]


# --- the files -----------------------------------------------------------------------------


def write(path: Path = BUILT_PATH) -> None:
    """Make the tables and write them into the package.  This is a step of its build."""
    grammar = GRAMMAR_PATH.read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"of": _digest(grammar), **_generate(grammar)}, separators=(",", ":")), encoding="utf-8")


def _digest(grammar: str) -> str:
    return hashlib.sha256(f"{LAYOUT}\0{grammar}".encode()).hexdigest()


def _cache_path(grammar: str) -> Path | None:
    """Where the tables of this grammar are cached; None if there is no place for them."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not base or base.startswith("~"):
        return None
    import importlib.metadata  # takes 15 ms

    version = importlib.metadata.version("lark")
    digest = hashlib.sha256(f"{LAYOUT}\0{version}\0{grammar}".encode()).hexdigest()[:16]
    return Path(base) / "penstock" / f"grammar-{digest}.json"


def _read(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _write_cache(path: Path | None, data: Any) -> None:
    """Write a file beside the path and rename it, so that a reader never sees half a file."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump(data, file, separators=(",", ":"))
        os.replace(file.name, path)
    except OSError:
        return  # if the cache cannot be written, the tables are made again next time
