"""The database for asyncio: blocking calls run on the connection's own threads; a wait for rows occupies no thread."""
