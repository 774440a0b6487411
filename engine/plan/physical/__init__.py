"""How a query is run: which tables are kept, what is copied to topics, which changes carry the rows before them."""
