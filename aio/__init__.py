"""The database for asyncio: blocking calls run on threads of the connection, and waiting for rows takes no thread."""
