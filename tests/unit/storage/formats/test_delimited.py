"""DELIMITED: the rules of commons-csv's default format."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from penstock.errors import StatementError
from penstock.storage.formats import make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.formats.delimited import delimiter_of, split_record
from penstock.storage.formats.values import to_rows

SERDE = make_serde("DELIMITED", SerdeOptions())


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b", ["a", "b"]),
        ("a,", ["a", None]),
        (",", [None, None]),
        ('"",', ["", None]),
        (" a , b ", [" a ", " b "]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""hi""",c', ['say "hi"', "c"]),
        ('a"b,c', ['a"b', "c"]),
        ('"a"  ,c', ["a", "c"]),
        ('"a\nb",c', ["a\nb", "c"]),
        ("a,b\nc,d", ["a", "b"]),
        ("\n\na,b", ["a", "b"]),
        ('""', [""]),
    ],
)
def test_splitting(text: str, values: list[str | None]) -> None:
    """Quotes, blanks and line ends split as commons-csv does; nothing is no value, a pair of quotes an empty one."""
    assert split_record(text, ",") == values


@pytest.mark.parametrize("text", ["", "\n", '"a', '"a"b,c'])
def test_splitting_fails(text: str) -> None:
    """No values, an open quote, and text after a closing quote are errors."""
    with pytest.raises(ValueError):
        split_record(text, ",")


@pytest.mark.parametrize(
    ("first", "text"),
    [("x", "x"), ("-1", '"-1"'), ("", '""'), ("a,b", '"a,b"'), ('a"b', '"a""b"'), ("a ", '"a "'), ("éa", '"éa"')],
)
def test_quoting_of_the_first_value(first: str, text: str) -> None:
    """The first value is quoted unless it begins with a letter or digit of ASCII and holds nothing special."""
    schema = pa.schema([("A", pa.string()), ("B", pa.string())])
    encoded = SERDE.encode([pa.array([first]), pa.array(["-1"])], schema, None)
    assert encoded.data.to_pylist() == [f"{text},-1".encode()]


@pytest.mark.parametrize(("later", "text"), [("-1", "-1"), ("", ""), ("#1", '"#1"'), ("é", "é"), ("a\nb", '"a\nb"')])
def test_quoting_of_later_values(later: str, text: str) -> None:
    """Later values are quoted if they begin with a character up to #, or hold something special."""
    schema = pa.schema([("A", pa.string()), ("B", pa.string())])
    encoded = SERDE.encode([pa.array(["x"]), pa.array([later])], schema, None)
    assert encoded.data.to_pylist() == [f"x,{text}".encode()]


def test_every_type_both_ways() -> None:
    """Each type has its text: decimals with all digits, doubles as Java writes them, temporal ones as integers."""
    fields = [
        (pa.int32(), -5, "-5"),
        (pa.int64(), 2**40, "1099511627776"),
        (pa.float64(), 1e10, "1.0E10"),
        (pa.float64(), 0.5, "0.5"),
        (pa.bool_(), True, "true"),
        (pa.decimal128(20, 10), Decimal("0.0000000100"), "0.0000000100"),
        (pa.string(), "a b", "a b"),
        (pa.binary(), b"{", "ew=="),
        (pa.date32(), 3, "3"),
        (pa.time32("ms"), 7, "7"),
        (pa.timestamp("ms"), -1, "-1"),
        (pa.int32(), None, ""),
    ]
    schema = pa.schema([("FIRST", pa.string())] + [(f"C{i}", type_) for i, (type_, _, _) in enumerate(fields)])
    line = ",".join(["x", *(text for _, _, text in fields)]).encode()
    decoded = SERDE.decode(pa.array([line]), schema)
    assert decoded.malformed is None
    assert [to_rows(c)[0] for c in decoded.columns] == ["x", *(value for _, value, _ in fields)]
    assert SERDE.encode(decoded.columns, schema, None).data.to_pylist() == [line]


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (pa.int32(), "1.0"),
        (pa.int32(), "2147483648"),
        (pa.int32(), " 1"),
        (pa.float64(), "x"),
        (pa.decimal128(3, 2), "1.234"),
        (pa.decimal128(3, 2), "12.3"),
        (pa.time32("ms"), "86400000"),
        (pa.binary(), "e w=="),
    ],
)
def test_values_that_do_not_fit(type_: pa.DataType, text: str) -> None:
    """A value that its type does not take makes the record malformed, with the column's name as reason."""
    decoded = SERDE.decode(pa.array([f"1,{text}".encode()]), pa.schema([("A", pa.int32()), ("B", type_)]))
    assert decoded.malformed is not None and decoded.malformed.reasons[0].startswith("`B`")
    assert decoded.columns[0].to_pylist() == [None]


def test_number_of_values_must_be_that_of_the_columns() -> None:
    """Too few and too many values are both malformed, in small batches as in large ones."""
    schema = pa.schema([("A", pa.int32()), ("B", pa.int32())])
    lines = [b"1,2", b"1", b"1,2,3", None] * 20
    decoded = SERDE.decode(pa.array(lines), schema)
    assert decoded.malformed is not None
    assert decoded.malformed.rows.tolist() == [i for i in range(80) if i % 4 in (1, 2)]
    assert decoded.columns[1].to_pylist() == [2, None, None, None] * 20


def test_delimiters() -> None:
    """A delimiter is one character, or blank and tab by their names."""
    assert [delimiter_of(text) for text in ("|", "SPACE", "TAB")] == ["|", " ", "\t"]
    for text in ("", " ", "\t", "ab"):
        with pytest.raises(StatementError):
            delimiter_of(text)
    spaced = make_serde("DELIMITED", SerdeOptions(delimiter="SPACE"))
    schema = pa.schema([("A", pa.int32()), ("B", pa.string())])
    decoded = spaced.decode(pa.array([b'1 "a b"']), schema)
    assert [c.to_pylist() for c in decoded.columns] == [[1], ["a b"]]
    assert spaced.encode(decoded.columns, schema, None).data.to_pylist() == [b'1 "a b"']
