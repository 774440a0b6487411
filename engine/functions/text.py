"""Text: case, substrings, joining, searching, padding, splitting.

Positions and lengths count UTF-16 units, as in Java.  Several functions also take BYTES, and then count bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...limits import GROWN_CHARS_MAX
from ...runtime.kernel import Evaluated
from ..columns.arrow import (
    all_ascii,
    flat,
    from_numpy,
    has_no_pairs,
    is_literal,
    length_of,
    null_mask,
    row_by_row,
    text_bytes,
    text_column,
    text_offsets,
    with_bytes,
)
from ..columns.kinds import Column, Datum
from ..columns.sizes import check_column, check_grown, size_of
from ..java.text import BLANKS, from_units, to_units
from .registry import scalar

CATEGORY = "STRING"


# --- case ----------------------------------------------------------------------------------


def _define_case(name: str, meaning: str, ascii_kernel: Callable[[Any], Any], function: Callable[[str], str]) -> None:
    def change(text: Column) -> Column:
        return text_column(function, pa.string(), text, lambda column: flat(ascii_kernel(column)))

    scalar(name, meaning, "(text STRING) -> STRING", style="arrow", category=CATEGORY)(change)


_define_case("LCASE", "The text in lower case.", pc.ascii_lower, str.lower)
_define_case("UCASE", "The text in upper case.", pc.ascii_upper, str.upper)


@scalar(
    "INITCAP",
    "Each word (up to white space) with a capital first and small letters after it.",
    "(text STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def initcap(text: Column) -> Column:
    return text_column(_initcap, pa.string(), text, _initcap_ascii)


def _initcap(text: str) -> str:
    return re.sub(r"\S+", lambda word: word[0][:1].upper() + word[0][1:].lower(), text)


_IS_SPACE = np.array([chr(code).isspace() for code in range(128)] + [False] * 128)


def _initcap_ascii(text: Column) -> Column:
    """Make all letters lower case, then capitalise those at the beginning and after white space."""
    data = text_bytes(flat(pc.ascii_lower(text))).copy()
    first = np.ones(len(data), np.bool_)
    first[1:] = _IS_SPACE[data[:-1]]
    begins = (text_offsets(text) - text_offsets(text)[0])[:-1]
    first[begins[begins < len(data)]] = True
    data[first & (data >= ord("a")) & (data <= ord("z"))] -= ord("a") - ord("A")
    return with_bytes(text, data)


@scalar(
    "TRIM",
    "The text without spaces and control characters at its ends.",
    "(text STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def trim(text: Column) -> Column:
    return flat(pc.utf8_trim(text, characters=BLANKS))


# --- length and parts ----------------------------------------------------------------------


@scalar(
    "LEN",
    "The length in UTF-16 units, or in bytes.",
    "(text STRING) -> INT",
    "(text BYTES) -> INT",
    style="arrow",
    category=CATEGORY,
)
def length(text: Any) -> Any:
    if pa.types.is_binary(text.type) or all_ascii(text):
        return flat(pc.binary_length(text))
    characters = flat(pc.utf8_length(text))
    if has_no_pairs(text):
        return characters
    offsets = text_offsets(text)
    long_before = np.concatenate(([0], np.cumsum(text_bytes(text) >= 0xF0)))
    begins = offsets - offsets[0]
    pairs = long_before[begins[1:]] - long_before[begins[:-1]]
    return flat(pc.add(characters, from_numpy(pairs.astype(np.int32), pa.int32(), null_mask(text))))


def _part(text: Any, start: int, size: int | None = None) -> Any:
    """A slice of a str or bytes by SQL's rules.  Positions count from 1, and negative ones from the end."""
    begin = max(len(text) + start, 0) if start < 0 else max(min(start - 1, len(text)), 0)
    return text[begin:] if size is None else text[begin : max(begin + size, begin)]


def _part_of_text(text: str, start: int, size: int | None = None) -> str:
    return from_units(_part(to_units(text), start, size))


_SUBSTRING = "The part from a position (from 1; negative: from the end), of at most a length."


@scalar(
    "SUBSTRING",
    _SUBSTRING,
    "(text STRING, start INT) -> STRING",
    "(text STRING, start INT, length INT) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def substring(text: Any, start: Any, size: Any = None) -> Any:
    """This is fast if start and length are literals and all characters are single UTF-16 units."""
    literals = is_literal(start) and start.is_valid and (size is None or (is_literal(size) and size.is_valid))
    if literals and isinstance(text, pa.Array) and has_no_pairs(text):
        begin = start.as_py()
        count = None if size is None else max(size.as_py(), 0)
        if begin > 0 or count is None:
            begin = begin - 1 if begin > 0 else begin
            return flat(pc.utf8_slice_codeunits(text, begin, None if count is None else begin + count))
        if begin == 0:
            return flat(pc.utf8_slice_codeunits(text, 0, count))
    arguments = (text, start) if size is None else (text, start, size)
    return row_by_row(_part_of_text, pa.string(), *arguments)


@scalar(
    "SUBSTRING",
    _SUBSTRING,
    "(bytes BYTES, start INT) -> BYTES",
    "(bytes BYTES, start INT, length INT) -> BYTES",
    category=CATEGORY,
)
def substring_of_bytes(data: bytes, start: int, size: int | None = None) -> bytes:
    return bytes(_part(data, start, size))


# --- joining -------------------------------------------------------------------------------

_CONCAT = "The arguments one after the other, nulls left out."
_CONCAT_WS = "The arguments joined by a separator, nulls left out."


@scalar("CONCAT", _CONCAT, "(first STRING, rest STRING...) -> STRING", style="arrow", nulls=True, category=CATEGORY)
@scalar("CONCAT", _CONCAT, "(first BYTES, rest BYTES...) -> BYTES", style="arrow", nulls=True, category=CATEGORY)
def concat(*parts: Datum) -> Column:
    return _join(parts, pa.scalar("" if pa.types.is_string(parts[0].type) else b"", parts[0].type))


@scalar(
    "CONCAT_WS",
    _CONCAT_WS,
    "(separator STRING, first STRING, rest STRING...) -> STRING",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
@scalar(
    "CONCAT_WS",
    _CONCAT_WS,
    "(separator BYTES, first BYTES, rest BYTES...) -> BYTES",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def concat_ws(separator: Datum, *parts: Datum) -> Column:
    """A null separator makes the result null."""
    return _join(parts, separator)


def _join(parts: tuple[Datum, ...], separator: Datum) -> Column:
    """Join columns.  A row with only nulls gets one empty part, because Arrow 26 loses such rows."""
    length = length_of((*parts, separator))
    columns = [part if isinstance(part, pa.Scalar) else flat(part) for part in parts]
    left: list[Any] = [part for part in columns if not isinstance(part, pa.Scalar) or part.is_valid]
    empty = pa.scalar("" if pa.types.is_string(parts[0].type) else b"", parts[0].type)
    nowhere = np.ones(length, np.bool_)
    for part in left:
        nowhere &= null_mask(part) if isinstance(part, pa.Array) else False
    if nowhere.any() or not left:
        left.append(flat(pc.if_else(pa.array(nowhere), empty, pa.scalar(None, empty.type))))
    check_column(sum(size_of(part, length) for part in left) + (len(left) - 1) * size_of(separator, length))
    between: Any = separator
    return flat(pc.binary_join_element_wise(*left, between, null_handling="skip"))


# --- replacing and searching ---------------------------------------------------------------


@scalar(
    "REPLACE",
    "The text with all occurrences of one piece replaced by another.",
    "(text STRING, old STRING, new STRING) -> STRING",
    style="arrow",
    category=CATEGORY,
)
def replace(text: Datum, old: Datum, new: Datum) -> Evaluated:
    if is_literal(old) and is_literal(new) and isinstance(text, pa.Array) and old.as_py() and new.is_valid:
        growth = max(len(new.as_py().encode()) // len(old.as_py().encode()), 1)
        if text.nbytes * growth <= GROWN_CHARS_MAX:  # if all rows together are not too long, none is
            return Evaluated(flat(pc.replace_substring(text, pattern=old.as_py(), replacement=new.as_py())))
    return row_by_row(_replaced, pa.string(), text, old, new)


def _replaced(text: str, old: str, new: str) -> str:
    if len(new) > len(old):
        check_grown(len(text) + text.count(old) * (len(new) - len(old)), len(text))
    return text.replace(old, new)


@scalar(
    "INSTR",
    "The position (from 1) of an occurrence of a piece, searched from a position (negative: backwards); 0 for none.",
    "(text STRING, piece STRING) -> INT",
    "(text STRING, piece STRING, position INT) -> INT",
    "(text STRING, piece STRING, position INT, occurrence INT) -> INT",
    nulls=True,
    category=CATEGORY,
)
def instr(text: str | None, piece: str | None, position: int | None = 1, occurrence: int | None = 1) -> int:
    """Occurrences may overlap.  A null argument gives 0."""
    if text is None or piece is None or not position or occurrence is None or occurrence < 1:
        return 0
    units, wanted = to_units(text), to_units(piece)
    if position > 0:
        found = position - 2
        for _ in range(occurrence):
            found = units.find(wanted, found + 1)
            if found < 0:
                return 0
        return found + 1
    start = len(units) + position
    for _ in range(occurrence):
        if start < 0:
            return 0
        start = units.rfind(wanted, 0, start + len(wanted)) - 1
        if start < -1:
            return 0
    return start + 2


# --- padding -------------------------------------------------------------------------------

_LPAD = "The text padded on the left, or cut, to a length."
_RPAD = "The text padded on the right, or cut, to a length."


def _pad(text: Any, size: int, padding: Any, left: bool) -> Any:
    if size < 0 or not padding:
        return None
    missing = size - len(text)
    if missing <= 0:
        return text[:size]
    check_grown(size, len(text))
    fill = (padding * (missing // len(padding) + 1))[:missing]
    return fill + text if left else text + fill


def _define_pad(name: str, meaning: str, left: bool) -> None:
    def pad_text(text: str, size: int, padding: str) -> str | None:
        padded = _pad(to_units(text), size, to_units(padding), left)
        return None if padded is None else from_units(padded)

    def pad_bytes(data: bytes, size: int, padding: bytes) -> bytes | None:
        return None if (padded := _pad(data, size, padding, left)) is None else bytes(padded)

    scalar(name, meaning, "(text STRING, length INT, padding STRING) -> STRING", category=CATEGORY)(pad_text)
    scalar(name, meaning, "(bytes BYTES, length INT, padding BYTES) -> BYTES", category=CATEGORY)(pad_bytes)


_define_pad("LPAD", _LPAD, left=True)
_define_pad("RPAD", _RPAD, left=False)


# --- choosing ------------------------------------------------------------------------------


@scalar(
    "ELT",
    "The text at a position (from 1) among the arguments; null out of range.",
    "(position INT, texts STRING...) -> STRING",
    nulls=True,
    category=CATEGORY,
)
def elt(position: int | None, *texts: str | None) -> str | None:
    return texts[position - 1] if position is not None and 1 <= position <= len(texts) else None


@scalar(
    "FIELD",
    "The position (from 1) of the first argument among the others; 0 if it is not there, or null.",
    "(text STRING, texts STRING...) -> INT",
    nulls=True,
    category=CATEGORY,
)
def field(text: str | None, *texts: str | None) -> int:
    return texts.index(text) + 1 if text is not None and text in texts else 0


# --- characters, hashes, identifiers -------------------------------------------------------

_CHR = "The character of a code point, given as a number or as \\uXXXX; null if there is none."
_ESCAPE = re.compile(r"\\(u+([0-9A-Fa-f]{4})|u|[0-7]{1,3}|.|$)", re.DOTALL)
_ESCAPED = {"b": "\b", "n": "\n", "t": "\t", "f": "\f", "r": "\r"}


@scalar("CHR", _CHR, "(code INT) -> STRING", category=CATEGORY)
def character(code: int) -> str | None:
    if not 0 <= code <= 0x10FFFF:
        return None
    return from_units(chr(code))


@scalar("CHR", _CHR, "(code STRING) -> STRING", category=CATEGORY)
def character_of_escape(code: str) -> str | None:
    r"""The character of an escape.

    Raises:
        ValueError: there are no four hexadecimal digits after ``\u``.
    """
    if len(code) < 6 or not code.startswith("\\u"):
        return None
    return from_units(_ESCAPE.sub(_unescape, code))


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    if match[2]:
        return chr(int(match[2], 16))
    if escape == "u":
        raise ValueError(r"\u must be followed by four hexadecimal digits")
    if escape[:1] in set("01234567"):
        return chr(int(escape, 8))
    return _ESCAPED.get(escape, escape)


@scalar(
    "MD5",
    "The MD5 digest of the text in UTF-8, in lower-case hexadecimal.",
    "(text STRING) -> STRING",
    category=CATEGORY,
)
def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


_UUID = "A random UUID, or the UUID of 16 bytes."


@scalar("UUID", _UUID, "() -> STRING", volatile=True, category=CATEGORY)
def random_uuid() -> str:
    """A UUID of version 4: all bits are random except the version and two bits of the variant."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return _dashed(f"{digits[:12]}4{digits[13:16]}{variant}{digits[17:]}")


def _dashed(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@scalar("UUID", _UUID, "(bytes BYTES) -> STRING", category=CATEGORY)
def uuid_of_bytes(data: bytes) -> str | None:
    return _dashed(data.hex()) if len(data) == 16 else None
