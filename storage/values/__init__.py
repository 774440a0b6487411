"""SQL values as text and numbers, as Java writes and reads them: what formats and schemas share."""
