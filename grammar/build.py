"""Builds the AST.  There is one method for each rule of the grammar; it decides by the text alone.

Each method gets the children of its rule (without keywords and symbols, see ``ksql.lark``) and the offsets of its start and
end in the text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, cast

from ..errors import Span
from . import ast
from .build_queries import Children, QueryBuilder, around

_INT64_MAX = 2**63 - 1
_DECIMAL_TEXT = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*")

CHAIN_LENGTH = 16
"""A chain of AND or OR with more operands than this becomes a balanced tree, so that the tree is not deep."""


class TreeBuilder(QueryBuilder):
    """Builds the nodes of one text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._unfolded: dict[int, ast.IntegerLiteral] = {}

    def finish(self) -> None:
        """Check the text at the end of a statement.  Call it once for each statement.

        Raises:
            StatementError: the text has 9223372036854775808 without a minus sign; only with one is it a BIGINT.
        """
        for literal in self._unfolded.values():
            raise self._error(f"{literal.value} does not fit a BIGINT", literal.span.start, literal.span.end)

    # --- shared pieces ---------------------------------------------------------------------

    def yes(self, children: Children, start: int, end: int) -> bool:
        return True

    def no(self, children: Children, start: int, end: int) -> bool:
        return False

    def none_given(self, children: Children, start: int, end: int) -> None:
        return None

    def items(self, children: Children, start: int, end: int) -> tuple[Any, ...]:
        return tuple(children)

    def no_items(self, children: Children, start: int, end: int) -> tuple[Any, ...]:
        return ()

    def pair(self, children: Children, start: int, end: int) -> tuple[Any, Any]:
        return (children[0], children[1])

    def text(self, children: Children, start: int, end: int) -> str:
        return cast("str", children[0])[1:-1].replace("''", "'")

    def number(self, children: Children, start: int, end: int) -> int:
        value = int(children[-1])
        if value > _INT64_MAX:
            raise self._error(f"{value} does not fit a BIGINT", start, end)
        return value

    def upper_name(self, children: Children, start: int, end: int) -> str:
        return cast("str", children[0]).upper()

    def bare_name(self, children: Children, start: int, end: int) -> str:
        return cast("str", children[0])

    def quoted_name(self, children: Children, start: int, end: int) -> str:
        quoted: str = children[0]
        if len(quoted) == 2:
            raise self._error("a name cannot be empty", start, end)
        return quoted[1:-1].replace(quoted[0] * 2, quoted[0])

    def query_id(self, children: Children, start: int, end: int) -> str:
        return cast("str", children[0]).upper()

    def kind(self, children: Children, start: int, end: int) -> str:
        return cast("str", children[0]).upper()

    connector_kind = kind
    control_verb = kind
    frame_unit = kind
    listed_extended = kind
    described_list = kind

    def show_verb(self, children: Children, start: int, end: int) -> None:
        return None

    def listed(self, children: Children, start: int, end: int) -> str:
        return " ".join(children).upper()

    def unit(self, children: Children, start: int, end: int) -> str:
        return cast("str", children[0]).upper().removesuffix("S")

    def duration(self, children: Children, start: int, end: int) -> ast.Duration:
        return ast.Duration(children[0], children[1], span=self._span(start, end))

    # --- statements ------------------------------------------------------------------------

    def create_plain(self, children: Children, start: int, end: int) -> tuple[bool, bool]:
        return (False, False)

    def create_replace(self, children: Children, start: int, end: int) -> tuple[bool, bool]:
        return (True, False)

    def create_read_only(self, children: Children, start: int, end: int) -> tuple[bool, bool]:
        return (False, True)

    def create_replace_read_only(self, children: Children, start: int, end: int) -> tuple[bool, bool]:
        return (True, True)

    def create(self, children: Children, start: int, end: int) -> ast.CreateSource | ast.CreateAsSelect:
        (or_replace, read_only), kind, if_not_exists, name, columns, properties, query = children
        span = self._span(start, end)
        if query is None:
            return ast.CreateSource(kind, name, columns or (), properties, or_replace, read_only, if_not_exists, span=span)
        if read_only:
            suggestion = f"Write CREATE {kind} .. AS SELECT: only a plain source can be read-only."
            raise self._error(f"CREATE SOURCE {kind} takes no query", start, end, suggestion)
        query = self._streaming(query, f"CREATE {kind} .. AS SELECT")
        if columns is not None:
            place = columns[0].span
            suggestion = "Leave out the list of columns: they come from the query."
            message = f"CREATE {kind} .. AS SELECT takes no list of columns"
            raise self._error(message, place.start, columns[-1].span.end, suggestion)
        return ast.CreateAsSelect(kind, name, query, properties, or_replace, if_not_exists, span=span)

    def create_from(self, children: Children, start: int, end: int) -> ast.CreateFrom:
        (or_replace, read_only), kind, if_not_exists, name, columns, path, properties = children
        if or_replace or read_only or columns is not None:
            raise self._error(
                f"CREATE {kind} .. FROM takes neither OR REPLACE nor SOURCE nor a list of columns",
                start,
                end,
                "Leave them out.",
            )
        return ast.CreateFrom(kind, name, path, properties, if_not_exists, span=self._span(start, end))

    def column(self, children: Children, start: int, end: int) -> ast.ColumnDefinition:
        name, type_, (role, header) = children
        return ast.ColumnDefinition(name, type_, role, header, span=self._span(start, end))

    def added_column(self, children: Children, start: int, end: int) -> ast.ColumnDefinition:
        return ast.ColumnDefinition(children[0], children[1], span=self._span(start, end))

    def role_value(self, children: Children, start: int, end: int) -> tuple[str, None]:
        return ("VALUE", None)

    def role_key(self, children: Children, start: int, end: int) -> tuple[str, None]:
        return ("KEY", None)

    def role_primary_key(self, children: Children, start: int, end: int) -> tuple[str, None]:
        return ("PRIMARY KEY", None)

    def role_headers(self, children: Children, start: int, end: int) -> tuple[str, None]:
        return ("HEADERS", None)

    def role_header(self, children: Children, start: int, end: int) -> tuple[str, str]:
        return ("HEADER", self.text(children, start, end))

    def property(self, children: Children, start: int, end: int) -> ast.Property:
        return ast.Property(children[0], children[1], span=self._span(start, end))

    def create_type(self, children: Children, start: int, end: int) -> ast.CreateType:
        if_not_exists, name, type_ = children
        return ast.CreateType(name, type_, if_not_exists, span=self._span(start, end))

    def create_connector(self, children: Children, start: int, end: int) -> ast.CreateConnector:
        kind, if_not_exists, name, properties = children
        return ast.CreateConnector(kind, name, properties, if_not_exists, span=self._span(start, end))

    def insert_select(self, children: Children, start: int, end: int) -> ast.InsertSelect:
        target, properties, query = children
        query = self._streaming(query, "INSERT INTO .. SELECT")
        return ast.InsertSelect(target, query, properties, span=self._span(start, end))

    def insert_all_values(self, children: Children, start: int, end: int) -> ast.InsertValues:
        return ast.InsertValues(children[0], (), children[1], span=self._span(start, end))

    def insert_values(self, children: Children, start: int, end: int) -> ast.InsertValues:
        return ast.InsertValues(children[0], children[1], children[2], span=self._span(start, end))

    def delete(self, children: Children, start: int, end: int) -> ast.Delete:
        return ast.Delete(*children, span=self._span(start, end))

    def alter(self, children: Children, start: int, end: int) -> ast.AlterSource:
        return ast.AlterSource(children[0], children[1], tuple(children[2:]), span=self._span(start, end))

    def alter_system(self, children: Children, start: int, end: int) -> ast.AlterSystem:
        return ast.AlterSystem(*self._texts(children), span=self._span(start, end))

    def drop(self, children: Children, start: int, end: int) -> ast.DropSource:
        kind, if_exists, name, delete_topic = children
        return ast.DropSource(kind, name, if_exists, delete_topic, span=self._span(start, end))

    def drop_type(self, children: Children, start: int, end: int) -> ast.DropType:
        return ast.DropType(children[1], children[0], span=self._span(start, end))

    def drop_connector(self, children: Children, start: int, end: int) -> ast.DropConnector:
        return ast.DropConnector(children[1], children[0], span=self._span(start, end))

    def control(self, children: Children, start: int, end: int) -> ast.ControlQuery:
        return ast.ControlQuery(children[0], children[1], span=self._span(start, end))

    def control_all(self, children: Children, start: int, end: int) -> ast.ControlQuery:
        return ast.ControlQuery(children[0], None, span=self._span(start, end))

    def show(self, children: Children, start: int, end: int) -> ast.Show:
        extended = len(children) > 2 and children[2]
        return ast.Show(children[1], extended, span=self._span(start, end))

    def show_all_topics(self, children: Children, start: int, end: int) -> ast.Show:
        return ast.Show("TOPICS", children[1], True, span=self._span(start, end))

    def describe(self, children: Children, start: int, end: int) -> ast.Describe:
        return ast.Describe("SOURCE", children[0], children[1], span=self._span(start, end))

    def describe_list(self, children: Children, start: int, end: int) -> ast.Describe:
        return ast.Describe(children[0], None, children[1], span=self._span(start, end))

    def describe_function(self, children: Children, start: int, end: int) -> ast.Describe:
        return ast.Describe("FUNCTION", children[0], span=self._span(start, end))

    def describe_connector(self, children: Children, start: int, end: int) -> ast.Describe:
        return ast.Describe("CONNECTOR", children[0], span=self._span(start, end))

    def describe_query(self, children: Children, start: int, end: int) -> ast.Describe:
        return ast.Describe("QUERY", children[0], span=self._span(start, end))

    def explain(self, children: Children, start: int, end: int) -> ast.Explain:
        return ast.Explain(statement=children[0], span=self._span(start, end))

    def explain_query(self, children: Children, start: int, end: int) -> ast.Explain:
        return ast.Explain(query_id=children[0], span=self._span(start, end))

    def explain_analyze(self, children: Children, start: int, end: int) -> ast.Explain:
        return ast.Explain(query_id=children[0], analyze=True, span=self._span(start, end))

    def why_no_rows(self, children: Children, start: int, end: int) -> ast.WhyNoRows:
        return ast.WhyNoRows(children[0], span=self._span(start, end))

    def print_topic(self, children: Children, start: int, end: int) -> ast.Print:
        topic, from_beginning, interval, limit = children
        return ast.Print(topic, from_beginning, interval, limit, span=self._span(start, end))

    def _texts(self, children: Children) -> list[str]:
        return [self.text([child], 0, 0) for child in children]

    def set_property(self, children: Children, start: int, end: int) -> ast.SetProperty:
        (name,) = self._texts(children[:1])
        return ast.SetProperty(name, children[1], span=self._span(start, end))

    def unset_property(self, children: Children, start: int, end: int) -> ast.UnsetProperty:
        return ast.UnsetProperty(*self._texts(children), span=self._span(start, end))

    def define(self, children: Children, start: int, end: int) -> ast.Define:
        return ast.Define(children[0], self.text(children[1:], start, end), span=self._span(start, end))

    def undefine(self, children: Children, start: int, end: int) -> ast.Undefine:
        return ast.Undefine(children[0], span=self._span(start, end))

    def assert_topic(self, children: Children, start: int, end: int) -> ast.AssertTopic:
        exists, topic, properties, timeout = children
        return ast.AssertTopic(topic, properties, exists, timeout, span=self._span(start, end))

    def assert_schema(self, children: Children, start: int, end: int) -> ast.AssertSchema:
        exists, subject, schema_id, timeout = children
        return ast.AssertSchema(subject, schema_id, exists, timeout, span=self._span(start, end))

    def assert_values(self, children: Children, start: int, end: int) -> ast.AssertValues:
        return ast.AssertValues(*children, span=self._span(start, end))

    def assert_tombstone(self, children: Children, start: int, end: int) -> ast.AssertValues:
        return ast.AssertValues(children[0], children[1], children[2], True, span=self._span(start, end))

    def assert_source(self, children: Children, start: int, end: int) -> ast.AssertSource:
        kind, name, columns, properties = children
        return ast.AssertSource(kind, name, columns or (), properties, span=self._span(start, end))

    def run_script(self, children: Children, start: int, end: int) -> ast.RunScript:
        return ast.RunScript(*self._texts(children), span=self._span(start, end))

    # --- expressions -----------------------------------------------------------------------

    def or_(self, children: Children, start: int, end: int) -> ast.Logical:
        return self._chain("OR", children, self._span(start, end))

    def and_(self, children: Children, start: int, end: int) -> ast.Logical:
        return self._chain("AND", children, self._span(start, end))

    def _chain(self, operator: Any, parts: Children, whole: Span) -> ast.Logical:
        """``a OR b OR c``.  A short chain is grouped from the left.  A long one is balanced, so that no tree is deep."""
        while len(parts) > CHAIN_LENGTH:
            middle = (len(parts) + 1) // 2
            halves = [self._part(operator, half) for half in (parts[:middle], parts[middle:])]
            return ast.Logical(operator, halves[0], halves[1], span=whole)
        left: ast.Expression = parts[0]
        for right in parts[1:]:
            left = ast.Logical(operator, left, right, span=around(left.span, right.span))
        return cast("ast.Logical", replace(left, span=whole))

    def _part(self, operator: Any, parts: Children) -> ast.Expression:
        return self._chain(operator, parts, around(parts[0].span, parts[-1].span))

    def not_(self, children: Children, start: int, end: int) -> ast.Not:
        return ast.Not(children[0], span=self._span(start, end))

    def comparison_operator(self, children: Children, start: int, end: int) -> str:
        return "<>" if children[0] == "!=" else cast("str", children[0])

    def comparison(self, children: Children, start: int, end: int) -> ast.Comparison:
        left, operator, right = children
        return ast.Comparison(operator, left, right, span=self._span(start, end))

    def is_null(self, children: Children, start: int, end: int) -> ast.IsNull:
        return ast.IsNull(children[0], span=self._span(start, end))

    def is_not_null(self, children: Children, start: int, end: int) -> ast.IsNull:
        return ast.IsNull(children[0], True, span=self._span(start, end))

    def is_distinct(self, children: Children, start: int, end: int) -> ast.Comparison:
        return ast.Comparison("IS DISTINCT FROM", children[0], children[1], span=self._span(start, end))

    def is_not_distinct(self, children: Children, start: int, end: int) -> ast.Comparison:
        return ast.Comparison("IS NOT DISTINCT FROM", children[0], children[1], span=self._span(start, end))

    def between(self, children: Children, start: int, end: int) -> ast.Between:
        return ast.Between(*children, span=self._span(start, end))

    def not_between(self, children: Children, start: int, end: int) -> ast.Between:
        return ast.Between(children[0], children[1], children[2], True, span=self._span(start, end))

    def in_list(self, children: Children, start: int, end: int) -> ast.InList:
        return ast.InList(*children, span=self._span(start, end))

    def not_in_list(self, children: Children, start: int, end: int) -> ast.InList:
        return ast.InList(children[0], children[1], True, span=self._span(start, end))

    def in_query(self, children: Children, start: int, end: int) -> ast.InSubquery:
        return ast.InSubquery(*children, span=self._span(start, end))

    def not_in_query(self, children: Children, start: int, end: int) -> ast.InSubquery:
        return ast.InSubquery(children[0], children[1], True, span=self._span(start, end))

    def scalar_subquery(self, children: Children, start: int, end: int) -> ast.ScalarSubquery:
        return ast.ScalarSubquery(children[0], span=self._span(start, end))

    def exists(self, children: Children, start: int, end: int) -> ast.Exists:
        return ast.Exists(children[0], span=self._span(start, end))

    def like(self, children: Children, start: int, end: int, negated: bool = False) -> ast.Like:
        escape = children[2]
        if isinstance(escape, str) and len(escape) != 1:
            raise self._error(f"ESCAPE must be one character, not '{escape}'", start, end)
        return ast.Like(children[0], children[1], escape, negated, span=self._span(start, end))

    def not_like(self, children: Children, start: int, end: int) -> ast.Like:
        return self.like(children, start, end, True)

    def concat(self, children: Children, start: int, end: int) -> ast.Arithmetic:
        return ast.Arithmetic("||", children[0], children[1], span=self._span(start, end))

    def add(self, children: Children, start: int, end: int) -> ast.Arithmetic:
        return ast.Arithmetic("+", children[0], children[1], span=self._span(start, end))

    def subtract(self, children: Children, start: int, end: int) -> ast.Arithmetic:
        return ast.Arithmetic("-", children[0], children[1], span=self._span(start, end))

    def multiply(self, children: Children, start: int, end: int) -> ast.Arithmetic:
        return ast.Arithmetic("*", children[0], children[1], span=self._span(start, end))

    def divide(self, children: Children, start: int, end: int) -> ast.Arithmetic:
        return ast.Arithmetic("/", children[0], children[1], span=self._span(start, end))

    def modulo(self, children: Children, start: int, end: int) -> ast.Arithmetic:
        return ast.Arithmetic("%", children[0], children[1], span=self._span(start, end))

    def negate(self, children: Children, start: int, end: int) -> ast.Expression:
        """A minus sign before a number becomes part of it, so that the smallest BIGINT can be written."""
        span = self._span(start, end)
        match children[0]:
            case ast.IntegerLiteral(value=value) as literal:
                self._unfolded.pop(id(literal), None)
                return self._integer(-value, start, end)
            case ast.DecimalLiteral(text=text):
                return ast.DecimalLiteral(text[1:] if text.startswith("-") else "-" + text, span=span)
            case ast.DoubleLiteral(value=value):
                return ast.DoubleLiteral(-value, span=span)
        return ast.Negate(children[0], span=span)

    def plus(self, children: Children, start: int, end: int) -> ast.Plus:
        return ast.Plus(children[0], span=self._span(start, end))

    def subscript(self, children: Children, start: int, end: int) -> ast.Subscript:
        return ast.Subscript(*children, span=self._span(start, end))

    def dereference(self, children: Children, start: int, end: int) -> ast.Dereference:
        return ast.Dereference(*children, span=self._span(start, end))

    def at_time_zone(self, children: Children, start: int, end: int) -> ast.AtTimeZone:
        return ast.AtTimeZone(*children, span=self._span(start, end))

    def column_ref(self, children: Children, start: int, end: int) -> ast.NameRef:
        qualifier = children[0] if len(children) == 2 else None
        return ast.NameRef(children[-1], qualifier, span=self._span(start, end))

    def call(self, children: Children, start: int, end: int) -> ast.FunctionCall:
        return ast.FunctionCall(children[0].upper(), tuple(children[1:]), span=self._span(start, end))

    def call_star(self, children: Children, start: int, end: int) -> ast.FunctionCall:
        return ast.FunctionCall(children[0].upper(), (), True, span=self._span(start, end))

    def call_distinct(self, children: Children, start: int, end: int) -> ast.FunctionCall:
        return ast.FunctionCall(children[0].upper(), children[1], distinct=True, span=self._span(start, end))

    def window_call(self, children: Children, start: int, end: int) -> ast.WindowCall:
        return ast.WindowCall(*children, span=self._span(start, end))

    def frame(self, children: Children, start: int, end: int) -> ast.WindowFrame:
        unit, first, *rest = children
        last = rest[0] if rest else ast.FrameBound("CURRENT ROW", span=first.span)
        return ast.WindowFrame(unit, first, last, span=self._span(start, end))

    def unbounded_preceding(self, children: Children, start: int, end: int) -> ast.FrameBound:
        return ast.FrameBound("UNBOUNDED PRECEDING", span=self._span(start, end))

    def unbounded_following(self, children: Children, start: int, end: int) -> ast.FrameBound:
        return ast.FrameBound("UNBOUNDED FOLLOWING", span=self._span(start, end))

    def current_row(self, children: Children, start: int, end: int) -> ast.FrameBound:
        return ast.FrameBound("CURRENT ROW", span=self._span(start, end))

    def preceding(self, children: Children, start: int, end: int) -> ast.FrameBound:
        return ast.FrameBound("PRECEDING", children[0], span=self._span(start, end))

    def following(self, children: Children, start: int, end: int) -> ast.FrameBound:
        return ast.FrameBound("FOLLOWING", children[0], span=self._span(start, end))

    def lambda_one(self, children: Children, start: int, end: int) -> ast.Lambda:
        return ast.Lambda((children[0],), children[1], span=self._span(start, end))

    def lambda_many(self, children: Children, start: int, end: int) -> ast.Lambda:
        return ast.Lambda(children[1], children[2], span=self._span(start, end))

    def case_simple(self, children: Children, start: int, end: int) -> ast.Case:
        operand, *branches, default = children
        return ast.Case(operand, tuple(branches), default, span=self._span(start, end))

    def case_searched(self, children: Children, start: int, end: int) -> ast.Case:
        *branches, default = children
        return ast.Case(None, tuple(branches), default, span=self._span(start, end))

    def cast(self, children: Children, start: int, end: int) -> ast.Cast:
        return ast.Cast(*children, span=self._span(start, end))

    def array(self, children: Children, start: int, end: int) -> ast.ArrayConstructor:
        return ast.ArrayConstructor(tuple(children), span=self._span(start, end))

    def map(self, children: Children, start: int, end: int) -> ast.MapConstructor:
        return ast.MapConstructor(tuple(children), span=self._span(start, end))

    def struct(self, children: Children, start: int, end: int) -> ast.StructConstructor:
        return ast.StructConstructor(tuple(children), span=self._span(start, end))

    def interval_unit(self, children: Children, start: int, end: int) -> ast.IntervalUnit:
        return ast.IntervalUnit(children[0].upper(), span=self._span(start, end))

    def null(self, children: Children, start: int, end: int) -> ast.NullLiteral:
        return ast.NullLiteral(span=self._span(start, end))

    def true(self, children: Children, start: int, end: int) -> ast.BooleanLiteral:
        return ast.BooleanLiteral(True, span=self._span(start, end))

    def false(self, children: Children, start: int, end: int) -> ast.BooleanLiteral:
        return ast.BooleanLiteral(False, span=self._span(start, end))

    def integer(self, children: Children, start: int, end: int) -> ast.IntegerLiteral:
        return self._integer(int(children[0]), start, end)

    def _integer(self, value: int, start: int, end: int) -> ast.IntegerLiteral:
        if value > _INT64_MAX + 1:
            raise self._error(f"{value} does not fit a BIGINT", start, end, "Write it as a DECIMAL: add a point.")
        literal = ast.IntegerLiteral(value, span=self._span(start, end))
        if value == _INT64_MAX + 1:
            self._unfolded[id(literal)] = literal
        return literal

    def decimal(self, children: Children, start: int, end: int) -> ast.DecimalLiteral:
        return ast.DecimalLiteral(children[0], span=self._span(start, end))

    def decimal_text(self, children: Children, start: int, end: int) -> ast.DecimalLiteral:
        text = self.text(children, start, end)
        if not _DECIMAL_TEXT.fullmatch(text):
            raise self._error(f"'{text}' is not a DECIMAL", start, end)
        return ast.DecimalLiteral(text.strip().removeprefix("+"), span=self._span(start, end))

    def double(self, children: Children, start: int, end: int) -> ast.DoubleLiteral:
        value = float(children[0])
        if value == float("inf"):
            raise self._error(f"{children[0]} does not fit a DOUBLE", start, end)
        return ast.DoubleLiteral(value, span=self._span(start, end))

    def string(self, children: Children, start: int, end: int) -> ast.StringLiteral:
        return ast.StringLiteral(self.text(children, start, end), span=self._span(start, end))

    # --- types -----------------------------------------------------------------------------

    def type_name(self, children: Children, start: int, end: int) -> ast.TypeName:
        """A type by its name.  ``VARCHAR(STRING)``, which DESCRIBE prints in ksqlDB, is VARCHAR."""
        return ast.TypeName(children[0], tuple(int(p) for p in children[1:]), span=self._span(start, end))

    def type_decimal(self, children: Children, start: int, end: int) -> ast.TypeName:
        return ast.TypeName("DECIMAL", tuple(int(p) for p in children), span=self._span(start, end))

    def type_array(self, children: Children, start: int, end: int) -> ast.ArrayType:
        return ast.ArrayType(children[0], span=self._span(start, end))

    def type_map(self, children: Children, start: int, end: int) -> ast.MapType:
        return ast.MapType(children[0], children[1], span=self._span(start, end))

    def type_struct(self, children: Children, start: int, end: int) -> ast.StructType:
        return ast.StructType(tuple(children), span=self._span(start, end))
