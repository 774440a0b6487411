"""How a query runs: which tables are stored, what is copied to topics, which changes carry the rows before them."""
