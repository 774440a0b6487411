"""Reads and writes many JSON texts at once.  Numbers keep their digits, and containers are written as compact JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ..columns.arrow import flat


class Missing:
    """The value of an empty text, which holds no JSON value but is not an error."""


MISSING = Missing()


_GOES_ON = re.compile(r"[^\s,\]}:]")
"""Characters that cannot come directly after a number, true, false or null, because they would belong to it."""


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


# --- reading -------------------------------------------------------------------------------


class JsonValueReader:
    """Reads JSON texts as None, bool, int, str, list or dict.  ``number`` makes the value of a fraction from its text.

    It tries msgspec's decoder first.  That one accepts less than Python's (no unpaired surrogates, no fractions beyond
    DOUBLE), but gives the same results in a third of the time.
    """

    def __init__(self, number: Callable[[str], Any]) -> None:
        decoder = msgspec.json.Decoder() if number is float else msgspec.json.Decoder(float_hook=number)
        self.quick = decoder.decode
        self._thorough = json.JSONDecoder(parse_float=number, parse_constant=_refuse).raw_decode

    def read(self, text: str) -> Any:
        """Read the first value of a text, and ignore the rest.  A blank text gives `MISSING`.

        Raises:
            ValueError: the text does not begin with a JSON value.
        """
        try:
            return self.quick(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return self._read_thoroughly(text)

    def _read_thoroughly(self, text: str) -> Any:
        begun = text.lstrip(" \t\r\n")
        if not begun:
            return MISSING
        try:
            value, end = self._thorough(begun)
            if not isinstance(value, dict | list | str) and _GOES_ON.match(begun, end):
                raise ValueError(f"{begun[: end + 1]!r} is not a JSON value")
            return value
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from error


EXACT = JsonValueReader(Decimal)
FLOATS = JsonValueReader(float)
"""The reader for texts whose digits do not matter.  Making a Decimal takes as long as reading the rest of a small text."""

parse = EXACT.read

_OTHER_DIGITS = r"[0-9][eE]|\.[0-9]+0(?:[^0-9]|\z)|\.000|[0-9]{8}\.|\.[0-9]{8}"
"""Finds texts with fractions that a float may write differently.

These have an exponent, trailing zeros, more than 7 digits on a side, or are very small.  Up to 15 digits survive the
conversion.
"""


_REFUSED = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)
"""Errors of msgspec for texts that `JsonValueReader.read` may still be able to read."""

_AT_ONCE = 64
"""The number of texts that are read at once.  If more containers exist at a time, they slow down Python's garbage
collector.
"""


_SEARCHED_BYTES_MAX = 2**30


def needs_digits(texts: Any) -> list[bool] | None:
    """Which texts need `EXACT` if they are written again; None if none does."""
    known = texts.drop_null()
    if known.nbytes < _SEARCHED_BYTES_MAX:  # one search through all texts together takes a third of the time
        together = pc.binary_join(pa.ListArray.from_arrays([0, len(known)], known)[0], "\n")
        if not bool(pc.match_substring_regex(together, _OTHER_DIGITS)):
            return None
    other: Any = flat(pc.match_substring_regex(texts, _OTHER_DIGITS)).fill_null(False)
    return other.to_pylist() if pc.any(other).as_py() else None


def read_all(texts: Any, failed: dict[int, str], exact: list[bool] | None = None) -> Iterator[tuple[int, list[Any]]]:
    """Read a column of JSON texts, `_AT_ONCE` at a time.  A null is read as ``null``.

    Yields the row of the first value, and the values.

    Args:
        failed: gets the reasons of the rows whose text is not JSON.  Their value is `MISSING`.
        exact: the rows to read with `EXACT`.  The others have fractions as floats.
    """
    given = texts.fill_null("null").cast(pa.binary()).to_pylist()  # making bytes takes half of the time of making str
    for start in range(0, len(given), _AT_ONCE):
        some = given[start : start + _AT_ONCE]
        marks = exact[start : start + _AT_ONCE] if exact else ()
        try:
            if not any(marks):
                yield start, list(map(FLOATS.quick, some))
                continue
        except _REFUSED:
            pass
        nodes: list[Any] = []
        for row, text in enumerate(some, start):
            try:
                nodes.append((EXACT if exact and exact[row] else FLOATS).read(text.decode()))
            except ValueError as error:
                failed[row] = str(error)
                nodes.append(MISSING)
        yield start, nodes


# --- writing -------------------------------------------------------------------------------

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def write(value: Any) -> str:
    """Write a value as compact JSON.  Fractions are written as Java writes a BigDecimal, with their original digits.

    Raises:
        ValueError: the value has an unpaired surrogate, which no text can hold.
    """
    return _ENCODER.encode(value).decode()


class JsonTextBuilder:
    """Builds a string column from values written as JSON.

    Args:
        bare: strings are written without quotes.
    """

    def __init__(self, *, bare: bool) -> None:
        self._bare = bare
        self._texts: list[str] = []
        self._lines: list[bytes] = []
        """The texts, each followed by a line end; unused if ``bare``.  Compact JSON contains no line ends."""
        self._count = 0
        self._halves: list[int] = []

    def extend(self, values: list[Any]) -> None:
        try:
            if self._bare:
                self._texts += _bare_texts(values)
            else:
                self._lines.append(_ENCODER.encode_lines(values))
            self._count += len(values)
        except UnicodeEncodeError:
            if len(values) > 1:
                for value in values:
                    self.extend([value])
                return
            self._halves.append(self._count)
            self._count += 1
            if self._bare:
                self._texts.append("")
            else:
                self._lines.append(b"\n")

    def column(self) -> tuple[Any, list[int]]:
        """The column, and the rows whose values have an unpaired surrogate, which no text can hold.  Their texts are
        empty.
        """
        if not self._bare:
            texts = pc.split_pattern(pa.array([b"".join(self._lines)], pa.string()), "\n").flatten()
            return texts.slice(0, self._count), self._halves
        try:
            return pa.array(self._texts, pa.string()), self._halves
        except UnicodeEncodeError:
            halves = [place for place, text in enumerate(self._texts) if _SURROGATE.search(text)]
            return pa.array([_SURROGATE.sub("", text) for text in self._texts], pa.string()), self._halves + halves


HALF_PAIR = "it would hold half of a surrogate pair, which no text may"
_SURROGATE = re.compile("[\ud800-\udfff]")


def _bare_texts(values: list[Any]) -> list[str]:
    others = [value for value in values if type(value) is not str]
    if not others:
        return values
    written = iter(_ENCODER.encode_lines(others).decode().split("\n"))
    return [value if type(value) is str else next(written) for value in values]


def is_json(text: str) -> bool:
    """Whether a text begins with a JSON value: the other functions read no more.  False for blank text."""
    try:
        return parse(text) is not MISSING
    except ValueError:
        return False
