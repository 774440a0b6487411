"""One running query: its life cycle, recovery, exchange of rows between tasks, and the commit of each step."""
