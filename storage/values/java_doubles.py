"""Doubles as Java writes them, for CAST, DELIMITED and everything that must agree with Kafka's tools.

`Double.toString`: the shortest digits that read back as the same double (as since JDK 19).  Values from 1e-3 up to below 1e7
are plain, others are ``d.dddE±n``.  At least one digit follows the point.  ``NaN``, ``Infinity``, ``-Infinity``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .arrow_calls import join_texts


def format_double(value: float) -> str:
    """The text of a double.

    >>> format_double(1e7), format_double(0.001), format_double(123.0), format_double(1.5e-5)
    ('1.0E7', '0.001', '123.0', '1.5E-5')
    """
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    shortest = repr(value)
    magnitude = abs(value)
    if 1e-3 <= magnitude < 1e7 or value == 0:
        return shortest
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = shortest.lstrip("-").partition("e")
    exponent = int(exponent_text) if exponent_text else 0
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = whole + fraction
    if len(digits.strip("0")) == 1:
        # Java looks for the nearest of two digits at least: the smallest double is 4.9E-324, not 5.0E-324.
        mantissa, _, exponent_text = f"{magnitude:.1e}".partition("e")
        return f"{sign}{mantissa}E{int(exponent_text)}"
    exponent += len(whole) - 1
    stripped = digits.lstrip("0")
    exponent -= len(digits) - len(stripped)
    stripped = stripped.rstrip("0") or "0"
    return f"{sign}{stripped[0]}.{stripped[1:] or '0'}E{exponent}"


def format_doubles(values: npt.NDArray[np.float64], nulls: npt.NDArray[np.bool_] | None = None) -> Any:
    """string[n]: the texts of doubles; null where ``nulls`` is set."""
    magnitudes = np.abs(values)
    plain = (magnitudes >= 1e-3) & (magnitudes < 1e7) | (magnitudes == 0)
    texts = pa.array(values, mask=nulls).cast(pa.string())
    # Arrow finds the same digits, and leaves out the point of whole numbers.
    with np.errstate(invalid="ignore"):  # signalling NaNs
        whole = plain & (np.trunc(values) == values)
    if whole.any():
        texts = pc.if_else(pa.array(whole), join_texts(texts, ".0"), texts)
    others = ~plain if nulls is None else ~plain & ~nulls
    if others.any():
        texts = pc.replace_with_mask(
            texts, pa.array(others), pa.array([format_double(value) for value in values[others].tolist()], pa.string())
        )
    return texts
