"""Converts data of Python programs to columns of a source.  All kinds of containers use the same table of conversions."""
