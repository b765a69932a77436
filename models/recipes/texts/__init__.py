"""Collections, passages by name, the graded lists, and texts as rows of tokens."""
