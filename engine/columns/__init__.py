"""Arrow columns as NumPy sees them, and back: what functions, casts and Java's rules are made of."""
