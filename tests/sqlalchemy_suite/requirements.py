"""What Penstock's dialect has of what SQLAlchemy's suite asks for.

A property that is not here has the suite's own answer: yes for what every database has, no for most of the rest.
"""

from __future__ import annotations

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements


def _has_not(reason: str) -> property:
    return property(lambda self: exclusions.skip_if(lambda config: True, reason))


_HAS = property(lambda self: exclusions.open())


class Requirements(SuiteRequirements):  # type: ignore[misc, no-any-unimported]
    """One line for each requirement."""

    # --- rows are appended, and nothing is checked across them ---
    foreign_keys = self_referential_foreign_keys = _has_not("there are no foreign keys (`harness` creates none)")
    foreign_key_constraint_reflection = _has_not("there are no foreign keys")
    named_constraints = implicitly_named_constraints = _has_not("there are no constraints but the key, which has no name")
    unique_constraint_reflection = check_constraint_reflection = _has_not("there are no constraints but the key")
    duplicate_key_raises_integrity_error = _has_not("a row of a key replaces the last one: an upsert, no error")
    index_reflection = indexes_with_ascdesc = reflect_indexes_with_ascdesc = _has_not("there are no indexes")
    temp_table_reflect_indexes = _has_not("there are no indexes")
    autoincrement_insert = autoincrement_without_sequence = _has_not("nothing counts up: keys come with the rows")
    implements_get_lastrowid = _has_not("records have offsets, not row ids")
    update_where_target_in_subquery = _has_not("there is no UPDATE: a row is replaced by the next one of its key")
    insert_from_select = _has_not("INSERT INTO .. SELECT starts a query that goes on, and copies nothing at once")

    # --- one name space, no sessions' own tables ---
    temporary_tables = temp_table_reflection = _has_not("there are no temporary tables")

    views = view_reflection = view_column_reflection = _has_not("there are no views: a table that a query keeps is a table")
    create_table_as = _has_not("CREATE TABLE .. AS SELECT starts a query that goes on, and copies nothing at once")

    # --- what names and texts hold ---
    unicode_ddl = percent_schema_names = symbol_names_w_double_quote = _has_not("names have letters, digits, _ and -")
    duplicate_names_in_cursor_description = _has_not("columns of a result have names of their own: give one an alias")

    # --- how queries are written ---
    tuple_in = _has_not("IN compares one value: write AND and OR")
    sql_expression_limit_offset = _has_not("LIMIT and OFFSET are whole numbers")
    regexp_match = regexp_replace = _has_not("SQLAlchemy's operators for them are not written by the dialect: use func")

    # --- what the types hold ---
    date_coerces_from_datetime = _has_not("a DATE takes a datetime at midnight, and no other")
    datetime_microseconds = time_microseconds = _has_not("TIMESTAMP and TIME have milliseconds")

    # --- what the dialect has beyond the suite's assumptions ---
    table_ddl_if_exists = _HAS
    ctes = intersect = except_ = window_functions = nullsordering = _HAS
    date_historic = datetime_historic = _HAS
    infinity_floats = _HAS
    precision_numerics_enotation_small = precision_numerics_many_significant_digits = _HAS
    precision_numerics_retains_significant_digits = _HAS
    array_type = _HAS
    uuid_data_type = _HAS
    boolean_col_expressions = _HAS
    order_by_label_with_expression = _HAS
    datetime_literals = _HAS
    table_value_constructor = _HAS
