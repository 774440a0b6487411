"""Text: splits scripts into words and statements, parses statements into trees, and writes trees as text again."""
