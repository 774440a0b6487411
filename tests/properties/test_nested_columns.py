"""Functions over ARRAY and MAP columns give, for every row, what their meaning for the values of one row gives."""

from __future__ import annotations

import json
import math
import struct
from base64 import b64encode
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import product
from typing import Any
from unittest.mock import patch

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.expressions import nodes as n
from penstock.engine.expressions.compile import compile_expression
from penstock.engine.expressions.values import to_python
from penstock.engine.functions import arrays, load_built_ins
from penstock.engine.java.time_formatting import format_local
from penstock.runtime.kernel import Evaluated, Failures
from penstock.storage.values.java_doubles import format_double

pytestmark = pytest.mark.filterwarnings("ignore:Encountered key")

Row = list[Any]
Column = tuple[t.SqlType, list[Any]]
"""Values as row functions take them; a MAP is a list of pairs, which may have a key twice."""

WORDS = st.sampled_from(("", "a", "b", "Aa", "BB", "a\u00e9", "\U0001f600", "\uffff", "ab", "b" * 20)) | st.text(max_size=3)
INTS = st.integers(-2, 2) | st.sampled_from((-(2**31), 2**31 - 1))
LONGS = INTS | st.sampled_from((-(2**63), 2**63 - 1, 2**33))
DECIMALS = st.sampled_from(tuple(map(Decimal, ("0.000", "1.000", "-1.500", "999999.999", "0.001"))))
SMALL = st.integers(-(10**9), 10**9).map(lambda v: Decimal(v).scaleb(-9))
"""DECIMAL(12, 9)."""
DOUBLES = st.sampled_from((0.0, -0.0, 1.0, -1.0, 1.5, float("inf"), float("-inf"), 1e300, 5e-324)) | st.floats()
DOUBLES |= st.just("nan").map(float)
FLAT: dict[t.SqlType, st.SearchStrategy[Any]] = {
    t.BOOLEAN: st.booleans(),
    t.INTEGER: INTS,
    t.BIGINT: LONGS,
    t.DOUBLE: DOUBLES,
    t.Decimal(9, 3): DECIMALS,
    t.Decimal(50, 3): DECIMALS,
    t.STRING: WORDS,
    t.BYTES: st.binary(max_size=2),
    t.DATE: INTS,
    t.TIME: st.integers(0, 86_399_999),
    t.TIMESTAMP: LONGS,
}
PAIR = t.Struct((("A", t.INTEGER), ("B", t.STRING)))
NESTED: dict[t.SqlType, st.SearchStrategy[Any]] = {
    t.Array(t.INTEGER): st.lists(st.none() | INTS, max_size=2),
    t.Array(t.DOUBLE): st.lists(st.none() | DOUBLES, max_size=2),
    t.Array(t.Array(t.DATE)): st.lists(st.none() | st.lists(st.none() | INTS, max_size=1), max_size=2),
    t.Map(t.STRING, t.BIGINT): st.lists(st.tuples(WORDS, st.none() | LONGS), max_size=2),
    PAIR: st.tuples(st.none() | INTS, st.sampled_from((None, "", "x"))).map(lambda v: {"A": v[0], "B": v[1]}),
}
KEYS = (t.STRING, t.INTEGER, t.BIGINT, t.BOOLEAN, t.DOUBLE, t.DATE, t.TIME, t.TIMESTAMP)


def arrays_of(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.none() | items, max_size=5)


def maps_of(keys: st.SearchStrategy[Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.tuples(keys, st.none() | values), max_size=5)


def columns(count: int, *makers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*makers), min_size=1, max_size=count)


@st.composite
def array_rows(draw: Any, *more: st.SearchStrategy[Any], arrays: int = 1, types: Any = None) -> tuple[t.SqlType, list[Row]]:
    """An item type, and rows of arrays of it and other values."""
    kinds = FLAT | NESTED
    type_ = draw(st.sampled_from(types or tuple(kinds)))
    return type_, draw(columns(5, *[arrays_of(kinds[type_])] * arrays, *more))


def built(values: Sequence[Any], type_: t.SqlType) -> Any:
    """A column inside a longer one; below its nulls there are items."""
    arrow = t.to_arrow(type_)
    filler = {t.Array: [None, None], t.Map: []}.get(type(type_))  # type: ignore[call-overload]
    if isinstance(type_, t.Map):
        filler = next((v for v in values if v), [])
    padded = [values[0], *values, values[-1], None]
    missing = [value is None for value in padded]
    if filler is None:
        return pa.array(padded, arrow).slice(1, len(values))
    array = pa.array([filler if value is None else value for value in padded], arrow)
    kind, parts = (pa.MapArray, (array.keys, array.items)) if isinstance(type_, t.Map) else (pa.ListArray, (array.values,))
    return kind.from_arrays(array.offsets, *parts, type=arrow, mask=pa.array(missing)).slice(1, len(values))


def called(name: str, *arguments: Any) -> tuple[list[Any], list[int]]:
    """The values, and the rows that failed; of maps the pairs, so that their order is seen."""
    function = load_built_ins().find(name)
    assert function is not None
    of_map = name in ("FILTER", "REDUCE") and pa.types.is_map(arguments[0].type)
    made = function.overloads[1 if of_map else 0].implementation(*arguments)
    evaluated = made if isinstance(made, Evaluated) else Evaluated(made)
    evaluated.values.validate(full=True)
    failed = [] if evaluated.failures is None else evaluated.failures.rows.tolist()
    assert failed == sorted(set(failed))
    assert all(not evaluated.values[row].is_valid for row in failed)
    values = evaluated.values
    return to_python(values, t.from_arrow(values.type)) if name.startswith("ARRAY_") else plain(values), failed


def plain(array: Any) -> list[Any]:
    """The values; maps as lists of pairs."""
    if pa.types.is_map(array.type):
        parts = (array.values.field(0), array.values.field(1))
        pairs = list(zip(*(to_python(part, t.from_arrow(part.type)) for part in parts), strict=True))
        offsets = array.offsets.to_pylist()
        return [pairs[a:b] if ok else None for a, b, ok in zip(offsets, offsets[1:], array.is_valid().to_pylist())]
    return to_python(array, t.from_arrow(array.type))


def by_row(function: Callable[..., Any], rows: Sequence[Row], nulls: bool = False) -> tuple[list[Any], list[int]]:
    values: list[Any] = []
    failed: list[int] = []
    for row, arguments in enumerate(rows):
        value = None
        if nulls or None not in arguments:
            try:
                value = function(*arguments)
            except (ValueError, TypeError):
                failed.append(row)
        values.append(value)
    return values, failed


def same(found: Any, expected: Any) -> None:
    assert repr(found) == repr(expected)


# --- arrays --------------------------------------------------------------------------------


NAN = float("nan")


def entries_by_key(pairs: Any) -> dict[Any, Any]:
    """A dict in which NaN is one key: a dict finds a NaN by its being the same object."""
    return {NAN if k != k else k: v for k, v in (pairs.items() if isinstance(pairs, dict) else pairs)}


def frozen(value: Any, type_: t.SqlType) -> Any:
    """Something hashable, equal for equal values, as NaN and NaN are."""
    match type_:
        case t.Map(key, item) if value is not None:
            return frozenset((frozen(k, key), frozen(v, item)) for k, v in entries_by_key(value).items())
        case t.Array(item) if value is not None:
            return ("list", *(frozen(v, item) for v in value))
        case t.Struct(fields) if value is not None:
            return ("struct", *(frozen(value[name], part) for name, part in fields))
    return "NaN" if value != value else value


@given(array_rows(arrays=2))
def test_sets_of_items(given_rows: tuple[t.SqlType, list[Row]]) -> None:
    """ARRAY_UNION, ARRAY_EXCEPT, ARRAY_INTERSECT, ARRAY_DISTINCT and ARRAY_CONCAT, of columns and with a literal."""
    type_, rows = given_rows

    def distinct(values: Any, allowed: Callable[[Any], bool] = lambda _: True) -> Any:
        firsts: dict[Any, Any] = {}
        for value in values:
            firsts.setdefault(frozen(value, type_), seen(value, type_))
        return [value for key, value in firsts.items() if allowed(key)]

    def keys(values: Any) -> set[Any]:
        return {frozen(value, type_) for value in values}

    def concat(left: Any, right: Any) -> Any:
        return None if left is None and right is None else [seen(v, type_) for v in [*(left or ()), *(right or ())]]

    oracles: dict[str, Callable[..., Any]] = {
        "ARRAY_UNION": lambda left, right: distinct(left + right),
        "ARRAY_EXCEPT": lambda left, right: distinct(left, lambda key: key not in keys(right)),
        "ARRAY_INTERSECT": lambda left, right: distinct(left, lambda key: key in keys(right)),
        "ARRAY_CONCAT": concat,
    }
    left, right = (built([row[i] for row in rows], t.Array(type_)) for i in (0, 1))
    same(called("ARRAY_DISTINCT", left), by_row(distinct, [row[:1] for row in rows]))
    for name, oracle in oracles.items():
        nulls = name == "ARRAY_CONCAT"
        same(called(name, left, right), by_row(oracle, rows, nulls))
        same(called(name, left[0], right), by_row(oracle, [(rows[0][0], row[1]) for row in rows], nulls))


@given(st.data())
def test_one_item(data: Any) -> None:
    """ARRAY_CONTAINS and ARRAY_REMOVE of an item, which may be null."""
    kinds = FLAT | NESTED
    type_ = data.draw(st.sampled_from(tuple(kinds)))
    rows = data.draw(columns(5, arrays_of(kinds[type_]), st.none() | kinds[type_]))

    def contains(values: Any, item: Any) -> bool:
        return values is not None and frozen(item, type_) in [frozen(value, type_) for value in values]

    def remove(values: Any, item: Any) -> Any:
        kept = values and [seen(value, type_) for value in values if frozen(value, type_) != frozen(item, type_)]
        return kept if values else values

    lists, items = built([a for a, _ in rows], t.Array(type_)), built([i for _, i in rows], type_)
    literal = [(a, rows[0][1]) for a, _ in rows]
    for name, oracle in (("ARRAY_CONTAINS", contains), ("ARRAY_REMOVE", remove)):
        same(called(name, lists, items), by_row(oracle, rows, nulls=True))
        same(called(name, lists, items[0]), by_row(oracle, literal, nulls=True))


BOUNDS = st.none() | st.integers(-1, 7) | st.sampled_from((-(2**31), 2**31 - 1))


@given(array_rows(BOUNDS, BOUNDS, types=(t.INTEGER, t.STRING, PAIR)))
def test_slices(given_rows: tuple[t.SqlType, list[Row]]) -> None:
    """SLICE: open ends, ends out of range, and ends that are the wrong way round."""
    type_, rows = given_rows

    def slice_(values: Any, first: Any, last: Any) -> Any:
        begin, end = 0 if first is None else first - 1, last
        if values is None or begin < 0 or (end := len(values) if end is None else end) > len(values):
            return None
        if begin > end:
            raise ValueError
        return values[begin:end]

    bounds = [pa.array([row[i] for row in rows], pa.int32()) for i in (1, 2)]
    same(called("SLICE", built([row[0] for row in rows], t.Array(type_)), *bounds), by_row(slice_, rows, nulls=True))


ENDS = st.none() | st.integers(-9, 9) | st.sampled_from((-(2**63), 2**63 - 1, -(2**63) + 5, 2**63 - 5, 1000))
STEPS = st.none() | st.integers(-3, 3) | st.sampled_from((-(2**31), 2**31 - 1, 10_000))
SERIES_ITEMS_MAX = 1000


@given(columns(5, ENDS, ENDS, STEPS))
@example([(1, 1001, 1), (1, 1000, 1), (-(2**63), 2**63 - 1, 1), (2**63 - 1, -(2**63), -(2**31))])
def test_series(rows: list[Row]) -> None:
    """GENERATE_SERIES of BIGINT, up to where it overflows."""

    def series(begin: int, end: int, step: int | None = None) -> list[int]:
        step = step if step is not None else 1 if begin <= end else -1
        if step == 0 or (end - begin) * step < 0 or abs(end - begin) // abs(step) >= SERIES_ITEMS_MAX:
            raise ValueError
        return [begin + k * step for k in range(abs(end - begin) // abs(step) + 1)]

    begin, end, step = (pa.array([row[i] for row in rows], kind) for i, kind in enumerate((pa.int64(),) * 2 + (pa.int32(),)))
    with patch.object(arrays, "SERIES_ITEMS_MAX", SERIES_ITEMS_MAX):
        same(called("GENERATE_SERIES", begin, end, step), by_row(series, rows))
        same(called("GENERATE_SERIES", begin, end), by_row(series, [row[:2] for row in rows]))


class Ordered:
    """A value by Java's `compareTo`: NaN above all, but 0.0 and -0.0 are equal, as in SQL."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key = (value != value, 0 if value != value else value)

    def __lt__(self, other: Ordered) -> bool:
        return bool(self.key < other.key)


@given(array_rows(st.sampled_from((None, "asc", "DESC", "Ascending", "descending", "up"))))
def test_order_of_items(given_rows: tuple[t.SqlType, list[Row]]) -> None:
    """ARRAY_SORT, ARRAY_MAX and ARRAY_MIN: equal items as they come, items that do not compare fail."""
    type_, rows = given_rows
    nested = type_ in NESTED

    def present(values: Any) -> list[Any]:
        return [seen(v, type_) if nested else Ordered(v) for v in values if v is not None]

    def bare(item: Any) -> Any:
        return item.value if isinstance(item, Ordered) else item

    def sort(values: Any, direction: str = "ASC") -> Any:
        if (downwards := {"A": False, "D": True}.get(direction[0].upper())) is None:
            return None
        ordered = [bare(item) for item in sorted(present(values), reverse=downwards)]
        return ordered + [None] * (len(values) - len(ordered))

    def largest(values: Any) -> Any:
        best = None
        for item in present(values):
            best = item if best is None or best < item else best
        return bare(best)

    def smallest(values: Any) -> Any:
        best = None
        for item in present(values):
            best = item if best is None or item < best else best
        return bare(best)

    lists, directions = built([a for a, _ in rows], t.Array(type_)), pa.array([d for _, d in rows], pa.string())
    bare_rows = [(a,) for a, _ in rows]
    same(called("ARRAY_SORT", lists, directions), by_row(sort, rows))
    same(called("ARRAY_SORT", lists, directions[0]), by_row(sort, [(a, rows[0][1]) for a, _ in rows]))
    same(called("ARRAY_SORT", lists), by_row(sort, bare_rows))
    same(called("ARRAY_MAX", lists), by_row(largest, bare_rows))
    same(called("ARRAY_MIN", lists), by_row(smallest, bare_rows))


JOINED = (t.BOOLEAN, t.INTEGER, t.BIGINT, t.DOUBLE, t.Decimal(9, 3), t.Decimal(12, 9), t.Decimal(50, 3), t.STRING)


@given(st.data(), st.sampled_from(JOINED))
def test_joined_items(data: Any, type_: t.SqlType) -> None:
    """ARRAY_JOIN: items as Java writes them, ``null`` for null, a delimiter that is null."""
    rows = data.draw(columns(5, arrays_of(FLAT.get(type_, SMALL)), st.none() | st.sampled_from(("", ", ", "\u00e9"))))

    def text(item: Any) -> str:
        if item is None or isinstance(item, bool):
            return {None: "null", True: "true", False: "false"}[item]
        return format_double(item) if isinstance(item, float) else f"{item:f}" if isinstance(item, Decimal) else str(item)

    def join(values: Any, delimiter: str | None = ",") -> Any:
        return None if values is None else (delimiter or "").join(map(text, values))

    lists, delimiters = built([a for a, _ in rows], t.Array(type_)), pa.array([d for _, d in rows], pa.string())
    same(called("ARRAY_JOIN", lists), by_row(join, [(a,) for a, _ in rows], nulls=True))
    same(called("ARRAY_JOIN", lists, delimiters), by_row(join, rows, nulls=True))
    same(called("ARRAY_JOIN", lists, delimiters[0]), by_row(join, [(a, rows[0][1]) for a, _ in rows], nulls=True))


@given(array_rows())
def test_cubes(given_rows: tuple[t.SqlType, list[Row]]) -> None:
    """CUBE_EXPLODE: each item that is no null is left out and taken, the last one soonest."""
    type_, rows = given_rows

    def cube(values: Any) -> Any:
        return [list(way) for way in product(*([None] if v is None else [None, seen(v, type_)] for v in values))]

    lists = built([row[0] for row in rows], t.Array(type_))
    same(called("CUBE_EXPLODE", lists), by_row(cube, rows))


# --- JSON ----------------------------------------------------------------------------------


def written(value: Any, type_: t.SqlType) -> str:
    """A value as TO_JSON_STRING writes it."""
    if value is None:
        return "null"
    match type_:
        case t.Array(item):
            return "[" + ",".join(written(v, item) for v in value) + "]"
        case t.Map(_, item):
            pairs = sorted((str(k), v) for k, v in dict(value).items())
            return "{" + ",".join(f"{quoted(k)}:{written(v, item)}" for k, v in pairs) + "}"
        case t.Struct(fields):
            return "{" + ",".join(f"{quoted(n)}:{written(value[n], part)}" for n, part in sorted(fields)) + "}"
        case t.Decimal():
            return str(value)
    if type_ == t.BYTES:
        return f'"{b64encode(value).decode()}"'
    if type_ == t.DOUBLE:
        text = format_double(value)
        return text if text[-1].isdigit() else quoted(text)
    if type_ == t.DATE:
        return quoted(format_local("yyyy-MM-dd", value * 86_400_000))
    if type_ == t.TIMESTAMP:
        return quoted(format_local("yyyy-MM-dd'T'HH:mm:ss.SSS", value))
    if type_ == t.TIME:
        return quoted(format_local("HH:mm" if value // 1000 % 60 == 0 else "HH:mm:ss", value))
    return json.dumps(value, ensure_ascii=False) if type_ != t.STRING else quoted(value)


def quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


DEEP = t.Struct((("b", t.Array(t.Map(t.STRING, t.DOUBLE))), ("a", t.Map(t.INTEGER, t.STRING))))
WILD = WORDS | st.sampled_from(('"', "\\", "\n", "\x00\x1f\x7f", "\u2028", "/"))


@given(st.data())
def test_json_of_values(data: Any) -> None:
    """TO_JSON_STRING of every type, with nulls on all levels."""
    deep = st.tuples(arrays_of(maps_of(WILD, DOUBLES)), maps_of(INTS, WILD)).map(lambda v: {"b": v[0], "a": v[1]})
    kinds = FLAT | NESTED | {t.STRING: WILD, t.Decimal(12, 9): SMALL, DEEP: deep}
    type_ = data.draw(st.sampled_from(tuple(kinds)))
    values = data.draw(st.lists(st.none() | kinds[type_], min_size=1, max_size=5))
    same(called("TO_JSON_STRING", built(values, type_)), ([written(value, type_) for value in values], []))


# --- maps ----------------------------------------------------------------------------------


def java_hash(key: Any, type_: t.SqlType) -> int:
    """``hashCode()`` as a 32-bit unsigned number."""
    if isinstance(key, str):
        units = key.encode("utf-16-le")
        result = 0
        for place in range(0, len(units), 2):
            result = result * 31 + int.from_bytes(units[place : place + 2], "little")
        return result & 0xFFFFFFFF
    if isinstance(key, bool):
        return 1231 if key else 1237
    if isinstance(key, float):
        key = struct.unpack("<q", struct.pack("<d", float("nan") if key != key else key))[0]
    elif type_ == t.INTEGER:
        return int(key) & 0xFFFFFFFF
    elif type_ == t.DATE:
        key *= 86_400_000
    return int(key ^ (key >> 32)) & 0xFFFFFFFF


def walked(pairs: list[tuple[Any, Any]], type_: t.SqlType) -> list[tuple[Any, Any]]:
    """A map's entries as Java walks them: through the bins of a HashMap filled one by one, copied into a fitting one."""
    entries = list(entries_by_key(pairs).items())
    fitting = 1
    while len(entries) > fitting * 0.75:
        fitting *= 2
    for bins in (max(fitting, 16), fitting):

        def bin_of(entry: tuple[Any, Any], bins: int = bins) -> int:
            hashed = java_hash(entry[0], type_)
            return (hashed ^ hashed >> 16) & (bins - 1)

        entries.sort(key=bin_of)
    return entries


@st.composite
def map_rows(draw: Any, *more: st.SearchStrategy[Any], maps: int = 1) -> tuple[t.SqlType, t.SqlType, list[Row]]:
    """Types of keys and values, and rows of maps and other values."""
    kinds = FLAT | NESTED
    key, value = draw(st.sampled_from(KEYS)), draw(st.sampled_from(tuple(kinds)))
    return key, value, draw(columns(5, *[maps_of(FLAT[key], kinds[value])] * maps, *more))


@given(map_rows())
def test_keys_and_values(given_rows: tuple[t.SqlType, t.SqlType, list[Row]]) -> None:
    """MAP_KEYS and MAP_VALUES, in the order in which Java walks a map."""
    key, value, rows = given_rows
    maps = built([m for (m,) in rows], t.Map(key, value))
    same(called("MAP_KEYS", maps), by_row(lambda m: [k for k, _ in walked(m, key)], rows))
    same(called("MAP_VALUES", maps), by_row(lambda m: [seen(v, value) for _, v in walked(m, key)], rows))


def seen(value: Any, type_: t.SqlType) -> Any:
    """As `to_python` gives it: maps without keys that come again."""
    match type_:
        case t.Map(_, item) if value is not None:
            return {k: seen(v, item) for k, v in entries_by_key(value).items()}
        case t.Array(item) if value is not None:
            return [seen(v, item) for v in value]
    return value


@given(st.integers(1, 200))
def test_long_maps(count: int) -> None:
    """The order in bigger maps, which have more bins."""
    pairs = [(f"k{i}", i) for i in range(count)]
    maps = built([pairs, None, pairs[:13], pairs[:1]], t.Map(t.STRING, t.INTEGER))
    same(called("MAP_KEYS", maps)[0], [w and [k for k, _ in walked(w, t.STRING)] for w in maps.to_pylist()])


@given(map_rows(maps=2))
def test_union_of_maps(given_rows: tuple[t.SqlType, t.SqlType, list[Row]]) -> None:
    """MAP_UNION keeps the places of the first map's keys, and the second's values."""
    key, value, rows = given_rows

    def union(left: Any, right: Any) -> Any:
        if left is None and right is None:
            return None
        return [(k, seen(v, value)) for k, v in entries_by_key([*(left or ()), *(right or ())]).items()]

    maps = [built([row[i] for row in rows], t.Map(key, value)) for i in (0, 1)]
    same(called("MAP_UNION", *maps), by_row(union, rows, nulls=True))
    literal = [(row[0], rows[0][1]) for row in rows]
    same(called("MAP_UNION", maps[0], maps[1][0]), by_row(union, literal, nulls=True))


@given(st.data(), st.sampled_from((t.INTEGER, t.BIGINT, t.DOUBLE, t.BOOLEAN, t.STRING)))
def test_entries(data: Any, type_: t.SqlType) -> None:
    """ENTRIES, sorted by the code points of keys or as Java walks the map."""
    rows = data.draw(columns(5, maps_of(WORDS, FLAT[type_]), st.none() | st.booleans()))

    def entries(map_: Any, sort: bool) -> Any:
        pairs = sorted(dict(map_).items(), key=lambda e: e[0]) if sort else walked(map_, t.STRING)
        return [{"K": k, "V": v} for k, v in pairs]

    maps, sort = built([m for m, _ in rows], t.Map(t.STRING, type_)), pa.array([s for _, s in rows], pa.bool_())
    same(called("ENTRIES", maps, sort), by_row(entries, rows))
    same(called("ENTRIES", maps, sort[0]), by_row(entries, [(m, rows[0][1]) for m, _ in rows]))


@given(array_rows(arrays_of(WORDS)))
def test_as_map(given_rows: tuple[t.SqlType, list[Row]]) -> None:
    """AS_MAP: a null key fails wherever it stands, and keys without a value have null."""
    type_, rows = given_rows

    def as_map(values: Any, keys: Any) -> Any:
        if None in keys:
            raise ValueError
        return list({k: seen(values[i], type_) if i < len(values) else None for i, k in enumerate(keys)}.items())

    values, keys = built([v for v, _ in rows], t.Array(type_)), built([k for _, k in rows], t.Array(t.STRING))
    same(called("AS_MAP", keys, values), by_row(as_map, rows))
    same(called("AS_MAP", keys, values[0]), by_row(as_map, [(rows[0][0], k) for _, k in rows]))


@given(st.data(), st.integers(1, 3))
def test_map_made(data: Any, count: int) -> None:
    """``MAP(k := v, ..)``: of equal keys the last value counts, a null key is the word or makes the row fail."""
    key, value = data.draw(st.sampled_from(KEYS)), data.draw(st.sampled_from(tuple(FLAT)))
    rows = data.draw(columns(5, *[st.none() | FLAT[key], st.none() | FLAT[value]] * count))
    kinds = [key, value] * count
    names = [f"C{i}" for i in range(len(kinds))]
    parts = [n.ColumnRef(name, type=kind) for name, kind in zip(names, kinds, strict=True)]
    made = n.MapMake(tuple(zip(parts[::2], parts[1::2], strict=True)), type=t.Map(key, value))

    def as_map(*values: Any) -> Any:
        keys = ["null" if k is None and key == t.STRING else math.nan if k != k else k for k in values[::2]]
        if None in keys:
            raise ValueError
        return list(dict(zip(keys, values[1::2], strict=True)).items())  # (one NaN is itself: all are one key)

    kernel_ = compile_expression(made, pa.schema([(name, t.to_arrow(kind)) for name, kind in zip(names, kinds)]))
    result = kernel_([built([row[i] for row in rows], kind) for i, kind in enumerate(kinds)], len(rows))
    result.values.validate(full=True)
    failed = [] if result.failures is None else result.failures.rows.tolist()
    same((plain(result.values), failed), by_row(as_map, rows, nulls=True))


# --- lambdas -------------------------------------------------------------------------------


def kernel(function: Callable[..., Any], type_: t.SqlType) -> Callable[..., Evaluated]:
    """A lambda of a Python function; ValueError fails an element."""

    def evaluate(parameters: Sequence[Any], rows: Any) -> Evaluated:
        values, failed = by_row(function, list(zip(*map(plain, parameters))), nulls=True)
        assert len(values) == len(rows)
        failures = Failures(pa.array(failed, pa.int64()).to_numpy(), ("bad",) * len(failed)) if failed else None
        return Evaluated(pa.array(values, t.to_arrow(type_)), failures)

    return evaluate


@given(columns(5, maps_of(WORDS, INTS)))
def test_lambdas_over_maps(rows: list[Row]) -> None:
    """Entries come as Java walks the map; nulls, and keys that are made equal, fail the row, as does an element."""
    maps = built([m for (m,) in rows], t.Map(t.STRING, t.INTEGER))

    def condition(_: str, value: int | None) -> bool | None:
        if value == 2:
            raise ValueError
        return None if value is None else value >= 0

    def filtered(pairs: Any) -> Any:
        kept = [(k, v, condition(k, v)) for k, v in walked(pairs, t.STRING)]
        return [(k, v) for k, v, keep in kept if keep]

    def transformed(pairs: Any) -> Any:
        made = [(None if k == "b" else k[:1], v) for k, v in walked(pairs, t.STRING)]
        if any(None in entry for entry in made) or len(dict(made)) < len(made):
            raise ValueError
        return made

    def reduced(pairs: Any) -> Any:
        return "-" + "".join(f"{k}={v};" for k, v in walked(pairs, t.STRING))

    same(called("FILTER", maps, kernel(condition, t.BOOLEAN)), by_row(filtered, rows))
    key, value = kernel(lambda k, _: None if k == "b" else k[:1], t.STRING), kernel(lambda _, v: v, t.INTEGER)
    transform = load_built_ins().find("TRANSFORM")
    assert transform is not None
    made = transform.overloads[1].implementation(maps, key, value)
    failed = [] if made.failures is None else made.failures.rows.tolist()
    same((plain(made.values), failed), by_row(transformed, rows))
    joined = kernel(lambda s, k, v: f"{s}{k}={v};", t.STRING)
    found, _ = called("REDUCE", maps, pa.scalar("-"), joined)
    same(found, [value or "-" for value in by_row(reduced, rows)[0]])
