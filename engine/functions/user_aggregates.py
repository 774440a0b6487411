"""Aggregates that users define as classes, see `user`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import DataError
from ...runtime import user_code
from ...runtime.batch import Bools
from ...runtime.kernel import Evaluated, Segments, State, StateField, failures_of
from .. import types as t
from .aggregate_values import object_array
from .aggregator_base import AggregatorBase
from .user_types import AnnotationType, Shaper, as_sql, copier, values_of

__all__ = ["UserAggregator"]


class UserAggregator(AggregatorBase):
    """An `Aggregator` over an object of a user's class.  A group's state is one Python value, and each row replaces it."""

    def __init__(
        self,
        it: Any,
        inputs: Sequence[AnnotationType],
        result: AnnotationType,
        state: AnnotationType,
        variables: dict[str, t.SqlType],
        nulls: bool | None,
    ) -> None:
        self._it = it
        self._inputs = inputs
        self._skips = [not s.nullable if nulls is None else not nulls for s in inputs]
        self._result = result
        self._state = state
        self._name = type(it).__name__
        state_type, result_type = as_sql(state.pattern, variables), as_sql(result.pattern, variables)
        if state_type is None or result_type is None:
            raise ValueError(f"{self._name}: the state and the result need one SQL type")
        self._state_type = state_type
        self._copy = copier(state_type)
        self._copy_result = copier(result_type)
        self._map = getattr(it, "map", None)
        self._has_map = _holds_map(state_type)
        self.result_type = t.to_arrow(result_type)
        self.can_undo = callable(getattr(it, "undo", None))
        self.can_merge = callable(getattr(it, "merge", None))
        self.nested_state = isinstance(state_type, t.Array | t.Map | t.Struct)
        initial = self._closed(user_code.call(self._it.initialize))
        self.fields = (StateField("STATE", np.dtype(object), t.to_arrow(state_type), initial),)

    def _opened(self, stored: Any) -> Any:
        """The user's state from the stored one.

        Lists and dicts are copied, because the user's code may change them in place.  So a row that fails, or a step that is
        undone, changes nothing.
        """
        if stored is None:
            return None
        if self._has_map:
            stored = _with_dicts(stored, self._state_type)
        if self._copy is not None:
            stored = self._copy(stored)
        return stored if self._state.inward is None else self._call(self._state.inward, stored)

    def _closed(self, state: object) -> object:
        if state is None:
            return None
        if self._state.outward is not None:
            state = self._call(self._state.outward, state)
        return state if self._copy is None else self._call(self._copy, state)

    def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return user_code.call(method, *arguments)
        except user_code.UserCodeError as error:
            raise DataError(f"the aggregate {self._name} failed: {error}") from error

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        columns = [_shaped(a, s.inward) for a, s in zip(arguments, self._inputs, strict=True)]
        rows = list(zip(*columns, strict=True)) if columns else [()] * len(segments.groups)
        skips = self._skips
        taken = None if undo is None else undo.tolist()
        current = [self._opened(s) for s in state[0].tolist()]
        running: list[Any] = []
        check = user_code.row_check()
        for row, group in enumerate(segments.groups.tolist()):
            check()
            values = rows[row]
            if not any(v is None and skip for v, skip in zip(values, skips, strict=True)):
                method = self._it.undo if taken is not None and taken[row] else self._it.aggregate
                current[group] = self._call(method, current[group], *values)
            if every:
                running.append(self._closed(current[group]))
        final = object_array([self._closed(s) for s in current])
        return [final], [object_array(running)] if every else None

    def merge(self, left: State, right: State) -> State:
        pairs = zip(left[0].tolist(), right[0].tolist(), strict=True)
        merged = [self._call(self._it.merge, self._opened(a), self._opened(b)) for a, b in pairs]
        return [object_array([self._closed(s) for s in merged])]

    def result(self, state: State) -> Any:
        return self.evaluated(state).values

    def evaluated(self, state: State) -> Evaluated:
        results: list[Any] = []
        failed: dict[int, str] = {}
        check = user_code.row_check()
        for row, stored in enumerate(state[0].tolist()):
            check()
            try:
                results.append(self._mapped(stored))
            except DataError as error:
                failed[row] = str(error)
                results.append(None)
        try:
            values = user_code.call(pa.array, results, self.result_type)
        except user_code.UserCodeError:
            values = self._one_by_one(results, failed)
        return Evaluated(values, failures_of(failed))

    def _mapped(self, stored: object) -> object:
        """The result of a stored state, as a value for Arrow.

        Raises:
            DataError: the user's code failed.
        """
        value: object = self._opened(stored)
        if self._map is not None:
            value = self._call(self._map, value)
        if self._result.outward is not None and value is not None:
            value = self._call(self._result.outward, value)
        return value if self._copy_result is None else self._call(self._copy_result, value)

    def _one_by_one(self, results: list[Any], failed: dict[int, str]) -> Any:
        """Results as an array.  Those that do not have the type are null, and ``failed`` gets their reasons."""
        arrays = []
        for row, value in enumerate(results):
            try:
                arrays.append(user_code.call(pa.array, [value], self.result_type))
            except user_code.UserCodeError as error:
                failed[row] = f"the aggregate {self._name} gave a result that is not a valid {self.result_type}: {error}"
                arrays.append(user_code.call(pa.array, [None], self.result_type))
        return pa.concat_arrays(arrays)


def _shaped(column: Any, inward: Shaper) -> list[Any]:
    values = values_of(column)
    return values if inward is None else [None if v is None else user_code.call(inward, v) for v in values]


def _holds_map(type_: t.SqlType) -> bool:
    match type_:
        case t.Map():
            return True
        case t.Array(item):
            return _holds_map(item)
        case t.Struct(fields):
            return any(_holds_map(f) for _, f in fields)
    return False


def _with_dicts(value: Any, pattern: Any) -> Any:
    """A stored value with its maps as dicts.  (A checkpoint returns them as lists of pairs.)"""
    if value is None:
        return None
    match pattern:
        case t.Map(_, item):
            return {k: _with_dicts(v, item) for k, v in (value.items() if isinstance(value, dict) else value)}
        case t.Array(item):
            return [_with_dicts(v, item) for v in value]
        case t.Struct(fields):
            return {name: _with_dicts(value[name], f) for name, f in fields}
    return value
