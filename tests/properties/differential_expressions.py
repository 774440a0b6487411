"""Random expressions in the dialect, each with its meaning in DuckDB's SQL, written from the dialect's rules.

What differs from standard SQL, and how it is translated (docs/reference/dialect.md, sections 2 and 13):

* A comparison with NULL is false, and so NOT of it true; a BOOLEAN that is NULL is unknown, in logic of three values.
* Arithmetic and LIKE with NULL are NULL.
* An expression *fails* on a row where an integer is divided by zero; the whole SELECT item is then NULL, a WHERE false, a
  GROUP BY drops the row.  ``failed`` is the SQL of that.
* CAST and function arguments that are calls are guarded: a failure inside is NULL there, and goes no further.
* INT and BIGINT arithmetic wraps; integer division cuts towards zero.
* ``||`` and CONCAT take NULL for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

COLUMNS = {
    "i": "INT",
    "j": "INT",
    "l": "BIGINT",
    "d": "DOUBLE",
    "p": "DECIMAL(9, 2)",
    "s": "STRING",
    "w": "STRING",
    "b": "BOOLEAN",
    "dt": "DATE",
    "tm": "TIME",
    "ts": "TIMESTAMP",
}
"""Value columns of every source, beside its INT key ``k`` and ``n``, a DOUBLE that may be NaN or infinite."""

MACROS = """
CREATE MACRO wrap32(x) AS CAST(((x::HUGEINT + 2147483648) % 4294967296 + 4294967296) % 4294967296 - 2147483648 AS INTEGER);
CREATE MACRO wrap64(x) AS CAST(((x::HUGEINT + 9223372036854775808) % 18446744073709551616 + 18446744073709551616)
 % 18446744073709551616 - 9223372036854775808 AS BIGINT);
"""


@dataclass(frozen=True)
class Expression:
    """An expression of one type.

    Attributes:
        type: INT, BIGINT, DOUBLE, DECIMAL, STRING, BOOLEAN, DATE, TIME or TIMESTAMP.
        text: in the dialect.
        duck: its value in DuckDB's SQL where it does not fail.
        failed: DuckDB's SQL (never NULL) for whether it fails.
        call: it is a function call, which as an argument is guarded.
    """

    type: str
    text: str
    duck: str
    failed: str = "false"
    call: bool = False

    def item(self) -> str:
        """Its value in a SELECT."""
        return self.duck if self.failed == "false" else f"CASE WHEN {self.failed} THEN NULL ELSE {self.duck} END"

    def holds(self) -> str:
        """Whether it lets a row through, in a WHERE."""
        return f"coalesce(NOT ({self.failed}) AND {self.duck}, false)"


def either(*failed: str) -> str:
    """SQL for one of several failing."""
    some = [f for f in dict.fromkeys(failed) if f != "false"]
    return "false" if not some else f"({' OR '.join(some)})"


class Expressions:
    """Random expressions over columns.

    Args:
        aliases: the sources in scope, by alias; none for one source without an alias.
    """

    def __init__(self, random: Random, aliases: Sequence[str] = ()) -> None:
        self.random = random
        self.aliases = tuple(aliases)

    # --- leaves ----------------------------------------------------------------------------

    def named(self, name: str) -> str:
        return f"{self.random.choice(self.aliases)}.{name}" if self.aliases else name

    def column(self, type_: str) -> Expression:
        names = [name for name, word in COLUMNS.items() if word.split("(")[0] == type_]
        name = self.named(self.random.choice(names))
        return Expression(type_, name, name)

    def literal(self, type_: str) -> Expression:
        choose = self.random.choice
        match type_:
            case "INT":
                number = choose((0, 1, 2, 3, -1, 7, 2147483647))
                return Expression(type_, str(number), f"{number}::INTEGER")
            case "BIGINT":
                number = choose((3_000_000_000, 9_223_372_036_854_775_807))
                return Expression(type_, str(number), f"{number}::BIGINT")
            case "DOUBLE":
                text = choose(("1.5e0", "-2.25e0", "0e0", "1e10"))
                return Expression(type_, text, f"{text}::DOUBLE")
            case "DECIMAL":
                text = choose(("1.25", "-3.10", "0.00", "99.99"))
                return Expression(type_, text, f"{text}::DECIMAL(9, 2)")
            case "STRING":
                text = choose(("", "a", "ab", "B", " b", "12", "%a%", "caf\u00e9"))
                return Expression(type_, f"'{text}'", f"'{text}'")
        word = choose(("true", "false"))
        return Expression("BOOLEAN", word, word)

    # --- by type ---------------------------------------------------------------------------

    def any(self, depth: int = 2) -> Expression:
        """An expression of any type."""
        type_ = self.random.choice(
            ("INT", "INT", "BIGINT", "DOUBLE", "DECIMAL", "STRING", "STRING", "BOOLEAN", "DATE", "TIME", "TIMESTAMP")
        )
        return self.of(type_, depth)

    def of(self, type_: str, depth: int) -> Expression:
        """An expression of a type."""
        if depth <= 0 or self.random.random() < 0.25:
            if type_ in ("DATE", "TIME", "TIMESTAMP") or self.random.random() < 0.75:
                return self.column(type_)
            return self.literal(type_)
        if self.random.random() < 0.15:
            return self.chosen(type_, depth - 1)
        if self.random.random() < 0.12:
            return self.case(type_, depth - 1)
        maker: Callable[[int], Expression] = getattr(self, f"_{type_.lower()}")
        return maker(depth - 1)

    def chosen(self, type_: str, depth: int) -> Expression:
        """COALESCE, IFNULL, NULLIF, GREATEST, LEAST."""
        names = ["COALESCE", "IFNULL", "NULLIF"]
        if type_ != "BOOLEAN" and type_ != "DOUBLE":
            names += ["GREATEST", "LEAST"]
        name = self.random.choice(names)
        arguments = [self.of(type_, depth), self.of(type_, depth)]
        if type_ == "DECIMAL":
            arguments = [self.column(type_), self.column(type_)]
        duck = {"IFNULL": "coalesce"}.get(name, name.lower())
        return self.function(name, type_, arguments, f"{duck}({{0}}, {{1}})")

    def case(self, type_: str, depth: int) -> Expression:
        """Lazy: a branch that is not taken cannot fail; a condition that is NULL is not met."""
        condition, then, other = self.condition(depth), self.column(type_), self.of(type_, depth)
        if type_ == "DECIMAL":
            other = self.column(type_)
        text = f"CASE WHEN {condition.text} THEN {then.text} ELSE {other.text} END"
        duck = f"CASE WHEN {condition.duck} THEN {then.duck} ELSE {other.item()} END"
        failed = either(
            condition.failed,
            *([] if other.failed == "false" else [f"(NOT coalesce({condition.duck}, false) AND {other.failed})"]),
        )
        return Expression(type_, text, duck, failed)

    def function(self, name: str, type_: str, arguments: Sequence[Expression], duck: str) -> Expression:
        """A call: arguments that are calls are guarded, others' failures are the call's."""
        text = f"{name}({', '.join(a.text for a in arguments)})"
        values = [a.item() if a.call else a.duck for a in arguments]
        failed = either(*(a.failed for a in arguments if not a.call))
        return Expression(type_, text, duck.format(*(f"({v})" for v in values)), failed, call=True)

    def arithmetic(self, type_: str, operator: str, left: Expression, right: Expression, duck: str) -> Expression:
        """An integer divided by zero fails; NULL on either side gives NULL."""
        failed = either(left.failed, right.failed)
        text = f"({left.text} {operator} {right.text})"
        if operator in "/%" and type_ in ("INT", "BIGINT"):
            failed = either(failed, f"(({left.duck}) IS NOT NULL AND coalesce(({right.duck}) = 0, false))")
        return Expression(type_, text, duck.format(f"({left.duck})", f"({right.duck})"), failed)

    def _integers(self, type_: str, depth: int) -> Expression:
        wrap = "wrap32" if type_ == "INT" else "wrap64"
        left = self.of(type_, depth)
        right = self.of("INT", depth)
        if self.random.random() < 0.5:
            left, right = (left, right) if type_ == "INT" or self.random.random() < 0.5 else (right, left)
        operator = self.random.choice("+-*/%")
        forms = {"/": "{0}::HUGEINT // nullif({1}::HUGEINT, 0)", "%": "{0}::HUGEINT % nullif({1}::HUGEINT, 0)"}
        form = forms.get(operator, f"{{0}}::HUGEINT {operator} {{1}}::HUGEINT")
        return self.arithmetic(type_, operator, left, right, f"{wrap}({form})")

    def _int(self, depth: int) -> Expression:
        match self.random.randrange(9):
            case 0:
                return self.function("LEN", "INT", [self.of("STRING", depth)], "length({0})::INTEGER")
            case 1:
                piece = self.literal("STRING") if self.random.random() < 0.5 else self.column("STRING")
                text = self.of("STRING", depth)
                return self._instr(text, piece)
            case 2:
                return self.function("SIGN", "INT", [self.of("INT", depth)], "sign({0})::INTEGER")
            case 3:
                inner = self.column("STRING")
                return Expression("INT", f"CAST({inner.text} AS INT)", _string_to_int(inner.duck), call=True)
            case 4:
                inner = self.of("BIGINT", depth)
                return Expression("INT", f"CAST({inner.text} AS INT)", f"wrap32({inner.item()})", call=True)
            case 5:
                return self.function("UNIX_DATE", "INT", [self.of("DATE", depth)], "({0} - DATE '1970-01-01')::INTEGER")
            case 6:
                operand = self.of("INT", depth)
                return Expression("INT", f"(-({operand.text}))", f"wrap32(-(({operand.duck})::HUGEINT))", operand.failed)
        return self._integers("INT", depth)

    def _instr(self, text: Expression, piece: Expression) -> Expression:
        """Empty pieces are found at 1; any NULL gives 0."""
        found = "coalesce(CASE WHEN {1} = '' THEN 1 ELSE instr({0}, {1}) END, 0)::INTEGER"
        return self.function(
            "INSTR", "INT", [text, piece], found.replace("coalesce(CASE", "coalesce(CASE WHEN {0} IS NULL THEN 0")
        )

    def _bigint(self, depth: int) -> Expression:
        if self.random.random() < 0.25:
            inner = self.of("INT", depth)
            return Expression("BIGINT", f"CAST({inner.text} AS BIGINT)", f"({inner.item()})::BIGINT", call=True)
        if self.random.random() < 0.2:
            return self.function("UNIX_TIMESTAMP", "BIGINT", [self.of("TIMESTAMP", depth)], "epoch_ms({0})")
        return self._integers("BIGINT", depth)

    def _double(self, depth: int) -> Expression:
        match self.random.randrange(5):
            case 0:
                name = self.random.choice(("FLOOR", "CEIL", "ABS"))
                return self.function(name, "DOUBLE", [self.of("DOUBLE", depth)], f"{name.lower()}({{0}})")
            case 1:
                absolute = self.function("ABS", "DOUBLE", [self.of("DOUBLE", depth)], "abs({0})")
                return self.function("SQRT", "DOUBLE", [absolute], "sqrt({0})")
            case 2:
                inner = self.of(self.random.choice(("INT", "BIGINT", "DECIMAL")), depth)
                return Expression("DOUBLE", f"CAST({inner.text} AS DOUBLE)", f"({inner.item()})::DOUBLE", call=True)
            case 3:
                operator, left, right = self.random.choice("+-*"), self.column("DOUBLE"), self.of("INT", depth)
                return self.arithmetic("DOUBLE", operator, left, right, f"{{0}} {operator} {{1}}::DOUBLE")
        operator = self.random.choice("+-*/")
        name = self.named("n")
        odd = Expression("DOUBLE", name, name)
        return self.arithmetic("DOUBLE", operator, self.column("DOUBLE"), odd, f"{{0}} {operator} {{1}}")

    def _decimal(self, depth: int) -> Expression:
        if self.random.random() < 0.3:
            name = self.random.choice(("ABS", "FLOOR", "CEIL"))
            return self.function(name, "DECIMAL", [self.column("DECIMAL")], f"{name.lower()}({{0}})")
        operator = self.random.choice("+-*")
        left, right = self.column("DECIMAL"), self.of(self.random.choice(("DECIMAL", "INT")), 0)
        wide = "{0}::DECIMAL(18, 2) OP {1}::DECIMAL(18, 2)".replace("OP", operator)
        return self.arithmetic("DECIMAL", operator, left, right, wide)

    def _string(self, depth: int) -> Expression:
        match self.random.randrange(11):
            case 0:
                name = self.random.choice(("UCASE", "LCASE"))
                duck = {"UCASE": "upper({0})", "LCASE": "lower({0})"}[name]
                return self.function(name, "STRING", [self.of("STRING", depth)], duck)
            case 1:
                return self.function("TRIM", "STRING", [self.of("STRING", depth)], "trim({0}, ' ')")
            case 2:
                start, size = self.random.randrange(1, 4), self.random.randrange(0, 4)
                part = f"substring({{0}}, {start}, {size})"
                literals = [Expression("INT", str(v), str(v)) for v in (start, size)]
                return self.function("SUBSTRING", "STRING", [self.of("STRING", depth), *literals], part)
            case 3:
                parts = [self.of("STRING", depth), self.of("STRING", depth)]
                return self.function("CONCAT", "STRING", parts, "concat({0}, {1})")
            case 4:
                left, right = self.of("STRING", depth), self.of("STRING", depth)
                duck = f"coalesce({left.duck}, '') || coalesce({right.duck}, '')"
                return Expression("STRING", f"({left.text} || {right.text})", duck, either(left.failed, right.failed))
            case 5:
                arguments = [self.of("STRING", depth), Expression("STRING", "'a'", "'a'"), self.column("STRING")]
                return self.function("REPLACE", "STRING", arguments, "replace({0}, {1}, {2})")
            case 6:
                size = Expression("INT", "5", "5")
                fill = Expression("STRING", "'-'", "'-'")
                name = self.random.choice(("LPAD", "RPAD"))
                arguments = [self.of("STRING", depth), size, fill]
                return self.function(name, "STRING", arguments, f"{name.lower()}({{0}}, {{1}}, {{2}})")
            case 7:
                pattern = Expression("STRING", "'yyyy/MM/dd'", "''")
                return self.function("FORMAT_DATE", "STRING", [self.of("DATE", depth), pattern], "strftime({0}, '%Y/%m/%d')")
            case 8:
                inner = self.of(self.random.choice(("INT", "BIGINT", "BOOLEAN")), depth)
                return Expression("STRING", f"CAST({inner.text} AS STRING)", f"({inner.item()})::VARCHAR", call=True)
            case 9:
                arguments = [self.column("STRING"), self.literal("STRING"), self.column("STRING")]
                return self.function("CONCAT_WS", "STRING", arguments, "concat_ws({0}, {1}, {2})")
        return self.function("MD5", "STRING", [self.of("STRING", depth)], "md5({0})")

    def _date(self, depth: int) -> Expression:
        if self.random.random() < 0.4:
            inner = self.of("TIMESTAMP", depth)
            return Expression("DATE", f"CAST({inner.text} AS DATE)", f"({inner.item()})::DATE", call=True)
        name, sign = self.random.choice((("DATEADD", "+"), ("DATESUB", "-")))
        return self._moved(name, "DATE", self.of("DATE", depth), f"{{0}} {sign} {{1}}", "DAYS")

    def _timestamp(self, depth: int) -> Expression:
        if self.random.random() < 0.3:
            inner = self.of("DATE", depth)
            duck = f"({inner.item()})::TIMESTAMP"
            return Expression("TIMESTAMP", f"CAST({inner.text} AS TIMESTAMP)", duck, call=True)
        name, sign = self.random.choice((("TIMESTAMPADD", "+"), ("TIMESTAMPSUB", "-")))
        duck = f"make_timestamp_ms(epoch_ms({{0}}) {sign} {{1}}::BIGINT * 3600000)::TIMESTAMP"
        return self._moved(name, "TIMESTAMP", self.of("TIMESTAMP", depth), duck, "HOURS")

    def _time(self, depth: int) -> Expression:
        inner = self.of("TIMESTAMP", depth)
        return Expression("TIME", f"CAST({inner.text} AS TIME)", f"({inner.item()})::TIME", call=True)

    def _moved(self, name: str, type_: str, value: Expression, duck: str, unit: str) -> Expression:
        amount = Expression("INT", "3", "3") if self.random.random() < 0.5 else self.small()
        made = self.function(
            name, type_, [amount, value], duck.replace("{0}", "#").replace("{1}", "{0}").replace("#", "{1}")
        )
        return Expression(type_, made.text.replace(f"{name}(", f"{name}({unit}, ", 1), made.duck, made.failed, call=True)

    def small(self) -> Expression:
        """A column of small integers."""
        name = self.named("j")
        return Expression("INT", name, name)

    def _boolean(self, depth: int) -> Expression:
        return self.condition(depth)

    # --- conditions ------------------------------------------------------------------------

    def condition(self, depth: int = 2) -> Expression:
        """A BOOLEAN, which may be unknown."""
        match self.random.randrange(9 if depth > 0 else 5):
            case 0:
                return self._null_test(depth)
            case 1:
                return self._between(depth)
            case 2:
                return self._in(depth)
            case 3:
                return self._like()
            case 5 | 6:
                left, right = self.condition(depth - 1), self.condition(depth - 1)
                operator = self.random.choice(("AND", "OR"))
                decided = "true" if operator == "AND" else "false"
                reached = f"{'' if operator == 'AND' else 'NOT '}coalesce({left.duck}, {decided})"
                failed = either(left.failed, *([] if right.failed == "false" else [f"({reached} AND {right.failed})"]))
                duck = f"(({left.duck}) {operator} ({right.duck}))"
                return Expression("BOOLEAN", f"({left.text} {operator} {right.text})", duck, failed)
            case 7:
                inner = self.condition(depth - 1)
                return Expression("BOOLEAN", f"(NOT {inner.text})", f"(NOT ({inner.duck}))", inner.failed)
            case 8:
                inner = self.column("BOOLEAN")
                return Expression("BOOLEAN", inner.text, inner.duck)
        return self._comparison(depth)

    def _pair(self, depth: int) -> tuple[Expression, Expression]:
        """Two values that can be compared."""
        numbers = ("INT", "BIGINT", "DECIMAL")
        kind = self.random.randrange(6)
        if kind < 2:
            return self.of(self.random.choice(numbers), depth), self.of(self.random.choice(numbers), depth)
        if kind == 2:
            return self.column("DOUBLE"), self.of(self.random.choice(("DOUBLE_LITERAL", "INT")).replace("_LITERAL", ""), 0)
        if kind == 3:
            date = self.random.choice(("2020-02-29", "2021-06-15"))
            return self.of("DATE", depth), Expression("DATE", f"'{date}'", f"DATE '{date}'")
        type_ = self.random.choice(("STRING", "STRING", "TIMESTAMP", "TIME", "DATE"))
        return self.of(type_, depth), self.column(type_)

    def _comparison(self, depth: int) -> Expression:
        left, right = self._pair(depth)
        failed = either(left.failed, right.failed)
        operator = self.random.choice(("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"))
        duck = f"coalesce(({left.duck}) {operator} ({right.duck}), false)"
        return Expression("BOOLEAN", f"({left.text} {operator} {right.text})", duck, failed)

    def _null_test(self, depth: int) -> Expression:
        operand, word = self.any(depth), self.random.choice(("IS NULL", "IS NOT NULL"))
        return Expression("BOOLEAN", f"({operand.text} {word})", f"(({operand.duck}) {word})", operand.failed)

    def _between(self, depth: int) -> Expression:
        value = self.of("INT", depth)
        low, high = self.column("INT"), self.literal("INT")
        word = self.random.choice(("BETWEEN", "NOT BETWEEN"))
        inside = f"coalesce(({value.duck}) BETWEEN ({low.duck}) AND ({high.duck}), false)"
        # With a NULL bound, the comparison that involves it is false; so is the whole.
        duck = inside if word == "BETWEEN" else f"(NOT {inside})"
        return Expression("BOOLEAN", f"({value.text} {word} {low.text} AND {high.text})", duck, value.failed)

    def _in(self, depth: int) -> Expression:
        type_ = self.random.choice(("INT", "STRING"))
        value = self.of(type_, depth)
        items = [self.literal(type_), self.literal(type_), self.column(type_)]
        word = self.random.choice(("IN", "NOT IN"))
        inside = " OR ".join(f"coalesce(({value.duck}) = ({item.duck}), false)" for item in items)
        duck = f"({inside})" if word == "IN" else f"(NOT ({inside}))"
        return Expression("BOOLEAN", f"({value.text} {word} ({', '.join(i.text for i in items)}))", duck, value.failed)

    def _like(self) -> Expression:
        value, word = self.column("STRING"), self.random.choice(("LIKE", "NOT LIKE"))
        pattern = self.random.choice(("%a%", "a_", "%", "_", "B%", ""))
        duck = f"(({value.duck}) {word} '{pattern}')"
        return Expression("BOOLEAN", f"({value.text} {word} '{pattern}')", duck, value.failed)


def _string_to_int(duck: str) -> str:
    """Digits with a sign, blanks around them; anything else is NULL."""
    trimmed = f"trim({duck}, ' ')"
    return f"CASE WHEN regexp_full_match({trimmed}, '[+-]?[0-9]+') THEN try_cast({trimmed} AS INTEGER) END"
