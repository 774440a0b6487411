"""Text: the words and the grammar of the dialect, statements as trees, and trees as text again."""
