"""The parser: forms, names, literals, spans, and that bad input gives an error that helps."""

from __future__ import annotations

import pytest

from penstock.errors import StatementError
from penstock.grammar import ast, tables
from penstock.grammar.parse import is_complete, parse, parse_expression, parse_statement, parse_type, split
from penstock.limits import NESTING_DEPTH_MAX, STATEMENT_CHARS_MAX


def error(text: str) -> StatementError:
    with pytest.raises(StatementError) as caught:
        parse(text)
    return caught.value


def test_the_grammar_has_no_conflicts() -> None:
    """lark would resolve shift/reduce conflicts silently, so their list is pinned: it is empty."""
    assert tables.conflicts(tables.GRAMMAR_PATH.read_text(encoding="utf-8")) == []


def test_names_are_upper_cased_unless_quoted() -> None:
    """Bare names fold, backticks and double quotes keep case, digits may lead."""
    query = parse_statement('SELECT a, `b`, "c``", 1st FROM s t')
    assert isinstance(query, ast.Query)
    assert [item.expression.name for item in query.select] == ["A", "b", "c``", "1ST"]
    assert query.source == ast.SourceRef("S", "T")


def test_words_that_are_not_reserved_are_names() -> None:
    """Keywords of one clause are columns in another, also those that open a constructor before the right sign."""
    query = parse_statement("SELECT key, map, array, struct, date, emit, source id FROM partition EMIT CHANGES")
    assert isinstance(query, ast.Query)
    assert query.select[-1] == ast.SelectExpression(ast.NameRef("SOURCE"), "ID")
    assert query.source.name == "PARTITION" and query.emit == "CHANGES"


@pytest.mark.parametrize("word", ["FROM", "select", "decimal", "Values"])
def test_reserved_words_must_be_quoted(word: str) -> None:
    """A reserved word in a name's place is refused, with the way to write it: in upper case, as names without quotes are."""
    assert f"`{word.upper()}`" in str(error(f"DROP STREAM {word};"))
    assert parse_statement(f"DROP STREAM `{word}`") == ast.DropSource("STREAM", word)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("123", ast.IntegerLiteral(123)),
        ("-9223372036854775808", ast.IntegerLiteral(-(2**63))),
        ("- -5", ast.IntegerLiteral(5)),
        ("1.", ast.DecimalLiteral("1.")),
        ("-.50", ast.DecimalLiteral("-.50")),
        ("DECIMAL '1.20'", ast.DecimalLiteral("1.20")),
        ("1e3", ast.DoubleLiteral(1000.0)),
        ("'it''s -- no; comment'", ast.StringLiteral("it's -- no; comment")),
        ("TRUE", ast.BooleanLiteral(True)),
        ("NULL", ast.NullLiteral()),
    ],
)
def test_literals(text: str, literal: ast.Expression) -> None:
    """Each kind of literal, signs folded in."""
    assert parse_expression(text) == literal


@pytest.mark.parametrize(
    "text", ["9223372036854775808", "-9223372036854775809", "1e999", "DECIMAL 'x'", "a LIKE 'b' ESCAPE 'xy'"]
)
def test_literals_out_of_range(text: str) -> None:
    """What does not fit its type is refused at its place."""
    with pytest.raises(StatementError) as caught:
        parse_expression(text)
    assert caught.value.span is not None


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("a OR b AND NOT c = d", "a OR (b AND (NOT (c = d)))"),
        ("a + b * c || d - e", "(a + (b * c)) || (d - e)"),
        ("-a[1]->b", "-((a[1])->b)"),
        ("a - b - c", "(a - b) - c"),
        ("a BETWEEN 1 AND 2 AND b", "(a BETWEEN 1 AND 2) AND b"),
        ("a = b IS NULL", None),
        ("NOT a IS NOT NULL", "NOT (a IS NOT NULL)"),
    ],
)
def test_precedence(text: str, same_as: str | None) -> None:
    """Operators bind as the reference orders them; predicates do not chain."""
    if same_as is None:
        with pytest.raises(StatementError):
            parse_expression(text)
    else:
        assert parse_expression(text) == parse_expression(same_as)


def test_lambdas_are_told_from_parentheses() -> None:
    """``(x, y) =>`` opens a lambda, ``(x)`` is an expression."""
    call = parse_expression("REDUCE(m, (0), (s, `k`, v) => s + (v))")
    assert isinstance(call, ast.FunctionCall)
    assert isinstance(call.arguments[2], ast.Lambda) and call.arguments[2].parameters == ("S", "k", "V")
    assert parse_expression("TRANSFORM(a, x => x + 1)").arguments[1].parameters == ("X",)  # type: ignore[union-attr]


def test_units_as_arguments() -> None:
    """Reserved unit words are units, the others are names."""
    assert parse_expression("DATEADD(DAYS, 1, d)").arguments[0] == ast.IntervalUnit("DAYS")  # type: ignore[union-attr]
    assert parse_expression("DATEADD(DAY, 1, d)").arguments[0] == ast.NameRef("DAY")  # type: ignore[union-attr]


def test_types() -> None:
    """Types nest, VARCHAR takes a length or STRING, a closing bracket closes one level."""
    assert parse_type("ARRAY<MAP<STRING, STRUCT<a DECIMAL(4, 2), `b` INT>>>") == ast.ArrayType(
        ast.MapType(
            ast.TypeName("STRING"), ast.StructType((("A", ast.TypeName("DECIMAL", (4, 2))), ("b", ast.TypeName("INT"))))
        )
    )
    assert parse_type("VARCHAR(STRING)") == ast.TypeName("VARCHAR")


def test_spans_point_at_the_text() -> None:
    """A node's span has offsets, line and column of its first character, over several lines and statements."""
    text = "SHOW STREAMS;\n-- a comment\nSELECT a,\n  b + c AS d FROM s;"
    statements = parse(text)
    assert [s.text for s in statements] == ["SHOW STREAMS", "SELECT a,\n  b + c AS d FROM s"]
    query = statements[1].statement
    assert isinstance(query, ast.Query) and isinstance(query.select[1], ast.SelectExpression)
    span = query.select[1].expression.span
    assert text[span.start : span.end] == "b + c" and (span.line, span.column) == (4, 3)
    assert text[query.span.start : query.span.end] == statements[1].text


def test_an_error_is_underlined_and_says_what_could_stand_there() -> None:
    """The message holds line, column, the line with carets, the alternatives in words."""
    caught = error("SELECT a\nFROM s WHERE b ** 2;")
    assert caught.span is not None and (caught.span.line, caught.span.column) == (2, 17)
    assert "\n                  ^" in str(caught)
    assert caught.expected == ("an expression",)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("CRAETE STREAM x (a INT);", "CREATE"),
        ("SELECT a FORM s;", "FROM"),
        ("SELECT a FROM s WEHRE b = 1;", "WHERE"),
        ("SELECT 'abc FROM s;", "closing quote"),
        ("SELECT a FROM s WHERE ${limit} > 1;", "the variable limit is not defined"),
        ('SET "auto.offset.reset" = "earliest";', "single quotes"),
        ("CREATE TABLE t AS SELECT a FROM s ORDER BY a;", "ORDER BY"),
        ("SELECT a FROM range(5);", "db.duckdb()"),
        ("SELECT a FROM s QUALIFY a > 1;", "db.duckdb()"),
        ("SELECT a::INT FROM s;", "CAST(value AS type)"),
        ("CREATE STREAM x", "incomplete"),
    ],
)
def test_hints(text: str, hint: str) -> None:
    """Common slips are recognised."""
    try:
        parse(text)
    except StatementError as caught:
        message = str(caught)
        assert hint in message or (hint == "single quotes" and "Double quotes" in message)
    else:
        assert hint == "incomplete"  # CREATE STREAM x is whole: what it lacks is for the analysis to say


def test_an_incomplete_statement_says_so() -> None:
    """The end of the text is named as such, after the last token."""
    caught = error("CREATE STREAM x (a INT")
    assert "incomplete" in caught.message and caught.span is not None and caught.span.column == 22


@pytest.mark.parametrize(
    "deep", ["(" * 5000 + "1" + ")" * 5000, "NOT " * 5000 + "a", " + ".join(["a"] * 5000), "- " * 5000 + "a"]
)
def test_deep_nesting_is_a_statement_error(deep: str) -> None:
    """Nesting is bounded by a clear error, never by Python's stack; mere parentheses are no nesting."""
    text = f"SELECT {deep} FROM s;"
    if deep.startswith("("):
        assert isinstance(parse_statement(text), ast.Query)
    else:
        assert str(NESTING_DEPTH_MAX) in str(error(text))


def test_deep_types_are_a_statement_error() -> None:
    """Types are bounded, too; so is EXPLAIN of EXPLAIN."""
    with pytest.raises(StatementError, match="nested"):
        parse_type("ARRAY<" * 5000 + "INT" + ">" * 5000)
    assert "nested" in str(error("EXPLAIN " * 5000 + "SHOW STREAMS"))


def test_a_wide_statement_is_not_deep() -> None:
    """A thousand columns are fine."""
    query = parse_statement(f"SELECT {', '.join(f'c{i}' for i in range(1000))} FROM s")
    assert isinstance(query, ast.Query) and len(query.select) == 1000


def test_length_is_bounded() -> None:
    """A text above the limit is refused before it is read."""
    assert "limit" in error(" " * (STATEMENT_CHARS_MAX + 1)).message


def test_split_respects_quotes_and_comments() -> None:
    """Semicolons inside of quotes and comments end nothing; the rest comes without one."""
    assert split("SELECT ';' FROM `a;b`; -- c;\n/* ; */ SHOW STREAMS;; SELECT 'x") == [
        "SELECT ';' FROM `a;b`;",
        "SHOW STREAMS;",
        ";",
        "SELECT 'x",
    ]
    assert split("SHOW STREAMS; SELECT 1 /* ; SHOW TABLES;") == ["SHOW STREAMS;", "SELECT 1 /* ; SHOW TABLES;"]


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True),
        ("SHOW STREAMS;", True),
        ("SHOW STREAMS", False),
        ("SELECT 'a;", False),
        ("SHOW STREAMS; -- x", True),
        ("/* ;", False),
    ],
)
def test_is_complete(text: str, complete: bool) -> None:
    """A shell asks for more lines until this is true."""
    assert is_complete(text) is complete


@pytest.mark.parametrize(
    ("text", "place", "message", "suggestion"),
    [
        ("SELECT 1 /* never; closed", (1, 10), "this comment has no end", "End it with */."),
        ("SHOW STREAMS;\n/* x\nSHOW TABLES;", (2, 1), "this comment has no end", "End it with */."),
        ("/*/ SHOW STREAMS;", (1, 1), "this comment has no end", "End it with */."),
        ("SELECT 'it''s;\n", (1, 8), "this text has no closing quote", "and write a quote inside of it as ''"),
        ("SET 'a' = 'b; SHOW STREAMS;", (1, 11), "this text has no closing quote", "Close it with '"),
        ("SELECT `a``b FROM s;", (1, 8), "this name has no closing `", "Close it with `, and write a ` inside of it as ``."),
        ('SELECT "a""b FROM s;', (1, 8), 'this name has no closing "', 'Close it with ", and write a " inside of it as "".'),
        ("SELECT 1 */ 2;", (1, 11), "/ was not expected here", "There is no open comment that */ could end."),
        ("/* a /* b */ c */ SHOW STREAMS;", (1, 14), "c was not expected here", "Comments do not nest"),
    ],
)  # fmt: skip
def test_what_has_no_end_is_named_at_its_beginning(text: str, place: tuple[int, int], message: str, suggestion: str) -> None:
    """Texts, names and comments, however often their quotes are doubled within."""
    found = error(text)
    assert found.span is not None and (found.span.line, found.span.column) == place
    assert found.message == message
    assert found.suggestion is not None and suggestion in found.suggestion
    if "has no" in message:
        assert not found.expected and not is_complete(text + ";")


def test_all_of_a_subquery_names_the_door_that_has_it() -> None:
    """ALL is a reserved word, but nobody means a name here."""
    assert "db.duckdb()" in str(error("SELECT * FROM s WHERE v > ALL (SELECT v FROM t);"))


def test_one_statement_means_one() -> None:
    """None and two are refused."""
    for text in ("", ";", "SHOW STREAMS; SHOW TABLES;"):
        with pytest.raises(StatementError):
            parse_statement(text)
    with pytest.raises(StatementError):
        parse_expression("1; 2")


def test_create_as_select_takes_no_columns_and_is_not_read_only() -> None:
    """Two forms that look right and are not say why."""
    assert "list of columns" in error("CREATE STREAM x (a INT) AS SELECT * FROM s;").message
    assert "takes no query" in error("CREATE SOURCE STREAM x AS SELECT * FROM s;").message
