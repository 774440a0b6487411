"""Values for ``?`` and ``$name``: each becomes a constant in the place of its parameter.

A value is never read as SQL.  It has the type of the same constant in a text: 5 is an INTEGER, 1.5 (a float) a DOUBLE,
``Decimal("1.5")`` a DECIMAL(2, 1).  If it is the whole value of a column, it is stored as `Database.insert` stores it
(`row_parameters.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from ..errors import Span, StatementError
from ..grammar import ast
from ..grammar.parse import parse
from ..grammar.selects import nodes_of, rebuilt
from .catalog import DataSource
from .constants import constant, text_within
from .intake.values import plain
from .row_parameters import RowStatement, in_rows, of_column
from .types import SqlType

Tree = TypeVar("Tree", bound=ast.Node)
Parameters = Sequence[Any] | Mapping[str, Any]


def with_values(statement: Tree, parameters: Parameters | None) -> Tree:
    """Replace the parameters of a statement by constants.

    Args:
        parameters: a list or tuple for ``?`` in order, a dict for ``$name``.  Names are compared without regard to case.

    Raises:
        StatementError: a parameter has no value, a value has no parameter, or a value has no SQL type.
    """
    given = _by_name(parameters)
    _check_used(given, parameter_names(statement))
    return _replaced(statement, given)


class ScriptValues:
    """Values for the parameters of a script.

    Raises:
        StatementError: a value has no parameter in the text.
    """

    def __init__(self, text: str, parameters: Parameters | None) -> None:
        self._given = _by_name(parameters)
        if parameters is None or "${" in text:
            return  # the text is only known when variables are replaced, statement by statement
        _check_used(self._given, {name for parsed in parse(text) for name in parameter_names(parsed.statement)})

    def into(self, statement: ast.Statement, source_of: Callable[[str], DataSource | None]) -> ast.Statement:
        """Replace the parameters of one statement.

        Args:
            source_of: finds the source that an INSERT writes to or a DELETE deletes from.

        Raises:
            StatementError: see `with_values`; or a value does not fit its column.
        """
        if isinstance(statement, RowStatement) and parameter_names(statement):
            source = source_of(statement.source if isinstance(statement, ast.AssertValues) else statement.target)
            statement = statement if source is None else in_rows(statement, self._given, source)
        return _replaced(statement, self._given)


def parameter_names(tree: ast.Node) -> set[str]:
    """The names of the parameters in a tree.  Those of ``?`` are ``1``, ``2``, .."""
    return {node.name for node in nodes_of(tree) if isinstance(node, ast.Parameter)}


def _check_used(given: Mapping[str, object], names: set[str]) -> None:
    wanted = {name.upper() for name in names}
    for name in given:
        if name not in wanted:
            raise StatementError(
                f"a value is given for the parameter {name}, and the text has no such parameter",
                suggestion="A parameter is written ? or $name, not in quotes.",
            )


def _replaced(statement: Tree, given: Mapping[str, Any]) -> Tree:
    def find(place: ast.Parameter) -> Any:
        if place.name.upper() not in given:
            raise StatementError(
                f"the parameter {'?' if place.name.isdigit() else '$' + place.name} has no value",
                span=place.span,
                suggestion="Give values beside the text: a list for ?, a dict for $name.",
            )
        return given[place.name.upper()]

    def change(node: Any) -> Any:
        if isinstance(node, ast.Parameter):
            return constant(find(node), node.span)
        values = {
            name: convert(plain(find(place)), place.span)
            for name, convert in PLAIN.get(type(node), {}).items()
            if isinstance(place := getattr(node, name), ast.Parameter)
        }
        return rebuilt(replace(node, **values), change) if values else None

    return cast("Tree", rebuilt(statement, change)) if parameter_names(statement) else statement


def _by_name(parameters: Parameters | None) -> dict[str, Any]:
    """Values by the names of their parameters, in upper case."""
    if parameters is None:
        return {}
    if isinstance(parameters, str | bytes) or not isinstance(parameters, Sequence | Mapping):
        raise StatementError(
            f"parameters must be a list or a dict, not {type(parameters).__name__}",
            suggestion="One value is a list, too: [value].",
        )
    if not isinstance(parameters, Mapping):
        return {str(number): value for number, value in enumerate(parameters, 1)}
    named: dict[str, Any] = {}
    for name, value in parameters.items():
        if not isinstance(name, str):
            raise StatementError(f"the name of a parameter must be text, not {type(name).__name__}")
        key = name.removeprefix("$").upper()
        if key in named:
            raise StatementError(f"two values are given for the parameter {name}")
        named[key] = value
    return named


def _count(value: object, span: Span) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise StatementError(f"this parameter must be a whole number of at least 0, not {value!r:.100}", span=span)
    return value


def _character(value: object, span: Span) -> str:
    if not isinstance(value, str) or len(value) != 1:
        raise StatementError(f"ESCAPE must be one character, not {value!r:.100}", span=span)
    return text_within(value, span)


def _path(value: object, span: Span) -> str:
    if not isinstance(value, str | Path):
        raise StatementError(f"this parameter must be the path of a file, not {value!r:.100}", span=span)
    return text_within(str(value), span)


def _setting(value: Any, span: Span) -> str:
    """The value of a property as the text that stands between quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise StatementError(f"the value of a property must be a text, a number or a boolean, not {value!r:.100}", span=span)
    return text_within(str(value), span)


PLAIN: Final[Mapping[type[ast.Node], Mapping[str, Callable[[Any, Span], Any]]]] = {
    ast.Query: {"limit": _count},
    ast.TableQuery: {"limit": _count, "offset": _count},
    ast.FrameBound: {"rows": _count},
    ast.Duration: {"amount": _count},
    ast.Print: {"interval": _count, "limit": _count},
    ast.AssertSchema: {"schema_id": _count},
    ast.Like: {"escape": _character},
    ast.CreateFrom: {"path": _path},
    ast.SetProperty: {"value": _setting},
}
"""The fields of nodes that hold numbers and texts instead of expressions, and that may be parameters.

Each has the function that converts a value.
"""


def column_constant(value: object, type_: SqlType) -> ast.Expression:
    """A value of a column, as a constant of exactly the column's type.

    Raises:
        Unfit: the value does not fit the type, see `stored`.
    """
    return of_column(value, type_, Span(0, 0))
