"""How a query runs: which tables are stored, which rows are copied to topics, and which changes have the row before them."""
