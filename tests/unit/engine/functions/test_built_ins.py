"""The set of built-in functions, and some of them through the compiler of expressions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from penstock.engine.functions import load_built_ins


def test_every_function_has_a_meaning_and_a_category() -> None:
    """SHOW FUNCTIONS and DESCRIBE FUNCTION have something to say about each; meanings are one sentence."""
    registry = load_built_ins()
    kinds: dict[str, int] = {}
    for name in registry.names():
        function = registry.find(name)
        assert function is not None
        assert (function.meaning.endswith(".") and function.meaning[0].isupper()) or name in ("SIGN", "ENCODE", "CHR"), name
        assert function.overloads and function.category
        kinds[function.kind] = kinds.get(function.kind, 0) + 1
    assert kinds["SCALAR"] == 129
    assert kinds["TABLE"] == 2


def test_the_registry_is_cheap_to_import() -> None:
    """The modules of functions are imported when first needed."""
    code = "import sys, penstock.engine.functions.registry; print([m for m in sys.modules if m.endswith('.json_text')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("sql", "row", "columns", "expected"),
    [
        ("UCASE(SUBSTRING(A, 2, 3))", ("hello",), {"A": "STRING"}, "ELL"),
        ("CONCAT('x-', A, NULL)", ("b",), {"A": "STRING"}, "x-b"),
        ("GEO_DISTANCE(A, 0, 0, 0)", (0,), {"A": "INT"}, 0.0),
        ("GREATEST(A, 2.5e0, 1)", (2,), {"A": "BIGINT"}, 2.5),
        ("TIMESTAMPADD(DAYS, 2, A)", (5,), {"A": "TIMESTAMP"}, 172_800_005),
        ("TRANSFORM(A, x => x + B)", ([1, 2], 10), {"A": "ARRAY<INT>", "B": "INT"}, [11, 12]),
        ("TRANSFORM(A, x => x + B)", ([1, None], 10), {"A": "ARRAY<INT>", "B": "INT"}, [11, None]),
        ("FILTER(A, (k, v) => v > 1)", ({"a": 1, "b": 2},), {"A": "MAP<STRING, INT>"}, {"b": 2}),
        ("REDUCE(A, 0, (s, x) => s + x)", ([1, 2, 3],), {"A": "ARRAY<INT>"}, 6),
        (
            "TRANSFORM(A, x => TRANSFORM(x, y => y * ARRAY_LENGTH(x)))",
            ([[1, 2], [3]],),
            {"A": "ARRAY<ARRAY<INT>>"},
            [[2, 4], [3]],
        ),
        ("REGEXP_EXTRACT('(', A)", ("a",), {"A": "STRING"}, "failed"),
        ("COALESCE(REGEXP_EXTRACT('(', A), 'z')", ("a",), {"A": "STRING"}, "z"),
        ("FORMAT_DATE('1970-01-02', 'dd')", (), {}, "02"),
        (
            "TO_JSON_STRING(STRUCT(b := A, a := DATEADD(DAYS, 1, '1970-01-01')))",
            (1,),
            {"A": "INT"},
            '{"A":"1970-01-02","B":1}',
        ),
        ("ENTRIES(AS_MAP(ARRAY['a'], ARRAY[A]), TRUE)[1]->V", (7,), {"A": "INT"}, 7),
        ("ABS(-5)", (), {}, 5),
        ("PI()", (), {}, 3.141592653589793),
    ],
)
def test_end_to_end(functions: Any, sql: str, row: tuple[Any, ...], columns: dict[str, str], expected: Any) -> None:
    """Overloads are found, arguments are cast, lambdas run and failures arrive."""
    assert functions(sql, row, columns) == expected
