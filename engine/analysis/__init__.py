"""A statement's tree -> a resolved query.  Section numbers in docstrings are those of docs/reference/dialect.md."""
