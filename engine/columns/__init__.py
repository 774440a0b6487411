"""Converts Arrow columns to NumPy and back; functions, casts and Java's rules use it."""
