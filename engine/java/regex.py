r"""Translates Java's regular expressions into Python's.

The dialects are close.  These differences are translated:

* ``.``, ``^`` and ``$`` use Java's line ends (``\n``, ``\r``, ``\r\n``, U+0085, U+2028, U+2029); ``\Z`` is the place before
  a last line end, ``\z`` the end;
* ``\d \w \s \b`` and the flag for ignoring case affect ASCII only, unless ``(?U)`` or ``(?u)`` at the start says otherwise;
* ``\p{..}``, ``\h``, ``\R``, ``\Q..\E``, ``\x{..}``, ``\0..`` and ``\e``;
* character classes nest and intersect: ``[a-z&&[^aeiou]]``;
* flags may stand anywhere and apply to the end of their group; named groups are ``(?<name>..)``.

What Python cannot express (``\G``, ``\X``, lookbehinds of variable length) is refused: a ValueError names it.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

_LINE_END = r"(?:\r\n|(?<!\r)\n|[\r\u0085\u2028\u2029])"
_FEW_TIMES = 10
"""A repetition of at most this count multiplies the number of ways to match.  A larger one counts as a loop."""
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_CLASSES = {
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": "[A-Za-z0-9_]",
    "W": "[^A-Za-z0-9_]",
    "s": r"[ \t\n\x0b\f\r]",
    "S": r"[^ \t\n\x0b\f\r]",
    "h": r"[ \t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000]",
    "H": r"[^ \t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000]",
    "v": r"[\n\x0b\f\r\x85\u2028\u2029]",
    "V": r"[^\n\x0b\f\r\x85\u2028\u2029]",
}
_POSIX = {
    "Lower": "[a-z]",
    "Upper": "[A-Z]",
    "ASCII": r"[\x00-\x7f]",
    "Alpha": "[A-Za-z]",
    "Digit": "[0-9]",
    "Alnum": "[A-Za-z0-9]",
    "Punct": r"[!-/:-@\[-`{-~]",
    "Graph": "[!-~]",
    "Print": "[ -~]",
    "Blank": r"[ \t]",
    "Cntrl": r"[\x00-\x1f\x7f]",
    "XDigit": "[0-9A-Fa-f]",
    "Space": r"[ \t\n\x0b\f\r]",
}
_PREDICATES: dict[str, Callable[[str], bool]] = {
    "alphabetic": str.isalpha,
    "letter": str.isalpha,
    "digit": str.isdecimal,
    "uppercase": str.isupper,
    "lowercase": str.islower,
    "whitespace": str.isspace,
    "white_space": str.isspace,
    "letterordigit": lambda c: c.isalpha() or c.isdecimal(),
}


@dataclass(frozen=True, slots=True)
class Translated:
    """A pattern in Python's dialect.

    Attributes:
        text: the pattern for `re` (and for PyPI's `regex`).
        flags: the flags for `re.compile`.
        compiled: the pattern, compiled by `re`.
        one_line: the pattern for texts without line ends, in which ``$`` is simply the end of the text.
        has_line_ends: whether ``one_line`` differs from ``text``.
        knows_case: whether a part of the pattern ignores case.
        refers: whether the pattern has back references.
        loops: the number of repetitions without a small bound that follow each other.
        ways: the number of ways to match the rest.
        nested: whether the pattern repeats a part that can match in several ways.
    """

    text: str
    flags: int
    compiled: re.Pattern[str]
    one_line: str
    has_line_ends: bool
    knows_case: bool
    refers: bool
    loops: int
    ways: int
    nested: bool


@lru_cache(maxsize=512)
def translate(pattern: str, *, captures: bool = True) -> Translated:
    """Translate a pattern of Java's.  Recent patterns are cached.

    Args:
        captures: False: the groups of the result capture nothing.

    Raises:
        ValueError: it is not a pattern of Java's, or needs something that Python's engine does not have.
    """
    translator = _Translator(pattern, captures=captures)
    text = translator.translate()
    one_line = _Translator(pattern, captures=captures, one_line=True).translate()
    flags = 0 if translator.unicode else re.ASCII
    return Translated(
        text,
        flags,
        _compiled(pattern, text, flags),
        one_line,
        text != one_line,
        translator.knows_case,
        translator.refers,
        translator.loops,
        translator.ways,
        translator.nested,
    )


def _compiled(pattern: str, text: str, flags: int) -> re.Pattern[str]:
    try:
        return re.compile(text, flags)
    except re.error as error:
        reason = str(error)
        if "look-behind" in reason:
            reason = "a lookbehind must have one fixed length here"
        raise ValueError(f"bad regular expression {pattern!r}: {reason}") from error
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"bad regular expression {pattern!r}: {error}") from error


class HasGroups(Protocol):
    """A compiled pattern."""

    @property
    def groups(self) -> int: ...

    @property
    def groupindex(self) -> Mapping[str, int]: ...


@lru_cache(maxsize=256)
def replacement(template: str, pattern: HasGroups) -> Callable[[re.Match[str]], str]:
    """Convert Java's replacement text (``$1``, ``${name}``, backslash escapes) to a function of a match.

    Raises:
        ValueError: a group does not exist, or a ``$`` or backslash stands alone.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(template):
        character = template[position]
        position += 1
        if character == "\\":
            if position == len(template):
                raise ValueError("a replacement must not end with a single backslash")
            parts.append(template[position])
            position += 1
        elif character == "$":
            named = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}").match(template, position)
            if named:
                if named[1] not in pattern.groupindex:
                    raise ValueError(f"the replacement names a group {named[1]} that the pattern does not have")
                parts.append(pattern.groupindex[named[1]])
                position = named.end()
                continue
            if not template[position : position + 1].isdecimal():
                raise ValueError("a $ in a replacement must be followed by a group; write \\$ for the sign itself")
            group = int(template[position])
            position += 1
            if group > pattern.groups:
                raise ValueError(f"the replacement names group {group}, but the pattern has {pattern.groups}")
            while template[position : position + 1].isdecimal() and group * 10 + int(template[position]) <= pattern.groups:
                group = group * 10 + int(template[position])
                position += 1
            parts.append(group)
        else:
            parts.append(character)
    groups = [place for place, part in enumerate(parts) if isinstance(part, int)]
    if len(groups) != 1:
        return lambda match: "".join([part if isinstance(part, str) else match[part] or "" for part in parts])
    place = groups[0]
    before, only, after = "".join(map(str, parts[:place])), parts[place], "".join(map(str, parts[place + 1 :]))
    return lambda match: f"{before}{match[only] or ''}{after}"


@lru_cache(maxsize=64)
def _class_of(test: Callable[[str], bool] | str) -> str:
    """A class of all characters that pass a test, or that have a general category (or one that begins with this letter)."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code <= 0xDFFF:
            continue
        character = chr(code)
        if unicodedata.category(character).startswith(test) if isinstance(test, str) else test(character):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "[" + "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges) + "]" if ranges else "(?!)"


class _Translator:
    """Translates a pattern by recursive descent.  It keeps the flags that apply at the current position."""

    def __init__(self, pattern: str, *, captures: bool = True, one_line: bool = False) -> None:
        self._text = pattern
        self._captures = captures
        self._one_line = one_line
        self._at = 0
        self._flags: frozenset[str] = frozenset()
        self._groups = 0
        self.knows_case = re.search(r"\(\?[a-zA-Z]*i", pattern) is not None
        self.unicode = False
        self.refers = False
        """Whether the pattern has back references; complete after the translation."""
        self.loops = 0
        self.ways = 1
        self.nested = False

    def translate(self) -> str:
        result = self._alternatives()
        if self._at < len(self._text):
            raise self._error("unmatched closing ')'")
        return result

    def _error(self, what: str) -> ValueError:
        return ValueError(f"bad regular expression {self._text!r}: {what} at position {self._at + 1}")

    def _peek(self, size: int = 1) -> str:
        return self._text[self._at : self._at + size]

    def _take(self) -> str:
        if self._at >= len(self._text):
            raise self._error("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _alternatives(self) -> str:
        """Translate up to the end of the group.  Flags that change inside the group apply to its end."""
        before = self._flags
        result = self._sequence()
        branches = 1
        while self._peek() == "|":
            self._at += 1
            branches += 1
            result += "|" + self._sequence()
        self.ways *= branches
        self._flags = before
        return result

    def _sequence(self) -> str:
        parts: list[str] = []
        ignoring = "i" in self._flags
        run: list[str] = []

        def close() -> None:
            if run:
                text = "".join(run)
                parts.append(f"(?i:{text})" if ignoring else f"(?-i:{text})" if self.knows_case else text)
                run.clear()

        while self._at < len(self._text) and self._peek() not in ("|", ")"):
            piece = self._piece()
            if ("i" in self._flags) != ignoring:
                close()
                ignoring = "i" in self._flags
            if piece:
                run.append(piece)
        close()
        return "".join(parts)

    def _piece(self) -> str:
        """Translate one atom with its quantifier, or a comment or flags, which give an empty text."""
        character = self._peek()
        if "x" in self._flags:
            if character in " \t\n\x0b\f\r":
                self._at += 1
                return ""
            if character == "#":
                while self._at < len(self._text) and self._peek() not in ("\n", "\r"):
                    self._at += 1
                return ""
        if self._peek(2) == "\\Q":
            return self._quoted()
        before = self.loops, self.ways
        atom = self._atom()
        return atom + self._quantifier(repeats_ways=before != (self.loops, self.ways)) if atom else ""

    def _quoted(self) -> str:
        self._at += 2
        end = self._text.find("\\E", self._at)
        literal = self._text[self._at :] if end < 0 else self._text[self._at : end]
        self._at = len(self._text) if end < 0 else end + 2
        if not literal:
            return ""
        return re.escape(literal[:-1]) + re.escape(literal[-1]) + self._quantifier()

    def _quantifier(self, *, repeats_ways: bool = False) -> str:
        match = re.compile(r"([*+?]|\{\d+(?:,\d*)?\})([?+]?)").match(self._text, self._at)
        if match is None:
            if self._peek() == "{":
                raise self._error("an opening brace must begin a repetition such as {2,3} or be escaped")
            return ""
        self._at = match.end()
        self._count(match[1], repeats_ways)
        return match[0]

    def _count(self, quantifier: str, repeats_ways: bool) -> None:
        """Count the ways to match that a repetition adds."""
        if quantifier == "?":
            self.ways *= 2
            return
        least, comma, most = quantifier.strip("{}").partition(",")
        open_ = quantifier in "*+" or quantifier.endswith(",}")
        times = 0 if open_ else int(most or least)
        self.nested |= repeats_ways and (open_ or times > 1)
        if open_ or (comma and times > _FEW_TIMES):
            self.loops += 1
        else:
            self.ways *= times - int(least) + 1

    def _atom(self) -> str:
        character = self._take()
        match character:
            case ".":
                return r"[\s\S]" if "s" in self._flags else r"[^\n]" if "d" in self._flags else r"[^\n\r\u0085\u2028\u2029]"
            case "^" if self._one_line:
                return r"\A"
            case "$" if self._one_line:
                return r"\Z"
            case "^":
                return (
                    r"(?:\A|(?<=\n)(?!\Z)|(?<=\r)(?!\n)(?!\Z)|(?<=[\u0085\u2028\u2029])(?!\Z))"
                    if "m" in self._flags
                    else r"\A"
                )
            case "$":
                return rf"(?=\Z|{_LINE_END})" if "m" in self._flags else rf"(?={_LINE_END}?\Z)"
            case "[":
                return self._class()
            case "(":
                return self._group()
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                self._at -= 1
                raise self._error(f"a {character} that repeats nothing")
            case "{":
                self._at -= 1
                raise self._error("an opening brace must begin a repetition such as {2,3} or be escaped")
        return re.escape(character)

    def _group(self) -> str:
        opening = "("
        if self._peek() == "?":
            self._at += 1
            match = re.compile(r"<([A-Za-z][A-Za-z0-9]*)>|<?[=!]|[:>]").match(self._text, self._at)
            if match is None:
                return self._flag_group()
            self._at = match.end()
            if not match[1]:
                return f"(?{match[0]}{self._body()}"
            opening = f"(?P<{match[1]}>"
        self._groups += 1
        return (opening if self._captures else "(?:") + self._body()

    def _body(self) -> str:
        inner = self._alternatives()
        if self._peek() != ")":
            raise self._error("a group is not closed")
        self._at += 1
        return inner + ")"

    def _flag_group(self) -> str:
        match = re.compile(r"([idmsuxU]*)(?:-([idmsuxU]*))?([:)])").match(self._text, self._at)
        if match is None:
            raise self._error("an unknown kind of group")
        self._at = match.end()
        if set(match[1]) & {"u", "U"}:
            if match.start() != 2:
                raise self._error("the flags u and U are supported at the start of the pattern only")
            self.unicode = True
        before = self._flags
        self._flags = (before | set(match[1])) - set(match[2] or "")
        if match[3] == ")":
            return ""
        ignoring = "i" in self._flags
        inner = self._body()
        self._flags = before
        return f"(?{'i' if ignoring else '-i'}:{inner}"

    def _escape(self) -> str:
        character = self._peek()
        if not character:
            raise self._error("a backslash at the end")
        match character:
            case "b" | "B" | "A":
                self._at += 1
                return "\\" + character
            case "z":
                self._at += 1
                return r"\Z"
            case "Z":
                self._at += 1
                return r"\Z" if self._one_line else rf"(?={_LINE_END}?\Z)"
            case "R":
                self._at += 1
                return r"(?:\r\n|[\n\x0b\f\r\x85\u2028\u2029])"
            case "G" | "X":
                raise self._error(f"\\{character} is not supported")
            case "k":
                match = re.compile(r"k<([A-Za-z][A-Za-z0-9]*)>").match(self._text, self._at)
                if match is None:
                    raise self._error(r"\k must be followed by a group's name in angle brackets")
                self._at = match.end()
                self.refers = True
                return f"(?P={match[1]})"
        if character in "123456789":
            return self._back_reference()
        return self._character_escape()

    def _back_reference(self) -> str:
        """Translate a back reference.

        Its number has as many digits as still name a group before it.  A reference to a group that does not exist never
        matches.
        """
        self.refers = True
        group = int(self._take())
        while self._peek().isdecimal() and group * 10 + int(self._peek()) <= self._groups:
            group = group * 10 + int(self._take())
        return f"(?:\\{group})" if group <= self._groups else "(?!)"

    def _character_escape(self) -> str:
        """Translate an escape that can stand inside and outside of a class: a class, or one character."""
        character = self._take()
        if character in _CLASSES:
            if self.unicode and character in "dDwWsS":
                return "\\" + character
            return _CLASSES[character]
        if character in "pP":
            return self._property(negative=character == "P")
        if character in _ESCAPES:
            return re.escape(_ESCAPES[character])
        if character == "c":
            return re.escape(chr(ord(self._take()) ^ 64))
        for prefix, digits in (
            ("0", r"[0-3]?[0-7]{1,2}"),
            ("u", "[0-9A-Fa-f]{4}"),
            ("x", r"[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]+\}"),
        ):
            if character == prefix:
                match = re.compile(digits).match(self._text, self._at)
                if match is None:
                    raise self._error(f"\\{character} must be followed by digits")
                self._at = match.end()
                code = int(match[0].strip("{}"), 8 if prefix == "0" else 16)
                if code > sys.maxunicode:
                    raise self._error("there is no such character")
                return re.escape(chr(code))
        if character.isalnum() and character.isascii():
            raise self._error(f"\\{character} is not an escape")
        return re.escape(character)

    def _property(self, negative: bool) -> str:
        match = re.compile(r"\{(\^?)([A-Za-z_= ]+)\}|([A-Z])").match(self._text, self._at)
        if match is None:
            raise self._error(r"\p must be followed by a name in braces")
        self._at = match.end()
        name = match[2] or match[3]
        found = _POSIX.get(name)
        if found is None:
            short = re.sub(r"^(Is|java|In|general_category=|gc=)", "", name)
            test = _PREDICATES.get(short.lower().removesuffix("_char"))
            if test is not None and not name.startswith("In"):
                found = _class_of(test)
            elif re.fullmatch(r"[CLMNPSZ][a-z]?", short):
                found = _class_of(short)
            elif short == "Latin":
                found = "[A-Za-z\xaa\xba\xc0-\xd6\xd8-\xf6\xf8-\u02b8\u1e00-\u1eff]"
            elif short in ("Greek", "Cyrillic"):
                found = "[\u0370-\u03ff\u1f00-\u1fff]" if short == "Greek" else "[\u0400-\u052f]"
            else:
                raise self._error(f"the character property {name} is not supported")
        return _negated(found) if negative != bool(match[1]) else found

    def _class(self) -> str:
        """Translate a class after its opening bracket: unions, nested classes and intersections."""
        negative = self._peek() == "^"
        self._at += negative
        operands: list[list[str]] = [[]]
        first = True
        while True:
            character = self._peek()
            if not character:
                raise self._error("a character class is not closed")
            if character == "]" and not (first and len(operands) == 1):
                self._at += 1
                break
            first = False
            if self._peek(2) == "&&":
                self._at += 2
                operands.append([])
                continue
            if "x" in self._flags and character in " \t\n\x0b\f\r":
                self._at += 1
                continue
            operands[-1].append(self._class_item())
        sets = [_union(items) for items in operands if items]
        if not sets:
            raise self._error("an empty character class")
        result = sets[0]
        if len(sets) > 1:
            result = "(?:" + "".join(f"(?={s})" for s in sets[1:]) + sets[0] + ")"
        return _negated(result) if negative else result

    def _class_item(self) -> str:
        if self._peek() == "[":
            self._at += 1
            return self._class()
        if self._peek(2) == "\\Q":
            self._at += 2
            end = self._text.find("\\E", self._at)
            if end < 0:
                raise self._error(r"a \Q in a character class is not closed")
            literal = self._text[self._at : end]
            self._at = end + 2
            return "[" + "".join(map(_class_escape, literal)) + "]" if literal else "(?!)"
        low = self._class_character()
        if len(low) > 1:
            return low
        if self._peek() == "-" and self._peek(2) not in ("-]", "-[", "-&"):
            self._at += 1
            high = self._class_character()
            if len(high) > 1 or high < low:
                raise self._error("a bad range in a character class")
            return f"[{_class_escape(low)}-{_class_escape(high)}]"
        return f"[{_class_escape(low)}]"

    def _class_character(self) -> str:
        """A single character, or a class as text."""
        character = self._take()
        if character != "\\":
            return character
        text = self._character_escape()
        if self.unicode and len(text) == 2 and text[1] in "dDwWsS":
            return f"[{text}]"
        if text.startswith(("[", "(?")):
            return text
        return text[1] if len(text) == 2 else text


def _class_escape(character: str) -> str:
    return "\\" + character if character in "\\]^-[&~|" else character


def _union(items: list[str]) -> str:
    """One class if all items are simple, otherwise alternatives."""
    if all(_is_simple(item) for item in items):
        return "[" + "".join(item[1:-1] for item in items) + "]"
    return "(?:" + "|".join(items) + ")"


def _is_simple(item: str) -> bool:
    return item.startswith("[") and not item.startswith("[^")


def _negated(text: str) -> str:
    if text.startswith("[^"):
        return "[" + text[2:]
    if text.startswith("["):
        return "[^" + text[1:]
    return rf"(?:(?!{text})[\s\S])"
