"""Typed expressions and their compilation to kernels over Arrow columns."""
