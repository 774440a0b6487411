"""Writes the AST as canonical text, for SHOW, DESCRIBE and the statement journal.  ``parse(unparse(tree)) == tree``.

Keywords are upper case.  Names are quoted and parentheses are written only where they are needed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import assert_never

from . import ast
from .build import CHAIN_LENGTH
from .words import reserved_words, statement_words

_BARE = re.compile(r"[A-Z_][A-Z0-9_@]*")
_BARE_EXACT = re.compile(r"[A-Za-z_][A-Za-z0-9_@]*")
_POINTED = re.compile(r"-?(?:\d+\.\d*|\.\d+)")

# Precedence, lowest first.  An operand gets parentheses if its place has a higher precedence than the operand.
_OR, _AND, _NOT, _PREDICATE, _CONCAT, _SUM, _PRODUCT, _UNARY, _POSTFIX, _PRIMARY = range(10)
_ARITHMETIC = {"||": _CONCAT, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT}

_OPENING_WORDS = frozenset({"ARRAY", "MAP", "STRUCT", "IF", "FUNCTION", "COLUMN", "TABLES"})
"""Words that are keywords in some places where a name can stand.  It is simplest to quote them everywhere."""


@functools.cache
def _must_quote(word: str) -> bool:
    return word in reserved_words() or word in _OPENING_WORDS or word in statement_words()


def quote(name: str) -> str:
    """A name as SQL.  It has backticks unless it is read as the same name without them."""
    if _BARE.fullmatch(name) and not _must_quote(name):
        return name
    return "`" + name.replace("`", "``") + "`"


def _exact(name: str) -> str:
    """A name that keeps its case even without backticks (topics, subjects)."""
    if _BARE_EXACT.fullmatch(name) and not _must_quote(name.upper()):
        return name
    return "`" + name.replace("`", "``") + "`"


def text_literal(value: str) -> str:
    """A text in single quotes."""
    return "'" + value.replace("'", "''") + "'"


def _list(parts: Iterable[str]) -> str:
    return ", ".join(parts)


# --- types ---------------------------------------------------------------------------------


def unparse_type(type_: ast.Type) -> str:
    """A type as text, such as ``ARRAY<DECIMAL(4, 2)>``."""
    match type_:
        case ast.TypeName(name=name, parameters=parameters):
            word = name if name == "DECIMAL" else quote(name)
            return f"{word}({_list(map(str, parameters))})" if parameters else word
        case ast.ArrayType(item=item):
            return f"ARRAY<{unparse_type(item)}>"
        case ast.MapType(key=key, value=value):
            return f"MAP<{unparse_type(key)}, {unparse_type(value)}>"
        case ast.StructType(fields=fields):
            return f"STRUCT<{_list(f'{quote(n)} {unparse_type(t)}' for n, t in fields)}>"


# --- expressions ---------------------------------------------------------------------------


def unparse_expression(expression: ast.Expression) -> str:
    """The expression's text, without parentheses around it."""
    return _expression(expression, _OR)


def _expression(expression: ast.Expression, place: int) -> str:
    text, strength = _with_strength(expression)
    return text if strength >= place else f"({text})"


def _number(text: str) -> tuple[str, int]:
    return text, _UNARY if text.startswith("-") else _PRIMARY


def _with_strength(e: ast.Expression) -> tuple[str, int]:
    match e:
        case ast.NullLiteral():
            return "NULL", _PRIMARY
        case ast.BooleanLiteral(value=value):
            return "TRUE" if value else "FALSE", _PRIMARY
        case ast.IntegerLiteral(value=integer):
            return _number(str(integer))
        case ast.DecimalLiteral(text=digits):
            return _number(digits) if _POINTED.fullmatch(digits) else (f"DECIMAL {text_literal(digits)}", _PRIMARY)
        case ast.DoubleLiteral(value=double):
            digits = repr(double)
            return _number(digits if "e" in digits else digits + "E0")
        case ast.StringLiteral(value=string):
            return text_literal(string), _PRIMARY
        case ast.NameRef(name=name, qualifier=qualifier):
            return (quote(name) if qualifier is None else f"{quote(qualifier)}.{quote(name)}"), _PRIMARY
        case ast.IntervalUnit(unit=unit):
            return unit, _PRIMARY
        case ast.Dereference(base=base, field=field):
            return f"{_expression(base, _POSTFIX)}->{quote(field)}", _POSTFIX
        case ast.Subscript(base=base, index=index):
            return f"{_expression(base, _POSTFIX)}[{_expression(index, _OR)}]", _POSTFIX
        case ast.AtTimeZone(operand=operand, zone=zone):
            return f"{_expression(operand, _POSTFIX)} AT TIME ZONE {_expression(zone, _UNARY)}", _POSTFIX
        case ast.FunctionCall(name=name, arguments=arguments, star=star):
            given = "*" if star else _list(_expression(a, _OR) for a in arguments)
            return f"{quote(name)}({'DISTINCT ' if e.distinct else ''}{given})", _PRIMARY
        case ast.Lambda(parameters=parameters, body=body):
            return f"({_list(map(quote, parameters))}) => {_expression(body, _OR)}", _OR
        case ast.Negate(operand=operand):
            # A space keeps "- -x" from becoming a comment.
            return f"- {_expression(operand, _UNARY)}", _UNARY
        case ast.Plus(operand=operand):
            return f"+{_expression(operand, _UNARY)}", _UNARY
        case ast.Arithmetic(operator=operator, left=left, right=right):
            strength = _ARITHMETIC[operator]
            return f"{_expression(left, strength)} {operator} {_expression(right, strength + 1)}", strength
        case ast.Comparison() | ast.IsNull() | ast.Between() | ast.InList() | ast.Like() | ast.InSubquery():
            return _predicate(e), _PREDICATE
        case ast.Parameter() | ast.ScalarSubquery() | ast.Exists() | ast.WindowCall():
            return _of_answers(e), _PRIMARY
        case ast.Logical(operator=operator, left=left, right=right):
            strength = _OR if operator == "OR" else _AND
            long = _long_chain(e)
            if long is not None:
                return f" {operator} ".join(_expression(part, strength + 1) for part in long), strength
            return f"{_expression(left, strength)} {operator} {_expression(right, strength + 1)}", strength
        case ast.Not(operand=operand):
            return f"NOT {_expression(operand, _NOT)}", _NOT
        case ast.Case(operand=subject, branches=branches, default=default):
            head = "CASE" if subject is None else f"CASE {_expression(subject, _OR)}"
            whens = "".join(f" WHEN {_expression(c, _OR)} THEN {_expression(r, _OR)}" for c, r in branches)
            return f"{head}{whens}{'' if default is None else f' ELSE {_expression(default, _OR)}'} END", _PRIMARY
        case ast.Cast(operand=operand, type=type_):
            return f"CAST({_expression(operand, _OR)} AS {unparse_type(type_)})", _PRIMARY
        case ast.ArrayConstructor(items=items):
            return f"ARRAY[{_list(_expression(i, _OR) for i in items)}]", _PRIMARY
        case ast.MapConstructor(entries=entries):
            return f"MAP({_list(f'{_expression(k, _OR)} := {_expression(v, _OR)}' for k, v in entries)})", _PRIMARY
        case ast.StructConstructor(fields=fields):
            return f"STRUCT({_list(f'{quote(n)} := {_expression(v, _OR)}' for n, v in fields)})", _PRIMARY


def _long_chain(e: ast.Logical) -> list[ast.Expression] | None:
    """The operands of a tree that the parser makes of one long chain; None for another tree."""
    parts: list[ast.Expression] = []
    stack: list[ast.Expression] = [e]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Logical) and node.operator == e.operator:
            stack += [node.right, node.left]
        else:
            parts.append(node)
    if len(parts) <= CHAIN_LENGTH:
        return None
    places: list[tuple[ast.Expression, int, int]] = [(e, 0, len(parts))]
    while places:
        node, first, end = places.pop()
        if end - first == 1:
            if node is not parts[first]:
                return None
            continue
        if not isinstance(node, ast.Logical) or node.operator != e.operator:
            return None
        middle = (first + end + 1) // 2 if end - first > CHAIN_LENGTH else end - 1
        places += [(node.left, first, middle), (node.right, middle, end)]
    return parts


def _of_answers(e: ast.Parameter | ast.ScalarSubquery | ast.Exists | ast.WindowCall) -> str:
    """The text of expressions that only queries that are answered once can have."""
    match e:
        case ast.Parameter(name=name):
            return "?" if name.isdigit() else f"${name}"
        case ast.ScalarSubquery(query=query):
            return f"({unparse_query(query)})"
        case ast.Exists(query=query):
            return f"EXISTS ({unparse_query(query)})"
        case ast.WindowCall(call=call, partition_by=partition_by, order_by=order_by, frame=frame):
            parts = []
            if partition_by:
                parts.append(f"PARTITION BY {_list(_expression(p, _OR) for p in partition_by)}")
            if order_by:
                parts.append(_order_by(order_by))
            if frame is not None:
                parts.append(f"{frame.unit} BETWEEN {_bound(frame.start)} AND {_bound(frame.end)}")
            return f"{_expression(call, _PRIMARY)} OVER ({' '.join(parts)})"


def _bound(bound: ast.FrameBound) -> str:
    return bound.kind if bound.rows is None else f"{_count(bound.rows)} {bound.kind}"


def _count(count: int | ast.Parameter) -> str:
    return str(count) if isinstance(count, int) else _of_answers(count)


def _text(text: str | ast.Parameter) -> str:
    return text_literal(text) if isinstance(text, str) else _of_answers(text)


def _order_by(items: tuple[ast.OrderItem, ...]) -> str:
    def one(item: ast.OrderItem) -> str:
        nulls = "" if item.nulls is None else f" NULLS {item.nulls}"
        return f"{_expression(item.expression, _OR)}{' DESC' if item.descending else ''}{nulls}"

    return f"ORDER BY {_list(map(one, items))}"


def _predicate(e: ast.Comparison | ast.IsNull | ast.Between | ast.InList | ast.Like | ast.InSubquery) -> str:
    if isinstance(e, ast.Comparison):
        return f"{_expression(e.left, _CONCAT)} {e.operator} {_expression(e.right, _CONCAT)}"
    operand = _expression(e.operand, _CONCAT)
    negated = "NOT " if e.negated else ""
    match e:
        case ast.IsNull():
            return f"{operand} IS {negated}NULL"
        case ast.Between(low=low, high=high):
            return f"{operand} {negated}BETWEEN {_expression(low, _CONCAT)} AND {_expression(high, _CONCAT)}"
        case ast.InList(items=items):
            return f"{operand} {negated}IN ({_list(_expression(i, _OR) for i in items)})"
        case ast.InSubquery(query=query):
            return f"{operand} {negated}IN ({unparse_query(query)})"
        case ast.Like(pattern=pattern, escape=escape):
            ending = "" if escape is None else f" ESCAPE {_text(escape)}"
            return f"{operand} {negated}LIKE {_expression(pattern, _CONCAT)}{ending}"


# --- queries -------------------------------------------------------------------------------


def _duration(duration: ast.Duration) -> str:
    return f"{_count(duration.amount)} {duration.unit}{'' if duration.amount == 1 else 'S'}"


def _grace(duration: ast.Duration | None, separator: str = " ") -> str:
    return "" if duration is None else f"{separator}GRACE PERIOD {_duration(duration)}"


def _alias(alias: str | None) -> str:
    return "" if alias is None else f" AS {quote(alias)}"


def _select_item(item: ast.SelectItem) -> str:
    match item:
        case ast.SelectStar(qualifier=qualifier):
            return "*" if qualifier is None else f"{quote(qualifier)}.*"
        case ast.SelectStructStar(base=base):
            return f"{_expression(base, _POSTFIX)}->*"
        case ast.SelectExpression(expression=expression, alias=alias):
            return _expression(expression, _OR) + _alias(alias)


def _join(join: ast.Join) -> str:
    type_ = join.type if join.type == "INNER" else f"{join.type} OUTER"
    within = ""
    if join.within is not None:
        before, after = join.within.before, join.within.after
        bounds = _duration(before) if after is None else f"({_duration(before)}, {_duration(after)})"
        within = f" WITHIN {bounds}{_grace(join.within.grace_period)}"
    source = quote(join.source.name) + _alias(join.source.alias)
    return f" {type_} JOIN {source}{within} ON {_expression(join.on, _OR)}"


def _window(window: ast.Window) -> str:
    size = _duration(window.size)
    parts = [size if window.type == "SESSION" else f"SIZE {size}"]
    if window.advance is not None:
        parts.append(f"ADVANCE BY {_duration(window.advance)}")
    if window.retention is not None:
        parts.append(f"RETENTION {_duration(window.retention)}")
    return f" WINDOW {window.type} ({_list(parts)}{_grace(window.grace_period, ', ')})"


def _from_item(item: ast.FromItem) -> str:
    if isinstance(item, ast.SourceRef):
        return quote(item.name) + _alias(item.alias)
    return f"({unparse_query(item.query)}){_alias(item.alias)}{_names(item.columns)}"


def _table_join(join: ast.TableJoin) -> str:
    if join.type == "CROSS":
        return f" CROSS JOIN {_from_item(join.source)}"
    type_ = join.type if join.type == "INNER" else f"{join.type} OUTER"
    condition = f"USING{_names(join.using)}" if join.on is None else f"ON {_expression(join.on, _OR)}"
    return f" {type_} JOIN {_from_item(join.source)} {condition}"


def _body(body: ast.QueryBody) -> str:
    match body:
        case ast.Query() | ast.TableQuery():
            return f"({unparse_query(body)})"
        case ast.ValuesTable(rows=rows):
            return f"VALUES {_list(map(_values, rows))}"
        case ast.SetOperation(operator=operator, all=all_, left=left, right=right):
            return f"{_body(left)} {operator}{' ALL' if all_ else ''} {_body(right)}"
        case ast.Select() as select:
            text = f"SELECT {'DISTINCT ' if select.distinct else ''}{_list(map(_select_item, select.select))}"
            if select.source is not None:
                text += f" FROM {_from_item(select.source)}"
            text += "".join(map(_table_join, select.joins))
            if select.where is not None:
                text += f" WHERE {_expression(select.where, _OR)}"
            if select.group_by:
                text += f" GROUP BY {_list(_expression(e, _OR) for e in select.group_by)}"
            if select.having is not None:
                text += f" HAVING {_expression(select.having, _OR)}"
            return text


def _table_query(query: ast.TableQuery) -> str:
    text = ""
    if query.common_tables:
        tables = (f"{quote(c.name)}{_names(c.columns)} AS ({unparse_query(c.query)})" for c in query.common_tables)
        text = f"WITH {_list(tables)} "
    text += _body(query.body)
    if query.order_by:
        text += f" {_order_by(query.order_by)}"
    if query.limit is not None:
        text += f" LIMIT {_count(query.limit)}"
    if query.offset is not None:
        text += f" OFFSET {_count(query.offset)}"
    return text


def unparse_query(query: ast.AnyQuery) -> str:
    """The query's canonical text."""
    if isinstance(query, ast.TableQuery):
        return _table_query(query)
    text = f"SELECT {_list(map(_select_item, query.select))} FROM {quote(query.source.name)}{_alias(query.source.alias)}"
    text += "".join(map(_join, query.joins))
    if query.window is not None:
        text += _window(query.window)
    if query.where is not None:
        text += f" WHERE {_expression(query.where, _OR)}"
    if query.group_by:
        text += f" GROUP BY {_list(_expression(e, _OR) for e in query.group_by)}"
    if query.partition_by:
        text += f" PARTITION BY {_list(_expression(e, _OR) for e in query.partition_by)}"
    if query.having is not None:
        text += f" HAVING {_expression(query.having, _OR)}"
    if query.emit is not None:
        text += f" EMIT {query.emit}"
    if query.limit is not None:
        text += f" LIMIT {_count(query.limit)}"
    return text


# --- statements ----------------------------------------------------------------------------


def _property(property_: ast.Property) -> str:
    name = property_.name
    written = quote(name) if re.fullmatch(r"[A-Za-z0-9_@]+", name) else text_literal(name)
    return f"{written} = {_expression(property_.value, _UNARY)}"


def _with(properties: tuple[ast.Property, ...]) -> str:
    return f" WITH ({_list(map(_property, properties))})" if properties else ""


def _column(column: ast.ColumnDefinition) -> str:
    role = {"VALUE": "", "HEADER": f" HEADER({text_literal(column.header or '')})"}.get(column.role, f" {column.role}")
    return f"{quote(column.name)} {unparse_type(column.type)}{role}"


def _columns(columns: tuple[ast.ColumnDefinition, ...]) -> str:
    return f" ({_list(map(_column, columns))})" if columns else ""


def _names(names: tuple[str, ...]) -> str:
    return f" ({_list(map(quote, names))})" if names else ""


def _values(values: tuple[ast.Expression, ...]) -> str:
    return f"({_list(_expression(v, _OR) for v in values)})"


def _when(flag: bool, words: str) -> str:
    return f" {words}" if flag else ""


def unparse(statement: ast.Statement) -> str:
    """The statement's canonical text, without a semicolon."""
    match statement:
        case ast.Query() | ast.TableQuery():
            return unparse_query(statement)
        case ast.CreateSource(kind=kind, name=name) as s:
            head = f"CREATE{_when(s.or_replace, 'OR REPLACE')}{_when(s.read_only, 'SOURCE')} {kind}"
            return f"{head}{_when(s.if_not_exists, 'IF NOT EXISTS')} {quote(name)}{_columns(s.columns)}{_with(s.properties)}"
        case ast.CreateFrom(kind=kind, name=name) as s:
            head = f"CREATE {kind}{_when(s.if_not_exists, 'IF NOT EXISTS')} {quote(name)}"
            return f"{head} FROM {text_literal(s.path)}{_with(s.properties)}"
        case ast.CreateAsSelect(kind=kind, name=name) as s:
            head = f"CREATE{_when(s.or_replace, 'OR REPLACE')} {kind}{_when(s.if_not_exists, 'IF NOT EXISTS')}"
            return f"{head} {quote(name)}{_with(s.properties)} AS {unparse_query(s.query)}"
        case ast.InsertSelect(target=name, query=query, properties=properties):
            return f"INSERT INTO {quote(name)}{_with(properties)} {unparse_query(query)}"
        case ast.InsertValues(target=name, columns=names, rows=rows):
            return f"INSERT INTO {quote(name)}{_names(names)} VALUES {_list(map(_values, rows))}"
        case ast.Delete(target=name, where=where):
            return f"DELETE FROM {quote(name)}{'' if where is None else f' WHERE {_expression(where, _OR)}'}"
        case ast.AlterSource(kind=kind, name=name, add=add):
            return f"ALTER {kind} {quote(name)} {_list(f'ADD COLUMN {_column(c)}' for c in add)}"
        case ast.DropSource(kind=kind, name=name) as s:
            return f"DROP {kind}{_when(s.if_exists, 'IF EXISTS')} {quote(name)}{_when(s.delete_topic, 'DELETE TOPIC')}"
        case ast.CreateType(name=name, type=type_) as s:
            return f"CREATE TYPE{_when(s.if_not_exists, 'IF NOT EXISTS')} {quote(name)} AS {unparse_type(type_)}"
        case ast.DropType(name=name) as s:
            return f"DROP TYPE{_when(s.if_exists, 'IF EXISTS')} {quote(name)}"
        case ast.ControlQuery(action=action, query_id=query_id):
            return f"{action} {'ALL' if query_id is None else quote(query_id)}"
        case ast.WhyNoRows(name=name):
            return f"WHY NO ROWS FROM {quote(name)}"
        case ast.Explain(query_id=str() as query_id, analyze=True):
            return f"EXPLAIN ANALYZE {quote(query_id)}"
        case ast.Explain(statement=inner, query_id=query_id):
            return f"EXPLAIN {unparse(inner) if inner is not None else quote(query_id or '')}"
        case lesser:
            return _lesser(lesser)


_Lesser = (
    ast.Show
    | ast.Describe
    | ast.Print
    | ast.SetProperty
    | ast.UnsetProperty
    | ast.AlterSystem
    | ast.Define
    | ast.Undefine
    | ast.CreateConnector
    | ast.DropConnector
    | ast.AssertTopic
    | ast.AssertSchema
    | ast.AssertValues
    | ast.AssertSource
    | ast.RunScript
)


def _lesser(statement: _Lesser) -> str:
    """The text of statements that show, set, assert and connect."""
    match statement:
        case ast.Show(what=what) as s:
            return f"SHOW{_when(s.all, 'ALL')} {what}{_when(s.extended, 'EXTENDED')}"
        case ast.Describe(what="STREAMS" | "TABLES" as what) as s:
            return f"DESCRIBE {what}{_when(s.extended, 'EXTENDED')}"
        case ast.Describe(what=what, name=name) as s:
            kind = "" if what == "SOURCE" else f"{what} "
            return f"DESCRIBE {kind}{quote(name or '')}{_when(s.extended, 'EXTENDED')}"
        case ast.Print(topic=topic) as s:
            interval = "" if s.interval is None else f" INTERVAL {_count(s.interval)}"
            limit = "" if s.limit is None else f" LIMIT {_count(s.limit)}"
            return f"PRINT {_exact(topic)}{_when(s.from_beginning, 'FROM BEGINNING')}{interval}{limit}"
        case ast.SetProperty(name=name, value=value):
            return f"SET {text_literal(name)} = {_text(value)}"
        case ast.UnsetProperty(name=name):
            return f"UNSET {text_literal(name)}"
        case ast.AlterSystem(name=name, value=value):
            return f"ALTER SYSTEM {text_literal(name)} = {text_literal(value)}"
        case ast.Define(name=name, value=value):
            return f"DEFINE {quote(name)} = {text_literal(value)}"
        case ast.Undefine(name=name):
            return f"UNDEFINE {quote(name)}"
        case ast.CreateConnector(kind=kind, name=name) as s:
            condition = _when(s.if_not_exists, "IF NOT EXISTS")
            return f"CREATE {kind} CONNECTOR{condition} {quote(name)}{_with(s.properties)}"
        case ast.DropConnector(name=name) as s:
            return f"DROP CONNECTOR{_when(s.if_exists, 'IF EXISTS')} {quote(name)}"
        case ast.AssertTopic(topic=topic) as s:
            return (
                f"ASSERT{_when(not s.exists, 'NOT EXISTS')} TOPIC {_exact(topic)}{_with(s.properties)}{_timeout(s.timeout)}"
            )
        case ast.AssertSchema() as s:
            subject = "" if s.subject is None else f" SUBJECT {_exact(s.subject)}"
            number = "" if s.schema_id is None else f" ID {_count(s.schema_id)}"
            return f"ASSERT{_when(not s.exists, 'NOT EXISTS')} SCHEMA{subject}{number}{_timeout(s.timeout)}"
        case ast.AssertValues(source=source, columns=names, values=values, tombstone=tombstone):
            verb, word = ("NULL VALUES", "KEY") if tombstone else ("VALUES", "VALUES")
            return f"ASSERT {verb} {quote(source)}{_names(names)} {word} {_values(values)}"
        case ast.AssertSource(kind=kind, name=name) as s:
            return f"ASSERT {kind} {quote(name)}{_columns(s.columns)}{_with(s.properties)}"
        case ast.RunScript(path=path):
            return f"RUN SCRIPT {text_literal(path)}"
        case other:
            assert_never(other)


def _timeout(timeout: ast.Duration | None) -> str:
    return "" if timeout is None else f" TIMEOUT {_duration(timeout)}"
