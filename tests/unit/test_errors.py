"""Errors say what they are, where, and what to do."""

from __future__ import annotations

import inspect

import pytest

import penstock
from penstock import errors


def test_every_error_has_a_code_of_its_own() -> None:
    """For programs and logs; it does not change with the wording."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.PenstockError)]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes) > 10


def test_hints_and_places() -> None:
    """Of statements the suggestion, of storage the action; where there is none, None."""
    with penstock.connect(threads=0) as db, pytest.raises(penstock.PenstockError) as caught:
        db.execute("SHOW STREAMS; SELECT * FROM sterams;")
    assert caught.value.code == "statement" and caught.value.span is not None
    assert errors.StatementError("x", suggestion="y").hint == "y" and errors.StorageError("x", action="z").hint == "z"
    assert errors.DataError("x").hint is None and errors.DataError("x").span is None
