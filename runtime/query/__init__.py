"""One running query: its life cycle, its steps and their commits, recovery, and the exchange of rows between tasks."""
