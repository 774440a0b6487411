"""Text: splits scripts into tokens and statements, parses statements into trees, and writes trees as text again."""
