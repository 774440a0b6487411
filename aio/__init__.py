"""The database on an event loop: what blocks runs on threads of its own, what waits for rows takes no thread."""
