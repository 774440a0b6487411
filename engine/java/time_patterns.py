"""Date and time patterns of Java's ``DateTimeFormatter``: their letters, and how to split a pattern into parts.

`time_parsing` reads texts by a pattern, `time_formatting` writes them.

======  ==========================================  =================================================
letter  meaning                                     by count of letters
======  ==========================================  =================================================
u y     year, year of era                           2: two digits of 2000-2099; 4: at least four digits
G       era                                         1-3: AD, 4: Anno Domini
M L     month                                       1, 2: number; 3: Jan; 4: January
d D     day of month, day of year
E e c   day of week                                 E: Mon, 4: Monday; e, c: number (Sunday is 1) or text
Q q     quarter                                     1, 2: number; 3: Q1; 4: 1st quarter
Y w W   week-based year, week of year, of month     US weeks
F       which one of its weekday in the month
a       AM or PM
H k     hour of day, 0-23 and 1-24
K h     hour of half a day, 0-11 and 1-12
m s     minute, second
S n     fraction of a second; nanosecond
A N     milliseconds, nanoseconds of the day
V z O   zone: identifier, name, GMT+8
X x Z   offset: +02, +0200, +02:00                  X writes no offset as Z
'text'  literal text; '' is a quote
[ ]     an optional section
======  ==========================================  =================================================

Names are English.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")

DATE_LETTERS = frozenset("uyGMLdDEecQqYwWF")
TIME_LETTERS = frozenset("aHkKhmsSnAN")
_MOST = {
    "d": 2,
    "H": 2,
    "h": 2,
    "k": 2,
    "K": 2,
    "m": 2,
    "s": 2,
    "w": 2,
    "W": 1,
    "F": 1,
    "a": 1,
    "D": 3,
    "S": 9,
    "V": 2,
    "z": 4,
}
_MOST |= {"M": 5, "L": 5, "E": 5, "e": 5, "c": 5, "Q": 5, "q": 5, "G": 5, "X": 5, "x": 5, "Z": 5, "O": 4}


@dataclass(frozen=True, slots=True)
class LiteralText:
    """Text that stands in the pattern and in the formatted text alike."""

    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """A letter, and how often it is repeated."""

    letter: str
    count: int


@dataclass(frozen=True, slots=True)
class OptionalPart:
    """A section that a text may leave out."""

    parts: tuple[Part, ...]


Part = LiteralText | Field | OptionalPart


@lru_cache(maxsize=512)
def parts_of(pattern: str) -> tuple[Part, ...]:
    """Split a pattern into its parts.

    Raises:
        ValueError: it is not a pattern, or needs something that Penstock does not have.  The error names it.
    """
    stack: list[list[Part]] = [[]]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character.isascii() and character.isalpha():
            end = position
            while end < len(pattern) and pattern[end] == character:
                end += 1
            stack[-1].append(_field(character, end - position, pattern))
            position = end
            continue
        position += 1
        if character == "'":
            literal, position = _quoted(pattern, position)
            stack[-1].append(LiteralText(literal))
        elif character == "[":
            stack.append([])
        elif character == "]":
            if len(stack) == 1:
                raise ValueError(f"bad pattern {pattern!r}: ] without [")
            inner = OptionalPart(tuple(stack.pop()))
            stack[-1].append(inner)
        elif character in "{}#":
            raise ValueError(f"bad pattern {pattern!r}: {character} is reserved, write it in quotes")
        else:
            stack[-1].append(LiteralText(character))
    while len(stack) > 1:
        inner = OptionalPart(tuple(stack.pop()))
        stack[-1].append(inner)
    return tuple(stack[0])


def _quoted(pattern: str, position: int) -> tuple[str, int]:
    """The literal text after a quote, and the position where it ends."""
    text = []
    while position < len(pattern):
        if pattern[position] != "'":
            text.append(pattern[position])
        elif pattern[position + 1 : position + 2] == "'":
            text.append("'")
            position += 1
        else:
            return ("".join(text) or "'"), position + 1
        position += 1
    raise ValueError(f"bad pattern {pattern!r}: a quoted text is not closed")


def _field(letter: str, count: int, pattern: str) -> Field:
    if letter not in DATE_LETTERS | TIME_LETTERS | frozenset("VzOXxZ"):
        raise ValueError(f"bad pattern {pattern!r}: the letter {letter} is not supported")
    if count > _MOST.get(letter, 19) or (letter == "V" and count != 2) or (letter == "O" and count not in (1, 4)):
        raise ValueError(f"bad pattern {pattern!r}: {letter * count} has a wrong number of letters")
    return Field(letter, count)
