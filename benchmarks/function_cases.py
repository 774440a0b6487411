"""What the benchmark of the built-in functions calls: rows to call them on, and arguments for every registered signature.

The cases come from the registry, so a new function has its cases at once, or stops the run by `Uncovered`: none is
forgotten.  Arguments are columns of the rows by the type of a parameter, or by its name where any value of the type makes
no sense (``format``, ``url``, ``json``, ..).  Texts, instants and numbers are nearly all distinct, a tenth of all values is
NULL, and one text in fifty holds characters beyond ASCII, so that neither remembering results nor a short cut for ASCII
makes a figure.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from penstock.engine import types as t
from penstock.engine.functions import load_built_ins
from penstock.engine.functions.registry import ArrayOf, Function, LambdaOf, MapOf, Signature, Special, Variable

NULL_SHARE = 0.1
KEYS = 1000
"""Groups of the aggregations."""

COLUMNS = {
    "g": "BIGINT",
    "i": "INT",
    "j": "INT",
    "l": "BIGINT",
    "m": "BIGINT",
    "d": "DOUBLE",
    "e": "DOUBLE",
    "p": "DECIMAL(12, 3)",
    "q": "DECIMAL(12, 3)",
    "s": "STRING",
    "u": "STRING",
    "b": "BOOLEAN",
    "day": "DATE",
    "clock": "TIME",
    "ts": "TIMESTAMP",
    "y": "BYTES",
    "z": "BYTES",
    "small": "INT",
    "latitude": "DOUBLE",
    "longitude": "DOUBLE",
    "unit_share": "DOUBLE",
    "json_object": "STRING",
    "json_array": "STRING",
    "url": "STRING",
    "encoded": "STRING",
    "entries": "STRING",
    "day_text": "STRING",
    "long_day_text": "STRING",
    "clock_text": "STRING",
    "ts_text": "STRING",
    "long_ts_text": "STRING",
    "hex_text": "STRING",
    "base64_text": "STRING",
    "code_text": "STRING",
    "code": "INT",
    "bytes4": "BYTES",
    "bytes8": "BYTES",
    "bytes16": "BYTES",
    "word": "STRING",
    "zone": "STRING",
    "format": "STRING",
}

_WORDS = [
    "Ash",
    "Birch",
    "Cedar",
    "Elm",
    "fir",
    "holly",
    "larch",
    "MAPLE",
    "Oak",
    "pine",
    "Rowan",
    "spruce",
    "willow",
    "YEW",
    "alder",
    "beech",
    "hazel",
    "lime",
    "poplar",
    "walnut",
]
_START_MS = 1_700_000_000_000
_YEARS_MS = 20 * 365 * 86_400_000


def rows(count: int, seed: int = 1) -> pa.Table:
    """The table that functions are called on, `COLUMNS` and ``rowtime``."""
    rng = np.random.default_rng([seed, count])
    numbers = rng.integers(0, 2**62, count)
    ints = rng.integers(-(2**31), 2**31, (2, count)).astype(np.int32)
    longs = rng.integers(-(2**52), 2**52, (2, count))
    doubles = rng.normal(0, 1000, (2, count))
    times = _START_MS + rng.integers(-_YEARS_MS, _YEARS_MS, count)
    stamps = times.astype("datetime64[ms]")
    words = [_WORDS[i] for i in rng.integers(0, len(_WORDS), count)]
    texts = [f"{w} {n % 99_991:05d} {_WORDS[n % 20]}-{n % 7}" for w, n in zip(words, numbers.tolist())]
    texts = [f"{x} caf\u00e9 \U0001f600" if n % 50 == 0 else x for x, n in zip(texts, numbers.tolist())]
    others = [f"{_WORDS[n % 19]} {n % 8}" for n in numbers.tolist()]
    iso = np.datetime_as_string(stamps, unit="ms").tolist()
    data = [n.to_bytes(8, "big") * 2 for n in numbers.tolist()]
    long_day = [x.strftime("%d %b %Y") for x in stamps.tolist()]
    columns: dict[str, Any] = {
        "g": rng.integers(0, KEYS, count),
        "i": ints[0],
        "j": ints[1],
        "l": longs[0],
        "m": longs[1],
        "d": doubles[0],
        "e": doubles[1],
        "p": [Decimal(v).scaleb(-3) for v in rng.integers(-(10**9), 10**9, count).tolist()],
        "q": [Decimal(v).scaleb(-3) for v in rng.integers(-(10**9), 10**9, count).tolist()],
        "s": texts,
        "u": others,
        "b": rng.random(count) < 0.5,
        "day": (times // 86_400_000).astype(np.int32),
        "clock": (times % 86_400_000).astype(np.int32),
        "ts": times,
        "y": [x.encode() for x in texts],
        "z": [x.encode() for x in others],
        "small": rng.integers(1, 12, count).astype(np.int32),
        "latitude": rng.uniform(-90, 90, count),
        "longitude": rng.uniform(-180, 180, count),
        "unit_share": rng.uniform(-1, 1, count),
        "json_object": [
            json.dumps({"id": n, "name": w, "at": {"x": n % 977 / 8, "tags": [w, n % 9]}, "ok": n % 2 == 0})
            for n, w in zip(numbers.tolist(), words)
        ],
        "json_array": [json.dumps([n % 1013, w, n % 1009 / 8, None, True]) for n, w in zip(numbers.tolist(), words)],
        "url": [
            f"https://user@shop{n % 97}.example.com:80{n % 89}/{w}/item%20{n % 9973}?a={n % 9967}&page=2&q=x%26y#top{n % 83}"
            for n, w in zip(numbers.tolist(), words)
        ],
        "encoded": [f"{w}%20{n % 99_991}+caf%C3%A9%26" for n, w in zip(numbers.tolist(), words)],
        "entries": [f"id={n % 99_991};name={w};x={n % 7}" for n, w in zip(numbers.tolist(), words)],
        "day_text": [x[:10] for x in iso],
        "long_day_text": long_day,
        "clock_text": [x[11:19] for x in iso],
        "ts_text": [x.replace("T", " ") for x in iso],
        "long_ts_text": [f"{a} {b[11:19]} +0200" for a, b in zip(long_day, iso)],
        "hex_text": [x.hex() for x in data],
        "base64_text": [base64.b64encode(x).decode() for x in data],
        "code_text": [f"\\u{0x41 + n % 20_000:04x}" for n in numbers.tolist()],
        "code": [0x41 + n % 20_000 for n in numbers.tolist()],
        "bytes4": [x[4:8] for x in data],
        "bytes8": [x[:8] for x in data],
        "bytes16": data,
        "word": words,
        "zone": [("Europe/London", "America/New_York", "+05:30", "UTC")[n % 4] for n in numbers.tolist()],
        "format": [("yyyy-MM-dd", "dd MMM yyyy", "EEEE, d MMMM yyyy")[n % 3] for n in numbers.tolist()],
    }
    typed = {}
    for name, values in columns.items():
        type_ = _arrow_type(COLUMNS[name])
        mask = None if name == "g" else rng.random(count) < NULL_SHARE
        stored = (
            pa.int32() if type_ in (pa.date32(), pa.time32("ms")) else pa.int64() if type_ == pa.timestamp("ms") else type_
        )
        array = pa.array(values, stored, mask=mask)
        typed[name] = array if stored == type_ else array.view(type_)
    return pa.table({**typed, "rowtime": _START_MS + np.arange(count)})


def _arrow_type(word: str) -> Any:
    if word.startswith("DECIMAL"):
        return t.to_arrow(t.Decimal(12, 3))
    kinds = {"INT": t.INTEGER, "BIGINT": t.BIGINT, "DOUBLE": t.DOUBLE, "STRING": t.STRING, "BOOLEAN": t.BOOLEAN}
    kinds |= {"BYTES": t.BYTES, "DATE": t.DATE, "TIME": t.TIME, "TIMESTAMP": t.TIMESTAMP}
    return t.to_arrow(kinds[word])


# --- arguments -----------------------------------------------------------------------------


class Uncovered(Exception):
    """A registered signature for which no arguments are known."""


@dataclass(frozen=True, slots=True)
class Case:
    """A call to measure.

    Attributes:
        call: SQL, such as ``LCASE(s)``.
        flat: it takes no ARRAY, MAP, STRUCT or lambda: the promise holds for it.
        rows_out: rows that a table function makes of one row.
    """

    name: str
    kind: Literal["SCALAR", "AGGREGATE", "TABLE"]
    call: str
    flat: bool
    rows_out: int = 1


_BY_TYPE: dict[t.SqlType, tuple[str, str]] = {
    t.INTEGER: ("i", "j"),
    t.BIGINT: ("l", "m"),
    t.DOUBLE: ("d", "e"),
    t.STRING: ("s", "u"),
    t.BOOLEAN: ("b", "b"),
    t.DATE: ("day", "day"),
    t.TIME: ("clock", "clock"),
    t.TIMESTAMP: ("ts", "ts"),
    t.BYTES: ("y", "z"),
}
_DECIMALS = ("p", "q")
_ANY = (*_BY_TYPE.values(), _DECIMALS)
"""What stands in for a type variable: every flat type."""
_FEW = (_BY_TYPE[t.BIGINT], _BY_TYPE[t.STRING])

_BY_NAME: dict[str, str] = {
    "json": "json_object",
    "url": "url",
    "zone": "'Europe/London'",
    "from_zone": "'Europe/London'",
    "padding": "'-.'",
    "entry_delimiter": "';'",
    "value_delimiter": "'='",
    "separator": "', '",
    "start": "3",
    "length": "12",
    "position": "2",
    "occurrence": "2",
    "places": "2",
    "amount": "i",
    "count": "4",
    "group": "1",
    "upper": "'A'",
    "lower": "'a'",
    "digit": "'0'",
    "other": "NULL",
    "order": "'BIG_ENDIAN'",
    "k": "3",
    "n": "3",
    "ignoreNulls": "true",
    "latitude1": "latitude",
    "longitude1": "longitude",
    "latitude2": "unit_share",
    "longitude2": "longitude",
    "piece": "'e'",
    "old": "'e'",
    "new": "'E'",
    "direction": "'DESC'",
    "sorted": "true",
    "step": "2",
    "exponent": "unit_share",
    "delimiter": "' '",
}
_BYTES_LITERALS = {"delimiter": "TO_BYTES(' ', 'utf8')", "padding": "TO_BYTES('-.', 'utf8')", "separator": "z"}

_SPECIAL: dict[tuple[str, str], str] = {
    ("ACOS", "value"): "unit_share",
    ("ASIN", "value"): "unit_share",
    ("CHR", "code"): "",
    ("CONVERT_TZ", "from"): "'Europe/London'",
    ("CONVERT_TZ", "to"): "'America/New_York'",
    ("DATETOSTRING", "days"): "i / 100000",
    ("DATETOSTRING", "format"): "'yyyy-MM-dd'",
    ("ELT", "position"): "small / 4",
    ("ENCODE", "from"): "'utf8'",
    ("ENCODE", "to"): "'base64'",
    ("EXTRACTJSONFIELD", "path"): "'$.at.tags[0]'",
    ("FIELD", "texts"): "u",
    ("FORMAT_DATE", "format"): "'yyyy-MM-dd'",
    ("FORMAT_TIME", "format"): "'HH:mm:ss'",
    ("FORMAT_TIMESTAMP", "format"): "'yyyy-MM-dd HH:mm:ss.SSS'",
    ("FROM_BYTES", "encoding"): "'base64'",
    ("FROM_DAYS", "days"): "i / 100000",
    ("GENERATE_SERIES", "from"): "1",
    ("GENERATE_SERIES", "to"): "small",
    ("GEO_DISTANCE", "unit"): "'MI'",
    ("INT_FROM_BYTES", "bytes"): "bytes4",
    ("BIGINT_FROM_BYTES", "bytes"): "bytes8",
    ("DOUBLE_FROM_BYTES", "bytes"): "bytes8",
    ("JSON_ARRAY_CONTAINS", "json"): "json_array",
    ("JSON_ARRAY_LENGTH", "json"): "json_array",
    ("JSON_ITEMS", "json"): "json_array",
    ("JSON_CONCAT", "more"): "json_array",
    ("IS_JSON_STRING", "text"): "json_object",
    ("LPAD", "length"): "30",
    ("RPAD", "length"): "30",
    ("PARSE_DATE", "text"): "day_text",
    ("PARSE_DATE", "format"): "'yyyy-MM-dd'",
    ("PARSE_TIME", "text"): "clock_text",
    ("PARSE_TIME", "format"): "'HH:mm:ss'",
    ("PARSE_TIMESTAMP", "text"): "ts_text",
    ("PARSE_TIMESTAMP", "format"): "'yyyy-MM-dd HH:mm:ss.SSS'",
    ("REGEXP_EXTRACT", "pattern"): "'([a-z]+) ([0-9]+)'",
    ("REGEXP_EXTRACT_ALL", "pattern"): "'([a-z]+)'",
    ("REGEXP_REPLACE", "pattern"): "'([a-z]+)'",
    ("REGEXP_REPLACE", "new"): "'<$1>'",
    ("REGEXP_SPLIT_TO_ARRAY", "pattern"): "'[ -]+'",
    ("SPLIT_TO_MAP", "text"): "entries",
    ("STRINGTODATE", "text"): "day_text",
    ("STRINGTODATE", "format"): "'yyyy-MM-dd'",
    ("STRINGTOTIMESTAMP", "text"): "ts_text",
    ("STRINGTOTIMESTAMP", "format"): "'yyyy-MM-dd HH:mm:ss.SSS'",
    ("TIMESTAMPTOSTRING", "format"): "'yyyy-MM-dd HH:mm:ss.SSS'",
    ("TIMESTAMPTOSTRING", "milliseconds"): "UNIX_TIMESTAMP(ts)",
    ("TO_BYTES", "encoding"): "'base64'",
    ("TO_BYTES", "text"): "base64_text",
    ("URL_DECODE_PARAM", "text"): "encoded",
    ("URL_EXTRACT_PARAMETER", "name"): "'page'",
    ("UUID", "bytes"): "bytes16",
    ("FROM_UNIXTIME", "milliseconds"): "l",
}
"""By function and parameter; empty text asks for the type: see `_argument`."""

_LAMBDAS = {
    "FILTER": {"condition": ("x => x > 0", "(k, v) => v > 0")},
    "TRANSFORM": {"item": ("x => x + 1",), "key": ("(k, v) => UCASE(k)",), "value": ("(k, v) => v + 1",)},
    "REDUCE": {"next": ("(sum, x) => sum + x", "(sum, k, v) => sum + v"), "state": ("0",)},
}

_MORE: dict[str, tuple[str, ...]] = {
    "BIGINT_FROM_BYTES": ("bytes8, 'LITTLE_ENDIAN'",),
    "CONVERT_TZ": ("ts, zone, 'UTC'",),
    "CONCAT_WS": ("u, s, word",),
    "DATETOSTRING": ("i / 100000, 'dd MMM yyyy'",),
    "ENCODE": ("hex_text, 'hex', 'ascii'", "base64_text, 'base64', 'hex'", "s, 'ascii', 'hex'"),
    "EXTRACTJSONFIELD": ("json_object, '$.at'", "json_object, '$.name'", "json_array, '$[2]'"),
    "FORMAT_DATE": ("day, 'EEEE, d MMMM yyyy'", "day, format"),
    "FORMAT_TIME": ("clock, 'h:mm a'",),
    "FORMAT_TIMESTAMP": (
        "ts, 'EEEE, d MMMM yyyy, HH:mm'",
        "ts, 'dd MMM yyyy HH:mm:ss Z', 'America/New_York'",
        "ts, format",
        "ts, 'yyyy-MM-dd HH:mm:ss', zone",
    ),
    "FROM_BYTES": ("y, 'utf8'", "y, 'ascii'", "y, 'hex'"),
    "INSTR": ("s, 'e'", "s, word", "s, 'a', -1", "s, word, small, 2"),
    "IS_JSON_STRING": ("s",),
    "JSON_ARRAY_CONTAINS": ("json_array, word",),
    "JSON_KEYS": ("json_object",),
    "LPAD": ("s, small, u",),
    "MASK": ("u",),
    "MASK_LEFT": ("s, small",),
    "PARSE_DATE": ("long_day_text, 'dd MMM yyyy'",),
    "PARSE_TIME": ("clock_text, 'H:m:s'",),
    "PARSE_TIMESTAMP": (
        "long_ts_text, 'dd MMM yyyy HH:mm:ss Z'",
        "ts_text, 'yyyy-MM-dd HH:mm:ss.SSS', zone",
        "ts_text, 'y-M-d H:m:s.SSS', 'Europe/London'",
    ),
    "REGEXP_EXTRACT": ("'[0-9]+', s", "word, s"),
    "REGEXP_REPLACE": ("s, '[aeiou]', '*'", "s, word, u"),
    "REPLACE": ("s, word, u",),
    "ROUND": ("d, small", "p, small"),
    "RPAD": ("s, small, u",),
    "SPLIT": ("s, word", "s, ''"),
    "STRINGTODATE": ("long_day_text, 'dd MMM yyyy'",),
    "SUBSTRING": ("s, small", "s, small, small", "s, -5", "s, -5, 3", "y, small"),
    "TIMESTAMPTOSTRING": ("UNIX_TIMESTAMP(ts), 'dd MMM yyyy HH:mm:ss Z', 'Europe/London'",),
    "TO_BYTES": ("hex_text, 'hex'", "s, 'utf8'", "s, 'ascii'"),
    "TO_JSON_STRING": ("ARRAY[i, j]", "STRUCT(a := i, b := s)"),
    "TRUNC": ("d, small", "p, small"),
    "URL_ENCODE_PARAM": ("url",),
}
"""More arguments, where a function has another way for them (columns instead of literals, other formats)."""


def cases(names: frozenset[str] = frozenset()) -> Iterator[Case]:
    """Calls of every built-in function (or of those named), every signature.

    Raises: Uncovered, for a signature without known arguments.
    """
    registry = load_built_ins()
    for name in registry.names():
        function = registry.find(name)
        assert function is not None
        if names and name not in names:
            continue
        seen: set[str] = set()
        for overload in function.overloads:
            for arguments in _arguments_of(function, overload.signature):
                if (case := _case(function, arguments)).call not in seen:
                    seen.add(case.call)
                    yield case
        for arguments in _MORE.get(name, ()):
            if (case := _case(function, arguments)).call not in seen:
                seen.add(case.call)
                yield case


def _case(function: Function, arguments: str) -> Case:
    call = f"{function.name}({arguments})"
    nested = any(sign in arguments for sign in ("ARRAY[", "MAP(", "STRUCT(", "=>"))
    rows_out = 1 if function.kind != "TABLE" else 4 if function.name == "CUBE_EXPLODE" else 2
    return Case(function.name, function.kind, call, not nested, rows_out)


def _arguments_of(function: Function, signature: Signature) -> Iterator[str]:
    variables = {p.type.name for p in signature.parameters if isinstance(p.type, Variable)}
    anys = [p for p in signature.parameters if isinstance(p.type, Special) and p.type.name == "ANY"]
    nested = any(isinstance(p.type, ArrayOf | MapOf | LambdaOf) for p in signature.parameters)
    few = nested or len(signature.parameters) > 2 or (function.kind == "AGGREGATE" and "n" in _names_of(signature))
    choices = (_FEW[:1] if nested else _FEW if few else _ANY) if variables or anys else (_ANY[0],)
    for pair in choices:
        given: list[str] = []
        for place, parameter in enumerate(signature.parameters):
            given.append(_argument(function.name, parameter.name, parameter.type, pair, place))
            if parameter.variadic and not isinstance(parameter.type, LambdaOf):
                given.append(given[-1])
        if "" not in given or not given:
            yield ", ".join(given)
        else:
            raise Uncovered(f"{function.name}{signature}: no argument is known; add one to benchmarks/function_cases.py")


def _names_of(signature: Signature) -> set[str]:
    return {parameter.name for parameter in signature.parameters}


def _argument(function: str, name: str, type_: Any, pair: tuple[str, str], place: int) -> str:
    """The SQL of an argument, empty if none is known."""
    if function in _LAMBDAS and name in _LAMBDAS[function]:
        found = _LAMBDAS[function][name]
        return (
            found[-1]
            if isinstance(type_, LambdaOf) and len(type_.parameters) > (2 if function == "REDUCE" else 1)
            else found[0]
        )
    if function == "CUBE_EXPLODE":
        return "ARRAY[COALESCE(i, 0), COALESCE(j, 0)]"  # an item that is NULL would make fewer rows
    if function == "CHR":
        return "code" if type_ == t.INTEGER else "code_text"
    if (function, name) in _SPECIAL and (function, type_) != ("UUID", None):
        return _SPECIAL[function, name]
    if type_ == t.BYTES and name in _BYTES_LITERALS:
        return _BYTES_LITERALS[name]
    if name in _BY_NAME and not isinstance(type_, Variable) and _literal_suits(name, type_):
        return _BY_NAME[name]
    if isinstance(type_, Variable):
        return pair[min(place, 1)]
    if isinstance(type_, Special):
        return {"ANY": pair[min(place, 1)], "DECIMAL": _DECIMALS[min(place, 1)], "UNIT": "HOURS"}.get(type_.name, "")
    if isinstance(type_, ArrayOf | t.Array):
        item = _argument("", "", type_.item, pair, 0)
        other = _argument("", "", type_.item, pair, 1)
        return f"ARRAY[{item}, {other}]" if item else ""
    if isinstance(type_, MapOf | t.Map):
        value = _argument("", "", type_.value, pair, 0)
        return f"MAP('a' := {value}, 'b' := {value})" if value else ""
    return _BY_TYPE[type_][min(place, 1)] if type_ in _BY_TYPE else ""


def _literal_suits(name: str, type_: Any) -> bool:
    """Whether the argument known for a parameter's name is of its type (``other`` is a mask in one function, an array in
    another)."""
    text = _BY_NAME[name]
    if text == "NULL" or text.startswith("'"):
        return bool(type_ == t.STRING)
    if text[0].isdigit():
        return bool(type_ == t.INTEGER)
    if text in ("true", "false"):
        return bool(type_ == t.BOOLEAN)
    word = COLUMNS[text]
    return bool(type_ == {"STRING": t.STRING, "DOUBLE": t.DOUBLE, "INT": t.INTEGER}.get(word))
