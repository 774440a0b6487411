"""DELIMITED: one line of comma-separated values per record.

Reading follows commons-csv's default format.  A value may be in double quotes, with quotes inside doubled.  Blanks count
unless they follow a closing quote.  Empty lines before the record and all lines after it are ignored.  The number of
values must be that of the columns.  An empty value is null; a pair of quotes with nothing inside is an empty STRING or
BYTES, and null for other types.

Writing quotes a value if it holds the delimiter, a quote or a line end, begins with a character up to ``#``, or ends with
one up to the space.  The first value of a line is also quoted if it is empty or begins with anything but a letter or digit
of ASCII (hence ``"-1"``).  Null is written as nothing, and so is (as in commons-csv) an empty text that is not the first
value, which therefore reads back as null.

BYTES are base64; DATE is days, TIME and TIMESTAMP milliseconds; doubles are in Java's notation; decimals have all digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import StatementError
from ..values.arrow_calls import equal_to, join_texts, less_than, null_is_false
from ..values.number_texts import decimal_column, double_column
from ..values.texts import format_base64, text_parser
from .base import Decoded, Encoded
from .values import (
    BadValue,
    binary_array,
    columns_of,
    malformed,
    nulls_of,
    or_none,
    plain_array,
    reason_of,
    row_count,
    storage_type,
    without,
)

_NAMED_DELIMITERS = {"SPACE": " ", "TAB": "\t"}


def delimiter_of(text: str) -> str:
    """The delimiter that KEY_DELIMITER or VALUE_DELIMITER means: one character, or the word SPACE or TAB.

    Raises:
        StatementError: it is empty, blank or longer.
    """
    if text in _NAMED_DELIMITERS:
        return _NAMED_DELIMITERS[text]
    if text in ("", " ", "\t"):
        raise StatementError("a delimiter cannot be blank", suggestion="For a blank or a tab write 'SPACE' or 'TAB'.")
    if len(text) != 1:
        raise StatementError(f"a delimiter must be a single character, SPACE or TAB, not {text!r}")
    if text in '"\r\n':
        raise StatementError("a delimiter cannot be a quote or a line end")
    return text


def split_record(text: str, delimiter: str) -> list[str | None]:
    """The values of the first record of a text.  An empty value is None; only a pair of quotes with nothing inside is
    ``""``.

    Raises:
        ValueError: there is no record, a quote is not closed, or a closing quote is not followed by the delimiter.
    """
    start = 0
    while start < len(text) and text[start] in "\r\n":
        start += 1
    if start == len(text):
        raise ValueError("no values in the record")
    if '"' not in text:
        end = re.search(r"[\r\n]", text[start:])
        return [value or None for value in text[start : start + end.start() if end else None].split(delimiter)]
    values: list[str | None] = []
    at, stop = start, len(text)
    while True:
        value: str | None
        if at < stop and text[at] == '"':
            value, at = _quoted(text, at, delimiter)
        else:
            first = at
            while at < stop and text[at] != delimiter and text[at] not in "\r\n":
                at += 1
            value = text[first:at] or None
        values.append(value)
        if at >= stop or text[at] != delimiter:
            return values
        at += 1


def _quoted(text: str, at: int, delimiter: str) -> tuple[str, int]:
    """The value whose opening quote is at ``at``, and where it ends."""
    pieces: list[str] = []
    at += 1
    while True:
        close = text.find('"', at)
        if close < 0:
            raise ValueError("a quoted value is not closed")
        pieces.append(text[at:close])
        at = close + 1
        if at < len(text) and text[at] == '"':
            pieces.append('"')
            at += 1
            continue
        while at < len(text) and text[at] not in "\r\n" and text[at] != delimiter:
            if not text[at].isspace():
                raise ValueError(f"character {text[at]!r} between a closing quote and the delimiter")
            at += 1
        return "".join(pieces), at


class DelimitedSerde:
    """The DELIMITED format."""

    def __init__(self, delimiter: str = ",") -> None:
        self._delimiter = delimiter
        special = rf'[\r\n"\x{{{ord(delimiter):x}}}]|[\x00- ]\z'
        self._quote_first = rf"\A[^0-9A-Za-z]|{special}|\A\z"
        self._quote_later = rf"\A[\x00-#]|{special}"

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`; the columns must be all the values of a record."""
        array = binary_array(data)
        fast = _FastDecoder(self._delimiter).decode(array, schema)
        if fast is None:
            return self.decode_slow(array, schema)
        columns, left = fast
        null = nulls_of(array)
        if not left.any():
            return Decoded(columns, or_none(null), None)
        rest = self.decode_slow(array.filter(pa.array(left)), schema)
        rows = np.flatnonzero(left)
        places = np.zeros(len(array), np.int64)
        places[rows] = np.arange(len(rows))
        choose = pa.array(left)
        merged = tuple(pc.if_else(choose, slow.take(pa.array(places)), quick) for slow, quick in zip(rest.columns, columns))
        bad = {} if rest.malformed is None else dict(zip(rows[rest.malformed.rows].tolist(), rest.malformed.reasons))
        return Decoded(merged, or_none(null), malformed(bad))

    def decode_slow(self, data: Any, schema: pa.Schema) -> Decoded:
        """Decode record by record.  This is the definition; `decode` gives the same, faster."""
        parsers = [text_parser(field.type) for field in schema]
        blobs = binary_array(data).to_pylist()
        rows: list[Sequence[Any]] = []
        blank = (None,) * len(parsers)
        reasons: dict[int, str] = {}
        for i, blob in enumerate(blobs):
            row: Sequence[Any] = blank
            if blob is not None:
                try:
                    row = self._record(blob, parsers, schema)
                except BadValue as error:
                    reasons[i] = reason_of(error)
            rows.append(row)
        null = np.array([blob is None for blob in blobs], np.bool_)
        return Decoded(columns_of(rows, schema, reasons), or_none(null), malformed(reasons))

    def _record(self, blob: bytes, parsers: list[Callable[[str], Any]], schema: pa.Schema) -> list[Any]:
        if not parsers:
            return []
        values = split_record(blob.decode("utf-8", "replace"), self._delimiter)
        if len(values) != len(parsers):
            raise ValueError(f"{len(values)} values, where there are {len(parsers)} columns")
        row: list[Any] = []
        for value, parser, field in zip(values, parsers, schema):
            try:
                keeps_empty = pa.types.is_string(field.type) or pa.types.is_binary(field.type)
                row.append(parser(value) if value or (value is not None and keeps_empty) else None)
            except ValueError as error:
                raise ValueError(f"`{field.name}`: {error}") from None
        return row

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`."""
        if len(schema) == 0:
            return Encoded(without(pa.array([b""] * row_count(columns, absent), pa.binary()), absent), None)
        texts = [self._texts(plain_array(column), first=i == 0) for i, column in enumerate(columns)]
        joined = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, self._delimiter)
        return Encoded(without(joined.cast(pa.binary()), absent), None)

    def _texts(self, column: Any, first: bool) -> Any:
        """The values of a column as they stand between delimiters."""
        type_ = column.type
        if pa.types.is_integer(storage_type(type_)):
            plain = column if storage_type(type_) == type_ else column.view(storage_type(type_))
            texts = plain.cast(pa.string())
            if first:
                texts = pc.if_else(less_than(plain, 0), join_texts('"', texts, '"'), texts)
            return texts.fill_null("")
        if pa.types.is_boolean(type_):
            return pc.if_else(column, "true", "false").fill_null("")
        if pa.types.is_string(type_):
            texts = column
        elif pa.types.is_floating(type_):
            texts = double_column(column)
        elif pa.types.is_binary(type_):
            texts = pa.array([None if v is None else format_base64(v) for v in column.to_pylist()], pa.string())
        else:
            texts = decimal_column(column)
        quotes = null_is_false(pc.match_substring_regex(texts, self._quote_first if first else self._quote_later))
        if pc.any(quotes).as_py():
            texts = pc.if_else(quotes, join_texts('"', pc.replace_substring(texts, '"', '""'), '"'), texts)
        return texts.fill_null("")


class _FastDecoder:
    """Decodes column by column the records that have no quotes and line ends and whose values have their usual form.

    It leaves every other record to `DelimitedSerde.decode_slow`.
    """

    _USUAL: ClassVar[dict[Any, str | None]] = {
        pa.int32(): r"^-?[0-9]{1,9}$",
        pa.int64(): r"^-?[0-9]{1,18}$",
        pa.float64(): r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$",
        pa.bool_(): r"^(true|false)$",
        pa.date32(): r"^-?[0-9]{1,9}$",
        pa.timestamp("ms"): r"^-?[0-9]{1,18}$",
        pa.time32("ms"): r"^[0-7]?[0-9]{1,7}$",
        pa.string(): None,
    }

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter

    def decode(self, array: Any, schema: pa.Schema) -> tuple[tuple[Any, ...], npt.NDArray[np.bool_]] | None:
        """The columns, null where a record is null or left, and bool[n] of the rows left.  None if it can decode nothing."""
        if len(array) < 32 or not len(schema) or any(field.type not in self._USUAL for field in schema):
            return None
        try:
            text = array.cast(pa.string())
        except pa.ArrowInvalid:
            return None
        usable = pc.invert(pc.match_substring_regex(text, '["\r\n]|^$')).fill_null(False)
        parts = pc.split_pattern(text, self._delimiter)
        usable = pc.and_(usable, equal_to(pc.list_value_length(parts), len(schema))).fill_null(False)
        chosen = parts.filter(usable)
        values = chosen.flatten()
        good = np.ones(len(chosen), np.bool_)
        found = []
        for i, field in enumerate(schema):
            part = values.take(pa.array(np.arange(i, len(values), len(schema))))
            part = pc.if_else(equal_to(part, ""), pa.scalar(None, pa.string()), part)
            pattern = self._USUAL[field.type]
            if pattern is not None:
                fits = pc.match_substring_regex(part, pattern)
                good &= fits.fill_null(True).to_numpy(zero_copy_only=False)
                part = pc.if_else(fits, part, pa.scalar(None, pa.string())).cast(storage_type(field.type))
                if part.type != field.type:
                    part = part.view(field.type)
            found.append(part)
        taken = usable.to_numpy(zero_copy_only=False)
        places = np.zeros(len(array), np.int64)
        places[taken] = np.arange(len(chosen))
        where = pa.array(places, mask=~taken)
        left = ~taken & ~nulls_of(array)
        left[np.flatnonzero(taken)[~good]] = True
        return tuple(part.take(where) for part in found), left
