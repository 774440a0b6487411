"""Matches Java's regular expressions within a bounded time.

There are three engines, and all give the same matches.  Each text goes to the fastest engine that is safe for it:

* `re` tries all ways to match, one after the other.  It is used if a pattern has only few ways for a text of that length.
* RE2 needs time in proportion to the length of the text.  It is used for patterns that it reads in the same way: without
  back references and look-around; with ``$`` only if the text has no line ends; ignoring case only if the text is ASCII.
* `regex` matches all others, with a time limit (`REGEX_TEXT_SECONDS_MAX`).  A text that takes longer fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from math import factorial
from typing import Any

from ...limits import REGEX_STEPS_MAX, REGEX_TEXT_SECONDS_MAX
from .regex import Translated, translate

_LINE_ENDS = re.compile("[\n\r\u0085\u2028\u2029]")
_UNICODE_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(Z)|.)", re.DOTALL)


@lru_cache(maxsize=256)
def compile_java(pattern: str) -> Pattern:
    """Compile a pattern.  Recent patterns are cached.

    Raises:
        ValueError: it is not a pattern of Java's, or needs something that no engine here has.
    """
    return Pattern(pattern, translate(pattern))


@lru_cache(maxsize=256)
def compile_uncaptured(pattern: str) -> Pattern | None:
    """Compile a pattern with groups that capture nothing, because capturing is slow.  None if the pattern refers to its
    groups.

    Raises:
        ValueError: see `compile_java`.
    """
    whole = translate(pattern)
    if not whole.compiled.groups:
        return compile_java(pattern)
    return None if whole.refers else Pattern(pattern, translate(pattern, captures=False))


class Pattern:
    """A compiled pattern with the methods of `re.Pattern`.

    Raises:
        ValueError: from every method, if matching a text takes too long.
    """

    def __init__(self, java: str, translated: Translated) -> None:
        self._java = java
        self._translated = translated
        self._plain = translated.compiled
        self.groups = self._plain.groups
        self.groupindex = self._plain.groupindex
        self.matches_nothing = self._plain.fullmatch("") is not None
        """Whether the pattern matches the empty text."""
        self._plain_chars_max = -1 if translated.nested else _chars_within(translated.loops, translated.ways)

    def search(self, text: str) -> Any:
        """The first match, or None."""
        return self._engine(text).search(text)

    def finditer(self, text: str) -> Iterator[Any]:
        """All matches."""
        return self._engine(text, many=True).finditer(text)  # type: ignore[no-any-return]

    def findall(self, text: str) -> list[Any]:
        """All matches as texts, or their groups."""
        return self._engine(text, many=True).findall(text)  # type: ignore[no-any-return]

    def split(self, text: str) -> list[Any]:
        """The texts between matches, and between them the texts of groups."""
        return self._engine(text, many=True).split(text)  # type: ignore[no-any-return]

    def sub(self, new: str | Callable[[Any], str], text: str) -> str:
        """The text with every match replaced."""
        return self._engine(text, many=True).sub(new, text)  # type: ignore[no-any-return]

    def _engine(self, text: str, *, many: bool = False) -> Any:
        if len(text) <= self._plain_chars_max:
            return self._plain
        known = self._translated
        if (known.has_line_ends and _LINE_ENDS.search(text)) or (known.knows_case and not text.isascii()):
            return self._timed
        linear = self._linear
        if linear is None:
            return self._timed
        return _LinearMatches(linear, self._timed) if many else linear

    @cached_property
    def _linear(self) -> Any:
        """The pattern compiled by RE2; None if RE2 cannot express it."""
        if self._translated.refers or not self._translated.flags & re.ASCII:
            return None
        import re2

        options = re2.Options()
        options.log_errors = False
        text = _UNICODE_ESCAPE.sub(_for_re2, self._translated.one_line)
        try:
            return re2.compile(text, options)
        except re2.error:
            return None

    @cached_property
    def _timed(self) -> _Timed:
        return _Timed(self._java, self._translated)


def _chars_within(loops: int, ways: int) -> int:
    """The length of text that takes at most `REGEX_STEPS_MAX` steps in the worst case.

    In a text of n characters, the start of a match and the lengths of k loops can be chosen in about n^(k+1) / (k+1)! ways.
    """
    return int((REGEX_STEPS_MAX / ways * factorial(min(loops, 100) + 1)) ** (1 / (loops + 1)))


def _for_re2(match: re.Match[str]) -> str:
    if match[3]:
        return r"\z"
    digits = match[1] or match[2]
    return rf"\x{{{digits}}}" if digits else match[0]


class _LinearMatches:
    """RE2's matches.  After an empty match the engines continue at different places, so `_Timed` continues from there."""

    def __init__(self, linear: Any, timed: _Timed) -> None:
        self._linear = linear
        self._timed = timed

    def _matches(self, text: str) -> list[Any] | None:
        found = list(self._linear.finditer(text))
        return None if any(m.start() == m.end() for m in found) else found

    def finditer(self, text: str) -> Iterator[Any]:
        found = self._matches(text)
        return self._timed.finditer(text) if found is None else iter(found)

    def findall(self, text: str) -> list[Any]:
        found = self._matches(text)
        if found is None:
            return self._timed.findall(text)
        groups = self._linear.groups
        return [m[0] if not groups else m[1] or "" if groups == 1 else tuple(g or "" for g in m.groups()) for m in found]

    def split(self, text: str) -> list[Any]:
        found = self._matches(text)
        if found is None:
            return self._timed.split(text)
        pieces: list[Any] = []
        begin = 0
        for match in found:
            pieces += [text[begin : match.start()], *match.groups()]
            begin = match.end()
        return [*pieces, text[begin:]]

    def sub(self, new: str | Callable[[Any], str], text: str) -> str:
        found = self._matches(text)
        if found is None:
            return self._timed.sub(new, text)
        pieces: list[str] = []
        begin = 0
        for match in found:
            pieces += [text[begin : match.start()], new if isinstance(new, str) else new(match)]
            begin = match.end()
        return "".join([*pieces, text[begin:]])


class _Timed:
    """PyPI's `regex` with a time limit.  It releases the interpreter's lock."""

    def __init__(self, java: str, translated: Translated) -> None:
        import regex

        self._java = java
        try:
            self._pattern = regex.compile(translated.text, regex.ASCII if translated.flags & re.ASCII else 0)
        except regex.error as error:
            raise ValueError(f"the regular expression {java!r} cannot be matched with a limit: {error}") from error

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._pattern, method)(*arguments, timeout=REGEX_TEXT_SECONDS_MAX, concurrent=True)
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> ValueError:
        return ValueError(f"matching the regular expression {self._java!r} took longer than {REGEX_TEXT_SECONDS_MAX} s")

    def search(self, text: str) -> Any:
        return self._call("search", text)

    def findall(self, text: str) -> list[Any]:
        found: list[Any] = self._call("findall", text)
        return found

    def split(self, text: str) -> list[Any]:
        found: list[Any] = self._call("split", text)
        return found

    def sub(self, new: str | Callable[[Any], str], text: str) -> str:
        made: str = self._call("sub", new, text)
        return made

    def finditer(self, text: str) -> Iterator[Any]:
        try:
            yield from self._call("finditer", text)
        except TimeoutError:
            raise self._too_slow() from None
