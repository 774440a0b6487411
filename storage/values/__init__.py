"""SQL values as text and as numbers, in Java's notation; formats and schemas share this."""
