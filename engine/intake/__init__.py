"""What Python programs hand over -> columns of a source: every container by one table of conversions."""
