"""Converts data of Python programs to columns of a source, by one table of conversions for all containers."""
